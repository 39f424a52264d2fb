//! What a table is: columns with a type, a kind and a width; and the rows of one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef};
use arrow_schema::{DataType as Arrow, Field, Fields};

use crate::kinds::Kind;

/// How deep lists and structs may nest in one column.
///
/// Everything that walks a type recurses, so the text form of a type is refused beyond this.
pub const MAX_DEPTH: usize = 16;

/// What no column is called: rows have these keys beside their columns, in formats that name the table or number
/// the frame.
pub const RESERVED: [&str; 2] = ["frame", "table"];

/// The type of a column's values.
///
/// Its text form, in a manifest and in messages, is `bool`, `i8` to `i64`, `u8` to `u64`, `f32`,
/// `f64`, `text`, `bytes`, `list<T>` or `struct<name: T, name: T>`; [`FromStr`] and
/// [`fmt::Display`] are each other's inverse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// True or false; one byte a row where a guest emits it.
    Bool,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 64 bits.
    F64,
    /// Text as bytes: paths, arguments and names of commands are not always UTF-8.
    Text,
    /// Bytes that are not text.
    Bytes,
    /// Any number of values of one type.
    List(Box<DataType>),
    /// Named values, in order.
    Struct(Vec<(String, DataType)>),
}

impl DataType {
    /// The Arrow type that the table keeps. Text is Binary inside; sinks that promise UTF-8 convert.
    #[must_use]
    pub fn arrow(&self) -> Arrow {
        match self {
            Self::Bool => Arrow::Boolean,
            Self::I8 => Arrow::Int8,
            Self::I16 => Arrow::Int16,
            Self::I32 => Arrow::Int32,
            Self::I64 => Arrow::Int64,
            Self::U8 => Arrow::UInt8,
            Self::U16 => Arrow::UInt16,
            Self::U32 => Arrow::UInt32,
            Self::U64 => Arrow::UInt64,
            Self::F32 => Arrow::Float32,
            Self::F64 => Arrow::Float64,
            Self::Text | Self::Bytes => Arrow::Binary,
            Self::List(item) => Arrow::List(item_field(item)),
            Self::Struct(fields) => Arrow::Struct(struct_fields(fields)),
        }
    }

    /// Bits and sign of an integer type.
    #[must_use]
    pub fn integer(&self) -> Option<(u32, bool)> {
        Some(match self {
            Self::I8 => (8, true),
            Self::I16 => (16, true),
            Self::I32 => (32, true),
            Self::I64 => (64, true),
            Self::U8 => (8, false),
            Self::U16 => (16, false),
            Self::U32 => (32, false),
            Self::U64 => (64, false),
            _ => return None,
        })
    }

    /// Whether an integer of `bits` bits, with a sign or without, can be shown as this type: of the same size with the
    /// same bits, which may change its sign, because whoever declares it so means it; of a larger one with its value.
    #[must_use]
    pub fn takes_integer(&self, bits: u32, signed: bool) -> bool {
        self.integer()
            .is_some_and(|(room, with_sign)| room == bits || room > bits && (with_sign || !signed))
    }

    /// Whether values are whole numbers.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        matches!(
            self,
            Self::I8
                | Self::I16
                | Self::I32
                | Self::I64
                | Self::U8
                | Self::U16
                | Self::U32
                | Self::U64
        )
    }

    /// Whether values are numbers, whole or not.
    #[must_use]
    pub fn is_number(&self) -> bool {
        self.is_integer() || matches!(self, Self::F32 | Self::F64)
    }
}

/// The Arrow field of a list's items: always named `item`, always nullable.
pub(crate) fn item_field(item: &DataType) -> Arc<Field> {
    Arc::new(Field::new("item", item.arrow(), true))
}

/// The Arrow fields of a struct: all nullable.
pub(crate) fn struct_fields(fields: &[(String, DataType)]) -> Fields {
    fields
        .iter()
        .map(|(name, ty)| Field::new(name, ty.arrow(), true))
        .collect()
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, (name, ty)) in fields.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{name}: {ty}")?;
                }
                f.write_str(">")
            }
            scalar => {
                let name = SCALARS
                    .iter()
                    .find(|(_, ty)| ty == scalar)
                    .map_or("?", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

/// The types that a single word names.
const SCALARS: [(&str, DataType); 13] = [
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

/// Why a text is not a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// A word that names no type.
    #[error(
        "no type is named {0:?}; types are bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, text, bytes, list<T> and struct<name: T>"
    )]
    Unknown(String),
    /// Something else stands where the grammar wants this.
    #[error("type {text:?}: expected {expected} at byte {at}")]
    Expected {
        /// The whole text.
        text: String,
        /// What should stand there.
        expected: &'static str,
        /// Byte offset in `text`.
        at: usize,
    },
    /// Two fields of one struct have the same name.
    #[error("type {text:?}: two fields are named {name:?}")]
    Duplicate {
        /// The whole text.
        text: String,
        /// The name that comes twice.
        name: String,
    },
    /// Lists and structs nest deeper than [`MAX_DEPTH`].
    #[error("type {0:?} nests deeper than {MAX_DEPTH} lists and structs")]
    TooDeep(String),
}

