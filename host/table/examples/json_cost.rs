//! What a row costs as JSON: `cargo run --release --example json_cost [ROWS A BATCH]...`.
//!
//! Rows like those of a tracer of open(2): 11 columns, 9 numbers and 2 texts. Once as numbers, once
//! with the time, the flags and the error as words.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, BinaryArray, Int32Array, UInt32Array, UInt64Array};
use ig_table::json::JsonWriter;
use ig_table::{Column, DataType, Kind, Rows, RowsError, Table, Words};

fn main() -> Result<(), RowsError> {
    let asked: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let batches = if asked.is_empty() {
        vec![1, 8, 32, 256, 1024]
    } else {
        asked
    };
    for (name, words) in [("numbers", false), ("words", true)] {
        for batch in batches.clone() {
            let rows = rows(batch, words)?;
            let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
            let mut writer = JsonWriter::new(&rows.table, &selected, Words::fixed());
            let mut out = Vec::new();
            let mut samples = Vec::new();
            for _ in 0..41 {
                let times = 65_536 / batch;
                let start = Instant::now();
                for _ in 0..times {
                    out.clear();
                    writer.write(black_box(&rows), &mut out);
                    black_box(&out);
                }
                samples.push(start.elapsed().as_nanos() as f64 / (times * batch) as f64);
            }
            samples.sort_by(f64::total_cmp);
            let bytes = out.len() / batch;
            println!(
                "{name}, batches of {batch}: {:.1} ns a row of {bytes} bytes (best of 41)",
                samples[0]
            );
        }
    }
    Ok(())
}

fn rows(len: usize, words: bool) -> Result<Rows, RowsError> {
    let kind = |kind| if words { kind } else { Kind::None };
    let columns = [
        ("timestamp", DataType::U64, kind(Kind::Timestamp)),
        ("mntns", DataType::U64, Kind::MountNs),
        ("cgroup", DataType::U64, Kind::Cgroup),
        ("pid", DataType::U32, Kind::Pid),
        ("tid", DataType::U32, Kind::Tid),
        ("uid", DataType::U32, Kind::Uid),
        ("gid", DataType::U32, Kind::Gid),
        ("flags", DataType::U32, kind(Kind::OpenFlags)),
        ("error", DataType::I32, kind(Kind::Errno)),
        ("comm", DataType::Text, Kind::None),
        ("fname", DataType::Text, Kind::None),
    ];
    let columns = columns.into_iter().map(|(name, data_type, kind)| Column {
        name: name.to_owned(),
        description: String::new(),
        data_type,
        kind,
        width: None,
        hidden: false,
    });
    let table = Arc::new(Table {
        name: "open".to_owned(),
        description: String::new(),
        columns: columns.collect(),
    });
    let n = 0..len as u64;
    let u64s = |of: &dyn Fn(u64) -> u64| -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(n.clone().map(of))))
    };
    let u32s = |of: &dyn Fn(u64) -> u64| -> Option<ArrayRef> {
        Some(Arc::new(UInt32Array::from_iter_values(
            n.clone().map(|i| of(i) as u32),
        )))
    };
    let texts = |of: &dyn Fn(u64) -> String| -> Option<ArrayRef> {
        Some(Arc::new(BinaryArray::from_iter_values(n.clone().map(of))))
    };
    let flags = [0, 0o2_000_000, 0o1_101, 0o2_200_000, 0o100_002];
    let errors = [0, 0, 0, 2, 13];
    let comms = ["cat", "systemd-journal", "bash", "cargo", "kworker/u8:3"];
    let pick = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % 5;
    let columns = vec![
        u64s(&|i| 86_400_000_000_000 + i * 5_432),
        u64s(&|i| 4_026_531_841 + i % 3),
        u64s(&|i| 1_000 + i * 7 % 300),
        u32s(&|i| 1_000 + i * 31 % 4_000_000),
        u32s(&|i| 1_000 + i * 37 % 4_000_000),
        u32s(&|i| if i % 3 == 0 { 1_000 } else { 0 }),
        u32s(&|i| if i % 3 == 0 { 1_000 } else { 0 }),
        u32s(&|i| flags[pick(i)]),
        Some(Arc::new(Int32Array::from_iter_values(
            n.clone().map(|i| errors[pick(i + 7)]),
        )) as ArrayRef),
        texts(&|i| comms[pick(i + 3)].to_owned()),
        texts(&|i| {
            format!(
                "/usr/lib/{}/file-{}",
                "x".repeat(4 + i as usize * 7 % 20),
                i % 97
            )
        }),
    ];
    Rows::new(table, columns, len, 1_795_000_000_000_000_000)
}
