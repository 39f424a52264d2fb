//! Several gadgets in one run: they share the command, the watcher of cgroups and outputs, and nothing else.

use crate::ledgers::{sum, summary};
use ig_tests::loaded::programs;
use ig_tests::{Finished, Ig, bundle, gadget};
use serde_json::Value;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
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

/// A file of gadgets in a folder of its own, beside the bundle of trace_exec.
fn listed(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    symlink(bundle("trace_exec"), folder.path().join("exec.oci")).expect("ours");
    let file = folder.path().join("gadgets.yaml");
    std::fs::write(&file, text).expect("ours");
    (folder, file)
}

#[test]
fn a_file_lists_gadgets_with_what_is_said_of_each_and_flags_count_more() {
    let (folder, file) = listed(&format!(
        "gadgets:
  - bundle: exec.oci
    name: exec
    fields: comm,args
    filter: comm == cat
    redact: [\"args=secret\"]
  - bundle: {}
    params: {{failed-only: true}}
    fields: path
    filter: path like \"/nowhere/*\"
",
        bundle("trace_open").display()
    ));
    let path = folder.path().join("summary.json");
    let ran = |arguments: &[&str]| {
        let ig = Ig::run(&file).args(arguments).json();
        let ig = ig.arg("--summary").arg(format!("json:{}", path.display()));
        let finished = ig.sh("cat /dev/null /nowhere/secret; exit 3").finish();
        finished.expect_code(3);
        finished.rows()
    };
    let rows = ran(&[]);
    let summary = summary(&path);
    assert_exact(&summary, "exec", "exec", &rows);
    assert_exact(&summary, "trace_open", "open", &rows);
    let exec = serde_json::json!({
        "table": "exec.exec", "comm": "cat", "args": ["cat", "/dev/null", "/nowhere/***"]
    });
    let open = serde_json::json!({"table": "trace_open.open", "path": "/nowhere/secret"});
    assert_eq!(of(&rows, "exec.exec"), [&exec]);
    assert_eq!(of(&rows, "trace_open.open"), [&open]);

    // What is for all counts more than the file, and what is for one more than that; nothing shows what the file hides.
    let rows = ran(&[
        "--filter",
        "comm == sh",
        "--fields=comm",
        "--exec.fields=args",
        "--exec.redact=args=exit",
        "--trace_open.failed-only=false",
    ]);
    let execs = of(&rows, "exec.exec");
    let args = &execs[0]["args"];
    assert_eq!(execs.len(), 1);
    assert_eq!(args[2], "cat /dev/null /nowhere/***; *** 3");
    let opens = of(&rows, "trace_open.open");
    let sh = serde_json::json!({"table": "trace_open.open", "comm": "sh"});
    // What the loader opens is there.
    assert!(
        !opens.is_empty() && opens.iter().all(|row| **row == sh),
        "{opens:?}"
    );
}

#[test]
fn a_file_can_list_one_gadget_twice_under_two_names() {
    let (folder, file) = listed(
        "gadgets:
  - {bundle: exec.oci, name: all}
  - {bundle: exec.oci, name: started, params: {ignore_failed: true}}
",
    );
    let path = folder.path().join("summary.json");
    let finished = Ig::run(&file)
        .args(&["-o", "json", "-o"])
        .arg(format!("csv={}/{{gadget}}.csv", folder.path().display()))
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .sh("/nowhere/twice; cat /dev/null; exit 0")
        .finish();
    finished.expect_code(0);
    let rows = finished.rows();
    let (all, started) = (of(&rows, "all.exec"), of(&rows, "started.exec"));
    assert_eq!((all.len(), started.len()), (3, 2), "{rows:?}");
    assert_eq!(all[1]["ret"], -2);
    assert!(started.iter().all(|row| row["ret"] == 0));
    let summary = summary(&path);
    for name in ["all", "started"] {
        let written = &summary["gadgets"][name]["rows"]["exec"];
        let lines = std::fs::read_to_string(folder.path().join(format!("{name}.csv")));
        let rows = lines.expect("a file").lines().count() - 1;
        assert_eq!(written["written"], rows, "{summary:#}");
    }
}

#[test]
fn a_file_of_one_gadget_is_that_gadget() {
    let (_folder, file) = listed(
        "gadgets:
  - {bundle: exec.oci, fields: comm, params: {ignore-failed: true}}
",
    );
    let command = "/nowhere/one; cat /dev/null; exit 0";
    let finished = Ig::run(&file).json().sh(command).finish();
    finished.expect_code(0);
    let cat = serde_json::json!({"comm": "cat"});
    assert_eq!(finished.rows(), [serde_json::json!({"comm": "sh"}), cat]);
    // Beside another it is one of several.
    let both = Ig::run(&file).arg(bundle("trace_open")).json().sh(":");
    let rows = both.finish().rows();
    assert_eq!(of(&rows, "trace_exec.exec").len(), 1);
    assert!(!of(&rows, "trace_open.open").is_empty());
}

#[test]
fn what_is_wrong_in_a_file_of_gadgets_is_told_with_its_place() {
    let open = bundle("trace_open");
    let two = |said: &str| {
        let open = open.display();
        format!("gadgets:\n  - bundle: {open}\n  - bundle: exec.oci\n    {said}\n")
    };
    for (text, code, words) in [
        (
            two("feilds: comm"),
            2,
            &["gadgets.yaml:4:5: unknown key `feilds`: did you mean `fields`?"][..],
        ),
        (
            two("fields: 3"),
            2,
            &["gadgets.yaml:4:13: expected text, found `3`: put it in quotes"],
        ),
        (
            "gadgets: [{bundle: nowhere.oci}]".to_owned(),
            123,
            &[
                "gadgets.yaml:1:20: ",
                "/nowhere.oci: No such file",
                "relative to the file",
            ],
        ),
        (
            "gadgets: [{bundle: other.yaml}]".to_owned(),
            2,
            &["gadgets.yaml:1:20: a file of gadgets can't hold another one"],
        ),
        (
            "gadgets: [{bundle: exec.oci}, {bundle: exec.oci}]".to_owned(),
            2,
            &[
                "gadgets.yaml:1:32: ",
                "are both trace_exec",
                "another `name`",
            ],
        ),
        (
            two("params: {pats: true}"),
            2,
            &[
                "gadgets.yaml:4:20: trace_exec: there is no parameter `pats`; known are paths, ignore-failed",
            ],
        ),
        (
            two("params: {paths: yes}"),
            2,
            &[
                "gadgets.yaml:4:21: trace_exec: parameter `paths`: expected true or false, found `yes`",
            ],
        ),
        (
            two("filter: nope == 1"),
            2,
            &["gadgets.yaml:4:13: trace_exec: --filter", "nope"],
        ),
        (
            "gadgets:\n  - bundle: exec.oci\n    fields: nope".to_owned(),
            2,
            &["gadgets.yaml:3:13: --fields", "nope"],
        ),
    ] {
        let (_folder, file) = listed(&text);
        let finished = Ig::run(&file).sh(":").finish();
        finished.expect_refusal(code, words);
    }
    // What the arguments say does not stand in the file.
    let (_folder, file) = listed(&two("filter: comm == cat"));
    let ig = Ig::run(&file).args(&["--filter", "nope == 1"]).sh(":");
    let finished = ig.finish();
    finished.expect_refusal(2, &["for one alone write --GADGET.filter"]);
    assert!(
        !finished.stderr.contains("gadgets.yaml"),
        "{}",
        finished.stderr
    );
    let help = Ig::run(&file).arg("--help").finish();
    for word in [
        "--trace_exec.paths",
        "--failed-only",
        "Columns of trace_open.open",
    ] {
        assert!(help.stdout.contains(word), "{word}: {}", help.stdout);
    }
}
