//! What it costs to filter a million rows, against Polars and DuckDB, which count the same rows of the same Arrow data.
//!
//! Ours go through in batches of 1,024 rows, as the host has them under load; each column is one piece of memory for us
//! as for Polars, for which that is best, and DuckDB has a table of its own. Each works on one thread. A condition is
//! read once, before anything is timed: our filter, the expression of Polars, the prepared statement of DuckDB. The
//! baseline is the faster of the two, for each condition anew: a row of the table names it, and has beside it what the
//! other one took, and what ours takes when all rows are one batch.

use crate::figures::{Figure, median};
use crate::process::{Setup, root};
use anyhow::{Context as _, Result, bail, ensure};
use arrow_array::{ArrayRef, BinaryArray, Int32Array, UInt32Array, UInt64Array};
use ig_table::arrow_stream::ArrowStreamWriter;
use ig_table::{Column, DataType, Filter, Kind, Rows, Table, Words};
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

const ROWS: usize = 1_000_000;
/// Rows of a batch, as the host hands them over under load.
const BATCH: usize = 1_024;
/// At most this much of the baseline's time.
const GOAL: f64 = 1.5;

/// One condition in three languages.
struct Condition {
    figure: &'static str,
    ours: &'static str,
    /// An expression of Polars in Python. It has no globs: a regular expression stands for one.
    polars: &'static str,
    sql: &'static str,
}

const CONDITIONS: [Condition; 11] = [
    Condition {
        figure: "filter.number",
        ours: "pid == 31000",
        polars: "pl.col('pid') == 31000",
        sql: "pid = 31000",
    },
    Condition {
        figure: "filter.number-64",
        ours: "cgroup > 5000",
        polars: "pl.col('cgroup') > 5000",
        sql: "cgroup > 5000",
    },
    Condition {
        figure: "filter.range",
        ours: "pid >= 1000000 and pid < 2000000 or pid == 31000",
        polars: "((pl.col('pid') >= 1000000) & (pl.col('pid') < 2000000)) | (pl.col('pid') == 31000)",
        sql: "pid >= 1000000 and pid < 2000000 or pid = 31000",
    },
    Condition {
        figure: "filter.in-numbers",
        ours: "pid in (31000, 31001, 77777, 3000000)",
        polars: "pl.col('pid').is_in([31000, 31001, 77777, 3000000])",
        sql: "pid in (31000, 31001, 77777, 3000000)",
    },
    Condition {
        figure: "filter.flags",
        ours: "flags has O_CREAT",
        polars: "(pl.col('flags') & 0o100) == 0o100",
        sql: "flags & 64 = 64",
    },
    Condition {
        figure: "filter.error",
        ours: "error == ENOENT",
        polars: "pl.col('error') == 2",
        sql: "error = 2",
    },
    Condition {
        figure: "filter.text",
        ours: "comm == bash",
        polars: "pl.col('comm') == 'bash'",
        sql: "comm = 'bash'",
    },
    Condition {
        figure: "filter.in-texts",
        ours: "comm in (bash, cat, sh)",
        polars: "pl.col('comm').is_in(['bash', 'cat', 'sh'])",
        sql: "comm in ('bash', 'cat', 'sh')",
    },
    Condition {
        figure: "filter.contains",
        ours: "path contains \"/file-42\"",
        polars: "pl.col('path').str.contains('/file-42', literal=True)",
        sql: "contains(path, '/file-42')",
    },
    Condition {
        figure: "filter.glob",
        ours: "path like \"/usr/*/file-1*\"",
        polars: "pl.col('path').str.contains('(?s)^/usr/.*/file-1')",
        sql: "path glob '/usr/*/file-1*'",
    },
    Condition {
        figure: "filter.regex",
        ours: r"path ~ 'lib[a-z]+/file-[0-4]+$'",
        polars: r"pl.col('path').str.contains('lib[a-z]+/file-[0-4]+$')",
        sql: r"regexp_matches(path, 'lib[a-z]+/file-[0-4]+$')",
    },
];

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let (table, events) = (table(), events());
    let whole = rows(&table, &events)?;
    drop(events);
    let batches: Vec<Rows> = (0..whole.len)
        .step_by(BATCH)
        .map(|from| slice(&whole, from, BATCH.min(whole.len - from)))
        .collect();
    let file = setup.built.path().join("rows.arrow");
    write(&table, &batches, &file)?;
    let mut others = Others::start(&setup.python, &file)?;
    let (turns, seconds) = if setup.quick { (3, 0.02) } else { (9, 0.1) };
    let mut figures = Vec::new();
    for condition in &CONDITIONS {
        let filter = Filter::parse(condition.ours, &table, &Words::fixed())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let (mut ours, mut one, mut polars, mut duckdb) = (vec![], vec![], vec![], vec![]);
        for _ in 0..turns {
            let answer = others.ask(condition, seconds)?;
            let (count, took) = timed(seconds, || counted(&filter, &batches))?;
            let (count_of_one, took_one) =
                timed(seconds, || counted(&filter, std::slice::from_ref(&whole)))?;
            ensure!(
                count > 0 && count_of_one == count && answer.rows == [count; 2],
                "{}: {count} rows, {count_of_one} of one batch, {:?} by Polars and DuckDB",
                condition.ours,
                answer.rows
            );
            ours.push(took);
            one.push(took_one);
            polars.push(answer.polars);
            duckdb.push(answer.duckdb);
        }
        let [ours, one, polars, duckdb] =
            [ours, one, polars, duckdb].map(|seconds| median(&seconds) * 1e3);
        let (baseline, against) = if polars <= duckdb {
            (polars, format!("Polars; DuckDB {duckdb:.2}"))
        } else {
            (duckdb, format!("DuckDB; Polars {polars:.2}"))
        };
        figures.push(Figure::ratio(
            condition.figure,
            "ms",
            ours,
            format!("{against}; ours as one batch {one:.2}"),
            baseline,
            GOAL,
        ));
    }
    Ok(figures)
}

