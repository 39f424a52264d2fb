//! The text of a column's type: `bool`, `u32`, `list<text>`, `struct<port: u16, address: bytes>`.

use super::names::{did_you_mean, is_identifier};
use ig_table::DataType;
use serde::{Deserialize, Deserializer, Serializer};
use std::fmt::Write as _;

/// How deep lists and structs may nest in a column's type.
const MAX_DEPTH: usize = 8;

/// How many fields all structs of a column's type may have together.
const MAX_FIELDS: usize = 256;

const SCALARS: &[(&str, DataType)] = &[
    ("bool", DataType::Bool),
    ("i8", DataType::I8),
    ("i16", DataType::I16),
    ("i32", DataType::I32),
    ("i64", DataType::I64),
    ("u8", DataType::U8),
    ("u16", DataType::U16),
    ("u32", DataType::U32),
    ("u64", DataType::U64),
    ("f32", DataType::F32),
    ("f64", DataType::F64),
    ("text", DataType::Text),
    ("bytes", DataType::Bytes),
];

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

/// Why a text is not a column's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a type: {reason}")]
pub struct TypeError {
    /// The whole text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a type from its text.
///
/// # Errors
///
/// Unknown names, wrong brackets, bad or repeated field names, structs without fields, too deep or too wide types.
pub fn parse_type(text: &str) -> Result<DataType, TypeError> {
    let mut cursor = Cursor {
        rest: text,
        fields: 0,
    };
    let result = cursor.data_type(0).and_then(|data_type| {
        cursor.space();
        if cursor.rest.is_empty() {
            Ok(data_type)
        } else {
            Err(format!("`{}` is left over", cursor.rest))
        }
    });
    result.map_err(|reason| TypeError {
        text: text.to_owned(),
        reason,
    })
}

/// The text of a type, as [`parse_type`] reads it.
#[must_use]
pub fn type_text(data_type: &DataType) -> String {
    match data_type {
        DataType::List(item) => format!("list<{}>", type_text(item)),
        DataType::Struct(fields) => {
            let mut text = String::from("struct<");
            for (i, (name, field)) in fields.iter().enumerate() {
                // Writing to a String can't fail.
                let _ = write!(
                    text,
                    "{}{name}: {}",
                    if i > 0 { ", " } else { "" },
                    type_text(field)
                );
            }
            text.push('>');
            text
        }
        scalar => SCALARS
            .iter()
            .find(|(_, ty)| ty == scalar)
            .map_or("bytes", |(name, _)| name)
            .to_owned(),
    }
}

struct Cursor<'a> {
    rest: &'a str,
    fields: usize,
}

impl<'a> Cursor<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn word(&mut self) -> &'a str {
        self.space();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn eat(&mut self, mark: char) -> bool {
        self.space();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: char, after: &str) -> Result<(), String> {
        if self.eat(mark) {
            Ok(())
        } else {
            Err(format!("`{mark}` is missing after {after}"))
        }
    }

    fn data_type(&mut self, depth: usize) -> Result<DataType, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} deep"));
        }
        match self.word() {
            "" => Err("a type's name is missing".to_owned()),
            "list" => {
                self.expect('<', "`list`")?;
                let item = self.data_type(depth + 1)?;
                self.expect('>', "the list's type")?;
                Ok(DataType::List(Box::new(item)))
            }
            "struct" => {
                self.expect('<', "`struct`")?;
                let mut fields: Vec<(String, DataType)> = Vec::new();
                loop {
                    let name = self.word();
                    if !is_identifier(name) {
                        return Err(format!(
                            "`{name}` is not a field's name: lower-case letters, digits and `_`"
                        ));
                    }
                    if fields.iter().any(|(other, _)| other == name) {
                        return Err(format!("the field `{name}` stands there twice"));
                    }
                    self.expect(':', &format!("the field `{name}`"))?;
                    self.fields += 1;
                    if self.fields > MAX_FIELDS {
                        return Err(format!("more than {MAX_FIELDS} fields"));
                    }
                    fields.push((name.to_owned(), self.data_type(depth + 1)?));
                    if !self.eat(',') {
                        break;
                    }
                }
                self.expect('>', "the last field")?;
                Ok(DataType::Struct(fields))
            }
            word => SCALARS
                .iter()
                .find(|(name, _)| *name == word)
                .map(|(_, ty)| ty.clone())
                .ok_or_else(|| {
                    let near = did_you_mean(word, NAMES, "known are");
                    format!("unknown name `{word}`{near}")
                }),
        }
    }
}

/// The type in the manifest, as text.
pub(super) mod serde_option {
    use super::{DataType, Deserialize, Deserializer, Serializer, parse_type, type_text};

    pub fn serialize<S: Serializer>(
        value: &Option<DataType>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(data_type) => serializer.serialize_str(&type_text(data_type)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DataType>, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_type(&text)
            .map(Some)
            .map_err(serde::de::Error::custom)
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

    #[test]
    fn types_read_back_as_they_are_written() {
        for text in [
            "bool",
            "u8",
            "f64",
            "text",
            "list<list<bytes>>",
            "struct<a: u8, b: list<struct<c: text>>>",
        ] {
            assert_eq!(type_text(&parse_type(text).unwrap()), text);
        }
        assert_eq!(
            parse_type(" struct < port : u16 , to : list < i8 > > ").unwrap(),
            DataType::Struct(vec![
                ("port".to_owned(), DataType::U16),
                ("to".to_owned(), DataType::List(Box::new(DataType::I8)))
            ])
        );
    }

    #[test]
    fn wrong_types_say_what_is_wrong() {
        let reason = |text: &str| parse_type(text).unwrap_err().to_string();
        assert_eq!(
            reason("txt"),
            "`txt` is not a type: unknown name `txt`: did you mean `text`?"
        );
        assert_eq!(
            reason("list"),
            "`list` is not a type: `<` is missing after `list`"
        );
        assert_eq!(
            reason("list<u8"),
            "`list<u8` is not a type: `>` is missing after the list's type"
        );
        assert_eq!(reason("u8 u9"), "`u8 u9` is not a type: `u9` is left over");
        assert_eq!(
            reason("struct<a: u8, a: u8>"),
            "`struct<a: u8, a: u8>` is not a type: the field `a` stands there twice"
        );
        assert_eq!(
            reason("struct<>"),
            "`struct<>` is not a type: `` is not a field's name: lower-case letters, digits and `_`"
        );
        assert!(reason(&"list<".repeat(20)).ends_with("nested more than 8 deep"));
    }
}
