//! A column's type as the manifest writes it, and as an eBPF object's struct gives it.

use super::names::{is_identifier, one_of};
use ig_object::btf::{Element, Field, FieldType, FoundField, Layout};
use ig_table::schema::TypeError;
use ig_table::{DataType, Kind};
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

/// Why the host can't decode a field into a column as the manifest wants it: a sentence each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The field does not exist, or it has no value.
    Field(String),
    /// It can't be shown as the column's type.
    Type(String),
    /// The column's kind does not go with it.
    Kind(String),
}

/// The type of the column that the host decodes from the field at `path` (`a.b.c`) of a struct: `wanted`, if the
/// manifest names one, else the one that the field has by itself or by the column's kind.
///
/// By itself: integers, bitfields and enumerations have the size and sign of their declared type; arrays of `char` are
/// text, of unsigned bytes bytes, of anything else lists; a struct or union by value is a struct of its members that
/// have a value; an integer of 128 bits is bytes. An enumeration may be text: the names of its values. Kinds such as
/// `address` and `endpoint` take structs that are one.
///
/// The built-in decoder (of another room, which this one may not know) reads by the same rules; a test of the engine
/// compares the two for every type and kind.
///
/// # Errors
///
/// The field, the type or the kind does not fit.
pub fn column_type(
    layout: &Layout,
    path: &str,
    wanted: Option<&DataType>,
    kind: Kind,
) -> Result<DataType, Unfit> {
    let Some(found) = layout.field(path) else {
        let paths = layout.paths();
        let known: Vec<&str> = paths.iter().map(String::as_str).collect();
        let near = super::names::did_you_mean(path, &known, "it has");
        return Err(Unfit::Field(format!(
            "`struct {}` has no field `{path}`{near}",
            layout.name
        )));
    };
    let FoundField { bit_offset, field } = found;
    let whole = bit_offset.is_multiple_of(8);
    let by_kind = by_kind(field, wanted, kind).filter(|_| whole && field.bit_size.is_none());
    let (own, is_by_kind) = match by_kind {
        Some(own) => (own, true),
        None => match field_type(field, whole, wanted) {
            Some(own) => (own, false),
            None => {
                return Err(Unfit::Field(format!(
                    "the field `{path}` of `struct {}` has no type that a column can have",
                    layout.name
                )));
            }
        },
    };
    let data_type = match wanted {
        None => own,
        Some(wanted) if own == *wanted => own,
        Some(wanted)
            if !is_by_kind && converts(&field.ty, field.size, field.bit_size, &own, wanted) =>
        {
            wanted.clone()
        }
        Some(wanted) => {
            return Err(Unfit::Type(format!(
                "the field `{path}` is {own}: it can't be shown as {wanted}"
            )));
        }
    };
    if kind.accepts(&data_type) {
        Ok(data_type)
    } else {
        Err(Unfit::Kind(format!(
            "the kind `{kind}` does not go with the field `{path}`, which is {data_type}"
        )))
    }
}

/// The type of a field that its column's kind reads in another way than its C type alone would be.
fn by_kind(field: &Field, wanted: Option<&DataType>, kind: Kind) -> Option<DataType> {
    match (kind, &field.ty) {
        (Kind::Address, _) if field.nested().is_some() => {
            field.nested()?.address().map(|_| DataType::Bytes)
        }
        // 16 bytes as words are an address of IPv6, not a list of four of IPv4, unless a list is asked for.
        (Kind::Address, FieldType::Array { element, .. })
            if field.size == 16
                && element.size > 1
                && matches!(element.ty, FieldType::Int { .. })
                && !matches!(wanted, Some(DataType::List(_))) =>
        {
            Some(DataType::Bytes)
        }
        (Kind::Address, _) => None,
        (Kind::Endpoint, _) => field.nested()?.endpoint().map(|_| Kind::endpoint_type()),
        (Kind::KernelStack | Kind::UserStack, FieldType::Array { element, .. }) => match element.ty
        {
            FieldType::Pointer => true,
            FieldType::Int { .. } => element.size == 8,
            _ => false,
        }
        .then(|| DataType::List(Box::new(DataType::U64))),
        // Bytes whose kind is one of numbers.
        (kind, FieldType::Array { element, .. })
            if wanted.is_none() && kind != Kind::None && element.size == 1 =>
        {
            let (natural, item) = match element.ty {
                FieldType::Char => (DataType::Text, DataType::I8),
                FieldType::Int { signed: false } => (DataType::Bytes, DataType::U8),
                _ => return None,
            };
            (!kind.accepts(&natural) && kind.accepts(&item)).then(|| DataType::List(Box::new(item)))
        }
        _ => None,
    }
}

