//! What others make of a stream while it is being written, and of a file: pyarrow, DuckDB, Polars.
//!
//! `IG_PYTHON` names a Python that has them. Ignored unless asked for, as `cargo xtask test` does,
//! which sets it: the tests of this crate need nothing that cargo does not bring.

#![allow(
    clippy::unwrap_used,
    reason = "what a test can not do without, it fails without"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, BinaryArray, ListArray, PrimitiveArray, StructArray, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as Arrow;
use ig_table::kinds::words::Words;
use ig_table::output::{FileOptions, Outputs};
use ig_table::{
    Column, Format, Kind, Output, OutputOptions, QueueLimits, Rows, ShownTable, Table,
    TerminalOptions, WhenFull,
};

fn table() -> Arc<Table> {
    let column = |(name, data_type, kind): (&str, &str, Kind)| Column {
        name: name.to_owned(),
        description: String::new(),
        data_type: data_type.parse().unwrap(),
        kind,
        width: None,
        hidden: false,
        alias: None,
    };
    let columns = [
        ("time", "u64", Kind::Timestamp),
        ("pid", "u32", Kind::Pid),
        ("comm", "text", Kind::None),
        ("args", "list<text>", Kind::None),
        ("at", "struct<line: u32, file: text>", Kind::None),
        ("unwanted", "u64", Kind::None),
    ];
    Arc::new(Table {
        name: "exec".to_owned(),
        description: String::new(),
        columns: columns.map(column).into(),
    })
}

/// Rows of processes `pids`, each with its number as its time and its arguments.
fn rows(table: &Arc<Table>, pids: &[Option<u32>], comm: &[u8]) -> Rows {
    let texts = |texts: Vec<&[u8]>| -> ArrayRef { Arc::new(BinaryArray::from_vec(texts)) };
    let numbers = || -> PrimitiveArray<UInt32Type> { pids.iter().copied().collect() };
    let times = pids.iter().map(|pid| u64::from(pid.unwrap_or(0)));
    let Arrow::List(item) = table.columns[3].data_type.arrow() else {
        unreachable!()
    };
    let Arrow::Struct(fields) = table.columns[4].data_type.arrow() else {
        unreachable!()
    };
    let args = ListArray::new(
        item,
        OffsetBuffer::from_lengths(pids.iter().map(|_| 2)),
        texts(
            pids.iter()
                .flat_map(|_| [&b"-l"[..], b"\xc3\xa9\xff"])
                .collect(),
        ),
        None,
    );
    let files = texts(pids.iter().map(|_| &b"/bin/x"[..]).collect());
    let at = StructArray::new(fields, vec![Arc::new(numbers()), files], None);
    let columns: Vec<Option<ArrayRef>> = vec![
        Some(Arc::new(UInt64Array::from_iter_values(times))),
        Some(Arc::new(numbers())),
        Some(texts(pids.iter().map(|_| comm).collect())),
        Some(Arc::new(args)),
        Some(Arc::new(at)),
        None,
    ];
    let offset = 1_795_442_645_000_000_000;
    Rows::new(Arc::clone(table), columns, pids.len(), offset).unwrap()
}

fn options(format: Format, table: &Arc<Table>) -> OutputOptions {
    OutputOptions {
        format,
        tables: vec![ShownTable {
            gadget: None,
            table: Arc::clone(table),
            selected: vec![0, 1, 2, 3, 4],
            frames: false,
            quiet: Vec::new(),
            names: Vec::new(),
        }],
        words: Words::fixed(),
        terminal: TerminalOptions::default(),
        limits: QueueLimits::default(),
        when_full: WhenFull::default(),
    }
}

/// The reader, and what it says line by line.
struct Reader {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Reader {
    fn start(python: &Path, file: &Path) -> (Self, File) {
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stream.py"))
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = File::from(OwnedFd::from(child.stdin.take().unwrap()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (Self { child, lines }, stdin)
    }

    /// Its next line; the test fails when it ended instead.
    fn says(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
}

#[test]
#[ignore = "asks the Python that IG_PYTHON names; cargo xtask test does"]
fn a_live_stream_and_a_file_are_read_by_pyarrow_duckdb_and_polars() {
    let python =
        std::env::var_os("IG_PYTHON").expect("IG_PYTHON: a Python with pyarrow, duckdb, polars");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let (mut reader, stdin) = Reader::start(Path::new(&python), &path);
    let table = table();
    let stream = Output::start(options(Format::Arrow, &table), Box::new(stdin)).unwrap();
    let file = FileOptions {
        path: path.clone(),
        ..FileOptions::default()
    };
    // Before any row: columns with their types.
    assert_eq!(
        reader.says(),
        "schema time: timestamp[ns, tz=UTC], pid: uint32, comm: string, args: list<item: string>, \
         at: struct<line: uint32, file: string>"
    );
    assert_eq!(reader.says(), "kind timestamp");
    let file = Output::to_file(options(Format::Parquet, &table), file).unwrap();
    let mut outputs = Outputs::new(file);
    outputs.add("arrow".to_owned(), stream);
    // Each batch is seen before the next one is made.
    outputs.push(rows(&table, &[Some(1), Some(2)], b"ls"));
    assert_eq!(reader.says(), "batch 2 [1, 2]");
    outputs.push(rows(&table, &[None], b"\xff"));
    assert_eq!(reader.says(), "batch 1 [None]");
    outputs.push(rows(&table, &[Some(3)], b"sh"));
    assert_eq!(reader.says(), "batch 1 [3]");
    let (file, others) = outputs.finish(None);
    assert_eq!((file.tables[0].written, file.error), (4, None));
    assert_eq!(
        (others[0].1.tables[0].written, &others[0].1.error),
        (4, &None)
    );
    let rest: Vec<String> = reader.lines.map(Result::unwrap).collect();
    let row = |time: u32, pid: &str, comm: &str| {
        format!("duckdb (179544264500000000{time}, {pid}, '{comm}', ['-l', 'é\\\\xff'], '/bin/x')")
    };
    assert_eq!(
        rest,
        [
            row(1, "1", "ls"),
            row(2, "2", "ls"),
            row(3, "3", "sh"),
            row(0, "None", "\\\\xff"),
            "polars Datetime(time_unit='ns', time_zone='UTC') 6 ['ls', 'ls', '\\\\xff', 'sh']"
                .to_owned(),
            "parquet True [1, 2, None, 3]".to_owned(),
            "parquet duckdb [(4, '\\\\xff')]".to_owned(),
            "parquet polars 4".to_owned(),
        ]
    );
    assert!(reader.child.wait().unwrap().success());
}
