//! Guest buffers to Arrow arrays.
//!
//! A column travels as a list of byte buffers in the order of the Arrow columnar layout, depth
//! first. Every node of the type begins with its validity: one bit a row, lowest first, 1 = valid,
//! exactly `ceil(rows / 8)` bytes, or empty when nothing is null. Then
//!
//! | type | buffers after the validity |
//! |---|---|
//! | `bool` | a byte a row, 0 or 1 (the one exception from Arrow) |
//! | numbers | values, little endian |
//! | `text`, `bytes` | i32 offsets (rows + 1, from 0, never falling), then the bytes they delimit |
//! | `list` | i32 offsets like above, then the buffers of the items |
//! | `struct` | the buffers of each field, in order |
//!
//! Buffers may lie at any address. Lengths are exact: a byte too many is as wrong as one too few.
//! Whatever the bytes are, the answer is an array that Arrow accepts, or an error.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StructArray};
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;

use crate::schema::{DataType, item_field, struct_fields};

// Values are copied as they are, so the guest's byte order has to be the host's.
const _: () = assert!(cfg!(target_endian = "little"));

/// What is wrong with the buffers of a column. `node` counts the nodes of the type, depth first, from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BufferError {
    /// Not as many buffers as the type has.
    #[error("{got} buffers, the column's type has {want}")]
    Count {
        /// How many the type has.
        want: usize,
        /// How many came.
        got: usize,
    },
    /// A buffer is not as long as the rows need.
    #[error("node {node}: {part} of {rows} rows take {want} bytes, the buffer has {got}")]
    Length {
        /// The node of the type.
        node: usize,
        /// Which buffer of the node.
        part: &'static str,
        /// Rows at this node.
        rows: usize,
        /// Bytes needed.
        want: usize,
        /// Bytes there.
        got: usize,
    },
    /// The first offset is not 0.
    #[error("node {node}: the first offset is {got}, not 0")]
    FirstOffset {
        /// The node of the type.
        node: usize,
        /// The offset.
        got: i32,
    },
    /// An offset is smaller than the one before it.
    #[error("node {node}: offset {index} is smaller than the one before it")]
    FallingOffset {
        /// The node of the type.
        node: usize,
        /// Which offset, from 0.
        index: usize,
    },
    /// A bool is neither 0 nor 1.
    #[error("node {node}: row {row} has the bool {got}, not 0 or 1")]
    Bool {
        /// The node of the type.
        node: usize,
        /// The first such row.
        row: usize,
        /// Its byte.
        got: u8,
    },
    /// A struct type without fields has no length of its own.
    #[error("node {node}: a struct without fields")]
    EmptyStruct {
        /// The node of the type.
        node: usize,
    },
    /// More rows than can be addressed.
    #[error("node {node}: {rows} rows are too many")]
    Rows {
        /// The node of the type.
        node: usize,
        /// Rows at this node.
        rows: usize,
    },
    /// Arrow refused what passed the checks above.
    #[error("node {node}: {reason}")]
    Arrow {
        /// The node of the type.
        node: usize,
        /// Arrow's words.
        reason: String,
    },
}

/// How many buffers a column of this type has.
#[must_use]
pub fn buffer_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Text | DataType::Bytes => 3,
        DataType::List(item) => 2 + buffer_count(item),
        DataType::Struct(fields) => {
            1 + fields.iter().map(|(_, ty)| buffer_count(ty)).sum::<usize>()
        }
        _ => 2,
    }
}

/// Makes the array of a column from its buffers. Each buffer is copied once.
///
/// # Errors
/// The first thing that is wrong with the buffers; nothing is taken then. No allocation is larger
/// than the buffers given.
pub fn build(
    data_type: &DataType,
    rows: usize,
    buffers: &[&[u8]],
) -> Result<ArrayRef, BufferError> {
    let want = buffer_count(data_type);
    if buffers.len() != want {
        return Err(BufferError::Count {
            want,
            got: buffers.len(),
        });
    }
    Build {
        buffers: buffers.iter(),
        node: 0,
    }
    .array(data_type, rows)
}

struct Build<'a> {
    buffers: std::slice::Iter<'a, &'a [u8]>,
    node: usize,
}

