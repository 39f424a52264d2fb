//! Several gadgets in one run: they share the command, the watcher of cgroups and outputs, and nothing else.

use crate::ledgers::{sum, summary};
use ig_tests::loaded::programs;
use ig_tests::{Finished, Ig, bundle, gadget};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const STORM: &str = env!("CARGO_BIN_EXE_storm");

/// Runs trace_exec and a second gadget with a summary.
fn ran(second: &Path, arguments: &[&str], command: &str) -> (Finished, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let finished = Ig::run(bundle("trace_exec"))
        .arg(second)
        .args(arguments)
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .sh(command)
        .finish();
    let summary = summary(&path);
    (finished, summary)
}

/// The rows of one gadget's table, by its whole name.
fn of<'a>(rows: &'a [Value], table: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["table"] == table).collect()
}

/// Both ledgers of a gadget are exact, and as many rows are there as it says.
#[track_caller]
fn assert_exact(summary: &Value, gadget: &str, table: &str, rows: &[Value]) {
    let of_gadget = &summary["gadgets"][gadget];
    for (ledger, whole) in [("records", "attempted"), ("rows", "emitted")] {
        let all = of_gadget[ledger].as_object().expect("ledgers by name");
        assert_eq!(all.len(), 1, "{all:?}");
        for terms in all.values() {
            let whole = terms[whole].as_u64().expect("a count");
            assert_eq!(sum(terms), 2 * whole, "{gadget}: {terms:#}");
        }
    }
    let name = format!("{gadget}.{table}");
    let written = of_gadget["rows"][table]["written"]
        .as_u64()
        .expect("a count");
    assert_eq!(of(rows, &name).len() as u64, written, "{name}");
}

