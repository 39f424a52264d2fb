//! Any text as a filter, over a table with every sort of column and some rows of nothing.
#![no_main]

use ig_table::filter::Filter;
use ig_table::{Column, Kind, Rows, Table, Words};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static TABLE: LazyLock<Arc<Table>> = LazyLock::new(|| {
    let columns = [
        ("time", "u64", Kind::Timestamp),
        ("pid", "u32", Kind::Pid),
        ("uid", "u32", Kind::User),
        ("error", "i32", Kind::Errno),
        ("flags", "u32", Kind::OpenFlags),
        ("mode", "u32", Kind::FileMode),
        ("load", "f64", Kind::None),
        ("ok", "bool", Kind::None),
        ("comm", "text", Kind::None),
        ("data", "bytes", Kind::None),
        ("args", "list<text>", Kind::None),
        ("address", "bytes", Kind::Address),
        ("took", "u64", Kind::Duration),
        ("at", "struct<line: u32, file: text>", Kind::None),
    ];
    let columns = columns.map(|(name, ty, kind)| Column {
        name: name.to_owned(),
        description: String::new(),
        data_type: ty.parse().expect("a type"),
        kind,
        width: None,
        hidden: false,
        alias: None,
    });
    Arc::new(Table {
        name: "fuzz".to_owned(),
        description: String::new(),
        columns: columns.into(),
    })
});

fuzz_target!(|text: &str| {
    match Filter::parse(text, &TABLE, &Words::fixed()) {
        Ok(filter) => {
            let rows = Rows {
                table: TABLE.clone(),
                columns: vec![None; TABLE.columns.len()],
                len: 3,
                wall_offset: 0,
                frame: 0,
            };
            assert_eq!(filter.apply(&rows).len(), 3);
            let (early, late) = filter.split(|column| column % 2 == 0);
            assert!(early.is_some() || late.is_some());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
