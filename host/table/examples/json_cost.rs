//! What a row costs as JSON: `cargo run --release --example json_cost [ROWS A BATCH]...`.
//!
//! Rows like those of a tracer of open(2): 11 columns, 9 numbers and 2 texts. Once as numbers, once
//! with the time, the flags and the error as words. Beside it what arrow-json takes for the same
//! lines, turn by turn; its words are there as text already, and it writes the time alone.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt64Type};
use arrow_array::{
    ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::{Field, Schema};
use ig_table::json::JsonWriter;
use ig_table::{Column, DataType, Kind, Rows, RowsError, Table, Words};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
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
            writer.write(&rows, &mut out);
            let theirs = same(&rows, &out)?;
            let mut their_out = Vec::new();
            let (mut ours_ns, mut theirs_ns) = (Vec::new(), Vec::new());
            for _ in 0..41 {
                let times = 65_536 / batch;
                let each =
                    |start: Instant| start.elapsed().as_nanos() as f64 / (times * batch) as f64;
                let start = Instant::now();
                for _ in 0..times {
                    out.clear();
                    writer.write(black_box(&rows), &mut out);
                    black_box(&out);
                }
                ours_ns.push(each(start));
                let start = Instant::now();
                for _ in 0..times {
                    their_out.clear();
                    let mut writer = WriterBuilder::new()
                        .with_explicit_nulls(true)
                        .build::<_, LineDelimited>(&mut their_out);
                    writer.write(black_box(&theirs))?;
                    writer.finish()?;
                    black_box(&their_out);
                }
                theirs_ns.push(each(start));
            }
            ours_ns.sort_by(f64::total_cmp);
            theirs_ns.sort_by(f64::total_cmp);
            let bytes = out.len() / batch;
            let (ours, theirs) = (ours_ns[20], theirs_ns[20]);
            println!(
                "{name}, batches of {batch}: {ours:.1} ns a row of {bytes} bytes, arrow-json {theirs:.1} ns: {:.2}x",
                ours / theirs
            );
        }
    }
    Ok(())
}

/// The rows as arrow-json wants them, so that its lines are those in `lines`.
fn same(rows: &Rows, lines: &[u8]) -> Result<RecordBatch, Box<dyn Error>> {
    let lines: Vec<Value> = serde_json::Deserializer::from_slice(lines)
        .into_iter()
        .collect::<Result<_, _>>()?;
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (column, array) in rows.table.columns.iter().zip(rows.columns.iter().flatten()) {
        let texts = || lines.iter().map(|line| line[&column.name].as_str());
        let array: ArrayRef = if column.kind == Kind::Timestamp {
            let boot = array.as_primitive::<UInt64Type>();
            let wall = boot.unary::<_, TimestampNanosecondType>(|boot| {
                (boot as i64).saturating_add(rows.wall_offset)
            });
            Arc::new(wall.with_timezone("+00:00"))
        } else if texts().any(|text| text.is_some()) {
            let raw = format!("{}_raw", column.name);
            if lines.iter().any(|line| line.get(&raw).is_some()) {
                fields.push(Field::new(raw, array.data_type().clone(), true));
                columns.push(Arc::clone(array));
            }
            Arc::new(StringArray::from_iter(texts()))
        } else {
            Arc::clone(array)
        };
        fields.push(Field::new(&column.name, array.data_type().clone(), true));
        columns.push(array);
    }
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
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