impl FromStr for DataType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let mut parser = Parser { text, at: 0 };
        let ty = parser.data_type(0)?;
        parser.spaces();
        if parser.at == text.len() {
            Ok(ty)
        } else {
            Err(parser.expected("the end"))
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> TypeError {
        TypeError::Expected {
            text: self.text.to_owned(),
            expected,
            at: self.at,
        }
    }

    fn spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: char) -> bool {
        self.spaces();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len_utf8();
        }
        found
    }

    fn need(&mut self, token: char, expected: &'static str) -> Result<(), TypeError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    fn word(&mut self, expected: &'static str) -> Result<&'a str, TypeError> {
        self.spaces();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(self.expected(expected));
        }
        self.at += end;
        Ok(rest.get(..end).unwrap_or_default())
    }

    fn data_type(&mut self, depth: usize) -> Result<DataType, TypeError> {
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep(self.text.to_owned()));
        }
        let word = self.word("a type")?;
        match word {
            "list" => {
                self.need('<', "`<` and the type of the items")?;
                let item = self.data_type(depth + 1)?;
                self.need('>', "`>`")?;
                Ok(DataType::List(Box::new(item)))
            }
            "struct" => {
                self.need('<', "`<` and the fields")?;
                let mut fields: Vec<(String, DataType)> = Vec::new();
                loop {
                    let name = self.word("a field's name")?;
                    if fields.iter().any(|(other, _)| other == name) {
                        return Err(TypeError::Duplicate {
                            text: self.text.to_owned(),
                            name: name.to_owned(),
                        });
                    }
                    self.need(':', "`:` and the field's type")?;
                    let ty = self.data_type(depth + 1)?;
                    fields.push((name.to_owned(), ty));
                    if !self.take(',') {
                        break;
                    }
                }
                self.need('>', "`,` or `>`")?;
                Ok(DataType::Struct(fields))
            }
            word => SCALARS
                .iter()
                .find(|(name, _)| *name == word)
                .map(|(_, ty)| ty.clone())
                .ok_or_else(|| TypeError::Unknown(word.to_owned())),
        }
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As the manifest has it, and the key in JSON; shown in upper case over columns.
    pub name: String,
    /// One sentence for `--help` and `inspect`.
    pub description: String,
    /// The type of its values.
    pub data_type: DataType,
    /// What its values mean; decides how they are shown.
    pub kind: Kind,
    /// The width wanted in columns, in terminal cells; without it the kind and the data decide.
    pub width: Option<u16>,
    /// Shown only when asked for by name.
    pub hidden: bool,
    /// Another name by which it can be asked for.
    pub alias: Option<String>,
}

/// A table's name and columns. A column's index in `columns` is its number in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// As the manifest has it.
    pub name: String,
    /// One sentence for `--help` and `inspect`.
    pub description: String,
    /// In the manifest's order.
    pub columns: Vec<Column>,
}

impl Table {
    /// The index of the column of this name, or else of the one that has it as its other name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        let named = self.columns.iter().position(|column| column.name == name);
        named.or_else(|| {
            self.columns
                .iter()
                .position(|column| column.alias.as_deref() == Some(name))
        })
    }

    /// Every name by which a column can be asked for.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().flat_map(|column| {
            let Column { name, alias, .. } = column;
            std::iter::once(name.as_str()).chain(alias.as_deref())
        })
    }
}

/// Rows of one table, a column each.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The table whose rows these are.
    pub table: Arc<Table>,
    /// By the column's index; `None`: nobody wanted it, its values are unknown and shown as null.
    /// Each array is `len` long and of the type that [`DataType::arrow`] gives.
    pub columns: Vec<Option<ArrayRef>>,
    /// How many rows.
    pub len: usize,
    /// Nanoseconds to add to a `CLOCK_BOOTTIME` reading to get `CLOCK_REALTIME`.
    pub wall_offset: i64,
    /// The number of the frame that these rows are, from 1; 0: they are part of a stream.
    pub frame: u64,
}

/// Why arrays are not rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// Another number of columns than the table has.
    #[error("table {table}: {got} columns given, it has {want}")]
    Columns {
        /// The table's name.
        table: String,
        /// How many the table has.
        want: usize,
        /// How many were given.
        got: usize,
    },
    /// An array of another length than the others.
    #[error("table {table}, column {column}: {got} values for {want} rows")]
    Length {
        /// The table's name.
        table: String,
        /// The column's name.
        column: String,
        /// How many rows.
        want: usize,
        /// How many values.
        got: usize,
    },
    /// An array of another type than the schema says.
    #[error("table {table}, column {column}: values of type {got}, the schema says {want}")]
    Type {
        /// The table's name.
        table: String,
        /// The column's name.
        column: String,
        /// What the schema says.
        want: DataType,
        /// Arrow's name of what was given.
        got: String,
    },
    /// More than 2 GiB at once, which offsets of 32 bits can't address.
    #[error("table {table}: {bytes} bytes of rows at once, the most are 2 GiB")]
    Large {
        /// The table's name.
        table: String,
        /// How many bytes.
        bytes: usize,
    },
}

