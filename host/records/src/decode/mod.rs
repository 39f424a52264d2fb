//! The built-in decoder: records of one struct to Arrow columns, as the struct's BTF says.
//!
//! It serves bundles without a guest and the columns that a guest leaves to the host by pointing each row
//! at its record. A column is decoded whole and only when somebody asks for it; nothing allocates per record.
//!
//! What a field becomes, unless the manifest says otherwise:
//!
//! | field | column |
//! |---|---|
//! | integer, also as a bitfield | integer of the same size and sign |
//! | enumeration, also of 64 bits | integer of its size and sign; as text its value's name, or the number without one |
//! | pointer | u64 |
//! | `bool`, `float`, `double` | bool, f32, f64 |
//! | array of `char` | text, up to the first NUL |
//! | array of `unsigned char` | bytes, all of them |
//! | other array | list |
//! | flexible array at the end | the same, up to the end of the record |
//! | struct or union by value | struct; anonymous members' fields are its own |
//! | member of a union, by its name | as above |
//!
//! **Byte order.** Integers that the kernel's types call `__be16`, `__be32` or `__be64` are turned around, so that the
//! column has the number. Others are in the machine's order, unless the kind says otherwise: `port-be` turns a port
//! around whose C type is silent about its order. An address (`address`) stays in the order of the wire, which is what
//! its column holds; `address-le` is for one that lies in the record in the machine's order.
//!
//! **Kinds that read a field in another way.** `address` takes a struct that has one in it (`struct
//! gadget_l3endpoint_t`, `union gadget_ip_addr_t`, `struct in6_addr`, or one like them: 16 bytes, perhaps with a
//! `version` or `family`, after which an address of IPv4 is 4 bytes) and 16 bytes in words; the column is bytes.
//! `endpoint` takes such a struct with a `port` (`struct gadget_l4endpoint_t`); the column is
//! `struct<address: bytes, port: u16>`. Both take the kernel's socket addresses (`struct sockaddr_in`, `sockaddr_in6`,
//! `sockaddr`, `sockaddr_storage`, or a union of those), whose family says what they hold; one of another family is null.
//! `kernel-stack` and `user-stack` take an array of addresses as `bpf_get_stack` fills it: zeros at its end are left out,
//! and what is missing where a record ends is not there. A kind of numbers makes a list of an array of bytes or characters.
//!
//! A value that lies beyond the end of a short record is null. Text that begins inside the record and is cut off by
//! its end is what is there: programs may submit a record without the unused rest of a long path.

mod columns;
mod defaults;
mod meaning;
mod names;
mod origin;
mod plan;

pub use defaults::{DefaultColumn, MAX_COLUMNS, default_columns};
pub use origin::{OriginError, Picked};
pub use plan::{inferred, inferred_as};

use arrow_array::ArrayRef;
use ig_object::btf::Layout;
use ig_table::{DataType, Kind};

/// Most values that one call makes for one column, where eight bytes of text count as one.
const MAX_DECODED: u64 = 1 << 25;

/// A column that the decoder shall make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// From the struct to the field, as in C: `proc.parent.pid`.
    pub path: String,
    /// The column's type, when the manifest gives one.
    pub data_type: Option<DataType>,
    /// What the column's values mean.
    pub kind: Kind,
}

/// Why a field cannot become a column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The struct has no such field.
    #[error("struct `{layout}` has no field `{path}`{}", nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default())]
    NoField {
        /// The struct's name.
        layout: String,
        /// As asked for.
        path: String,
        /// The field's path that is most like it.
        nearest: Option<String>,
    },
    /// The field holds nothing that has a value.
    #[error("field `{path}` of struct `{layout}` has no type that can be decoded")]
    NoValue {
        /// The struct's name.
        layout: String,
        /// The field's.
        path: String,
    },
    /// The manifest's type cannot hold the field.
    #[error(
        "field `{path}` of struct `{layout}` is {found} and cannot be a column of type {wanted}"
    )]
    Type {
        /// The struct's name.
        layout: String,
        /// The field's.
        path: String,
        /// What it is without a type in the manifest.
        found: String,
        /// The manifest's type.
        wanted: String,
    },
    /// The column's kind does not go with its type.
    #[error(
        "field `{path}` of struct `{layout}` is of type {found}, which cannot be of kind {kind}"
    )]
    Kind {
        /// The struct's name.
        layout: String,
        /// The field's.
        path: String,
        /// The column's type.
        found: String,
        /// The manifest's kind.
        kind: &'static str,
    },
    /// Arrays within arrays and structs, more than anything real has.
    #[error(
        "field `{path}` of struct `{layout}` holds more than {} values",
        plan::MAX_WEIGHT
    )]
    TooMany {
        /// The struct's name.
        layout: String,
        /// The field's.
        path: String,
    },
}

/// Decodes fields of one struct.
#[derive(Clone, Debug)]
pub struct Decoder {
    columns: Vec<plan::Column>,
}

impl Decoder {
    /// Plans the columns, in the order of the specifications.
    ///
    /// # Errors
    ///
    /// A field that does not exist, or that cannot be a column of the type or kind that is asked for.
    pub fn new(layout: &Layout, fields: &[FieldSpec]) -> Result<Self, DecodeError> {
        let columns = fields
            .iter()
            .map(|field| plan::column(layout, field))
            .collect::<Result<_, _>>()?;
        Ok(Self { columns })
    }

    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// There are no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The type of a column; none beyond the last.
    #[must_use]
    pub fn data_type(&self, column: usize) -> Option<&DataType> {
        self.columns.get(column).map(|column| &column.data_type)
    }

    /// Decodes a column: one value for each entry of `origin`, which are offsets of records' headers in the span.
    /// Who decodes several columns of one span is faster with [`Picked::origins`] and [`Self::decode`].
    ///
    /// # Errors
    ///
    /// An origin that is not the beginning of a whole record that the program kept, or no such column.
    pub fn column(
        &self,
        column: usize,
        span: &[u8],
        origin: &[u32],
    ) -> Result<ArrayRef, OriginError> {
        self.decode(column, &Picked::origins(span, origin)?)
    }

    /// Decodes a column of records that were picked before.
    ///
    /// # Errors
    ///
    /// No such column, or more values than may be made at once (a guest may name one record very often).
    pub fn decode(&self, column: usize, picked: &Picked<'_>) -> Result<ArrayRef, OriginError> {
        let plan = self
            .columns
            .get(column)
            .ok_or(OriginError::NoColumn { column })?;
        let values = plan.weight.saturating_mul(picked.len() as u64);
        if values > MAX_DECODED {
            return Err(OriginError::TooMuch { rows: picked.len() });
        }
        Ok(columns::read(&plan.node, picked.span, &picked.places))
    }
}

#[cfg(test)]
mod tests;
