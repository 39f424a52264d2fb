//! What a row costs a filter: `cargo run --release --example filter_cost [ROWS AT ONCE]...`.
//!
//! Rows like those of a tracer of open(2), a million of them, at once and in batches.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, BinaryArray, UInt32Array, UInt64Array};
use ig_table::{Column, DataType, Filter, Kind, Rows, Table, Words};

const ROWS: usize = 1_000_000;

const FILTERS: [&str; 12] = [
    "error == ENOENT",
    "pid >= 1000 and pid < 2000",
    "pid in (1, 77, 1500, 1501, 4000, 4001)",
    "flags has O_CREAT",
    "path == /etc/passwd",
    "path contains lib",
    "path like \"/usr/*.so\"",
    "path ~ \"lib[a-f]+[0-9]{3}\\.so$\"",
    "error == ENOENT and path contains \"lib\"",
    "error != 0 or path contains lib",
    "error ~ ^E",
    "took > 10ms and not path like \"/proc/*\"",
];

fn main() -> Result<(), Box<dyn Error>> {
    let asked: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let batches = if asked.is_empty() {
        vec![ROWS, 1024]
    } else {
        asked
    };
    for batch in batches {
        let batches: Vec<Rows> = (0..ROWS / batch)
            .map(|at| rows(at * batch..(at + 1) * batch))
            .collect::<Result<_, _>>()?;
        for text in FILTERS {
            let table = &batches.first().ok_or("no rows")?.table;
            let filter = Filter::parse(text, table, &Words::fixed())?;
            let mut taken = 0;
            let mut samples = Vec::new();
            for _ in 0..21 {
                let start = Instant::now();
                taken = batches
                    .iter()
                    .map(|rows| black_box(filter.apply(black_box(rows))).count_set_bits())
                    .sum();
                samples.push(start.elapsed().as_nanos() as f64 / ROWS as f64);
            }
            samples.sort_by(f64::total_cmp);
            let median = samples.get(samples.len() / 2).copied().unwrap_or_default();
            println!("{batch:>8} at once {median:>8.2} ns a row {taken:>8} taken  {text}");
        }
        let table = &batches.first().ok_or("no rows")?.table;
        let filter = Filter::parse("error == ENOENT", table, &Words::fixed())?;
        let start = Instant::now();
        for rows in &batches {
            black_box(rows.filtered(&filter.apply(rows), |_| true)?);
        }
        let cost = start.elapsed().as_nanos() as f64 / ROWS as f64;
        println!("{batch:>8} at once {cost:>8.2} ns a row, taking what error == ENOENT takes");
    }
    Ok(())
}

fn rows(range: std::ops::Range<usize>) -> Result<Rows, ig_table::RowsError> {
    let column = |name: &str, data_type, kind| Column {
        name: name.to_owned(),
        description: String::new(),
        data_type,
        kind,
        width: None,
        hidden: false,
        alias: None,
    };
    let table = Table {
        name: "open".to_owned(),
        description: String::new(),
        columns: vec![
            column("pid", DataType::U32, Kind::Pid),
            column("error", DataType::U32, Kind::Errno),
            column("flags", DataType::U32, Kind::OpenFlags),
            column("took", DataType::U64, Kind::Duration),
            column("path", DataType::Text, Kind::None),
        ],
    };
    let numbers = |of: &dyn Fn(usize) -> usize| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(
            range.clone().map(|i| of(i) as u32),
        ))
    };
    let path = |i: usize| match i * 7 % 11 {
        0..=2 => format!("/usr/lib/x86_64-linux-gnu/libabc{:03}.so", i % 1000),
        3 => "/etc/passwd".to_owned(),
        4..=6 => format!("/proc/{}/stat", i % 32_768),
        7 => format!(
            "/sys/fs/cgroup/system.slice/unit-{}.service/cgroup.procs",
            i % 99
        ),
        _ => format!("/home/user/project/src/module{i}/main.rs"),
    };
    let error = |i: usize| match i % 60 {
        0 | 20 | 40 => 2,
        33 => 13,
        _ => 0,
    };
    let columns = vec![
        numbers(&|i| i * 13 % 4_999),
        numbers(&error),
        numbers(&|i| if i % 9 == 0 { 0o101 } else { 0o2_000_000 }),
        Arc::new(UInt64Array::from_iter_values(
            range.clone().map(|i| (i as u64 * 7_919) % 20_000_000),
        )) as ArrayRef,
        Arc::new(BinaryArray::from_iter_values(range.clone().map(path))),
    ];
    let columns = columns.into_iter().map(Some).collect();
    Rows::new(Arc::new(table), columns, range.len(), 0)
}
