use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Int64Array, UInt64Array};

use super::*;
use crate::sample::{self, texts};

fn batch(rows: &Rows) -> RecordBatch {
    let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
    Batches::new(&rows.table, &selected, false)
        .batch(rows)
        .unwrap()
}

#[test]
fn every_type_has_its_arrow_type() {
    let batch = batch(&sample::rows());
    let schema = batch.schema();
    let types: Vec<String> = schema
        .fields()
        .iter()
        .map(|f| format!("{}: {}", f.name(), f.data_type()))
        .collect();
    assert_eq!(
        types,
        [
            "time: Timestamp(ns, \"UTC\")",
            "pid: UInt32",
            "error: Int32",
            "ok: Boolean",
            "load: Float64",
            "comm: Utf8",
            "data: Binary",
            "args: List(Utf8)",
            "at: Struct(\"line\": UInt32, \"file\": Utf8)",
            "unknown: UInt64",
        ]
    );
    let metadata = |index: usize, key| schema.field(index).metadata().get(key).cloned();
    assert_eq!(metadata(0, "ig:kind").as_deref(), Some("timestamp"));
    assert_eq!(metadata(4, "ig:kind"), None);
    assert_eq!(metadata(4, "ig:description").as_deref(), Some("The load."));
    assert_eq!(
        schema.metadata().get("ig:table").map(String::as_str),
        Some("sample")
    );
}

#[test]
fn values_are_what_json_has_but_for_words() {
    let batch = batch(&sample::rows());
    let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
    assert_eq!(times.value(0), 1_795_442_645_123_456_789);
    assert_eq!(times.value(1), sample::WALL_OFFSET);
    assert_eq!(
        batch.column(5).as_string::<i32>().value(0),
        "say \"a, b\"\n\\xff\u{1b}"
    );
    assert_eq!(batch.column(6).as_binary::<i32>().value(0), b"\x00\xff");
    let args = batch.column(7).as_list::<i32>().value(0);
    let args: Vec<&str> = args.as_string::<i32>().iter().flatten().collect();
    assert_eq!(args, ["ls", "-l", "a b"]);
    let file = batch.column(8).as_struct().column(1).as_string::<i32>();
    assert_eq!((file.value(0), file.is_null(1)), ("a.c", true));
    assert_eq!(batch.column(9).null_count(), 2);
}

#[test]
fn selected_columns_in_their_order() {
    let rows = sample::rows();
    let batches = Batches::new(&rows.table, &[5, 1, 99], false);
    let batch = batches.batch(&rows).unwrap();
    let names: Vec<&str> = batches
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    assert_eq!(names, ["comm", "pid"]);
    assert_eq!(batch.num_columns(), 2);
    // No column, and rows all the same.
    assert_eq!(
        Batches::new(&rows.table, &[], false)
            .batch(&rows)
            .unwrap()
            .num_rows(),
        2
    );
}

#[test]
fn text_is_copied_only_when_it_has_to_change() {
    let array = texts(&[Some("é".as_bytes()), None, Some(b"x y")]);
    let same = utf8(array.as_binary()).unwrap();
    assert_eq!(
        same.values().as_ptr(),
        array.as_binary::<i32>().values().as_ptr()
    );
    assert_eq!(
        same.iter().collect::<Vec<_>>(),
        [Some("é"), None, Some("x y")]
    );
    let array = texts(&[Some(b"\\xff"), None, Some(b"\xff"), Some(b"a\\b")]);
    let changed = utf8(array.as_binary()).unwrap();
    assert_eq!(
        changed.iter().collect::<Vec<_>>(),
        [Some("\\x5cxff"), None, Some("\\xff"), Some("a\\b")]
    );
    // UTF-8 all of it, and yet not to be taken for bytes that were none.
    let array = texts(&[Some(b"\\x80")]);
    assert_eq!(utf8(array.as_binary()).unwrap().value(0), "\\x5cx80");
    // A part of an array whose texts only together are UTF-8.
    let array = texts(&[Some(b"a\xc3"), Some(b"\xa9b")]);
    let parts = utf8(array.as_binary()).unwrap();
    assert_eq!(
        parts.iter().collect::<Vec<_>>(),
        [Some("a\\xc3"), Some("\\xa9b")]
    );
    let slice = array.slice(1, 1);
    assert_eq!(utf8(slice.as_binary()).unwrap().value(0), "\\xa9b");
}

#[test]
fn times_beyond_the_range_are_null() {
    let table = sample::table(&[
        ("u", "u64", Kind::Timestamp),
        ("i", "i64", Kind::Timestamp),
        ("l", "list<u64>", Kind::Timestamp),
        ("d", "u64", Kind::Duration),
    ]);
    let list = ListArray::from_iter_primitive::<UInt64Type, _, _>(vec![
        Some(vec![Some(1), Some(u64::MAX)]),
        None,
    ]);
    let columns: Vec<Option<ArrayRef>> = vec![
        Some(Arc::new(UInt64Array::from(vec![u64::MAX, 9]))),
        Some(Arc::new(Int64Array::from(vec![i64::MAX, -3]))),
        Some(Arc::new(list)),
        Some(Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
    ];
    let rows = Rows::new(table, columns, 2, 1_000).unwrap();
    let batch = batch(&rows);
    let times = |array: &ArrayRef| {
        let times = array.as_primitive::<TimestampNanosecondType>();
        times.iter().collect::<Vec<_>>()
    };
    assert_eq!(times(batch.column(0)), [None, Some(1_009)]);
    assert_eq!(times(batch.column(1)), [None, Some(997)]);
    let list = batch.column(2).as_list::<i32>();
    assert_eq!(times(&list.value(0)), [Some(1_001), None]);
    assert!(list.is_null(1));
    assert_eq!(batch.column(3).data_type(), &Arrow::UInt64);
}

#[test]
fn the_frame_is_the_first_column_of_a_table_that_has_them() {
    let mut rows = sample::rows();
    rows.frame = 7;
    let batches = Batches::new(&rows.table, &[1], true);
    let batch = batches.batch(&rows).unwrap();
    let names: Vec<&str> = batches
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    assert_eq!(names, ["frame", "pid"]);
    let frames = batch.column(0).as_primitive::<UInt64Type>();
    assert_eq!((frames.value(0), frames.value(1)), (7, 7));
    assert_eq!(batch.column(1).len(), 2);
}
