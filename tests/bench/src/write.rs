//! What it costs to write rows: JSON against arrow-json for the same lines, columns against `column -t` for the same rows.
//!
//! Rows like those of a tracer of open(2): 11 columns, 9 numbers and 2 texts, with the time, the flags and the error as
//! words. arrow-json has the words as text already, and writes the time alone.

use crate::figures::{Figure, median};
use crate::process::Setup;
use anyhow::{Context as _, Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt64Type};
use arrow_array::{
    ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::{Field, Schema};
use ig_table::columns::{ColumnsWriter, TerminalOptions};
use ig_table::json::JsonWriter;
use ig_table::{Column, DataType, Kind, Rows, Table, Words};
use serde_json::Value;
use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

/// Rows of a batch, as the host hands them over under load.
const BATCH: usize = 1024;
/// Rows that are written as columns in one turn.
const LINES: usize = 100_000;
/// Turns of each side.
const TURNS: usize = 9;

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    Ok(vec![json(setup)?, columns(setup)?])
}

fn json(setup: &Setup) -> Result<Figure> {
    let rows = rows(BATCH)?;
    let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
    let mut writer = JsonWriter::new(&rows.table, &selected, Words::fixed());
    let mut out = Vec::new();
    writer.write(&rows, &mut out);
    let theirs = same(&rows, &out)?;
    let mut their_out = Vec::new();
    let times = if setup.quick { 64 } else { 640 };
    let each = |start: Instant| start.elapsed().as_nanos() as f64 / (times * BATCH) as f64;
    let (mut ours_ns, mut theirs_ns) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
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
    Ok(Figure::ratio(
        "write.json",
        "ns/row",
        median(&ours_ns),
        "arrow-json, the same lines",
        median(&theirs_ns),
        0.6,
    ))
}

/// From rows to a file that swallows them, and from a file of the same cells, with tabs between, through `column -t`:
/// time on the wall of both, whose work is one thread's.
fn columns(setup: &Setup) -> Result<Figure> {
    let rows = rows(LINES)?;
    let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
    let write = |null: &mut File| -> Result<()> {
        let mut writer = ColumnsWriter::new(
            &rows.table,
            &selected,
            Words::fixed(),
            TerminalOptions::default(),
        );
        let mut out = Vec::new();
        for from in (0..LINES).step_by(BATCH) {
            let len = BATCH.min(LINES - from);
            let part = Rows {
                columns: rows
                    .columns
                    .iter()
                    .map(|column| column.as_ref().map(|column| column.slice(from, len)))
                    .collect(),
                len,
                ..rows.clone()
            };
            out.clear();
            writer.write(&part, &mut out);
            null.write_all(&out)?;
        }
        Ok(())
    };
    let mut null = File::options().write(true).open("/dev/null")?;
    // The cells are the words that we write: no text here has a space in it.
    let mut lines = Vec::new();
    ColumnsWriter::new(
        &rows.table,
        &selected,
        Words::fixed(),
        TerminalOptions::default(),
    )
    .write(&rows, &mut lines);
    let text = String::from_utf8(lines).context("the lines")?;
    let cells: String = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join("\t") + "\n")
        .collect();
    let path = setup.built.path().join("rows.tsv");
    std::fs::write(&path, cells)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let start = Instant::now();
        write(&mut null)?;
        ours.push(start.elapsed().as_nanos() as f64 / LINES as f64);
        let start = Instant::now();
        let status = Command::new("column")
            .arg("-t")
            .arg(&path)
            .stdout(Stdio::null())
            .status()
            .context("column, of the package bsdextrautils")?;
        if !status.success() {
            bail!("column -t: {status}");
        }
        theirs.push(start.elapsed().as_nanos() as f64 / LINES as f64);
    }
    Ok(Figure::ratio(
        "write.columns",
        "ns/row",
        median(&ours),
        "column -t, the same cells",
        median(&theirs),
        0.5,
    ))
}

/// The rows as arrow-json wants them, so that its lines are those in `lines`.
fn same(rows: &Rows, lines: &[u8]) -> Result<RecordBatch> {
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

fn rows(len: usize) -> Result<Rows> {
    let columns = [
        ("timestamp", DataType::U64, Kind::Timestamp),
        ("mntns", DataType::U64, Kind::MountNs),
        ("cgroup", DataType::U64, Kind::Cgroup),
        ("pid", DataType::U32, Kind::Pid),
        ("tid", DataType::U32, Kind::Tid),
        ("uid", DataType::U32, Kind::Uid),
        ("gid", DataType::U32, Kind::Gid),
        ("flags", DataType::U32, Kind::OpenFlags),
        ("error", DataType::I32, Kind::Errno),
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
        alias: None,
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
    Ok(Rows::new(table, columns, len, 1_795_000_000_000_000_000)?)
}
