//! Several tables, and those whose rows come in frames: which are shown, order, limit, and when a frame ends.

use crate::ledgers::{sum, summary};
use ig_tests::{Finished, Ig, bundle, gadget};
use serde_json::Value;
use std::path::Path;

const STORM: &str = env!("CARGO_BIN_EXE_storm");

fn pairs(rows: &[Value]) -> Vec<(u64, u64)> {
    rows.iter()
        .map(|row| {
            (
                row["zeros"].as_u64().expect("zeros"),
                row["calls"].as_u64().expect("calls"),
            )
        })
        .collect()
}

/// 100 calls: 50 numbers are odd, 25 end in one zero, and so on.
const ALL: [(u64, u64); 7] = [(0, 50), (1, 25), (2, 13), (3, 6), (4, 3), (5, 2), (6, 1)];

fn ran(arguments: &[&str]) -> Vec<Value> {
    let finished = Ig::run(gadget("frames"))
        .args(&["--table", "totals"])
        .args(arguments)
        .json()
        .args(&["--", STORM, "100"])
        .finish();
    finished.expect_code(0);
    finished.rows()
}

#[test]
fn a_final_table_comes_once_and_in_the_order_asked_for() {
    assert_eq!(pairs(&ran(&[])), ALL);
    let mut rising = ALL.to_vec();
    rising.reverse();
    assert_eq!(pairs(&ran(&["--sort", "calls"])), rising);
    // A column that is sorted by need not be shown.
    let rows = ran(&["--sort", "parity,-zeros"]);
    let zeros: Vec<u64> = pairs(&rows).into_iter().map(|(zeros, _)| zeros).collect();
    assert_eq!(zeros, [6, 4, 2, 0, 5, 3, 1]);
    assert!(rows.iter().all(|row| row.get("parity").is_none()));
}

#[test]
fn rows_beyond_the_limit_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let rows = ran(&[
        "--sort",
        "-zeros",
        "--max-rows",
        "2",
        "--summary",
        &format!("json:{}", path.display()),
    ]);
    assert_eq!(pairs(&rows), [(6, 1), (5, 2)]);
    let summary = summary(&path);
    let ledger = &summary["rows"]["totals"];
    assert_eq!(
        (
            &ledger["emitted"],
            &ledger["written"],
            &ledger["beyond_limit"]
        ),
        (&7.into(), &2.into(), &5.into())
    );
    assert_eq!(sum(ledger), 14);
}

#[test]
fn another_table_is_shown_when_asked_for() {
    let ig = Ig::run(gadget("frames"))
        .args(&["--table", "live", "--sort", "-calls", "--max-rows", "3"])
        .json()
        .args(&["--", "sh", "-c", &format!("{STORM} 100; sleep 0.4")])
        .finish();
    ig.expect_code(0);
    let rows = ig.rows();
    // Frames before the first call have no rows, but a number; the shell makes a call of its own, which may have a frame alone.
    let frames: Vec<&[Value]> = rows.chunk_by(|a, b| a["frame"] == b["frame"]).collect();
    let first = frames.first().and_then(|frame| frame[0]["frame"].as_u64());
    for (n, frame) in (first.expect("a frame")..).zip(&frames) {
        assert!(frame[0]["frame"] == n && frame.len() <= 3, "{rows:?}");
        let frame = pairs(frame);
        assert!(
            frame.is_sorted_by(|a, b| a.1 >= b.1),
            "a frame in order: {frame:?}"
        );
    }
    let [_, .., last] = frames[..] else {
        panic!("one frame: {rows:?}");
    };
    assert_eq!(last.len(), 3, "{last:?}");
    for (got, expected) in pairs(last).iter().zip(ALL) {
        assert!(
            got.0 == expected.0 && (expected.1..expected.1 + 2).contains(&got.1),
            "{last:?}"
        );
    }
}

