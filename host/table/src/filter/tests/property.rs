//! Columns against rows: what a filter takes of whole columns is what a naive evaluator takes row
//! by row. The evaluator shares nothing with the filter: it knows the condition as it was
//! generated, not as text, and values as they were generated, not as arrays.

use arrow_array::builder::BinaryBuilder;
use arrow_array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, ListArray, StructArray, UInt8Array, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::schema::{DataType, item_field, struct_fields};

const WALL_OFFSET: i64 = 1_000_000_000;

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Whole(i128),
    Float(f64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Struct(Vec<Value>),
}

/// The columns: their names, types and kinds, every type there is among them.
const COLUMNS: [(&str, &str, Kind); 21] = [
    ("b", "bool", Kind::None),
    ("i8", "i8", Kind::None),
    ("i16", "i16", Kind::None),
    ("i32", "i32", Kind::None),
    ("i64", "i64", Kind::None),
    ("u8", "u8", Kind::None),
    ("u16", "u16", Kind::None),
    ("u32", "u32", Kind::None),
    ("u64", "u64", Kind::None),
    ("f32", "f32", Kind::None),
    ("f64", "f64", Kind::None),
    ("text", "text", Kind::None),
    ("raw", "bytes", Kind::None),
    ("error", "u32", Kind::Errno),
    ("flags", "u32", Kind::OpenFlags),
    ("time", "u64", Kind::Timestamp),
    ("numbers", "list<i16>", Kind::None),
    ("texts", "list<text>", Kind::None),
    ("deep", "list<list<u8>>", Kind::None),
    ("s", "struct<n: i32, t: text, l: list<u8>>", Kind::None),
    ("ls", "list<struct<n: u16, t: text>>", Kind::None),
];

/// What can be asked: the path as text, its steps into structs, and the type and kind there.
fn targets() -> Vec<(usize, String, Vec<usize>, DataType, Kind)> {
    let mut all = Vec::new();
    for (index, (name, data_type, kind)) in COLUMNS.iter().enumerate() {
        let data_type: DataType = data_type.parse().unwrap();
        let mut fields = &data_type;
        if let DataType::List(item) = fields {
            fields = item;
        }
        if let DataType::Struct(fields) = fields {
            for (at, (field, data_type)) in fields.iter().enumerate() {
                let path = format!("{name}.{field}");
                all.push((index, path, vec![at], data_type.clone(), Kind::None));
            }
        } else {
            all.push((
                index,
                (*name).to_owned(),
                Vec::new(),
                data_type.clone(),
                *kind,
            ));
        }
    }
    all
}

