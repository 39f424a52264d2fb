//! A column's type as the manifest writes it, and as an eBPF object's struct gives it.

use super::names::{is_identifier, one_of};
use ig_object::btf::{Element, Field, FieldType, Layout};
use ig_table::DataType;
use ig_table::schema::TypeError;
use serde::{Deserialize, Deserializer, Serializer};

/// How many bytes the text of a type may have.
const MAX_TEXT: usize = 4096;

const NAMES: &[&str] = &[
    "bool",
    "i8",
    "i16",
    "i32",
    "i64",
    "u8",
    "u16",
    "u32",
    "u64",
    "f32",
    "f64",
    "text",
    "bytes",
    "list<T>",
    "struct<a: T, b: U>",
];

/// Reads a type from the manifest's text; the error is a sentence.
fn parse(text: &str) -> Result<DataType, String> {
    if text.len() > MAX_TEXT {
        return Err(format!(
            "{} bytes is too long for a type: at most {MAX_TEXT}",
            text.len()
        ));
    }
    let data_type: DataType = text.parse().map_err(|error| match error {
        TypeError::Unknown(word) => one_of(&word, NAMES),
        error => error.to_string(),
    })?;
    match bad_field(&data_type) {
        Some(name) => Err(format!(
            "`{name}` can't be a field's name in a type: lower-case letters, digits and `_`, beginning with a letter"
        )),
        None => Ok(data_type),
    }
}

/// The first field whose name is not one.
fn bad_field(data_type: &DataType) -> Option<&str> {
    match data_type {
        DataType::List(item) => bad_field(item),
        DataType::Struct(fields) => fields.iter().find_map(|(name, field)| {
            if is_identifier(name) {
                bad_field(field)
            } else {
                Some(name.as_str())
            }
        }),
        _ => None,
    }
}

/// The type that the host gives the field at `path` (`a.b.c`) of a struct, when the manifest names none.
///
/// Integers, bitfields and enumerations have the size and sign of their declared type; arrays of `char` are text, of
/// unsigned bytes bytes, of anything else lists; a struct or union by value is a struct of its members that have a
/// value; an integer of 128 bits is bytes. The built-in decoder reads fields by the same rules.
///
/// # Errors
///
/// A sentence: the field does not exist, or it has no value.
pub fn inferred(layout: &Layout, path: &str) -> Result<DataType, String> {
    let Some(found) = layout.field(path) else {
        let paths = layout.paths();
        let known: Vec<&str> = paths.iter().map(String::as_str).collect();
        let near = super::names::did_you_mean(path, &known, "it has");
        return Err(format!(
            "`struct {}` has no field `{path}`{near}",
            layout.name
        ));
    };
    field_type(found.field).ok_or_else(|| {
        format!(
            "the field `{path}` of `struct {}` has no type that a column can have",
            layout.name
        )
    })
}

fn field_type(field: &Field) -> Option<DataType> {
    match (field.bit_size, &field.ty) {
        (Some(0), _) => None,
        (Some(bits), _) if bits > 64 => None,
        (_, FieldType::Bool) => Some(DataType::Bool),
        (Some(_), FieldType::Int { signed } | FieldType::Enum { signed, .. }) => {
            integer(field.size, *signed)
        }
        (Some(_), FieldType::Char) => integer(field.size, true),
        (Some(_), _) => None,
        (None, ty) => value_type(ty, field.size),
    }
}

fn value_type(ty: &FieldType, size: u32) -> Option<DataType> {
    match ty {
        FieldType::Int { .. } if size == 16 => Some(DataType::Bytes),
        FieldType::Int { signed } | FieldType::Enum { signed, .. } => integer(size, *signed),
        FieldType::Bool => Some(DataType::Bool),
        FieldType::Char => Some(DataType::I8),
        FieldType::Float if size == 4 => Some(DataType::F32),
        FieldType::Float if size == 8 => Some(DataType::F64),
        FieldType::Pointer => Some(DataType::U64),
        FieldType::Array { element, .. } => element_type(element),
        FieldType::Struct(layout) | FieldType::Union(layout) => {
            let mut fields = Vec::new();
            members(layout, &mut fields);
            (!fields.is_empty()).then_some(DataType::Struct(fields))
        }
        FieldType::Float | FieldType::Unknown => None,
    }
}

