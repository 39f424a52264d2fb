//! Gadgets that fail in the middle, wholly or in a part: what they have is shown, what they lack is told, and the run fails.

use crate::ledgers::summary;
use ig_tests::{Finished, Ig, bundle, full, gadget};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

/// A program in a network namespace of its own that listens on one port.
struct Listener {
    child: Child,
    inode: u64,
}

const SCRIPT: &str = "
import socket, sys
listener = socket.socket(); listener.bind(('0.0.0.0', int(sys.argv[1]))); listener.listen()
print('listens', flush=True)
sys.stdin.read()
";

impl Listener {
    fn on(port: u16) -> Self {
        let mut child = Command::new("unshare")
            .args(["-n", "python3", "-c", SCRIPT, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        assert_eq!(line, "listens\n");
        let namespace = format!("/proc/{}/ns/net", child.id());
        let inode = std::fs::metadata(namespace).expect("it is there").ino();
        Self { child, inode }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rows of these alone.
fn of(listeners: &[&Listener]) -> String {
    let terms: Vec<String> = listeners
        .iter()
        .map(|listener| format!("netns == {}", listener.inode))
        .collect();
    terms.join(" || ")
}

/// walked_sockets with some flags, those of these listeners alone; with its summary.
fn walked(listeners: &[&Listener], flags: &[&str]) -> (Finished, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary");
    let finished = Ig::run(gadget("walked_sockets"))
        .args(&["--filter", &of(listeners), "--summary"])
        .arg(format!("json:{}", path.display()))
        .args(flags)
        .json()
        .finish();
    let summary = summary(&path);
    (finished, summary)
}

fn ports(rows: &[Value]) -> Vec<u64> {
    let ports = rows.iter().map(|row| row["port"].as_u64().expect("a port"));
    ports.collect()
}

#[test]
fn what_one_namespace_does_not_give_is_told_and_the_others_are_read() {
    let listeners = [8080, 7, 8081].map(Listener::on);
    let (finished, summary) = walked(
        &listeners.each_ref(),
        &["--table", "once", "--unreadable", "7"],
    );
    let namespace = format!("network namespace {}: ", listeners[1].inode);
    finished.expect_error(
        125,
        &[
            "source sockets is not complete",
            "1 times",
            &namespace,
            "a smaller struct does",
        ],
    );
    let mut found = ports(&finished.rows());
    found.sort_unstable();
    assert_eq!(found, [8080, 8081]);
    // At once, before anything is summed up.
    let said = finished.stderr.lines().next().expect("a line");
    assert!(said.starts_with(&format!("ig: source sockets: {namespace}")));
    assert!(said.contains("is missing, and the rest is read"), "{said}");
    assert!(
        finished
            .stderr
            .contains("records sockets: LOST: iterators could not be read 1 times")
    );
    assert_eq!(summary["ended_by"], "snapshot");
    assert_eq!(summary["unread"]["sockets"], 1);
    let failure = summary["failure"].as_str().expect("a failure");
    assert!(failure.contains(&namespace), "{failure}");
    let records = &summary["records"]["sockets"];
    assert_eq!(records["attempted"], records["accepted"]);
}

#[test]
fn a_live_view_goes_on_without_what_can_not_be_read_and_says_so_once() {
    let (whole, unreadable) = (Listener::on(8080), Listener::on(9));
    let mut running = Ig::run(gadget("walked_sockets"))
        .args(&["--filter", &of(&[&whole, &unreadable])])
        .args(&["--table", "live", "--interval", "20ms"])
        .args(&["--unreadable", "9", "--fail-on-loss"])
        .json()
        .start();
    running.provoke(|| {}, |line| line.contains("\"frame\":3,"));
    running.signal("INT");
    let finished = running.wait();
    finished.expect_error(125, &["source sockets is not complete"]);
    assert!(ports(&finished.rows()).iter().all(|port| *port == 8080));
    let said = finished.stderr.matches("said once, the summary counts");
    assert_eq!(said.count(), 1, "{}", finished.stderr);
}

#[test]
fn an_iterator_that_writes_no_whole_records_ends_the_run() {
    let crooked = Listener::on(11);
    let (finished, summary) = walked(&[&crooked], &["--table", "once", "--crooked", "11"]);
    let what = "source sockets: an iterator wrote 3 bytes too many or too few";
    finished.expect_error(125, &["the run ended early: ", what]);
    assert_eq!(summary["ended_by"], "error");
    assert_eq!(
        summary["failure"].as_str().map(|text| text.contains(what)),
        Some(true)
    );
}

#[test]
fn one_of_several_that_fails_is_told_at_once_and_the_others_go_on() {
    let _crooked = Listener::on(13);
    let folder = tempfile::tempdir().expect("a folder");
    let (flag, path) = (folder.path().join("flag"), folder.path().join("s.json"));
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; cat /nowhere/after-the-failure",
        flag.display()
    );
    let mut running = Ig::run(gadget("walked_sockets"))
        .arg(bundle("trace_open"))
        .args(&["--crooked", "13", "--walked_sockets.table", "once"])
        .args(&["--walked_sockets.filter", "port == 13"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .sh(&script)
        .start();
    let what = "source sockets: an iterator wrote 3 bytes too many or too few";
    let ended = "ig: walked_sockets: it has ended: ";
    running.until_said(|| {}, |line| line.starts_with(ended) && line.contains(what));
    std::fs::write(&flag, "").expect("ours");
    let finished = running.wait();
    finished.expect_error(125, &["walked_sockets: the run ended early: ", what]);
    let rows = finished.rows();
    assert!(
        rows.iter()
            .any(|row| row["path"] == "/nowhere/after-the-failure")
    );
    let summary = summary(&path);
    assert_eq!(summary["gadgets"]["walked_sockets"]["ended_by"], "error");
    assert_eq!(summary["gadgets"]["trace_open"]["ended_by"], "command");
}

/// A limit that fails it somewhere, whether it can't start or can't read, is never a snapshot without something.
#[test]
fn with_however_few_descriptors_a_snapshot_is_whole_or_says_that_it_is_not() {
    let listeners = [8080, 8081].map(Listener::on);
    let step = if full() { 1 } else { 2 };
    let mut whole = 0;
    // With few of them it does not start, and with some more it can't read.
    for files in (16..40).step_by(step) {
        let finished = Ig::of("prlimit")
            .arg(format!("--nofile={files}:{files}"))
            .arg(ig_tests::ig())
            .arg("run")
            .arg(gadget("walked_sockets"))
            .args(&["--table", "once", "--filter"])
            .arg(of(&listeners.each_ref()))
            .json()
            .finish();
        if finished.code() == 0 {
            let mut found = ports(&finished.rows());
            found.sort_unstable();
            assert_eq!(found, [8080, 8081], "{files} files:\n{}", finished.stderr);
            whole += 1;
        } else if finished.stderr.contains("is not complete") {
            finished.expect_error(125, &["Too many open files", "ulimit -Hn"]);
        }
    }
    assert!(whole > 0, "none was whole");
}

/// While it is waited for a runtime that does not answer, nothing is attached whose ring nobody would read.
#[test]
fn nothing_is_attached_while_a_runtime_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    // It is listened to, and never answered.
    let _hangs = UnixListener::bind(&socket).expect("a socket");
    let mut running = Ig::run(bundle("trace_open"))
        .arg(gadget("walked_sockets"))
        .args(&["--runtimes", "docker", "--docker-socketpath"])
        .arg(&socket)
        .args(&["--walked_sockets.table", "once"])
        .args(&["--walked_sockets.filter", "port == 0"])
        .json()
        .start();
    let mut attempts = 0_u64;
    let word = format!("/nowhere/waits-{}-", running.pid());
    let mut open = || {
        let _ = std::fs::File::open(format!("{word}{attempts}"));
        attempts += 1;
    };
    running.until_said(&mut open, |line| line.contains("its snapshot is complete"));
    let first = running.provoke(open, |line| line.contains(&word));
    running.signal("INT");
    running.wait().expect_code(0);
    let row: Value = serde_json::from_str(&first).expect("a row");
    let path = row["path"].as_str().expect("a path");
    let n: u64 = path[word.len()..].parse().expect("a number");
    // It is waited for longer than all the rest takes.
    assert!(n * 2 > attempts, "the first of {attempts} is {n}");
}
