//! Well-formed buffers come back; whatever else comes is an array or an error.

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
fn well_formed(ty: &DataType, rows: usize, bytes: &mut impl Iterator<Item = u8>) -> Vec<Vec<u8>> {
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
