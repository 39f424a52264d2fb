//! Tables whose rows come in frames: order, limit, and which table is shown.

use crate::ledgers::{sum, summary};
use ig_tests::{Ig, bundle, gadget};
use serde_json::Value;

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
    for (n, frame) in (1..).zip(rows.chunks(3)) {
        assert!(frame.iter().all(|row| row["frame"] == n), "{frame:?}");
    }
    let rows = pairs(&rows);
    assert!(rows.len() >= 6 && rows.len().is_multiple_of(3), "{rows:?}");
    for frame in rows.chunks(3) {
        assert!(
            frame.is_sorted_by(|a, b| a.1 >= b.1),
            "a frame in order: {frame:?}"
        );
    }
    // The shell makes a call of its own.
    let last = rows.chunks(3).next_back().expect("a frame");
    for (got, expected) in last.iter().zip(ALL) {
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
