//! Any bytes as the buffers of a column that a guest emits. The input is a type, the number of rows, and for each buffer
//! a length (two bytes) and its bytes.
#![no_main]

use arrow_array::Array as _;
use ig_table::DataType;
use ig_table::buffers::{buffer_count, build};
use libfuzzer_sys::fuzz_target;

const TYPES: [&str; 8] = [
    "bool",
    "u16",
    "i64",
    "text",
    "list<u32>",
    "list<list<text>>",
    "struct<a: u8, b: list<struct<c: text, d: bool>>>",
    "list<struct<e: f64, f: bytes>>",
];

fuzz_target!(|bytes: &[u8]| {
    let [ty, rows, rest @ ..] = bytes else {
        return;
    };
    let mut rest = rest;
    let ty: DataType = TYPES[usize::from(*ty) % TYPES.len()]
        .parse()
        .expect("a type");
    let mut buffers = Vec::new();
    while buffers.len() < buffer_count(&ty) {
        let Some((length, behind)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
        let (buffer, behind) = behind.split_at(length);
        buffers.push(buffer);
        rest = behind;
    }
    if let Ok(array) = build(&ty, usize::from(*rows), &buffers) {
        assert_eq!(array.len(), usize::from(*rows));
        array.to_data().validate_full().expect("what Arrow holds");
    }
});