fn wholes(data_type: &DataType) -> (i128, i128) {
    match data_type {
        DataType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::I16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::I64 => (i64::MIN.into(), i64::MAX.into()),
        DataType::U8 => (0, u8::MAX.into()),
        DataType::U16 => (0, u16::MAX.into()),
        DataType::U32 => (0, u32::MAX.into()),
        _ => (0, u64::MAX.into()),
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![&b"a"[..], b"b", "é".as_bytes(), b"\xff", b"*", b"\\"]);
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn addresses() -> impl Strategy<Value = Vec<u8>> {
    select(vec![
        "10.0.0.1",
        "10.9.9.9",
        "::1",
        "::ffff:10.0.0.2",
        "11.0.0.1",
        "10.0.0.0/8",
    ])
    .prop_map(|text| text.as_bytes().to_vec())
}

const FLOATS: [f64; 8] = [0.0, -0.0, 0.5, -1.5, 3.0, 1e30, f64::INFINITY, f64::NAN];
const ERRORS: [(u32, &str); 4] = [(0, ""), (2, "ENOENT"), (13, "EACCES"), (4_000, "4000")];
/// Name, the bits that it is about, what they are.
const FLAGS: [(&str, i128, i128); 5] = [
    ("O_CREAT", 0o100, 0o100),
    ("O_RDONLY", 3, 0),
    ("O_RDWR", 3, 2),
    ("O_SYNC", 0o4_010_000, 0o4_010_000),
    ("O_DSYNC", 0o10_000, 0o10_000),
];

fn value(data_type: &DataType, kind: Kind) -> BoxedStrategy<Value> {
    let some = match (data_type, kind) {
        (_, Kind::Errno) => select(ERRORS.to_vec())
            .prop_map(|(n, _)| Value::Whole(n.into()))
            .boxed(),
        (_, Kind::OpenFlags) => proptest::collection::vec(select(FLAGS.to_vec()), 0..3)
            .prop_map(|all| Value::Whole(all.iter().fold(0, |bits, (_, _, value)| bits | value)))
            .boxed(),
        (DataType::Bool, _) => any::<bool>().prop_map(Value::Bool).boxed(),
        (DataType::F32 | DataType::F64, _) => {
            select(FLOATS.to_vec()).prop_map(Value::Float).boxed()
        }
        (DataType::Text, _) => prop_oneof![4 => bytes(), 1 => addresses()]
            .prop_map(Value::Bytes)
            .boxed(),
        (DataType::Bytes, _) => prop_oneof![
            3 => bytes(),
            1 => select(vec![vec![10, 0, 0, 1], vec![11, 0, 0, 1], vec![0; 16]]),
        ]
        .prop_map(Value::Bytes)
        .boxed(),
        (DataType::List(item), _) => proptest::collection::vec(value(item, kind), 0..4)
            .prop_map(Value::List)
            .boxed(),
        (DataType::Struct(fields), _) => fields
            .iter()
            .map(|(_, data_type)| value(data_type, kind))
            .collect::<Vec<_>>()
            .prop_map(Value::Struct)
            .boxed(),
        (whole, _) => {
            let (first, last) = wholes(whole);
            let pool = vec![first, first + 1, 0, 1, 2, 3, 5, last - 1, last];
            select(pool).prop_map(Value::Whole).boxed()
        }
    };
    prop_oneof![1 => Just(Value::Null), 5 => some].boxed()
}

fn array(data_type: &DataType, values: &[Value]) -> ArrayRef {
    macro_rules! whole {
        ($array:ty) => {{
            let values = values.iter().map(|value| match value {
                Value::Whole(n) => Some((*n).try_into().unwrap()),
                _ => None,
            });
            Arc::new(values.collect::<$array>())
        }};
    }
    macro_rules! float {
        ($array:ty, $native:ty) => {{
            let values = values.iter().map(|value| match value {
                Value::Float(n) => Some(*n as $native),
                _ => None,
            });
            Arc::new(values.collect::<$array>())
        }};
    }
    let nulls = || NullBuffer::from_iter(values.iter().map(|value| *value != Value::Null));
    match data_type {
        DataType::Bool => Arc::new(BooleanArray::from_iter(values.iter().map(
            |value| match value {
                Value::Bool(b) => Some(*b),
                _ => None,
            },
        ))),
        DataType::I8 => whole!(Int8Array),
        DataType::I16 => whole!(Int16Array),
        DataType::I32 => whole!(Int32Array),
        DataType::I64 => whole!(Int64Array),
        DataType::U8 => whole!(UInt8Array),
        DataType::U16 => whole!(UInt16Array),
        DataType::U32 => whole!(UInt32Array),
        DataType::U64 => whole!(UInt64Array),
        DataType::F32 => float!(Float32Array, f32),
        DataType::F64 => float!(Float64Array, f64),
        DataType::Text | DataType::Bytes => {
            let mut builder = BinaryBuilder::new();
            for value in values {
                match value {
                    Value::Bytes(bytes) => builder.append_value(bytes),
                    _ => builder.append_null(),
                }
            }
            let array: BinaryArray = builder.finish();
            Arc::new(array)
        }
        DataType::List(item) => {
            let lists: Vec<&[Value]> = values
                .iter()
                .map(|value| match value {
                    Value::List(items) => items.as_slice(),
                    _ => &[],
                })
                .collect();
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|items| items.len()));
            let items = array(item, &lists.concat());
            Arc::new(ListArray::new(
                item_field(item),
                offsets,
                items,
                Some(nulls()),
            ))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().enumerate().map(|(at, (_, data_type))| {
                let values: Vec<Value> = values
                    .iter()
                    .map(|value| match value {
                        Value::Struct(fields) => fields[at].clone(),
                        // Under a null may stand anything.
                        _ => match data_type {
                            DataType::Text => Value::Bytes(b"a".to_vec()),
                            DataType::List(_) => Value::List(vec![Value::Whole(1)]),
                            _ => Value::Whole(1),
                        },
                    })
                    .collect();
                array(data_type, &values)
            });
            let (columns, fields) = (columns.collect(), struct_fields(fields));
            Arc::new(StructArray::new(fields, columns, Some(nulls())))
        }
    }
}