fn element_type(element: &Element) -> Option<DataType> {
    match (&element.ty, element.size) {
        (FieldType::Char, _) => Some(DataType::Text),
        (FieldType::Int { signed: false }, 1) => Some(DataType::Bytes),
        (_, 0) => None,
        (ty, size) => value_type(ty, size).map(|item| DataType::List(Box::new(item))),
    }
}

/// Anonymous members lend their fields to the struct around them, as in C.
fn members(layout: &Layout, fields: &mut Vec<(String, DataType)>) {
    for member in &layout.fields {
        match (member.name.as_str(), member.nested()) {
            ("", Some(nested)) => members(nested, fields),
            ("", None) => {} // padding
            (name, _) => {
                fields.extend(field_type(member).map(|data_type| (name.to_owned(), data_type)));
            }
        }
    }
}

fn integer(size: u32, signed: bool) -> Option<DataType> {
    match (size, signed) {
        (1, true) => Some(DataType::I8),
        (2, true) => Some(DataType::I16),
        (4, true) => Some(DataType::I32),
        (8, true) => Some(DataType::I64),
        (1, false) => Some(DataType::U8),
        (2, false) => Some(DataType::U16),
        (4, false) => Some(DataType::U32),
        (8, false) => Some(DataType::U64),
        _ => None,
    }
}

/// Bytes and sign of an integer type.
fn width(data_type: &DataType) -> Option<(u8, bool)> {
    match data_type {
        DataType::I8 => Some((1, true)),
        DataType::I16 => Some((2, true)),
        DataType::I32 => Some((4, true)),
        DataType::I64 => Some((8, true)),
        DataType::U8 => Some((1, false)),
        DataType::U16 => Some((2, false)),
        DataType::U32 => Some((4, false)),
        DataType::U64 => Some((8, false)),
        _ => None,
    }
}

/// Whether a field of type `from` can be shown as `to`: the same; an integer of the same or a larger size; an integer
/// as bool; text, bytes and lists of 8-bit integers as one another; lists by their items.
pub(super) fn converts(from: &DataType, to: &DataType) -> bool {
    let bytes = |ty: &DataType| match ty {
        DataType::Text | DataType::Bytes => true,
        DataType::List(item) => matches!(**item, DataType::I8 | DataType::U8),
        _ => false,
    };
    match (from, to) {
        (from, to) if from == to || bytes(from) && bytes(to) => true,
        (DataType::List(from), DataType::List(to)) => converts(from, to),
        (from, DataType::Bool) => width(from).is_some(),
        (DataType::Bool, to) => width(to).is_some(),
        (from, to) => match (width(from), width(to)) {
            // A larger signed type would make large unsigned values of the same size negative: only same size may
            // change its sign, since the eBPF side then meant it so.
            (Some((from, from_signed)), Some((to, to_signed))) => {
                from == to || from < to && (to_signed || !from_signed)
            }
            _ => false,
        },
    }
}

/// The type in the manifest, as text.
pub(super) mod serde_option {
    use super::{DataType, Deserialize, Deserializer, Serializer, parse};

    pub fn serialize<S: Serializer>(
        value: &Option<DataType>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(data_type) => serializer.collect_str(data_type),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DataType>, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Some).map_err(serde::de::Error::custom)
    }
}

pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "pattern": "^\\s*(bool|[iu](8|16|32|64)|f32|f64|text|bytes|list\\s*<.+>|struct\\s*<.+>)\\s*$",
        "examples": ["u32", "text", "list<text>", "struct<port: u16, address: bytes>"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, bit_offset: u32, size: u32, ty: FieldType) -> Field {
        Field {
            name: name.to_owned(),
            bit_offset,
            bit_size: None,
            size,
            ty,
            typedefs: Vec::new(),
        }
    }

    fn array(ty: FieldType, size: u32, len: u32) -> FieldType {
        FieldType::Array {
            element: Box::new(Element {
                size,
                ty,
                typedefs: Vec::new(),
            }),
            len,
        }
    }

    #[test]
    fn wrong_types_say_what_is_wrong() {
        assert_eq!(parse("txt").unwrap_err(), one_of("txt", NAMES));
        assert!(
            parse("txt")
                .unwrap_err()
                .ends_with("; did you mean `text`?")
        );
        assert_eq!(
            parse("struct<a-b: u8>").unwrap_err(),
            "`a-b` can't be a field's name in a type: lower-case letters, digits and `_`, beginning with a letter"
        );
        assert!(
            parse(&"list<".repeat(2000))
                .unwrap_err()
                .starts_with("10000 bytes is too long")
        );
    }

    #[test]
    fn types_follow_the_struct() {
        let int = |signed| FieldType::Int { signed };
        let inner = Layout {
            name: "inner".to_owned(),
            size: 8,
            fields: vec![
                field("a", 0, 4, int(true)),
                field(
                    "b",
                    32,
                    4,
                    FieldType::Enum {
                        signed: false,
                        variants: vec![],
                    },
                ),
            ],
        };
        let mut bits = field("bits", 0, 4, int(false));
        bits.bit_size = Some(17);
        let mut flag = field("flag", 0, 1, FieldType::Bool);
        flag.bit_size = Some(1);
        let layout = Layout {
            name: "event".to_owned(),
            size: 200,
            fields: vec![
                field("pid", 0, 4, int(false)),
                field("error", 0, 8, int(true)),
                field("comm", 0, 16, array(FieldType::Char, 1, 16)),
                field("address", 0, 16, array(int(false), 1, 16)),
                field("slots", 0, 16, array(int(false), 8, 2)),
                field("", 0, 8, FieldType::Struct(inner.clone())),
                field("named", 0, 8, FieldType::Struct(inner)),
                field(
                    "any",
                    0,
                    8,
                    FieldType::Union(Layout {
                        name: String::new(),
                        size: 8,
                        fields: vec![field("one", 0, 8, FieldType::Float)],
                    }),
                ),
                field("pointer", 0, 8, FieldType::Pointer),
                bits,
                flag,
                field("wide", 0, 16, int(false)),
                field("nothing", 0, 0, FieldType::Unknown),
                field("tail", 0, 0, array(FieldType::Char, 1, 0)),
            ],
        };
        let of = |path: &str| inferred(&layout, path).map(|ty| ty.to_string());
        for (path, ty) in [
            ("pid", "u32"),
            ("error", "i64"),
            ("comm", "text"),
            ("address", "bytes"),
            ("slots", "list<u64>"),
            ("a", "i32"),
            ("named.b", "u32"),
            ("named", "struct<a: i32, b: u32>"),
            ("any.one", "f64"),
            ("pointer", "u64"),
            ("bits", "u32"),
            ("flag", "bool"),
            ("tail", "text"),
            ("any", "struct<one: f64>"),
            ("wide", "bytes"),
        ] {
            assert_eq!(of(path).as_deref(), Ok(ty), "{path}");
        }
        assert_eq!(
            of("pdi").unwrap_err(),
            "`struct event` has no field `pdi`: did you mean `pid`?"
        );
        assert_eq!(
            of("nothing").unwrap_err(),
            "the field `nothing` of `struct event` has no type that a column can have"
        );
    }

    #[test]
    fn only_types_that_keep_the_value_convert() {
        let converts =
            |from: &str, to: &str| converts(&from.parse().unwrap(), &to.parse().unwrap());
        for (from, to) in [
            ("u32", "i32"),
            ("u8", "u64"),
            ("u32", "i64"),
            ("u8", "bool"),
            ("bytes", "text"),
            ("list<u32>", "list<u64>"),
            ("list<i8>", "bytes"),
        ] {
            assert!(converts(from, to), "{from} {to}");
        }
        for (from, to) in [
            ("u64", "u32"),
            ("i32", "u64"),
            ("u32", "text"),
            ("text", "u8"),
            ("f32", "f64"),
            ("list<u64>", "list<u32>"),
        ] {
            assert!(!converts(from, to), "{from} {to}");
        }
    }
}
