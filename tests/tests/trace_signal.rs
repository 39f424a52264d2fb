//! `trace_signal`, live: a gadget without a guest.

use ig_tests::{Finished, Ig, bundle};
use serde_json::Value;

/// Runs a script, which prints the process ids that it deals with as its last line; gives the ids and the rows.
fn traced(more: &[&str], script: &str) -> (Vec<u64>, Vec<Value>, Finished) {
    let finished = Ig::run(bundle("trace_signal"))
        .args(more)
        .json()
        .sh(script)
        .finish();
    finished.expect_code(0);
    let ids = finished
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("ids "))
        .unwrap_or_else(|| panic!("no ids in:\n{}", finished.stderr))
        .split_whitespace()
        .map(|word| word.parse().expect("a process id"))
        .collect();
    let rows = finished.rows();
    (ids, rows, finished)
}

/// Number, receiver and result of what a process sent, in order.
fn sent(rows: &[Value], by: u64) -> Vec<(u64, u64, &str)> {
    let number = |row: &Value, name| row[name].as_u64().expect(name);
    rows.iter()
        .filter(|row| row["pid"] == by)
        .map(|row| {
            let result = row["result"].as_str().expect("a word");
            (number(row, "signal_raw"), number(row, "target"), result)
        })
        .collect()
}

#[test]
fn a_signal_has_its_sender_its_number_and_its_receiver() {
    let (ids, rows, finished) = traced(
        &["--fields", "+tid,+code"],
        "sleep 60 & echo ids $$ $!; kill -USR1 $!; wait $!; :",
    );
    let [shell, child] = ids[..] else {
        panic!("two processes: {ids:?}");
    };
    let row = rows
        .iter()
        .find(|row| row["signal_raw"] == 10)
        .unwrap_or_else(|| panic!("no SIGUSR1 in {rows:#?}"));
    assert_eq!(row["comm"], "sh");
    assert_eq!(row["pid"], shell);
    assert_eq!(row["tid"], shell);
    assert_eq!(row["uid"], 0);
    assert_eq!(row["target"], child);
    assert_eq!(row["result"], "DELIVERED");
    assert_eq!(row["code"], 0); // SI_USER
    assert_eq!(sent(&rows, shell)[0], (10, child, "DELIVERED"));
    // It ended by that, and the kernel told its parent.
    let end = rows
        .iter()
        .find(|row| row["pid"] == child)
        .unwrap_or_else(|| panic!("no SIGCHLD in {rows:#?}"));
    assert_eq!(end["signal"], "SIGCHLD");
    assert_eq!(end["target"], shell);
    assert_eq!(end["code"], 2); // CLD_KILLED
    // Nothing but what was asked for, and all of that.
    let strangers: Vec<_> = rows
        .iter()
        .filter(|row| row["pid"] != shell && row["pid"] != child)
        .collect();
    assert_eq!(strangers, Vec::<&Value>::new());
    let n = rows.len();
    for line in [
        format!("records signals: {n} attempted = {n} accepted"),
        format!("rows signals: {n} emitted = {n} written"),
    ] {
        assert!(finished.stderr.contains(&line), "{}", finished.stderr);
    }
}

#[test]
fn what_became_of_a_signal_is_told() {
    // A process that is stopped takes no signal: the second one finds the first still there.
    let (ids, rows, _) = traced(
        &[],
        "sleep 60 & stopped=$!
        kill -STOP $stopped
        until grep -q '^State:.T' /proc/$stopped/status; do :; done
        kill -USR1 $stopped; kill -USR1 $stopped
        trap '' USR2
        sleep 60 & deaf=$!
        kill -USR2 $deaf
        kill -KILL $stopped $deaf
        echo ids $$ $stopped $deaf
        wait $stopped $deaf; :",
    );
    let [shell, stopped, deaf] = ids[..] else {
        panic!("three processes: {ids:?}");
    };
    let mut by_shell = sent(&rows, shell);
    by_shell.retain(|(signal, ..)| *signal != 17);
    assert_eq!(
        by_shell,
        [
            (19, stopped, "DELIVERED"),
            (10, stopped, "DELIVERED"),
            (10, stopped, "ALREADY_PENDING"),
            (12, deaf, "IGNORED"),
            (9, stopped, "DELIVERED"),
            (9, deaf, "DELIVERED"),
        ]
    );
}

#[test]
fn senders_can_be_narrowed() {
    let script = "trap : USR1; echo ids $$; kill -USR1 $$; sh -c 'kill -USR1 $PPID'; :";
    let (ids, rows, _) = traced(&[], script);
    let usr1 = |rows: &[Value]| rows.iter().filter(|row| row["signal_raw"] == 10).count();
    assert_eq!(usr1(&rows), 2, "{rows:#?}");
    assert_eq!(sent(&rows, ids[0])[0], (10, ids[0], "DELIVERED"));
    let (_, rows, _) = traced(&["--comm", "nobody"], script);
    assert_eq!(rows, Vec::<Value>::new());
}
