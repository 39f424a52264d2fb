//! `trace_open`, live.

use ig_tests::{Finished, Ig, bundle};
use serde_json::Value;

fn run(more: &[&str], command: &[&str]) -> Finished {
    let mut words = vec!["--"];
    words.extend(command);
    Ig::run(bundle("trace_open"))
        .args(more)
        .json()
        .args(&words)
        .finish()
}

fn rows_of<'a>(rows: &'a [Value], path: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["path"] == path).collect()
}

#[test]
fn a_missing_file_is_seen_with_path_and_error() {
    let finished = run(&["--fields", "+uid"], &["cat", "/nonexistent/file"]);
    finished.expect_code(1);
    let rows = finished.rows();
    let found = rows_of(&rows, "/nonexistent/file");
    assert_eq!(found.len(), 1, "{rows:#?}");
    let row = found[0];
    assert_eq!(row["error"], "ENOENT");
    assert_eq!(row["fd"], Value::Null);
    assert_eq!(row["comm"], "cat");
    assert_eq!(row["flags"], "O_RDONLY");
    assert_eq!(row["uid"], 0);
    // What went well is there too, with no error.
    let libc = rows
        .iter()
        .find(|row| row["error"].is_null())
        .expect("an open that went well");
    assert!(libc["fd"].as_i64().is_some_and(|fd| fd >= 0), "{libc}");
}

#[test]
fn flags_and_mode_are_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made");
    let path = path.to_str().expect("UTF-8");
    let finished = run(
        &["--fields", "+mode"],
        &[
            "sh",
            "-c",
            &format!("umask 022; echo x >{path}; echo y >>{path}"),
        ],
    );
    finished.expect_code(0);
    let rows = finished.rows();
    let found = rows_of(&rows, path);
    assert_eq!(found.len(), 2, "{rows:#?}");
    assert_eq!(found[0]["flags"], "O_WRONLY|O_CREAT|O_TRUNC");
    assert_eq!(found[1]["flags"], "O_WRONLY|O_CREAT|O_APPEND");
    for row in found {
        assert_eq!(row["mode"], "0666");
        assert_eq!(row["error"], Value::Null);
    }
}

#[test]
fn only_failed_ones_on_request() {
    let finished = run(
        &["--failed-only"],
        &["cat", "/etc/hostname", "/nonexistent/file"],
    );
    finished.expect_code(1);
    let rows = finished.rows();
    assert_eq!(rows_of(&rows, "/nonexistent/file").len(), 1);
    assert_eq!(rows_of(&rows, "/etc/hostname").len(), 0);
    assert!(rows.iter().all(|row| row["error"].is_string()), "{rows:#?}");

    // The same by its name as a parameter, and switched off by its value.
    let finished = run(&["--param", "failed-only=true"], &["cat", "/etc/hostname"]);
    assert!(rows_of(&finished.rows(), "/etc/hostname").is_empty());
    let finished = run(&["--failed-only=false"], &["cat", "/etc/hostname"]);
    assert_eq!(rows_of(&finished.rows(), "/etc/hostname").len(), 1);
}

#[test]
fn a_path_that_is_not_text_has_one_form() {
    let finished = run(
        &[],
        &[
            "sh",
            "-c",
            "cat \"/$(printf 'a\\377\\001')\" 2>/dev/null; :",
        ],
    );
    finished.expect_code(0);
    let rows = finished.rows();
    assert_eq!(rows_of(&rows, "/a\\xff\u{1}").len(), 1, "{rows:#?}");
}

#[test]
fn a_longest_path_is_whole() {
    let path = format!("/nonexistent/{}", "d/".repeat(2000));
    let finished = run(&["--failed-only"], &["cat", &path]);
    assert_eq!(rows_of(&finished.rows(), &path).len(), 1);
}

#[test]
fn one_thread_alone_is_seen_by_its_number() {
    let mut shell = std::process::Command::new("sh")
        .args([
            "-c",
            "while read line; do (true </etc/passwd); true </etc/hostname; done",
        ])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("sh starts");
    let mut input = shell.stdin.take().expect("a pipe");
    let mut running = Ig::run(bundle("trace_open"))
        .args(&["--tid", &shell.id().to_string()])
        .json()
        .start();
    let line = running.provoke(
        || {
            use std::io::Write;
            input.write_all(b"again\n").expect("the shell reads");
        },
        |line| line.contains("/etc/hostname"),
    );
    let row: Value = serde_json::from_str(&line).expect("a line is one object");
    assert_eq!(row["pid"], shell.id());
    running.signal("TERM");
    let finished = running.wait();
    finished.expect_code(0);
    // The shell's child is another thread, and so is every other process.
    let rows = finished.rows();
    assert!(
        rows.iter().all(|row| row["path"] == "/etc/hostname"),
        "{rows:#?}"
    );
    drop(input);
    shell.wait().expect("the shell ends");
}

#[test]
fn every_open_of_a_storm_is_a_row() {
    let finished = run(
        &[],
        &[env!("CARGO_BIN_EXE_storm"), "5000", "/nonexistent/storm"],
    );
    finished.expect_code(0);
    assert!(
        finished.stderr.contains("storm made 5000 calls"),
        "{}",
        finished.stderr
    );
    assert_eq!(rows_of(&finished.rows(), "/nonexistent/storm").len(), 5000);
}