#[test]
fn what_has_no_frames_has_no_order() {
    for (arguments, message) in [
        (
            &["--sort", "pid"][..],
            "--sort: table open is a stream: its rows are shown as they come",
        ),
        (
            &["--max-rows", "3"][..],
            "--max-rows: table open is a stream",
        ),
        (
            &["--table", "opne"][..],
            "--table: there is no table \"opne\"; tables are open",
        ),
    ] {
        let finished = Ig::run(bundle("trace_open"))
            .args(arguments)
            .args(&["--timeout", "1"])
            .finish();
        finished.expect_code(2);
        assert!(finished.stderr.contains(message), "{}", finished.stderr);
    }
    let finished = Ig::run(gadget("frames")).args(&["--sort", "call"]).finish();
    finished.expect_code(2);
    assert!(
        finished.stderr.contains("did you mean \"calls\"?"),
        "{}",
        finished.stderr
    );
}

/// A run of the gadget without a guest: every call is a row of each of its tables.
fn gathered(arguments: &[&str], command: &[&str]) -> (Finished, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let finished = Ig::run(gadget("gathered"))
        .args(arguments)
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .arg("--")
        .args(command)
        .finish();
    finished.expect_code(0);
    let summary = summary(&path);
    for (table, ledger) in summary["rows"].as_object().expect("tables") {
        let mut main = ledger.clone();
        main.as_object_mut().expect("a ledger").remove("outputs");
        let emitted = ledger["emitted"].as_u64().expect("a count");
        assert_eq!(sum(&main), 2 * emitted, "{table}: {ledger}");
    }
    (finished, summary)
}

fn sequences(rows: &[Value], table: Option<&str>) -> Vec<u64> {
    rows.iter()
        .filter(|row| table.is_none_or(|table| row["table"] == table))
        .map(|row| row["sequence"].as_u64().expect("sequence"))
        .collect()
}

/// How many rows each frame has, in order.
fn frames(rows: &[Value]) -> Vec<(u64, usize)> {
    let number = |row: &Value| row["frame"].as_u64().expect("frame");
    let same = |a: &Value, b: &Value| a["frame"] == b["frame"];
    rows.chunk_by(same)
        .map(|frame| (number(&frame[0]), frame.len()))
        .collect()
}

fn json_of(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a file");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn json_has_every_table_and_says_which() {
    let (finished, summary) = gathered(&["-o", "json"], &[STORM, "50"]);
    let rows = finished.rows();
    let all: Vec<u64> = (0..50).collect();
    for table in ["each", "live", "all"] {
        assert_eq!(sequences(&rows, Some(table)), all, "{table}");
        assert_eq!(summary["rows"][table]["written"], 50, "{table}");
    }
    assert!(
        finished
            .stdout
            .lines()
            .all(|line| line.starts_with("{\"table\":\"")),
        "{}",
        finished.stdout
    );
    let of = |table| rows.iter().filter(move |row| row["table"] == table);
    assert!(of("each").all(|row| row.get("frame").is_none()));
    assert!(of("all").all(|row| row["frame"] == 1));
    // One table needs no name.
    let (finished, summary) = gathered(&["-o", "json", "--table", "all"], &[STORM, "5"]);
    assert!(finished.rows().iter().all(|row| row.get("table").is_none()));
    assert_eq!(summary["rows"]["each"]["filtered"], 5);
    let (finished, _) = gathered(&["-o", "yaml"], &[STORM, "1"]);
    assert!(
        finished
            .stdout
            .starts_with("---\ntable: each\nsequence: 0\n"),
        "{}",
        finished.stdout
    );
}

