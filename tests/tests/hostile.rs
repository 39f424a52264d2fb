//! Gadgets that try to hurt, run by the program: those that only a whole run can tell. docs/THREAT_MODEL.md has the table of
//! all.

use ig_tests::layout::{Layer, Layout};
use ig_tests::loaded::assert_no_orphans;
use ig_tests::{Finished, Ig, bundle, gadget};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const STORM: &str = env!("CARGO_BIN_EXE_storm");

/// Runs the hostile gadget's `mode` over a command; its error is one line, and below it where in the guest.
#[track_caller]
fn run(mode: &str, command: &[&str], code: i32, words: &[&str]) -> Finished {
    let finished = Ig::run(gadget("hostile"))
        .args(&["--mode", mode])
        .json()
        .arg("--")
        .args(command)
        .finish();
    finished.expect_code(code);
    let said = &finished.stderr;
    for word in words {
        assert!(said.contains(word), "mode {mode}: no `{word}` in:\n{said}");
    }
    assert!(!said.contains("panicked at"), "mode {mode}:\n{said}");
    assert_no_orphans("hostile");
    finished
}

/// Over a storm, which the guest does not survive.
#[track_caller]
fn hostile(mode: &str, words: &[&str]) -> Finished {
    run(mode, &[STORM, "5000"], 121, words)
}

#[test]
fn rows_that_break_their_own_rules() {
    for (mode, words) in [
        ("offsets-fall", &["offset"][..]),
        ("rows-huge", &["panicked", "stumbles_here"]),
        ("emit-nothing", &["panicked", "stumbles_here"]),
        ("origin-again", &["point at records of more than 64 MiB"]),
    ] {
        assert_eq!(hostile(mode, words).rows().len(), 0, "mode {mode}");
    }
    hostile("init-origin", &["an origin outside of process"]);
}

#[test]
fn maps_that_are_not_granted() {
    for (mode, words) in [
        ("map-unknown", &["no grant of this index"][..]),
        ("map-denied", &["panicked", "stumbles_here"]),
        ("map-size", &["panicked", "stumbles_here"]),
    ] {
        assert_eq!(hostile(mode, words).rows().len(), 0, "mode {mode}");
    }
}

#[test]
fn timers_by_the_million() {
    hostile("timers", &["init: called the host more than 100000 times"]);
}

#[test]
fn traps_outside_of_process() {
    // Its timers end the run long before the command does.
    let slow = ["sleep", "60"];
    for (mode, words) in [
        ("tick-panic", &["tick: panicked", "stumbles_here"][..]),
        ("tick-loop", &["tick: used up its 100 ms of CPU time"]),
    ] {
        run(mode, &slow, 121, words);
    }
    // A trap at the end takes nothing from the rows that were there before.
    for (mode, word) in [
        ("stop-panic", "stop: panicked"),
        ("stop-loop", "stop: used up its 1000 ms of CPU time"),
    ] {
        let finished = run(mode, &[STORM, "100"], 0, &[word]);
        assert_eq!(finished.rows().len(), 100, "mode {mode}");
    }
}

/// `bytes` with their length before them.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut out = Vec::new();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
    out
}

/// A sound component and in it a module that is never used: functions of blocks in blocks.
fn with_module(mut component: Vec<u8>, functions: usize, depth: usize) -> Vec<u8> {
    let mut body = vec![0]; // no locals
    body.extend([0x02, 0x40].repeat(depth)); // block
    body.extend([0x0b].repeat(depth + 1)); // end
    let mut count = sized(&vec![0; functions]);
    count.truncate(count.len() - functions);
    let mut kinds = count.clone();
    kinds.extend(vec![0; functions]); // each of the one type
    let mut code = count;
    code.extend(sized(&body).repeat(functions));
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03".to_vec();
    module.extend(sized(&kinds));
    module.push(0x0a);
    module.extend(sized(&code));
    component.push(1);
    component.extend(sized(&module));
    component
}

/// 900 KiB that take a compiler gigabytes.
fn large(component: Vec<u8>) -> Vec<u8> {
    with_module(component, 1, 300_000)
}

/// 8 MiB that take a compiler long, and no more. Never the same, so that no cache has it.
fn long(component: Vec<u8>) -> Vec<u8> {
    let mut component = with_module(component, 40_000, 70);
    component.extend([0, 6, 1, b'n']); // a custom section
    component.extend(std::process::id().to_le_bytes());
    component
}

/// A gadget with another component.
fn changed(change: fn(Vec<u8>) -> Vec<u8>) -> (TempDir, PathBuf) {
    let layout = Layout::open(&bundle("trace_exec"));
    layout.change(Layer::Component, &change);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bomb.oci");
    layout.pack(&path);
    (folder, path)
}

#[test]
fn a_component_that_no_compiler_finishes() {
    let (_folder, path) = changed(large);
    let finished = Ig::run(&path).json().sh(":").finish();
    finished.expect_error(123, &["the component takes more than", "to compile"]);
    assert_eq!(finished.rows().len(), 0);
    assert_no_orphans("trace_exec");
}

/// The child of `pid` that compiles, as soon as it is confined.
fn compiler_of(pid: u32) -> Option<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let children =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<String> = children.collect();
    let confined = |pid: &&str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.starts_with("Name:\tig-compile\n") && status.contains("\nSeccomp:\t2\n")
    };
    children
        .iter()
        .flat_map(|list| list.split_whitespace())
        .find(confined)
        .map(str::to_owned)
}

#[test]
fn the_compiler_has_no_rights_and_does_not_outlive_its_parent() {
    let (_folder, path) = changed(long);
    let running = Ig::run(&path).json().sh(":").start();
    let until = Instant::now() + Duration::from_secs(30);
    let compiler = loop {
        if let Some(pid) = compiler_of(running.pid()) {
            break pid;
        }
        assert!(Instant::now() < until, "nothing compiles");
        std::thread::sleep(Duration::from_millis(5));
    };
    let status = std::fs::read_to_string(format!("/proc/{compiler}/status")).expect("it runs");
    for line in [
        "Uid:\t65534\t65534\t65534\t65534\n",
        "Groups:\t \n",
        "CapPrm:\t0000000000000000\n",
        "CapEff:\t0000000000000000\n",
        "NoNewPrivs:\t1\n",
    ] {
        assert!(status.contains(line), "no {line:?} in:\n{status}");
    }
    running.signal("KILL");
    let _ = running.wait();
    let gone = || {
        let status = std::fs::read_to_string(format!("/proc/{compiler}/status"));
        status.is_err() || status.is_ok_and(|status| status.contains("State:\tZ"))
    };
    while !gone() {
        assert!(Instant::now() < until, "the compiler is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_no_orphans("trace_exec");
}
