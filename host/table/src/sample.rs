//! Rows for the tests of every format.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, ListArray, StructArray,
    UInt32Array, UInt64Array,
};
use arrow_buffer::OffsetBuffer;

use crate::schema::{item_field, struct_fields};
use crate::{Column, DataType, Kind, Rows, Table};

/// What to add to the clock of the rows: 2026-11-23T14:04:05Z less a second.
pub(crate) const WALL_OFFSET: i64 = 1_795_442_644_000_000_000;

pub(crate) fn table(columns: &[(&str, &str, Kind)]) -> Arc<Table> {
    let columns = columns.iter().map(|(name, ty, kind)| Column {
        name: (*name).to_owned(),
        description: format!("The {name}."),
        data_type: ty.parse().unwrap(),
        kind: *kind,
        width: None,
        hidden: false,
        alias: None,
    });
    Arc::new(Table {
        name: "sample".to_owned(),
        description: String::new(),
        columns: columns.collect(),
    })
}

pub(crate) fn texts(values: &[Option<&[u8]>]) -> ArrayRef {
    Arc::new(BinaryArray::from_iter(values.iter().copied()))
}

/// A list of texts for each row.
pub(crate) fn lists(values: &[&[&[u8]]]) -> ArrayRef {
    let items: Vec<Option<&[u8]>> = values
        .iter()
        .flat_map(|v| v.iter().copied().map(Some))
        .collect();
    let offsets = OffsetBuffer::from_lengths(values.iter().map(|v| v.len()));
    Arc::new(ListArray::new(
        item_field(&DataType::Text),
        offsets,
        texts(&items),
        None,
    ))
}

/// Two rows, one with everything and one with little, of all sorts of columns.
pub(crate) fn rows() -> Rows {
    let table = table(&[
        ("time", "u64", Kind::Timestamp),
        ("pid", "u32", Kind::Pid),
        ("error", "i32", Kind::Errno),
        ("ok", "bool", Kind::None),
        ("load", "f64", Kind::None),
        ("comm", "text", Kind::None),
        ("data", "bytes", Kind::None),
        ("args", "list<text>", Kind::None),
        ("at", "struct<line: u32, file: text>", Kind::None),
        ("unknown", "u64", Kind::None),
    ]);
    let fields = [
        ("line".to_owned(), DataType::U32),
        ("file".to_owned(), DataType::Text),
    ];
    let at: ArrayRef = Arc::new(StructArray::new(
        struct_fields(&fields),
        vec![
            Arc::new(UInt32Array::from(vec![7, 0])),
            texts(&[Some(b"a.c"), None]),
        ],
        None,
    ));
    let columns: Vec<Option<ArrayRef>> = vec![
        Some(Arc::new(UInt64Array::from(vec![1_123_456_789, 0]))),
        Some(Arc::new(UInt32Array::from(vec![Some(42), None]))),
        Some(Arc::new(Int32Array::from(vec![2, 0]))),
        Some(Arc::new(BooleanArray::from(vec![true, false]))),
        Some(Arc::new(Float64Array::from(vec![1e300, 0.5]))),
        Some(texts(&[Some(b"say \"a, b\"\n\xff\x1b"), Some(b"")])),
        Some(texts(&[Some(b"\x00\xff"), None])),
        Some(lists(&[&[b"ls", b"-l", b"a b"], &[]])),
        Some(at),
        None,
    ];
    Rows::new(table, columns, 2, WALL_OFFSET).unwrap()
}
