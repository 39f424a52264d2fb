//! `trace_exec`, live: what it says about commands that we start is true.

use ig_tests::{Finished, Ig, bundle};
use serde_json::{Value, json};

fn run(script: &str, more: &[&str]) -> Finished {
    let finished = Ig::run(bundle("trace_exec"))
        .args(more)
        .json()
        .sh(script)
        .finish();
    finished.expect_code(0);
    finished
}

/// The row of the command with these arguments.
fn row<'a>(rows: &'a [Value], args: &[&str]) -> &'a Value {
    let args = json!(args);
    let found: Vec<_> = rows.iter().filter(|row| row["args"] == args).collect();
    assert_eq!(found.len(), 1, "rows of {args} in {rows:#?}");
    found[0]
}

#[test]
fn a_command_and_its_children_are_seen_with_all_that_is_said_of_them() {
    let script = "/bin/echo hi there; /bin/true; exit 0";
    let rows = run(script, &["--fields", "+tid,+uid,+error"]).rows();
    let sh = row(&rows, &["sh", "-c", script]);
    let echo = row(&rows, &["/bin/echo", "hi", "there"]);
    let true_ = row(&rows, &["/bin/true"]);
    assert_eq!(rows.len(), 3, "{rows:#?}");

    assert_eq!(echo["comm"], "echo");
    assert_eq!(echo["ppid"], sh["pid"]);
    assert_eq!(true_["ppid"], sh["pid"]);
    assert_ne!(echo["pid"], true_["pid"]);
    assert_eq!(echo["pid"], echo["tid"]);
    assert_eq!(echo["pcomm"], "sh");
    assert_eq!(echo["uid"], 0);
    assert_eq!(echo["user"], "root");
    // A number of 0 is a success: no error.
    assert_eq!(echo["error"], Value::Null);
    // Not asked for, so not there.
    assert_eq!(echo.get("cwd"), None);
    let time = echo["timestamp"].as_str().expect("a time");
    assert!(
        time.starts_with("20") && time.ends_with('Z') && time.len() == 30,
        "{time}"
    );
    assert!(sh["timestamp"].as_str() < echo["timestamp"].as_str());
    assert!(echo["timestamp"].as_str() < true_["timestamp"].as_str());
}

#[test]
fn the_pid_is_the_one_that_the_command_has() {
    let finished = run("echo pid=$$ >&2; exec /bin/true", &[]);
    let pid: u64 = finished
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("pid="))
        .and_then(|pid| pid.parse().ok())
        .expect("what the shell printed");
    assert_eq!(row(&finished.rows(), &["/bin/true"])["pid"], pid);
}

#[test]
fn arguments_keep_their_bounds_and_their_bytes() {
    let rows = run(
        "/bin/true 'a b' '' 'ü' \"$(printf 'x\\377y')\" \"$(printf 'l\\nm')\"",
        &[],
    )
    .rows();
    // Bytes that are not UTF-8 have one form.
    row(&rows, &["/bin/true", "a b", "", "ü", "x\\xffy", "l\nm"]);
}

#[test]
fn many_arguments_are_all_there() {
    let numbers: Vec<String> = (1..=40).map(|n| format!("argument-{n}")).collect();
    let rows = run(&format!("/bin/true {}; exit 0", numbers.join(" ")), &[]).rows();
    let mut expected = vec!["/bin/true"];
    expected.extend(numbers.iter().map(String::as_str));
    row(&rows, &expected);
}

#[test]
fn the_working_directory_is_there_when_asked_for() {
    let finished = run("cd /usr/bin; /bin/true", &["--fields", "+cwd"]);
    let rows = finished.rows();
    assert_eq!(row(&rows, &["/bin/true"])["cwd"], "/usr/bin");
}

#[test]
fn a_command_that_is_not_there_fails_by_name() {
    // Fails in the kernel, after the arguments were read: that is a row as well.
    let rows = run(
        "/no/such/command with words; exit 0",
        &["--fields", "+error"],
    )
    .rows();
    assert_eq!(
        row(&rows, &["/no/such/command", "with", "words"])["error"],
        "ENOENT"
    );
}

