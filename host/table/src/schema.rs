//! What a table is: columns with a type, a kind and a width.

use arrow_schema::{DataType as Arrow, Field, Fields};
use std::sync::Arc;

/// The type of a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
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
            Self::List(item) => Arrow::List(Arc::new(Field::new("item", item.arrow(), true))),
            Self::Struct(fields) => Arrow::Struct(
                fields.iter().map(|(name, ty)| Field::new(name, ty.arrow(), true)).collect::<Fields>(),
            ),
        }
    }
}