impl<'a> Build<'a> {
    fn next(&mut self) -> &'a [u8] {
        // The count was checked, so the default is never taken.
        self.buffers.next().copied().unwrap_or_default()
    }

    fn array(&mut self, data_type: &DataType, rows: usize) -> Result<ArrayRef, BufferError> {
        let node = self.node;
        self.node += 1;
        let validity = self.validity(node, rows)?;
        Ok(match data_type {
            DataType::Bool => self.bools(node, rows, validity)?,
            DataType::I8 => self.numbers::<Int8Type>(node, rows, validity)?,
            DataType::I16 => self.numbers::<Int16Type>(node, rows, validity)?,
            DataType::I32 => self.numbers::<Int32Type>(node, rows, validity)?,
            DataType::I64 => self.numbers::<Int64Type>(node, rows, validity)?,
            DataType::U8 => self.numbers::<UInt8Type>(node, rows, validity)?,
            DataType::U16 => self.numbers::<UInt16Type>(node, rows, validity)?,
            DataType::U32 => self.numbers::<UInt32Type>(node, rows, validity)?,
            DataType::U64 => self.numbers::<UInt64Type>(node, rows, validity)?,
            DataType::F32 => self.numbers::<Float32Type>(node, rows, validity)?,
            DataType::F64 => self.numbers::<Float64Type>(node, rows, validity)?,
            DataType::Text | DataType::Bytes => {
                let (offsets, end) = self.offsets(node, rows)?;
                let data = self.next();
                check_length(node, "the bytes", rows, Some(end), data)?;
                let array = BinaryArray::try_new(offsets, copied(data), validity);
                Arc::new(array.map_err(|e| refused(node, &e))?)
            }
            DataType::List(item) => {
                let (offsets, end) = self.offsets(node, rows)?;
                let items = self.array(item, end)?;
                let array = ListArray::try_new(item_field(item), offsets, items, validity);
                Arc::new(array.map_err(|e| refused(node, &e))?)
            }
            DataType::Struct(fields) => {
                if fields.is_empty() {
                    return Err(BufferError::EmptyStruct { node });
                }
                let arrays = fields
                    .iter()
                    .map(|(_, ty)| self.array(ty, rows))
                    .collect::<Result<Vec<_>, _>>()?;
                let array = StructArray::try_new(struct_fields(fields), arrays, validity);
                Arc::new(array.map_err(|e| refused(node, &e))?)
            }
        })
    }

    fn validity(&mut self, node: usize, rows: usize) -> Result<Option<NullBuffer>, BufferError> {
        let bits = self.next();
        if bits.is_empty() {
            return Ok(None);
        }
        check_length(node, "validity bits", rows, Some(rows.div_ceil(8)), bits)?;
        Ok(Some(NullBuffer::new(BooleanBuffer::new(
            copied(bits),
            0,
            rows,
        ))))
    }

    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        node: usize,
        rows: usize,
        validity: Option<NullBuffer>,
    ) -> Result<ArrayRef, BufferError> {
        let bytes = self.next();
        check_length(
            node,
            "values",
            rows,
            rows.checked_mul(size_of::<T::Native>()),
            bytes,
        )?;
        // Arrow's own allocations are aligned for every number.
        let values = ScalarBuffer::<T::Native>::from(copied(bytes));
        let array = PrimitiveArray::<T>::try_new(values, validity);
        Ok(Arc::new(array.map_err(|e| refused(node, &e))?))
    }

    fn bools(
        &mut self,
        node: usize,
        rows: usize,
        validity: Option<NullBuffer>,
    ) -> Result<ArrayRef, BufferError> {
        let bytes = self.next();
        check_length(node, "values", rows, Some(rows), bytes)?;
        if let Some((row, got)) = bytes.iter().enumerate().find(|(_, byte)| **byte > 1) {
            return Err(BufferError::Bool {
                node,
                row,
                got: *got,
            });
        }
        let values: BooleanBuffer = bytes.iter().map(|byte| *byte == 1).collect();
        // Both have a bit a row, which is all that `new` asserts.
        Ok(Arc::new(BooleanArray::new(values, validity)))
    }

    /// The offsets of `rows` values, and where the last one ends.
    fn offsets(
        &mut self,
        node: usize,
        rows: usize,
    ) -> Result<(OffsetBuffer<i32>, usize), BufferError> {
        let bytes = self.next();
        let want = rows.checked_add(1).and_then(|n| n.checked_mul(4));
        check_length(node, "offsets", rows, want, bytes)?;
        let offsets = ScalarBuffer::<i32>::from(copied(bytes));
        let first = offsets.first().copied().unwrap_or_default();
        if first != 0 {
            return Err(BufferError::FirstOffset { node, got: first });
        }
        if let Some(at) = offsets
            .windows(2)
            .position(|pair| matches!(pair, [a, b] if b < a))
        {
            return Err(BufferError::FallingOffset {
                node,
                index: at + 1,
            });
        }
        let last = offsets.last().copied().unwrap_or_default();
        let end = usize::try_from(last).unwrap_or_default();
        // From 0 and never falling: what `new` asserts has been checked.
        Ok((OffsetBuffer::new(offsets), end))
    }
}

fn copied(bytes: &[u8]) -> Buffer {
    let mut buffer = MutableBuffer::with_capacity(bytes.len());
    buffer.extend_from_slice(bytes);
    buffer.into()
}

fn refused(node: usize, error: &ArrowError) -> BufferError {
    BufferError::Arrow {
        node,
        reason: error.to_string(),
    }
}

fn check_length(
    node: usize,
    part: &'static str,
    rows: usize,
    want: Option<usize>,
    bytes: &[u8],
) -> Result<(), BufferError> {
    let Some(want) = want else {
        return Err(BufferError::Rows { node, rows });
    };
    if bytes.len() == want {
        Ok(())
    } else {
        Err(BufferError::Length {
            node,
            part,
            rows,
            want,
            got: bytes.len(),
        })
    }
}