#[test]
fn only_the_command_and_what_it_starts_is_seen() {
    let other = std::thread::spawn(|| {
        for _ in 0..50 {
            std::process::Command::new("/bin/true")
                .arg("stranger")
                .status()
                .expect("true runs");
        }
    });
    let rows = run(
        "for i in 1 2 3 4 5; do /bin/true mine; done; (sh -c '/bin/true grandchild; :')",
        &[],
    )
    .rows();
    other.join().expect("the stranger's thread");
    let with = |word: &str| rows.iter().filter(|row| row["args"][1] == word).count();
    assert_eq!(with("stranger"), 0);
    assert_eq!(with("mine"), 5);
    assert_eq!(with("grandchild"), 1);
}

#[test]
fn under_sudo_the_command_runs_as_the_caller() {
    let finished = Ig::run(bundle("trace_exec"))
        .env("SUDO_UID", "65534")
        .env("SUDO_GID", "65534")
        .env("SUDO_USER", "nobody")
        .args(&["--fields", "+uid"])
        .json()
        .sh("echo \"$(id -u):$(id -g):$(id -G):$USER\" >&2; /bin/true")
        .finish();
    finished.expect_code(0);
    assert!(
        finished
            .stderr
            .lines()
            .any(|line| line == "65534:65534:65534:nobody"),
        "{}",
        finished.stderr
    );
    let rows = finished.rows();
    let true_ = row(&rows, &["/bin/true"]);
    assert_eq!(true_["uid"], 65534);
    assert_eq!(true_["user"], "nobody");
}

#[test]
fn filters_are_decided_by_pid_comm_uid_and_gid() {
    // The shell forks; what it starts is another task, with the shell's name until it has its own.
    let script = "/bin/true one; /bin/true two; :";
    for (filter, expected) in [
        (["--uid", "0"], 3),
        (["--uid", "12345"], 0),
        (["--gid", "0"], 3),
        (["--gid", "12345"], 0),
        (["--comm", "no-such-name"], 0),
    ] {
        let rows = run(script, &filter).rows();
        assert_eq!(rows.len(), expected, "{filter:?}: {rows:#?}");
    }
}

#[test]
fn without_a_command_everything_is_seen_until_a_signal() {
    let mut running = Ig::run(bundle("trace_exec")).json().start();
    let word = format!("seen-{}", running.pid());
    let line = running.provoke(
        || {
            std::process::Command::new("/bin/true")
                .arg(&word)
                .status()
                .expect("true runs");
        },
        |line| line.contains(&word),
    );
    let row: Value = serde_json::from_str(&line).expect("a line is one object");
    assert_eq!(row["args"], json!(["/bin/true", word]));
    assert_eq!(row["ppid"], std::process::id());
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn a_process_that_runs_already_is_followed_by_its_number() {
    let mut shell = std::process::Command::new("sh")
        .args(["-c", "while read line; do /bin/true $line; done"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("sh starts");
    let mut input = shell.stdin.take().expect("a pipe");
    let pid = shell.id().to_string();
    let mut running = Ig::run(bundle("trace_exec"))
        .args(&["-p", &pid])
        .json()
        .start();
    let line = running.provoke(
        || {
            use std::io::Write;
            std::process::Command::new("/bin/true")
                .arg("stranger")
                .status()
                .expect("true runs");
            input.write_all(b"followed\n").expect("the shell reads");
        },
        |line| line.contains("followed"),
    );
    let row: Value = serde_json::from_str(&line).expect("a line is one object");
    assert_eq!(row["args"], json!(["/bin/true", "followed"]));
    assert_eq!(row["ppid"], shell.id());
    running.signal("TERM");
    let finished = running.wait();
    finished.expect_code(0);
    assert!(!finished.stdout.contains("stranger"), "{}", finished.stdout);
    drop(input);
    shell.wait().expect("the shell ends");
}