fn counted(filter: &Filter, batches: &[Rows]) -> usize {
    let taken = |rows: &Rows| filter.apply(rows).count_set_bits();
    black_box(batches).iter().map(taken).sum()
}

/// What it counts and the median of several times, in seconds; once before, untimed.
fn timed(seconds: f64, count: impl Fn() -> usize) -> Result<(usize, f64)> {
    let result = count();
    let mut times = Vec::new();
    while times.iter().sum::<f64>() < seconds {
        let begin = Instant::now();
        let again = count();
        times.push(begin.elapsed().as_secs_f64());
        ensure!(again == result, "{again} rows where {result} were before");
    }
    Ok((result, median(&times)))
}

/// Polars and DuckDB, in one Python: see `baseline/filter.py`.
struct Others {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

struct Answer {
    /// By Polars, by DuckDB.
    rows: [usize; 2],
    /// Seconds.
    polars: f64,
    duckdb: f64,
}

impl Others {
    fn start(python: &Path, file: &Path) -> Result<Self> {
        let mut child = Command::new(python)
            .arg(root().join("tests/bench/baseline/filter.py"))
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "{}: `cargo xtask bench` makes a Python with Polars and DuckDB",
                    python.display()
                )
            })?;
        let stdin = child.stdin.take().context("its input")?;
        let stdout = BufReader::new(child.stdout.take().context("its output")?);
        let mut others = Self {
            child,
            stdin,
            stdout,
        };
        ensure!(others.line()? == "ready\n", "it was not ready");
        Ok(others)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line.is_empty() {
            bail!("Polars and DuckDB ended: {}", self.child.wait()?);
        }
        Ok(line)
    }

    fn ask(&mut self, condition: &Condition, seconds: f64) -> Result<Answer> {
        let ask = json!({"polars": condition.polars, "sql": condition.sql, "seconds": seconds});
        writeln!(self.stdin, "{ask}")?;
        let said: Value = serde_json::from_str(&self.line()?)?;
        let count = |at: usize| Some(said["rows"][at].as_u64()? as usize);
        let answer = || {
            Some(Answer {
                rows: [count(0)?, count(1)?],
                polars: said["polars"].as_f64()?,
                duckdb: said["duckdb"].as_f64()?,
            })
        };
        answer().with_context(|| format!("an answer: {said}"))
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        // Also when a figure failed: it would wait for its next condition.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Writes them as the program would: `-o arrow`.
fn write(table: &Table, batches: &[Rows], file: &Path) -> Result<()> {
    let selected: Vec<usize> = (0..table.columns.len()).collect();
    let mut writer = ArrowStreamWriter::new(table, &selected, false);
    let mut out = Vec::new();
    writer.begin(&mut out)?;
    for rows in batches {
        writer.write(rows, &mut out)?;
    }
    writer.flush(&mut out)?;
    writer.finish(&mut out)?;
    std::fs::write(file, out).with_context(|| format!("writing {}", file.display()))
}

const COMMANDS: [&str; 12] = [
    "cat",
    "bash",
    "systemd",
    "systemd-journal",
    "cargo",
    "rustc",
    "kworker/u8:3",
    "sshd",
    "python3",
    "node",
    "containerd-shim",
    "postgres",
];
const FOLDERS: [&str; 8] = [
    "/etc",
    "/usr/lib/x86_64-linux-gnu/libexec",
    "/proc/self/task",
    "/sys/fs/cgroup/system.slice/cron.service",
    "/usr/share/zoneinfo/Europe",
    "/var/lib/docker/overlay2/5c0d7a4e1b/merged/etc",
    "/home/user/src/project/target/release/deps/libserde",
    "/usr/local/bin",
];
/// Of open(2): most only read, few create.
const FLAGS: [u32; 5] = [0, 0o2_000_000, 0o1_101, 0o2_200_000, 0o100_002];

/// One call of open(2).
struct Event {
    time: u64,
    cgroup: u64,
    pid: u32,
    flags: u32,
    /// None: it did not fail.
    error: Option<i32>,
    comm: &'static str,
    path: String,
}

/// Calls in no order but that of time, always the same. One of four failed.
fn events() -> Vec<Event> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) % below
    };
    let mut event = |i: u64| {
        let of =
            |list: &[&'static str], at: u64| list.get(at as usize).copied().unwrap_or_default();
        Event {
            time: 86_400_000_000_000 + i * 5_432,
            cgroup: random(10_000),
            pid: 1 + random(1 << 22) as u32,
            flags: FLAGS[random(5) as usize],
            error: [Some(2), Some(13)]
                .get(random(8) as usize)
                .copied()
                .flatten(),
            comm: of(&COMMANDS, random(12)),
            path: format!("{}/file-{}", of(&FOLDERS, random(8)), random(200)),
        }
    };
    (0..ROWS as u64).map(&mut event).collect()
}

