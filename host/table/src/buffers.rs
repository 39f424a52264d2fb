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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::UInt32Type as U32;
    use arrow_array::{Array as _, make_array};
    use proptest::prelude::*;

    fn le(values: &[i32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    fn error(ty: &str, rows: usize, buffers: &[&[u8]]) -> String {
        build(&ty.parse().unwrap(), rows, buffers)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn numbers_at_any_address() {
        let bytes = [&[9_u8][..], &le(&[1, -1, 3])].concat();
        for at in [0, 1] {
            let moved = [&vec![0; at][..], &bytes[1..]].concat();
            let array = build(&DataType::U32, 3, &[&[0b1111_1101], &moved[at..]]).unwrap();
            let array = array.as_primitive::<U32>();
            let values: Vec<_> = array.iter().collect();
            assert_eq!(values, [Some(1), None, Some(3)]);
        }
    }

    #[test]
    fn nested_columns() {
        let ty: DataType = "struct<ok: bool, args: list<text>>".parse().unwrap();
        let buffers: [&[u8]; 8] = [
            &[],
            &[],
            &[1, 0],
            &[],
            &le(&[0, 2, 3]),
            &[],
            &le(&[0, 1, 1, 3]),
            b"abc",
        ];
        assert_eq!(buffer_count(&ty), buffers.len());
        let array = build(&ty, 2, &buffers).unwrap();
        assert_eq!(*array.data_type(), ty.arrow());
        let array = array.as_struct();
        assert_eq!(
            array.column(0).as_boolean().iter().collect::<Vec<_>>(),
            [Some(true), Some(false)]
        );
        let args = array.column(1).as_list::<i32>();
        assert_eq!(
            args.value(0).as_binary::<i32>().iter().collect::<Vec<_>>(),
            [Some(&b"a"[..]), Some(b"")]
        );
        assert_eq!(
            args.value(1).as_binary::<i32>().iter().collect::<Vec<_>>(),
            [Some(&b"bc"[..])]
        );
    }

    #[test]
    fn each_mistake_has_its_message() {
        assert_eq!(
            error("u32", 1, &[&[]]),
            "1 buffers, the column's type has 2"
        );
        assert_eq!(
            error("u32", 2, &[&[], &[0; 7]]),
            "node 0: values of 2 rows take 8 bytes, the buffer has 7"
        );
        assert_eq!(
            error("u8", 9, &[&[0], &[0; 9]]),
            "node 0: validity bits of 9 rows take 2 bytes, the buffer has 1"
        );
        assert_eq!(
            error("bool", 2, &[&[], &[1, 2]]),
            "node 0: row 1 has the bool 2, not 0 or 1"
        );
        assert_eq!(
            error("text", 0, &[&[], &[], &[]]),
            "node 0: offsets of 0 rows take 4 bytes, the buffer has 0"
        );
        assert_eq!(
            error("text", 1, &[&[], &le(&[1, 1]), b"a"]),
            "node 0: the first offset is 1, not 0"
        );
        assert_eq!(
            error("text", 2, &[&[], &le(&[0, 2, 1]), b"a"]),
            "node 0: offset 2 is smaller than the one before it"
        );
        assert_eq!(
            error("text", 1, &[&[], &le(&[0, -1]), b""]),
            "node 0: offset 1 is smaller than the one before it"
        );
        assert_eq!(
            error("text", 1, &[&[], &le(&[0, 2]), b"abc"]),
            "node 0: the bytes of 1 rows take 2 bytes, the buffer has 3"
        );
        assert_eq!(
            error("list<u16>", 1, &[&[], &le(&[0, i32::MAX]), &[], &[0; 4]]),
            "node 1: values of 2147483647 rows take 4294967294 bytes, the buffer has 4"
        );
        assert_eq!(
            error("struct<a: u8, b: u8>", 1, &[&[], &[], &[0], &[], &[]]),
            "node 2: values of 1 rows take 1 bytes, the buffer has 0"
        );
        assert_eq!(
            error("u64", usize::MAX, &[&[], &[]]),
            format!("node 0: {} rows are too many", usize::MAX)
        );
        let empty = DataType::Struct(Vec::new());
        assert_eq!(
            build(&empty, 1, &[&[]]).unwrap_err(),
            BufferError::EmptyStruct { node: 0 }
        );
    }

    fn any_type() -> impl Strategy<Value = DataType> {
        let scalar = proptest::sample::select(vec![
            DataType::Bool,
            DataType::I8,
            DataType::U16,
            DataType::I32,
            DataType::U64,
            DataType::F32,
            DataType::F64,
            DataType::Text,
            DataType::Bytes,
        ]);
        scalar.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                inner
                    .clone()
                    .prop_map(|item| DataType::List(Box::new(item))),
                proptest::collection::vec(inner, 1..3).prop_map(|types| {
                    let fields = types.into_iter().enumerate();
                    DataType::Struct(fields.map(|(i, ty)| (format!("f{i}"), ty)).collect())
                }),
            ]
        })
    }

    /// Buffers of the right lengths, whose values come from `bytes`.
    fn well_formed(
        ty: &DataType,
        rows: usize,
        bytes: &mut impl Iterator<Item = u8>,
    ) -> Vec<Vec<u8>> {
        let mut take = |n: usize| bytes.take(n).collect::<Vec<u8>>();
        let validity = if take(1) == [0] {
            Vec::new()
        } else {
            take(rows.div_ceil(8))
        };
        let mut out = vec![validity];
        let mut offsets = |out: &mut Vec<Vec<u8>>| {
            let mut ends = vec![0];
            for size in take(rows) {
                ends.push(ends.last().unwrap() + i32::from(size % 4));
            }
            out.push(le(&ends));
            *ends.last().unwrap() as usize
        };
        match ty {
            DataType::Bool => out.push(take(rows).iter().map(|byte| byte & 1).collect()),
            DataType::I8 => out.push(take(rows)),
            DataType::U16 => out.push(take(2 * rows)),
            DataType::I32 | DataType::F32 => out.push(take(4 * rows)),
            DataType::U64 | DataType::F64 => out.push(take(8 * rows)),
            DataType::Text | DataType::Bytes => {
                let end = offsets(&mut out);
                out.push(take(end));
            }
            DataType::List(item) => {
                let end = offsets(&mut out);
                out.extend(well_formed(item, end, bytes));
            }
            DataType::Struct(fields) => {
                for (_, field) in fields {
                    out.extend(well_formed(field, rows, bytes));
                }
            }
            other => unreachable!("{other} is not among the generated types"),
        }
        out
    }

    /// An endless, repeatable stream of bytes.
    fn noise(seed: u64) -> impl Iterator<Item = u8> {
        let mut state = seed | 1;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
    }

    proptest! {
        #[test]
        fn well_formed_buffers_come_back(ty in any_type(), rows in 0..20_usize, seed: u64) {
            let buffers = well_formed(&ty, rows, &mut noise(seed));
            let slices: Vec<&[u8]> = buffers.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(slices.len(), buffer_count(&ty));
            let array = build(&ty, rows, &slices).unwrap();
            prop_assert_eq!(array.len(), rows);
            prop_assert_eq!(array.data_type(), &ty.arrow());
            let data = array.to_data();
            data.validate_full().unwrap();
            // The values themselves: the Arrow buffers hold the same bytes.
            let mut rest = slices.as_slice();
            same_bytes(&data, &ty, rows, &mut rest);
            prop_assert!(rest.is_empty());
            prop_assert_eq!(&make_array(data), &array);
        }

        #[test]
        fn any_buffers_give_an_array_or_an_error(
            ty in any_type(),
            rows in 0..20_usize,
            seed: u64,
            changes in proptest::collection::vec((any::<usize>(), any::<usize>(), 0..4_u8, any::<u8>()), 0..4),
        ) {
            let mut buffers = well_formed(&ty, rows, &mut noise(seed));
            for (buffer, at, what, value) in changes {
                let index = buffer % buffers.len();
                let buffer = &mut buffers[index];
                match what {
                    0 if !buffer.is_empty() => {
                        let at = at % buffer.len();
                        buffer[at] = value;
                    }
                    1 => buffer.truncate(at % (buffer.len() + 1)),
                    2 => buffer.extend(noise(seed).take(usize::from(value))),
                    _ => { buffers.remove(index); buffers.push(vec![value]); }
                }
            }
            let slices: Vec<&[u8]> = buffers.iter().map(Vec::as_slice).collect();
            if let Ok(array) = build(&ty, rows, &slices) {
                prop_assert_eq!(array.len(), rows);
                array.to_data().validate_full().unwrap();
            }
        }

        #[test]
        fn any_bytes_give_an_array_or_an_error(
            ty in any_type(),
            rows: usize,
            buffers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..32), 0..8),
        ) {
            let slices: Vec<&[u8]> = buffers.iter().map(Vec::as_slice).collect();
            let _ = build(&ty, rows, &slices);
            let _ = build(&ty, rows % 9, &slices);
        }
    }

    fn same_bytes(data: &arrow_data::ArrayData, ty: &DataType, rows: usize, rest: &mut &[&[u8]]) {
        let mut next = || {
            let (first, tail) = rest.split_first().unwrap();
            *rest = tail;
            *first
        };
        let validity = next();
        for row in 0..rows {
            let want = validity.is_empty() || validity[row / 8] >> (row % 8) & 1 == 1;
            assert_eq!(data.is_valid(row), want);
        }
        match ty {
            DataType::Bool => {
                for (row, byte) in next().iter().enumerate() {
                    assert_eq!(data.buffers()[0][row / 8] >> (row % 8) & 1, *byte);
                }
            }
            DataType::Text | DataType::Bytes => {
                assert_eq!(data.buffers()[0].as_slice(), next());
                assert_eq!(data.buffers()[1].as_slice(), next());
            }
            DataType::List(item) => {
                assert_eq!(data.buffers()[0].as_slice(), next());
                let child = &data.child_data()[0];
                same_bytes(child, item, child.len(), rest);
            }
            DataType::Struct(fields) => {
                for (child, (_, field)) in data.child_data().iter().zip(fields) {
                    same_bytes(child, field, rows, rest);
                }
            }
            _ => assert_eq!(data.buffers()[0].as_slice(), next()),
        }
    }
}