#[test]
fn the_outputs_decide_which_tables_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("all.json");
    let json = format!("json={}", path.display());
    let (finished, summary) = gathered(&["-o", "columns", "-o", &json], &[STORM, "20"]);
    assert_eq!(finished.stdout.lines().count(), 21, "{}", finished.stdout);
    assert!(finished.stdout.starts_with("SEQUENCE COMM"));
    let rows = json_of(&path);
    let all: Vec<u64> = (0..20).collect();
    for table in ["each", "live", "all"] {
        assert_eq!(sequences(&rows, Some(table)), all, "{table}");
    }
    // A table's ledger is that of the first output that shows it.
    let ledgers = &summary["rows"];
    assert_eq!(ledgers["each"]["outputs"][&json]["written"], 20);
    for table in ["live", "all"] {
        assert_eq!(ledgers[table]["written"], 20, "{table}");
        assert!(ledgers[table].get("outputs").is_none(), "{table}");
    }
}

#[test]
fn what_is_for_one_table_says_so() {
    for (arguments, message) in [
        (
            &["--filter", "sequence > 3"][..],
            "--filter is for one table, and here each, live, all are shown; choose one with --table",
        ),
        (&["--fields", "sequence"], "--fields is for one table"),
        (&["--sort", "sequence"], "--sort is for one table"),
        (
            &["--redact", "com"],
            "none of the tables each, live, all has a column \"com\"",
        ),
        (
            &["--interval", "1ns"],
            "--interval: 1 ns is too short; the shortest is 1 ms",
        ),
    ] {
        Ig::run(gadget("gathered"))
            .json()
            .args(arguments)
            .finish()
            .expect_refusal(2, &[message]);
    }
    Ig::run(bundle("trace_open"))
        .args(&["--interval", "1s"])
        .finish()
        .expect_refusal(2, &["trace_open has no live view"]);
    // These mean every table: those that have frames, those that have the column.
    let (finished, summary) = gathered(
        &["-o", "json", "--max-rows", "2", "--redact", "comm"],
        &[STORM, "10"],
    );
    let rows = finished.rows();
    assert_eq!(sequences(&rows, Some("each")).len(), 10);
    assert_eq!(sequences(&rows, Some("all")), [0, 1]);
    assert_eq!(summary["rows"]["all"]["beyond_limit"], 8);
    let comms = || rows.iter().filter_map(|row| row.get("comm"));
    assert_eq!(
        (comms().count(), comms().all(|comm| comm == "***")),
        (12, true)
    );
}

#[test]
fn the_host_ends_frames_where_there_is_no_guest() {
    let script = format!("{STORM} 50; sleep 1; {STORM} 50");
    let (finished, summary) = gathered(
        &[
            "-o",
            "json",
            "--table",
            "live",
            "--interval",
            "50ms",
            "--sort",
            "-sequence",
        ],
        &["sh", "-c", &script],
    );
    let rows = finished.rows();
    let frames = frames(&rows);
    assert!(
        frames.len() >= 2 && frames.is_sorted_by(|a, b| a.0 < b.0),
        "{frames:?}"
    );
    // Those of the second in which nothing was called have numbers too.
    let (first, last) = (frames[0].0, frames[frames.len() - 1].0);
    assert!(last > first + 2, "{frames:?}");
    for frame in rows.chunk_by(|a, b| a["frame"] == b["frame"]) {
        assert!(
            sequences(frame, None).is_sorted_by(|a, b| a > b),
            "{frame:?}"
        );
    }
    let ledger = &summary["rows"]["live"];
    assert_eq!(ledger["written"], rows.len());
    assert!(rows.len() >= 100);
    // At the end of the run as well, and the number is in CSV.
    let (finished, _) = gathered(
        &["-o", "csv", "--table", "live", "--interval", "1h"],
        &[STORM, "3"],
    );
    assert_eq!(finished.stdout, "frame,sequence\n1,0\n1,1\n1,2\n");
}