/// `whole`: it begins with a byte, as all but bitfields do.
fn field_type(field: &Field, whole: bool, wanted: Option<&DataType>) -> Option<DataType> {
    match (field.bit_size, &field.ty) {
        (Some(0), _) => None,
        (Some(bits), _) if bits > 64 => None,
        (Some(_), FieldType::Bool) => Some(DataType::Bool),
        (Some(_), FieldType::Enum { .. }) if wanted == Some(&DataType::Text) => {
            Some(DataType::Text)
        }
        (Some(_), FieldType::Int { signed } | FieldType::Enum { signed, .. }) => {
            integer(field.size, *signed)
        }
        (Some(_), FieldType::Char) => integer(field.size, true),
        (Some(_), _) => None,
        (None, ty) => value_type(ty, field.size, wanted).filter(|_| whole),
    }
}

fn value_type(ty: &FieldType, size: u32, wanted: Option<&DataType>) -> Option<DataType> {
    match ty {
        FieldType::Int { .. } if size == 16 => Some(DataType::Bytes),
        FieldType::Enum { signed, .. }
            if wanted == Some(&DataType::Text) && integer(size, *signed).is_some() =>
        {
            Some(DataType::Text)
        }
        FieldType::Int { signed } | FieldType::Enum { signed, .. } => integer(size, *signed),
        FieldType::Bool => Some(DataType::Bool),
        FieldType::Char => integer(size, true),
        FieldType::Float if size == 4 => Some(DataType::F32),
        FieldType::Float if size == 8 => Some(DataType::F64),
        FieldType::Pointer => Some(DataType::U64),
        FieldType::Array { element, .. } => element_type(element, wanted),
        FieldType::Struct(layout) | FieldType::Union(layout) => {
            let mut fields = Vec::new();
            members(layout, 0, &mut fields);
            (!fields.is_empty()).then_some(DataType::Struct(fields))
        }
        FieldType::Float | FieldType::Unknown => None,
    }
}

fn element_type(element: &Element, wanted: Option<&DataType>) -> Option<DataType> {
    let wanted = match wanted {
        Some(DataType::List(item)) => Some(&**item),
        _ => None,
    };
    match (&element.ty, element.size) {
        (FieldType::Char, _) => Some(DataType::Text),
        (FieldType::Int { signed: false }, 1) => Some(DataType::Bytes),
        (_, 0) => None,
        (ty, size) => value_type(ty, size, wanted).map(|item| DataType::List(Box::new(item))),
    }
}

/// Anonymous members lend their fields to the struct around them, as in C.
fn members(layout: &Layout, base: u64, fields: &mut Vec<(String, DataType)>) {
    for member in &layout.fields {
        let at = base + u64::from(member.bit_offset);
        match (member.name.as_str(), member.nested()) {
            ("", Some(nested)) => members(nested, at, fields),
            ("", None) => {} // padding
            (name, _) => {
                let data_type = field_type(member, at.is_multiple_of(8), None);
                fields.extend(data_type.map(|data_type| (name.to_owned(), data_type)));
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

/// Whether a value that is `from` by itself can be shown as `to`: an integer as one that has room for it
/// ([`DataType::takes_integer`]) or as bool; text, bytes and lists of single bytes as one another; lists by their
/// items; bytes from anything of a fixed size.
fn converts(ty: &FieldType, size: u32, bits: Option<u32>, from: &DataType, to: &DataType) -> bool {
    if from == to {
        return true;
    }
    let element = match ty {
        FieldType::Array { element, .. } => Some(&**element),
        _ => None,
    };
    let fixed = bits.is_none() && size > 0;
    match (from, to) {
        (DataType::Bool, to) if to.is_integer() => {
            let known = bits.is_some() || integer(size, false).is_some();
            known && to.takes_integer(bits.unwrap_or(size.saturating_mul(8)), false)
        }
        (from, DataType::Bool) => from.is_integer(),
        (DataType::Text, DataType::Bytes) | (DataType::Bytes, DataType::Text) => true,
        (DataType::Text | DataType::Bytes, DataType::List(item)) => {
            matches!(**item, DataType::I8 | DataType::U8)
        }
        (DataType::List(from), DataType::List(to)) => {
            element.is_some_and(|element| converts(&element.ty, element.size, None, from, to))
        }
        (DataType::List(_), DataType::Text) => element.is_some_and(|element| element.size == 1),
        (DataType::List(_), DataType::Bytes) => {
            fixed || element.is_some_and(|element| element.size == 1)
        }
        (_, DataType::Bytes) => fixed,
        (from, to) => from
            .integer()
            .is_some_and(|(width, signed)| to.takes_integer(bits.unwrap_or(width), signed)),
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
        let of = |path: &str| match column_type(&layout, path, None, Kind::None) {
            Ok(ty) => Ok(ty.to_string()),
            Err(Unfit::Field(why) | Unfit::Type(why) | Unfit::Kind(why)) => Err(why),
        };
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
}