fn table() -> Arc<Table> {
    let columns = [
        ("timestamp", DataType::U64, Kind::Timestamp),
        ("cgroup", DataType::U64, Kind::Cgroup),
        ("pid", DataType::U32, Kind::Pid),
        ("flags", DataType::U32, Kind::OpenFlags),
        ("error", DataType::I32, Kind::Errno),
        ("comm", DataType::Text, Kind::None),
        ("path", DataType::Text, Kind::None),
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
    Arc::new(Table {
        name: "open".to_owned(),
        description: String::new(),
        columns: columns.collect(),
    })
}

/// Some of the rows, in the same memory.
fn slice(rows: &Rows, from: usize, len: usize) -> Rows {
    let columns = rows.columns.iter().flatten();
    Rows {
        columns: columns
            .map(|column| Some(column.slice(from, len)))
            .collect(),
        len,
        ..rows.clone()
    }
}

/// Events as rows.
fn rows(table: &Arc<Table>, events: &[Event]) -> Result<Rows> {
    let e = || events.iter();
    let times = UInt64Array::from_iter_values(e().map(|e| e.time));
    let cgroups = UInt64Array::from_iter_values(e().map(|e| e.cgroup));
    let pids = UInt32Array::from_iter_values(e().map(|e| e.pid));
    let flags = UInt32Array::from_iter_values(e().map(|e| e.flags));
    let errors: Int32Array = e().map(|e| e.error).collect();
    let comms = BinaryArray::from_iter_values(e().map(|e| e.comm));
    let paths = BinaryArray::from_iter_values(e().map(|e| &e.path));
    let columns: [ArrayRef; 7] = [
        Arc::new(times),
        Arc::new(cgroups),
        Arc::new(pids),
        Arc::new(flags),
        Arc::new(errors),
        Arc::new(comms),
        Arc::new(paths),
    ];
    let columns = columns.map(Some).into();
    Ok(Rows::new(Arc::clone(table), columns, events.len(), 0)?)
}