impl Rows {
    /// Rows whose arrays are checked against the table: as many, as long, of the right types.
    ///
    /// # Errors
    /// The first thing that does not match.
    pub fn new(
        table: Arc<Table>,
        columns: Vec<Option<ArrayRef>>,
        len: usize,
        wall_offset: i64,
    ) -> Result<Self, RowsError> {
        if columns.len() != table.columns.len() {
            return Err(RowsError::Columns {
                table: table.name.clone(),
                want: table.columns.len(),
                got: columns.len(),
            });
        }
        for (column, array) in table.columns.iter().zip(&columns) {
            let Some(array) = array else { continue };
            if array.len() != len {
                return Err(RowsError::Length {
                    table: table.name.clone(),
                    column: column.name.clone(),
                    want: len,
                    got: array.len(),
                });
            }
            if !same_type(&column.data_type, array.data_type()) {
                return Err(RowsError::Type {
                    table: table.name.clone(),
                    column: column.name.clone(),
                    want: column.data_type.clone(),
                    got: array.data_type().to_string(),
                });
            }
        }
        Ok(Self {
            table,
            columns,
            len,
            wall_offset,
            frame: 0,
        })
    }

    /// Bytes of memory that the arrays hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns
            .iter()
            .flatten()
            .map(|array| array.get_array_memory_size())
            .sum()
    }
}

/// Whether an Arrow type is the one for `ty`; unlike comparing with [`DataType::arrow`] it makes nothing.
pub(crate) fn same_type(ty: &DataType, arrow: &Arrow) -> bool {
    match (ty, arrow) {
        (DataType::List(item), Arrow::List(field)) => same_type(item, field.data_type()),
        (DataType::Struct(want), Arrow::Struct(got)) => {
            want.len() == got.len()
                && want.iter().zip(got).all(|((name, ty), field)| {
                    name == field.name() && same_type(ty, field.data_type())
                })
        }
        (DataType::List(_) | DataType::Struct(_), _) => false,
        (scalar, arrow) => scalar.arrow() == *arrow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_parse_and_print_back() {
        for text in [
            "bool",
            "u64",
            "text",
            "bytes",
            "list<text>",
            "list<list<u8>>",
        ] {
            assert_eq!(text.parse::<DataType>().unwrap().to_string(), text);
        }
        let spaced: DataType = " struct< a : u32 ,b:list< text > > ".parse().unwrap();
        assert_eq!(spaced.to_string(), "struct<a: u32, b: list<text>>");
        assert_eq!(spaced.to_string().parse::<DataType>().unwrap(), spaced);
    }

    #[test]
    fn wrong_types_say_where() {
        let error = |text: &str| text.parse::<DataType>().unwrap_err().to_string();
        assert!(error("string").starts_with("no type is named \"string\"; types are bool, i8"));
        assert_eq!(error("list<u8"), "type \"list<u8\": expected `>` at byte 7");
        assert_eq!(
            error("list"),
            "type \"list\": expected `<` and the type of the items at byte 4"
        );
        assert_eq!(error("u8 u8"), "type \"u8 u8\": expected the end at byte 3");
        assert_eq!(
            error("struct<>"),
            "type \"struct<>\": expected a field's name at byte 7"
        );
        assert_eq!(
            error("struct<a: u8, a: u8>"),
            "type \"struct<a: u8, a: u8>\": two fields are named \"a\""
        );
        let deep = format!("{}u8{}", "list<".repeat(17), ">".repeat(17));
        assert_eq!(
            deep.parse::<DataType>(),
            Err(TypeError::TooDeep(deep.clone()))
        );
        assert!("list<".repeat(100_000).parse::<DataType>().is_err());
    }

    #[test]
    fn rows_are_checked_against_the_table() {
        use arrow_array::{BinaryArray, UInt32Array};
        let column = |name: &str, data_type| Column {
            name: name.to_owned(),
            description: String::new(),
            data_type,
            kind: Kind::None,
            width: None,
            hidden: false,
            alias: None,
        };
        let table = Arc::new(Table {
            name: "t".to_owned(),
            description: String::new(),
            columns: vec![column("a", DataType::U32), column("b", DataType::Text)],
        });
        let a: ArrayRef = Arc::new(UInt32Array::from(vec![1, 2]));
        let b: ArrayRef = Arc::new(BinaryArray::from(vec![&b"x"[..], b"y"]));
        let error = |columns, len| {
            Rows::new(Arc::clone(&table), columns, len, 0)
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(
            Rows::new(
                Arc::clone(&table),
                vec![Some(a.clone()), Some(b.clone())],
                2,
                0
            )
            .is_ok()
        );
        assert!(Rows::new(Arc::clone(&table), vec![None, Some(b.clone())], 2, 0).is_ok());
        assert_eq!(error(vec![None], 2), "table t: 1 columns given, it has 2");
        assert_eq!(
            error(vec![Some(a.clone()), None], 3),
            "table t, column a: 2 values for 3 rows"
        );
        assert_eq!(
            error(vec![None, Some(a)], 2),
            "table t, column b: values of type UInt32, the schema says text"
        );
    }
}