/// One place of a generated glob.
#[derive(Clone, Debug)]
enum Place {
    Text(&'static str),
    One,
    Star,
    NotA,
}

#[derive(Clone, Debug)]
enum Ask {
    Null,
    True,
    /// A sign, and twice the number.
    Whole(&'static str, i128),
    Float(&'static str, f64),
    Bytes(&'static str, Vec<u8>),
    Bool(bool),
    InWholes(Vec<i128>),
    InBytes(Vec<Vec<u8>>),
    Contains(Vec<u8>),
    /// Any of these texts, each perhaps at the start, perhaps at the end.
    Regex(Vec<(bool, &'static str, bool)>),
    Glob(Vec<Place>),
    Network,
    Bits(i128),
    Flag(usize),
    /// A word for an error, in the order of [`ERRORS`].
    Word(&'static str, usize),
    /// The shown word contains this.
    Shown(&'static str),
    Time(&'static str, i64),
}

#[derive(Clone, Debug)]
enum Condition {
    Test {
        column: usize,
        name: String,
        path: Vec<usize>,
        kind: Kind,
        ask: Ask,
        negated: bool,
    },
    /// Two places in the row.
    Pair {
        sign: &'static str,
        negated: bool,
        grouped: bool,
        left: Named,
        right: Named,
    },
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

/// The index of a column, its name with that of its field, the field's index, and the type there.
type Named = (usize, String, Vec<usize>, DataType);

/// What can be compared with each other, and by which signs.
fn pairs() -> Vec<(Named, Named, bool)> {
    let sort = |data_type: &DataType| match data_type {
        DataType::Bool => 1,
        DataType::F32 | DataType::F64 => 2,
        DataType::Text => 3,
        DataType::Bytes => 4,
        DataType::List(_) => 0,
        _ => 5,
    };
    let places = || {
        targets()
            .into_iter()
            .filter(|target| !target.1.starts_with("ls."))
    };
    let mut all = Vec::new();
    for (left, name, path, data_type, kind) in places() {
        for (right, other, steps, second, also) in places() {
            let alike = kind == Kind::None || also == Kind::None || kind == also;
            if sort(&data_type) > 0 && sort(&data_type) == sort(&second) && alike {
                let one = (left, name.clone(), path.clone(), data_type.clone());
                all.push((one, (right, other, steps, second), sort(&data_type) > 1));
            }
        }
    }
    all
}

fn pair() -> impl Strategy<Value = Condition> {
    (select(pairs()), sign(), any::<bool>(), any::<bool>()).prop_map(
        |((left, right, ordered), sign, negated, grouped)| Condition::Pair {
            sign: if ordered { sign } else { "==" },
            negated,
            // Behind a text a bare word is a text.
            grouped: grouped || matches!(left.3, DataType::Text | DataType::Bytes),
            left,
            right,
        },
    )
}

fn sign() -> impl Strategy<Value = &'static str> {
    select(vec!["==", "=", "<", "<=", ">", ">="])
}

fn ask(data_type: &DataType, kind: Kind, within_list: bool) -> BoxedStrategy<Ask> {
    let listed = matches!(data_type, DataType::List(_));
    let mut item = data_type;
    while let DataType::List(inner) = item {
        item = inner;
    }
    let some = match (item, kind) {
        (_, Kind::Errno) => prop_oneof![
            (sign(), 1..3_usize).prop_map(|(sign, word)| Ask::Word(sign, word)),
            select(vec!["ENO", "E", "4", ""]).prop_map(Ask::Shown),
            (sign(), -2..30_i128).prop_map(|(sign, n)| Ask::Whole(sign, n)),
        ]
        .boxed(),
        (_, Kind::OpenFlags) => (0..FLAGS.len()).prop_map(Ask::Flag).boxed(),
        (_, Kind::Timestamp) => (sign(), select(vec![0, WALL_OFFSET, WALL_OFFSET + 2]))
            .prop_map(|(sign, wall)| Ask::Time(sign, wall))
            .boxed(),
        (DataType::Bool, _) => {
            prop_oneof![Just(Ask::True), any::<bool>().prop_map(Ask::Bool)].boxed()
        }
        (DataType::F32 | DataType::F64, _) => (sign(), select(FLOATS[..7].to_vec()))
            .prop_map(|(sign, than)| Ask::Float(sign, than))
            .boxed(),
        (DataType::Text | DataType::Bytes, _) => {
            let place = select(vec![
                Place::Text("a"),
                Place::Text("é"),
                Place::One,
                Place::Star,
                Place::NotA,
            ]);
            let part = (
                any::<bool>(),
                select(vec!["a", "b", "ba", "é"]),
                any::<bool>(),
            );
            prop_oneof![
                (sign(), bytes()).prop_map(|(sign, than)| Ask::Bytes(sign, than)),
                proptest::collection::vec(bytes(), 1..5).prop_map(Ask::InBytes),
                bytes().prop_map(Ask::Contains),
                proptest::collection::vec(part, 1..3).prop_map(Ask::Regex),
                proptest::collection::vec(place, 0..5).prop_map(Ask::Glob),
                Just(Ask::Network),
            ]
            .boxed()
        }
        (whole, _) => {
            let (first, last) = wholes(whole);
            let pool = vec![first, 0, 1, 2, 3, last, -1, first - 1, last + 1];
            let twice = (select(pool.clone()), 0..2_i128).prop_map(|(n, half)| 2 * n + half);
            let asks = prop_oneof![
                (sign(), twice).prop_map(|(sign, twice)| Ask::Whole(sign, twice)),
                proptest::collection::vec(select(pool), 1..12).prop_map(Ask::InWholes),
            ];
            if listed || within_list {
                asks.boxed()
            } else {
                prop_oneof![3 => asks, 1 => select(vec![0, 1, 3, 0x80]).prop_map(Ask::Bits)].boxed()
            }
        }
    };
    if within_list {
        some
    } else {
        prop_oneof![1 => Just(Ask::Null), 6 => some].boxed()
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    let test = select(targets()).prop_flat_map(|(column, name, path, data_type, kind)| {
        let within_list = name.starts_with("ls.");
        (ask(&data_type, kind, within_list), any::<bool>()).prop_map(move |(ask, negated)| {
            let negated = negated && !matches!(ask, Ask::True);
            Condition::Test {
                column,
                name: name.clone(),
                path: path.clone(),
                kind,
                ask,
                negated,
            }
        })
    });
    let test = prop_oneof![4 => test, 1 => pair()];
    test.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Condition::Not(Box::new(one))),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Condition::All),
            proptest::collection::vec(inner, 1..4).prop_map(Condition::Any),
        ]
    })
}

fn quoted(bytes: &[u8]) -> String {
    let escaped = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
    format!("\"{}\"", escaped.collect::<String>())
}

fn half(twice: i128) -> String {
    let sign = if twice < 0 { "-" } else { "" };
    let (whole, half) = (twice.unsigned_abs() / 2, twice % 2 != 0);
    format!("{sign}{whole}{}", if half { ".5" } else { "" })
}

/// The condition as a user would write it.
fn written(condition: &Condition) -> String {
    let join = |all: &[Condition], word: &str| {
        let all: Vec<String> = all.iter().map(written).collect();
        format!("({})", all.join(word))
    };
    match condition {
        Condition::Not(one) => match &**one {
            Condition::Test { .. } | Condition::Pair { .. } => format!("!{}", written(one)),
            _ => format!("not ({})", written(one)),
        },
        Condition::All(all) if all.len() == 2 => join(all, ", "),
        Condition::All(all) => join(all, " and "),
        Condition::Any(all) if all.len() == 2 => join(all, "||"),
        Condition::Any(all) => join(all, " or "),
        Condition::Pair {
            sign,
            negated,
            grouped,
            left,
            right,
        } => {
            let (before, sign) = match (negated, *sign) {
                (true, "==") => ("", "!="),
                (true, sign) => ("not ", sign),
                (false, sign) => ("", sign),
            };
            let (left, right) = (&left.1, &right.1);
            if *grouped {
                format!("{before}{left} {sign} ( {right})")
            } else {
                format!("{before}{left}{sign}{right}")
            }
        }
        Condition::Test {
            name,
            ask,
            negated,
            kind: _,
            ..
        } => {
            let not = if *negated { " not" } else { "" };
            // `!=` stands for the opposite of `==` alone.
            let (before, unequal) = match ask {
                Ask::Whole(sign, _)
                | Ask::Float(sign, _)
                | Ask::Bytes(sign, _)
                | Ask::Word(sign, _)
                | Ask::Time(sign, _)
                    if *negated =>
                {
                    match *sign {
                        "==" => ("", "!="),
                        _ => ("not ", *sign),
                    }
                }
                Ask::Whole(sign, _)
                | Ask::Float(sign, _)
                | Ask::Bytes(sign, _)
                | Ask::Word(sign, _)
                | Ask::Time(sign, _) => ("", *sign),
                _ => ("", ""),
            };
            let list = |all: Vec<String>| format!("{name}{not} in ({})", all.join(", "));
            match ask {
                Ask::Null => format!("{name} is{not} null"),
                Ask::True => name.clone(),
                Ask::Bool(want) => {
                    format!("{name} {} {want}", if *negated { "!=" } else { "==" })
                }
                Ask::Whole(_, twice) => format!("{before}{name} {unequal} {}", half(*twice)),
                Ask::Float(_, than) => format!("{before}{name}{unequal}{than}"),
                Ask::Bytes(_, than) => format!("{before}{name} {unequal} {}", quoted(than)),
                Ask::Word(_, word) => format!("{before}{name}{unequal}{}", ERRORS[*word].1),
                Ask::Time(_, wall) => {
                    let time = jiff::Timestamp::from_nanosecond((*wall).into()).unwrap();
                    format!("{before}{name} {unequal} {time}")
                }
                Ask::InWholes(all) => list(all.iter().map(i128::to_string).collect()),
                Ask::InBytes(all) => list(all.iter().map(|text| quoted(text)).collect()),
                Ask::Contains(part) => format!("{name}{not} contains {}", quoted(part)),
                Ask::Shown(part) => format!("{name}{not} contains \"{part}\""),
                Ask::Regex(parts) => {
                    let parts = parts.iter().map(|(start, text, end)| {
                        let (start, end) =
                            (if *start { "^" } else { "" }, if *end { "$" } else { "" });
                        format!("{start}{text}{end}")
                    });
                    let sign = if *negated { "!~" } else { "~" };
                    format!("{name}{sign}{}", parts.collect::<Vec<_>>().join("|"))
                }
                Ask::Glob(places) => {
                    let places = places.iter().map(|place| match place {
                        Place::Text(text) => *text,
                        Place::One => "?",
                        Place::Star => "*",
                        Place::NotA => "[!a]",
                    });
                    format!("{name}{not} like \"{}\"", places.collect::<String>())
                }
                Ask::Network => format!("{name}{not} in 10.0.0.0/8"),
                Ask::Bits(bits) => format!("{name}{not} has {bits:#x}"),
                Ask::Flag(flag) => format!("{name}{not} has {}", FLAGS[*flag].0),
            }
        }
    }
}

fn in_order<T: PartialOrd>(sign: &str, left: &T, right: &T) -> bool {
    match sign {
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        _ => left == right,
    }
}

/// Characters; each byte that is not UTF-8 is one.
fn characters(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for chunk in bytes.utf8_chunks() {
        all.extend(chunk.valid().chars().map(|c| c.to_string().into_bytes()));
        all.extend(chunk.invalid().iter().map(|byte| vec![*byte]));
    }
    all
}

fn globs(places: &[Place], text: &[Vec<u8>]) -> bool {
    let Some((place, places)) = places.split_first() else {
        return text.is_empty();
    };
    let first = text.split_first();
    match place {
        Place::Star => (0..=text.len()).any(|taken| globs(places, &text[taken..])),
        Place::One => first.is_some_and(|(_, rest)| globs(places, rest)),
        Place::NotA => first.is_some_and(|(c, rest)| c != b"a" && globs(places, rest)),
        Place::Text(want) => {
            first.is_some_and(|(c, rest)| c == want.as_bytes() && globs(places, rest))
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    (0..=text.len()).any(|at| text[at..].starts_with(part))
}

/// What a value that is not null says.
fn says(ask: &Ask, value: &Value, f32: bool) -> bool {
    match (ask, value) {
        (Ask::True, Value::Bool(b)) => *b,
        (Ask::Bool(want), Value::Bool(b)) => b == want,
        (Ask::Whole(sign, twice), Value::Whole(n)) => in_order(sign, &(2 * n), twice),
        (Ask::Float(sign, than), Value::Float(n)) if f32 => {
            in_order(sign, &(*n as f32), &(*than as f32))
        }
        (Ask::Float(sign, than), Value::Float(n)) => in_order(sign, n, than),
        (Ask::Bytes(sign, than), Value::Bytes(text)) => in_order(sign, text, than),
        (Ask::Word(sign, word), Value::Whole(n)) => in_order(sign, n, &ERRORS[*word].0.into()),
        (Ask::Time(sign, wall), Value::Whole(n)) => {
            in_order(sign, &(n + i128::from(WALL_OFFSET)), &i128::from(*wall))
        }
        (Ask::InWholes(all), Value::Whole(n)) => all.contains(n),
        (Ask::InBytes(all), Value::Bytes(text)) => all.contains(text),
        (Ask::Contains(part), Value::Bytes(text)) => contains(text, part),
        (Ask::Shown(part), Value::Whole(n)) => {
            let (_, word) = ERRORS
                .iter()
                .find(|(number, _)| i128::from(*number) == *n)
                .unwrap();
            word.contains(part)
        }
        (Ask::Regex(parts), Value::Bytes(text)) => parts.iter().any(|(start, part, end)| {
            let part = part.as_bytes();
            match (start, end) {
                (true, true) => text == part,
                (true, false) => text.starts_with(part),
                (false, true) => text.ends_with(part),
                (false, false) => contains(text, part),
            }
        }),
        (Ask::Glob(places), Value::Bytes(text)) => globs(places, &characters(text)),
        (Ask::Network, Value::Bytes(text)) => {
            let known: [&[u8]; 4] = [
                b"10.0.0.1",
                b"10.9.9.9",
                b"::ffff:10.0.0.2",
                b"\x0a\x00\x00\x01",
            ];
            known.contains(&text.as_slice())
        }
        (Ask::Bits(bits), Value::Whole(n)) => n & bits == *bits,
        (Ask::Flag(flag), Value::Whole(n)) => {
            let (_, mask, value) = FLAGS[*flag];
            n & mask == value
        }
        other => panic!("{other:?}"),
    }
}

/// True, false or unknown.
fn tested(ask: &Ask, value: &Value, path: &[usize], kind: Kind, f32: bool) -> Option<bool> {
    match (value, path) {
        (Value::Struct(fields), [field, rest @ ..]) => {
            tested(ask, &fields[*field], rest, kind, f32)
        }
        (value, []) if matches!(ask, Ask::Null) => {
            let zero = kind == Kind::Errno && *value == Value::Whole(0);
            Some(*value == Value::Null || zero)
        }
        (Value::Null, _) => match ask {
            Ask::Null => Some(true),
            _ => None,
        },
        (Value::List(items), path) => Some(
            items
                .iter()
                .any(|item| tested(ask, item, path, kind, f32) == Some(true)),
        ),
        (value, _) => Some(says(ask, value, f32)),
    }
}

/// The value at a place; null where there is none.
fn at(place: &Named, row: &[Value]) -> Value {
    let (column, _, path, data_type) = place;
    let value = path.iter().fold(&row[*column], |value, field| match value {
        Value::Struct(fields) => &fields[*field],
        _ => &Value::Null,
    });
    match value {
        Value::Float(n) if *data_type == DataType::F32 => Value::Float((*n as f32).into()),
        value => value.clone(),
    }
}

fn compared(sign: &str, left: &Value, right: &Value) -> Option<bool> {
    Some(match (left, right) {
        (Value::Null, _) | (_, Value::Null) => return None,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Whole(left), Value::Whole(right)) => in_order(sign, left, right),
        (Value::Float(left), Value::Float(right)) => in_order(sign, left, right),
        (Value::Bytes(left), Value::Bytes(right)) => in_order(sign, left, right),
        other => panic!("{other:?}"),
    })
}

/// Kleene's logic.
fn holds(condition: &Condition, row: &[Value]) -> Option<bool> {
    match condition {
        Condition::Test {
            column,
            path,
            kind,
            ask,
            negated,
            ..
        } => {
            let f32 = COLUMNS[*column].1 == "f32";
            tested(ask, &row[*column], path, *kind, f32).map(|is| is != *negated)
        }
        Condition::Pair {
            sign,
            negated,
            left,
            right,
            grouped: _,
        } => compared(sign, &at(left, row), &at(right, row)).map(|is| is != *negated),
        Condition::Not(one) => holds(one, row).map(|is| !is),
        Condition::All(all) => {
            let all: Vec<Option<bool>> = all.iter().map(|one| holds(one, row)).collect();
            if all.contains(&Some(false)) {
                Some(false)
            } else if all.contains(&None) {
                None
            } else {
                Some(true)
            }
        }
        Condition::Any(all) => {
            let all: Vec<Option<bool>> = all.iter().map(|one| holds(one, row)).collect();
            if all.contains(&Some(true)) {
                Some(true)
            } else if all.contains(&None) {
                None
            } else {
                Some(false)
            }
        }
    }
}

fn row() -> impl Strategy<Value = Vec<Value>> {
    COLUMNS
        .iter()
        .map(|(_, data_type, kind)| value(&data_type.parse().unwrap(), *kind))
        .collect::<Vec<_>>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn columns_say_what_rows_say(
        rows in proptest::collection::vec(row(), 0..90),
        conditions in proptest::collection::vec(condition(), 1..40),
        skipped in 0..5_usize,
    ) {
        let table = table(&COLUMNS);
        let skipped = skipped.min(rows.len());
        let arrays = COLUMNS.iter().enumerate().map(|(at, (_, data_type, _))| {
            let values: Vec<Value> = rows.iter().map(|row| row[at].clone()).collect();
            // A slice: arrays do not always begin where their buffers do.
            Some(array(&data_type.parse().unwrap(), &values).slice(skipped, rows.len() - skipped))
        });
        let batch = Rows::new(Arc::clone(&table), arrays.collect(), rows.len() - skipped, WALL_OFFSET).unwrap();
        for condition in conditions {
            let text = written(&condition);
            let filter = match Filter::parse(&text, &table, &words()) {
                Ok(filter) => filter,
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            let taken: Vec<bool> = filter.apply(&batch).iter().collect();
            let want: Vec<bool> = rows[skipped..]
                .iter()
                .map(|row| holds(&condition, row) == Some(true))
                .collect();
            prop_assert_eq!(&taken, &want, "{}", text);
            let rest = batch.filtered(&filter.apply(&batch), |_| true).unwrap();
            prop_assert_eq!(rest.len, want.iter().filter(|taken| **taken).count());
            prop_assert!(filter.apply(&rest).iter().all(|taken| taken), "{}", text);
        }
    }
}
