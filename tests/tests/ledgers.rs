//! Both ledgers are exact, whatever happens: the sums hold, and who made the records counts the same.

use ig_tests::{Finished, Ig, bundle, gadget, times};
use serde_json::Value;
use std::path::Path;

const STORM: &str = env!("CARGO_BIN_EXE_storm");

/// What `--summary json:PATH` wrote.
pub fn summary(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// All numbers in a value, added up.
pub fn sum(value: &Value) -> u64 {
    match value {
        Value::Number(number) => number.as_u64().expect("a count"),
        Value::Object(terms) => terms.values().map(sum).sum(),
        Value::Null => 0,
        other => panic!("{other} is no count"),
    }
}

/// Runs with a summary, and checks it: `whole = ` the sum of all other terms, in both ledgers.
fn exact(ig: Ig, command: &[&str]) -> (Finished, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let finished = ig
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .args(command)
        .finish();
    let summary = summary(&path);
    assert_sums(&summary);
    (finished, summary)
}

pub fn assert_sums(summary: &Value) {
    for (ledger, whole) in [("records", "attempted"), ("rows", "emitted")] {
        let all = summary[ledger].as_object().expect("ledgers by name");
        assert!(!all.is_empty(), "no {ledger} in {summary:#}");
        for (name, terms) in all {
            let whole = terms[whole]
                .as_u64()
                .unwrap_or_else(|| panic!("{ledger} {name}: {terms:#}"));
            assert_eq!(
                sum(terms),
                2 * whole,
                "the sum of {ledger} {name}: {terms:#}"
            );
        }
    }
}

fn calls(summary: &Value) -> &Value {
    &summary["records"]["calls"]
}

#[test]
fn a_quiet_storm_is_counted_to_the_last_record() {
    let storm = ["--", STORM, "2000"];
    let (finished, summary) = exact(
        Ig::run(gadget("hostile")).args(&["--mode", "honest"]),
        &storm,
    );
    finished.expect_code(0);
    assert_eq!(calls(&summary)["attempted"], 2000);
    assert_eq!(calls(&summary)["accepted"], 2000, "{summary:#}");
    assert_eq!(summary["rows"]["calls"]["written"], 2000);
    let rows = finished.rows();
    assert_eq!(rows.len(), 2000);
    let sequence: Vec<u64> = rows
        .iter()
        .filter_map(|row| row["sequence"].as_u64())
        .collect();
    assert_eq!(
        sequence,
        (0..2000).collect::<Vec<_>>(),
        "in order, none twice"
    );
}

/// A third of the records is dropped by the guest, a third discarded by the program.
#[test]
fn each_term_counts_what_it_says() {
    let storm = ["--", STORM, "3000"];
    let (finished, summary) = exact(
        Ig::run(gadget("hostile")).args(&["--mode", "drop-some", "--discard-some"]),
        &storm,
    );
    finished.expect_code(0);
    let calls = calls(&summary);
    assert_eq!(calls["attempted"], 3000);
    assert_eq!(calls["discarded_by_program"], 1000, "{summary:#}");
    assert_eq!(calls["dropped_by_guest"], 1000, "{summary:#}");
    assert_eq!(calls["accepted"], 1000, "{summary:#}");
    assert_eq!(summary["rows"]["calls"]["emitted"], 1000);
}

/// The storm: a small ring, a guest far too slow for it, traps on the way, and in every
/// other run a stop in its midst.
#[test]
fn overload_traps_and_a_stop_leave_the_sums_exact() {
    const CALLS: u64 = 200_000;
    let (mut lost, mut trapped, mut stopped) = (0, 0, 0);
    for round in 0..times(100) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("summary.json");
        let mut running = Ig::run(gadget("hostile"))
            .args(&[
                "--mode",
                "slow-trap",
                "--ring-size",
                "64K",
                "--max-traps",
                "1000000",
            ])
            .arg("--summary")
            .arg(format!("json:{}", path.display()))
            .json()
            .args(&["--", STORM, &CALLS.to_string()])
            .start();
        let stop = round % 2 == 1;
        if stop {
            running.provoke(|| (), |line| line.contains("sequence"));
            running.signal("INT");
        }
        let finished = running.wait();
        finished.expect_code(0);
        let summary = summary(&path);
        assert_sums(&summary);
        let calls = calls(&summary);
        let attempted = calls["attempted"].as_u64().expect("a count");
        if stop {
            assert!(attempted <= CALLS, "{summary:#}");
            stopped += u64::from(attempted < CALLS);
        } else {
            assert_eq!(attempted, CALLS, "{summary:#}");
            let told = format!("storm made {CALLS} calls");
            assert!(finished.stderr.contains(&told), "{}", finished.stderr);
        }
        assert_eq!(
            finished.rows().len() as u64,
            summary["rows"]["calls"]["written"]
                .as_u64()
                .expect("a count"),
            "lines and written rows"
        );
        lost += calls["not_reserved"].as_u64().expect("a count");
        trapped += calls["lost_to_trap"].as_u64().expect("a count");
    }
    assert!(lost > 0, "the ring was never full");
    assert!(trapped > 0, "the guest never trapped");
    assert!(stopped > 0, "no stop came in the midst of a storm");
}

#[test]
fn loss_fails_the_run_only_when_asked_to() {
    let small = ["--mode", "slow", "--ring-size", "4K"];
    let storm = ["--", STORM, "200000"];
    let (finished, summary) = exact(Ig::run(gadget("hostile")).args(&small), &storm);
    finished.expect_code(0);
    assert!(
        calls(&summary)["not_reserved"].as_u64() > Some(0),
        "{summary:#}"
    );
    assert!(finished.stderr.contains("LOST"), "{}", finished.stderr);

    let (finished, _) = exact(
        Ig::run(gadget("hostile"))
            .args(&small)
            .arg("--fail-on-loss"),
        &storm,
    );
    finished.expect_error(120, &["lost"]);

    let (finished, _) = exact(
        Ig::run(bundle("trace_exec")).arg("--fail-on-loss"),
        &["--", "/bin/true"],
    );
    finished.expect_code(0);
}

/// A reader that stands still loses rows by that name, and stalls nothing.
#[test]
fn a_reader_that_is_too_slow_loses_rows_and_never_stalls_the_kernel_side() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let finished = Ig::run(gadget("hostile"))
        .args(&["--mode", "honest", "--ring-size", "64M"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .stdout(writer)
        .args(&["--", STORM, "400000"])
        .finish();
    drop(reader);
    let summary = summary(&path);
    assert_sums(&summary);
    assert_eq!(calls(&summary)["attempted"], 400_000);
    assert_eq!(calls(&summary)["accepted"], 400_000, "{summary:#}");
    assert!(sum(&summary["rows"]["calls"]["lost"]) > 0, "{summary:#}");
    assert!(finished.stderr.contains("LOST"), "{}", finished.stderr);
}

/// A full ring of records that a program of two CPUs made: nothing is counted twice.
#[test]
fn many_threads_are_counted_like_one() {
    let script = format!("for i in 1 2 3 4; do {STORM} 5000 >&2 & done; wait");
    let (finished, summary) = exact(
        Ig::run(gadget("hostile")).args(&["--mode", "honest"]),
        &["--", "bash", "-c", &script],
    );
    finished.expect_code(0);
    // bash asks for its parent once, and may ask again.
    let attempted = calls(&summary)["attempted"].as_u64().expect("a count");
    assert!((20_000..20_010).contains(&attempted), "{summary:#}");
}