#[test]
fn a_frame_that_is_gathered_is_bounded() {
    let storm = &[STORM, "300000"];
    let ring = "64M";
    let (finished, summary) = gathered(
        &["-o", "none", "--table", "all", "--ring-size", ring],
        storm,
    );
    let ledger = &summary["rows"]["all"];
    assert_eq!(
        (&ledger["written"], &ledger["lost"]["frame too large"]),
        (&262_144.into(), &(300_000 - 262_144).into())
    );
    assert!(
        finished
            .stderr
            .contains("a frame of all holds 262144 rows or 64 MiB"),
        "{}",
        finished.stderr
    );
    // What nobody will see need not be kept.
    let (finished, summary) = gathered(
        &[
            "-o",
            "json",
            "--table",
            "all",
            "--sort",
            "-sequence",
            "--max-rows",
            "3",
            "--ring-size",
            ring,
        ],
        storm,
    );
    assert_eq!(
        sequences(&finished.rows(), None),
        [299_999, 299_998, 299_997]
    );
    assert_eq!(summary["rows"]["all"]["beyond_limit"], 299_997);
}

#[test]
fn a_guest_gets_the_interval_that_was_asked_for() {
    let storm = format!("{STORM} 10; sleep 0.5");
    let frames_of = |interval: &str| {
        let finished = Ig::run(gadget("frames"))
            .json()
            .args(&["--table", "live", "--interval", interval])
            .sh(&storm)
            .finish();
        finished.expect_code(0);
        frames(&finished.rows()).len()
    };
    assert!(frames_of("20ms") >= 2);
    assert_eq!(frames_of("1h"), 0);
}

#[test]
fn a_snapshot_ends_the_run_when_it_is_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let finished = Ig::run(gadget("frames"))
        .json()
        .args(&["--table", "now", "--interval", "20ms"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .sh(&format!("{STORM} 100; sleep 600"))
        .finish();
    finished.expect_code(0);
    let rows = finished.rows();
    assert_eq!((rows.len(), &rows[0]["frame"]), (1, &1.into()), "{rows:?}");
    let summary = summary(&path);
    assert_eq!(summary["ended_by"], "snapshot");
    assert_eq!(
        sum(&summary["rows"]["now"]),
        2 * summary["rows"]["now"]["emitted"].as_u64().expect("a count")
    );
    // Beside tables that go on it ends nothing.
    let finished = Ig::run(gadget("frames"))
        .json()
        .args(&["--", STORM, "1"])
        .finish();
    finished.expect_code(0);
    assert!(finished.rows().iter().any(|row| row["table"] == "totals"));
}

#[test]
fn a_live_view_without_rows_is_drawn_empty() {
    let command = format!(
        "{} run {} --table live --interval 50ms -- sh -c '{STORM} 3; sleep 1'",
        ig_tests::ig().display(),
        gadget("gathered").display()
    );
    let output = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "dumb")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let pictures: Vec<usize> = text
        .split("\u{1b}[H\u{1b}[J")
        .map(|picture| {
            picture
                .lines()
                .filter(|line| !line.contains("records") && !line.contains("rows"))
                .count()
        })
        .collect();
    // The header alone, after a picture that had rows.
    let full = pictures.iter().position(|lines| *lines > 1);
    assert!(
        full.is_some_and(|full| pictures[full..].contains(&1)),
        "{text:?}"
    );
}

#[test]
fn counting_alone_computes_nothing() {
    let said = "nobody wants the calls";
    let ran = |arguments: &[&str]| {
        let finished = Ig::run(gadget("frames"))
            .args(arguments)
            .args(&["--table", "totals", "--", STORM, "100"])
            .finish();
        finished.expect_code(0);
        assert!(
            finished.stderr.contains("rows totals: 7 emitted ="),
            "{}",
            finished.stderr
        );
        finished
    };
    let none = ran(&["-o", "none"]);
    assert!(
        none.stderr.contains(said) && none.stderr.contains("= 7 written"),
        "{}",
        none.stderr
    );
    assert!(
        !ran(&["-o", "none", "--filter", "calls > 5"])
            .stderr
            .contains(said)
    );
    assert!(!ran(&["-o", "csv"]).stderr.contains(said));
}