#[test]
fn both_see_the_command_from_its_first_instruction_and_have_ledgers_of_their_own() {
    let (finished, summary) = ran(&bundle("trace_open"), &[], "cat /nowhere/several; exit 7");
    // The command's own status, as with one gadget.
    finished.expect_code(7);
    let rows = finished.rows();
    let execs = of(&rows, "trace_exec.exec");
    assert_eq!(execs.len(), 2, "{execs:?}");
    assert_eq!(execs[0]["comm"], "sh");
    let opens = of(&rows, "trace_open.open");
    // What the loader opens before the program's own first instruction is there, and the file that is nowhere.
    assert_eq!(opens[0]["comm"], "sh", "{:?}", opens[0]);
    assert!(opens.iter().any(|row| row["path"] == "/nowhere/several"));
    assert_eq!(rows.len(), execs.len() + opens.len());
    assert_exact(&summary, "trace_exec", "exec", &rows);
    assert_exact(&summary, "trace_open", "open", &rows);
    for gadget in ["trace_exec", "trace_open"] {
        assert_eq!(summary["gadgets"][gadget]["ended_by"], "command");
        let told = format!("\n{gadget}, ended by command:\n  records ");
        assert!(
            format!("\n{}", finished.stderr).contains(&told),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn lines_of_two_storms_are_whole_and_each_gadget_s_stay_in_order() {
    let storms = format!("{STORM} 20000 /nowhere/storm >&2 & {STORM} 20000 >&2; wait");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let finished = Ig::run(gadget("hostile"))
        .arg(bundle("trace_open"))
        .args(&["--ring-size", "32M"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .sh(&storms)
        .finish();
    finished.expect_code(0);
    let summary = summary(&path);
    // Every line is one: `rows` reads them all.
    let rows = finished.rows();
    assert_exact(&summary, "hostile", "calls", &rows);
    assert_exact(&summary, "trace_open", "open", &rows);
    assert!(of(&rows, "hostile.calls").len() >= 20_000);
    assert!(of(&rows, "trace_open.open").len() >= 20_000);
    let numbers: Vec<u64> = of(&rows, "hostile.calls")
        .iter()
        .map(|row| row["sequence"].as_u64().expect("a number"))
        .collect();
    assert!(numbers.is_sorted(), "rows of one gadget changed places");
}

#[test]
fn one_that_traps_leaves_the_other_running() {
    let folder = tempfile::tempdir().expect("a folder");
    let (flag, path) = (folder.path().join("flag"), folder.path().join("s.json"));
    let script = format!(
        "while [ ! -e {} ]; do {STORM} 100 >&2; sleep 0.05; done; cat /nowhere/after",
        flag.display()
    );
    let running = Ig::run(gadget("hostile"))
        .arg(bundle("trace_open"))
        .args(&["--mode", "loop"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .sh(&script)
        .start();
    // Each gadget has a thread of its own, by its name; that of the other begins last.
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let names = threads(running.pid());
        let has = |name: &str| names.iter().any(|thread| thread == name);
        if has("trace_open") && !has("hostile") {
            break;
        }
        assert!(Instant::now() < until, "it goes on: {names:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::write(&flag, "").expect("ours");
    let finished = running.wait();
    finished.expect_error(121, &["hostile: the guest trapped too often"]);
    assert!(
        finished.stderr.contains("hostile: it has ended"),
        "{}",
        finished.stderr
    );
    let rows = finished.rows();
    assert!(of(&rows, "hostile.calls").is_empty());
    assert!(
        of(&rows, "trace_open.open")
            .iter()
            .any(|row| row["path"] == "/nowhere/after")
    );
    let summary = summary(&path);
    assert_eq!(summary["gadgets"]["hostile"]["ended_by"], "traps");
    assert_eq!(summary["gadgets"]["trace_open"]["ended_by"], "command");
    assert_exact(&summary, "trace_open", "open", &rows);
}

/// The names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[test]
fn one_that_does_not_start_keeps_all_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let flag = folder.path().join("flag");
    let finished = Ig::run(bundle("trace_open"))
        .arg(gadget("hostile"))
        .args(&["--mode", "init-error"])
        .json()
        .sh(&format!("touch {}", flag.display()))
        .finish();
    finished.expect_error(121, &["did not start: hostile: init: no reason at all"]);
    assert!(finished.rows().is_empty());
    assert!(!flag.exists(), "the command ran");
}

#[test]
fn they_have_one_watcher_of_cgroups() {
    let mut running = Ig::run(bundle("trace_exec"))
        .arg(bundle("trace_open"))
        .json()
        .start();
    for table in ["trace_exec.exec", "trace_open.open"] {
        let word = format!("attached-{}", running.pid());
        running.provoke(
            || {
                std::process::Command::new("cat")
                    .arg(format!("/nowhere/{word}"))
                    .stderr(std::process::Stdio::null())
                    .status()
                    .expect("cat runs");
            },
            |line| line.contains(&word) && line.contains(table),
        );
    }
    let held = running.held();
    let watchers = programs()
        .into_iter()
        .filter(|(id, name)| held.programs.contains(id) && name.starts_with("cgroup_made"));
    assert_eq!(watchers.count(), 1);
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn a_flag_is_for_all_and_with_a_name_for_one() {
    let keys = |row: &Value| {
        let row = row.as_object().expect("a row");
        row.keys().cloned().collect::<Vec<_>>()
    };
    let (finished, _) = ran(
        &bundle("trace_open"),
        &[
            "--fields",
            "pid,comm",
            "--trace_open.fields=path,comm",
            "--filter",
            "comm == cat",
            // Only one of them has it.
            "--failed-only",
        ],
        "cat /dev/null; cat /nowhere/flags",
    );
    let rows = finished.rows();
    let (execs, opens) = (of(&rows, "trace_exec.exec"), of(&rows, "trace_open.open"));
    assert_eq!(execs.len(), 2);
    assert!(
        execs
            .iter()
            .all(|row| keys(row) == ["comm", "pid", "table"])
    );
    assert!(
        opens
            .iter()
            .all(|row| keys(row) == ["comm", "path", "table"])
    );
    assert!(opens.iter().any(|row| row["path"] == "/nowhere/flags"));
    assert!(opens.iter().all(|row| row["path"] != "/dev/null"));

    let (exec, open) = (bundle("trace_exec"), bundle("trace_open"));
    let refused = |arguments: &[&str], words: &[&str]| {
        let ig = Ig::run(&exec).arg(&open).args(arguments).sh(":");
        ig.finish().expect_refusal(2, words);
    };
    refused(
        &["--filter", "path == x"],
        &["trace_exec: --filter", "--gadget.filter"],
    );
    refused(
        &["--param", "nope=1"],
        &[
            "no gadget has this parameter",
            "trace_exec has paths, ignore-failed",
            "trace_open has failed-only",
        ],
    );
    refused(&["-o", "csv"], &["csv", "rows-{gadget}.csv"]);
    let replayed = Ig::run(&exec).arg(&open).args(&["--replay", "x.igrec"]);
    let replayed = replayed.finish();
    replayed.expect_refusal(2, &["a recording is of one gadget"]);
    let twice = Ig::run(&exec).arg(&exec).sh(":").finish();
    twice.expect_refusal(2, &["both trace_exec"]);
    let recorded = Ig::new().args(&["record", "-o", "x.igrec"]);
    let recorded = recorded.arg(&exec).arg(&open).finish();
    recorded.expect_refusal(2, &["one `ig record` for each"]);
    let help = Ig::run(&exec).arg(&open).arg("--help").finish();
    for word in [
        "--trace_exec.paths",
        "--failed-only",
        "--trace_open.filter",
        "Columns of trace_open.open",
    ] {
        assert!(help.stdout.contains(word), "{word}: {}", help.stdout);
    }
}

#[test]
fn columns_name_the_gadget_and_files_can_be_one_for_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let finished = Ig::run(bundle("trace_exec"))
        .arg(bundle("trace_open"))
        .args(&["-o", "columns", "-o"])
        .arg(format!("csv={}/{{gadget}}.csv", folder.path().display()))
        .args(&["--fields", "comm,pid", "--trace_open.fields", "path"])
        .sh("cat /nowhere/columns")
        .finish();
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let of = |gadget: &str| {
        let lines = lines.iter().filter(|line| line.starts_with(gadget));
        lines.count()
    };
    // A header for each, before its first row.
    assert_eq!(of("GADGET"), 2, "{}", finished.stdout);
    assert_eq!(of("trace_exec "), 2);
    assert!(lines.contains(&"trace_open /nowhere/columns"));
    assert_eq!(of("trace_open ") + 4, lines.len());
    for (gadget, header) in [("trace_exec", "comm,pid"), ("trace_open", "path")] {
        let path = folder.path().join(format!("{gadget}.csv"));
        let text = std::fs::read_to_string(&path).expect("a file");
        // As of one gadget alone.
        assert_eq!(text.lines().next(), Some(header));
        assert_eq!(text.lines().count(), of(&format!("{gadget} ")) + 1);
    }
}
