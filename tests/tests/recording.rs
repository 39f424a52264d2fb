//! Recordings: what was recorded is replayed without rights, to the byte, also by a gadget that asks otherwise now.

use crate::ledgers::summary;
use ig_tests::{Finished, Ig, bundle, gadget};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const STORM: &str = env!("CARGO_BIN_EXE_storm");

/// A recording, and the rows that the run printed while it was made.
struct Recorded {
    folder: tempfile::TempDir,
    bundle: PathBuf,
    live: String,
}

impl Recorded {
    fn of(bundle: PathBuf, arguments: &[&str], command: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let finished = Ig::new()
            .args(&["record", "-o", &at("run.igrec")])
            .args(&["-o", &format!("json={}", at("live.json"))])
            .arg(&bundle)
            .args(arguments)
            .args(&["--summary", &format!("json:{}", at("live.summary"))])
            .arg("--")
            .args(command)
            .finish();
        finished.expect_code(0);
        assert!(
            finished.stderr.contains("run.igrec: "),
            "{}",
            finished.stderr
        );
        let live = std::fs::read_to_string(folder.path().join("live.json")).expect("rows");
        // Whoever replays it has no rights; the folder is root's.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
        let file = folder.path().join("run.igrec");
        let mode = std::fs::metadata(&file).expect("a recording").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        std::os::unix::fs::chown(&file, Some(65534), Some(65534)).expect("chown");
        // The program and the bundle too, wherever the tree is.
        ig_tests::build::copy_of_ig(&folder.path().join("ig"));
        std::fs::copy(&bundle, folder.path().join("gadget.oci")).expect("a copy");
        Self {
            folder,
            bundle,
            live,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a user without any right.
    fn replay(&self, arguments: &[&str]) -> Finished {
        self.nobody()
            .arg("run")
            .arg(self.path("gadget.oci"))
            .arg("--replay")
            .arg(self.path("run.igrec"))
            .args(arguments)
            .finish()
    }

    fn nobody(&self) -> Ig {
        Ig::of("setpriv")
            .args(&[
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "--no-new-privs",
                "--",
            ])
            .arg(self.path("ig"))
            .env("HOME", "/nonexistent")
            .env("TZ", "Asia/Kathmandu")
            .current_dir(self.folder.path())
    }
}

fn ledgers(path: &Path) -> Value {
    let summary = summary(path);
    serde_json::json!([summary["records"], summary["rows"]])
}

#[test]
fn a_replay_needs_no_rights_and_says_the_same_to_the_byte() {
    let run = Recorded::of(
        bundle("trace_open"),
        &[],
        &[STORM, "500", "/nonexistent/storm"],
    );
    assert!(run.live.lines().count() >= 500, "{}", run.live);
    let first = run.replay(&["-o", "json"]);
    first.expect_code(0);
    assert_eq!(first.stdout, run.live);
    assert_eq!(first.held.programs, Default::default(), "no eBPF");
    let second = run.replay(&["-o", "json"]);
    assert_eq!(second.stdout, first.stdout);
    // Times of day are those of the place where it was recorded.
    let columns = run.replay(&["-o", "columns"]);
    let here = Ig::new()
        .args(&["run", "-o", "columns"])
        .arg(&run.bundle)
        .arg("--replay")
        .arg(run.path("run.igrec"))
        .finish();
    assert_eq!(columns.stdout, here.stdout);
    assert!(columns.stdout.contains("/nonexistent/storm"));
}

#[test]
fn a_replay_shows_what_is_asked_for_now() {
    let run = Recorded::of(
        bundle("trace_open"),
        &[],
        &[STORM, "50", "/nonexistent/storm"],
    );
    let out = run.replay(&[
        "-o",
        "json",
        "--filter",
        "path == '/nonexistent/storm'",
        "--fields",
        "path,pid,mntns,user",
    ]);
    out.expect_code(0);
    let rows = out.rows();
    assert_eq!(rows.len(), 50);
    // Columns that nobody asked for then; names are those of the machine that recorded.
    assert!(rows.iter().all(|row| row["mntns"].as_u64() > Some(0)));
    assert!(rows.iter().all(|row| row["user"] == "root"));
    let live: Vec<Value> = run
        .live
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let storm: Vec<_> = live
        .iter()
        .filter(|row| row["path"] == "/nonexistent/storm")
        .collect();
    assert_eq!(storm.len(), 50);
    for (now, then) in rows.iter().zip(storm) {
        assert_eq!((&now["path"], &now["pid"]), (&then["path"], &then["pid"]));
    }
}

#[test]
fn both_ledgers_are_those_of_the_run() {
    let run = Recorded::of(gadget("frames"), &[], &[STORM, "1000"]);
    let path = run.path("replay.summary");
    std::fs::set_permissions(run.folder.path(), PermissionsExt::from_mode(0o777)).expect("chmod");
    run.replay(&[
        "-o",
        "json",
        "--summary",
        &format!("json:{}", path.display()),
    ])
    .expect_code(0);
    assert_eq!(ledgers(&path), ledgers(&run.path("live.summary")));
    assert_eq!(summary(&path)["ended_by"], "recording");
}

#[test]
fn timers_tick_as_they_did() {
    let script = format!("{STORM} 100; sleep 0.35; {STORM} 100; sleep 0.15");
    let run = Recorded::of(
        gadget("frames"),
        &["--table", "live"],
        &["sh", "-c", &script],
    );
    assert!(run.live.lines().count() >= 8, "{}", run.live);
    let out = run.replay(&["-o", "json", "--table", "live"]);
    out.expect_code(0);
    assert_eq!(out.stdout, run.live);
    // The other table of the same recording, in an order of its own.
    let out = run.replay(&["-o", "json", "--table", "totals", "--sort", "-zeros"]);
    let zeros: Vec<_> = out.rows().iter().map(|row| row["zeros"].as_u64()).collect();
    assert!(
        zeros.len() > 5 && zeros.is_sorted_by(|a, b| a > b),
        "{zeros:?}"
    );
}

#[test]
fn a_stop_comes_between_two_timers_and_is_replayed_there() {
    // Each of 64 timers takes tens of milliseconds, and all of them are due at once.
    let slow = ["--mode", "tick-slow", "--guest-cpu-time", "10s"];
    let run = Recorded::of(gadget("hostile"), &slow, &["sleep", "0.1"]);
    let ticks = run.live.lines().count();
    assert!((1..64).contains(&ticks), "{ticks} of 64");
    let out = run.replay(&["-o", "json", "--guest-cpu-time", "10s"]);
    out.expect_code(0);
    assert_eq!(out.stdout, run.live);
}

#[test]
fn frames_that_the_host_ends_end_as_they_did() {
    let script = format!("{STORM} 100; sleep 0.25; {STORM} 50; sleep 0.15; {STORM} 25");
    let asked = ["--table", "live", "--interval", "100ms"];
    let run = Recorded::of(gadget("gathered"), &asked, &["sh", "-c", &script]);
    assert!(run.live.lines().count() >= 3, "{}", run.live);
    let again = run.replay(&["-o", "json", "--table", "live", "--interval", "100ms"]);
    again.expect_code(0);
    assert_eq!(again.stdout, run.live);
    // Another period then ends them in virtual time.
    let seldom = ["-o", "json", "--table", "live", "--interval", "200ms"];
    let first = run.replay(&seldom);
    first.expect_code(0);
    assert_eq!(first.stdout, run.replay(&seldom).stdout);
    assert_eq!(first.rows().len(), again.rows().len());
}

#[test]
fn functions_of_the_kernel_are_those_of_the_run() {
    let table = ["--table", "calls"];
    let run = Recorded::of(gadget("stack"), &table, &["sh", "-c", ":; :"]);
    assert!(run.live.contains("+0x"), "functions in {}", run.live);
    let replay = run.replay(&["-o", "json", "--table", "calls"]);
    replay.expect_code(0);
    assert_eq!(replay.stdout, run.live);
}

fn told(rows: &[Value]) -> Vec<(String, Option<u64>)> {
    rows.iter()
        .map(|row| {
            let asked = row["asked"].as_str().expect("asked").to_owned();
            (asked, row["value"].as_u64())
        })
        .collect()
}

#[test]
fn answers_about_maps_come_from_the_recording_whatever_the_order() {
    let script = format!("{STORM} 40; sleep 0.15; {STORM} 40");
    let run = Recorded::of(gadget("asking"), &["--step", "3"], &["sh", "-c", &script]);
    let out = run.replay(&["-o", "json", "--strict"]);
    out.expect_code(0);
    assert_eq!(out.stdout, run.live);
    let rows = out.rows();
    let last = told(rows.get(rows.len() - 4..).expect("four answers at the end"));
    let said = |asked: &str, value| (asked.to_owned(), value);
    assert_eq!(
        last,
        [
            said("update", None),
            said("lookup", Some(7)),
            said("delete", Some(1)),
            said("lookup", None)
        ]
    );
    assert!(
        rows.iter()
            .any(|row| row["asked"] == "tick" && row["value"].as_u64() > Some(0))
    );
    assert!(rows.iter().all(|row| row["error"].is_null()), "{rows:?}");

    // A guest that asks in another order gets the answers all the same.
    let out = run.replay(&["-o", "json", "--strict", "--questions", "backwards"]);
    out.expect_code(0);
    let rows = out.rows();
    assert_eq!(
        told(rows.get(rows.len() - 4..).expect("four")),
        [
            said("lookup", Some(7)),
            said("delete", Some(1)),
            said("lookup", None),
            said("update", None)
        ]
    );

    // One that asks something new is told that there is no answer, which is counted.
    let out = run.replay(&["-o", "json", "--questions", "more"]);
    out.expect_code(0);
    for line in [
        "UNANSWERED by the recording: map counts: lookup: 1 times",
        "UNANSWERED by the recording: map counts: delete: 1 times",
    ] {
        assert!(out.stderr.contains(line), "{}", out.stderr);
    }
    let rows = out.rows();
    let error = |row: &Value| row["error"].as_str().map(str::to_owned);
    let none = Some("the recording has no answer to this".to_owned());
    assert_eq!(rows.last().map(error), Some(none));
    run.replay(&["-o", "json", "--questions", "more", "--strict"])
        .expect_error(120, &["no answer", "--strict"]);

    // What the kernel side was told then can't be changed now.
    run.replay(&["--step", "4"])
        .expect_refusal(2, &["--step", "eBPF side", "\"3\""]);
    run.replay(&["--step", "3", "-o", "none"]).expect_code(0);
}

#[test]
fn timers_that_were_not_there_tick_in_virtual_time() {
    let run = Recorded::of(gadget("asking"), &["--period", "60000"], &["sleep", "0.3"]);
    assert!(!run.live.contains("tick"), "{}", run.live);
    let ticks = |period: &str| {
        let out = run.replay(&["-o", "json", "--period", period]);
        out.expect_code(0);
        let again = run.replay(&["-o", "json", "--period", period]);
        assert_eq!(out.stdout, again.stdout);
        let ticks = |row: &Value| (row["asked"] == "tick").then(|| row["boot"].as_u64());
        let boots: Vec<u64> = out.rows().iter().filter_map(ticks).flatten().collect();
        boots
    };
    let often = ticks("10");
    assert!(often.len() >= 29, "{often:?}");
    assert!(often.windows(2).all(|two| two[1] - two[0] == 10_000_000));
    let seldom = ticks("100");
    assert_eq!(seldom.len(), often.len() / 10);
    assert_eq!(seldom.first(), often.get(9));
}

#[test]
fn a_slow_reader_is_waited_for() {
    let run = Recorded::of(
        bundle("trace_open"),
        &[],
        &[STORM, "20000", "/nonexistent/storm"],
    );
    let path = run.path("wait.summary");
    let out = Ig::of("sh")
        .args(&[
            "-c",
            "\"$0\" run \"$1\" --replay \"$2\" -o json --summary \"json:$3\" --fail-on-loss | { sleep 1; wc -l; }",
        ])
        .arg(ig_tests::ig())
        .arg(&run.bundle)
        .arg(run.path("run.igrec"))
        .arg(&path)
        .finish();
    let lines: usize = out.stdout.trim().parse().expect("a number");
    assert_eq!(lines, run.live.lines().count());
    let summary = summary(&path);
    assert_eq!(summary["rows"]["open"]["lost"], serde_json::json!({}));
}

#[test]
fn what_is_no_whole_recording_is_refused_with_its_place() {
    let run = Recorded::of(gadget("frames"), &[], &[STORM, "100"]);
    let good = std::fs::read(run.path("run.igrec")).expect("bytes");
    let bad = run.path("bad.igrec");
    let mut newer = good.clone();
    newer[8] = 9;
    let mut damaged = good.clone();
    let middle = good.len() / 2;
    damaged[middle] ^= 1;
    let cut = good[..good.len() - 5].to_vec();
    for (bytes, words) in [
        (b"something else".to_vec(), &["not a recording"][..]),
        (newer, &["format 9", "update ig"]),
        (damaged, &["damaged at byte", "in chunk"]),
        (cut, &["cut off at byte", "whole before that"]),
    ] {
        std::fs::write(&bad, bytes).expect("a file");
        let replay = Ig::run(&run.bundle).arg("--replay").arg(&bad).finish();
        replay.expect_refusal(123, words);
        assert!(replay.stderr.contains("bad.igrec"), "{}", replay.stderr);
        let show = Ig::new().args(&["recording", "show"]).arg(&bad).finish();
        show.expect_refusal(123, words);
    }
    // Of another gadget.
    let other = Ig::run(bundle("trace_open"))
        .arg("--replay")
        .arg(run.path("run.igrec"))
        .finish();
    other.expect_refusal(123, &["source \"calls\"", "it has open"]);
    Ig::run(&run.bundle)
        .args(&["--replay", "nowhere.igrec"])
        .finish()
        .expect_refusal(2, &["nowhere.igrec", "the bundle holds none"]);
    Ig::run(&run.bundle)
        .arg("--replay")
        .arg(run.path("run.igrec"))
        .args(&["--", "true"])
        .finish()
        .expect_code(2);
}

#[test]
fn a_recording_is_shown() {
    let run = Recorded::of(gadget("asking"), &[], &[STORM, "100"]);
    let show = |format: &str| {
        let out = run
            .nobody()
            .args(&["recording", "show", "-o", format])
            .arg(run.path("run.igrec"))
            .finish();
        out.expect_code(0);
        out.stdout
    };
    let text = show("text");
    for line in [
        "gadget     asking 0.1.0",
        "source     calls: ",
        "parameter  period=20",
        "map        counts",
        "table      answers: asked, key, value, error, boot, wall",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let json: Value = serde_json::from_str(&show("json")).expect("JSON");
    assert!(json["records"]["calls"]["records"].as_u64() >= Some(100));
    assert_eq!(json["calls"]["init"], 1);
    assert_eq!(json["calls"]["stop"], 1);
    assert!(json["footer"]["counts"]["answers"].as_u64() >= Some(104));
}

#[test]
fn kill_9_leaves_no_recording_and_a_full_disk_one_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.igrec");
    let mut running = Ig::new()
        .args(&["record", "-o"])
        .arg(&path)
        .arg(bundle("trace_open"))
        .json()
        .sh("while :; do cat /etc/hostname; sleep 0.05; done")
        .start();
    running.provoke(|| {}, |line| line.contains("/etc/hostname"));
    running.signal("KILL");
    let finished = running.wait();
    assert_eq!(finished.status.code(), None);
    assert!(!path.exists());

    // 64 KiB of a file system.
    let mount = tempfile::tempdir().expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=64k none {0} && {1} record -o {0}/run.igrec {2} -- {STORM} 300000; \
         echo status $?; ls -A {0}",
        mount.path().display(),
        ig_tests::ig().display(),
        gadget("frames").display(),
    );
    let out = Ig::of("unshare")
        .args(&["-m", "sh", "-c", &script])
        .finish();
    assert!(
        out.stderr.contains("run.igrec could not be written: "),
        "{}",
        out.stderr
    );
    assert!(out.stderr.contains("No space left"), "{}", out.stderr);
    assert!(out.stdout.ends_with("status 125\n"), "{}", out.stdout);
}

#[test]
fn under_sudo_it_belongs_to_the_caller() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.igrec");
    Ig::new()
        .args(&["record", "-o"])
        .arg(&path)
        .arg(gadget("frames"))
        .env("SUDO_UID", "65534")
        .env("SUDO_GID", "65534")
        .args(&["--", "true"])
        .finish()
        .expect_code(0);
    let made = std::fs::metadata(&path).expect("a recording");
    assert_eq!((made.uid(), made.gid()), (65534, 65534));
    assert_eq!(made.mode() & 0o777, 0o600);
}

#[test]
fn a_bundle_holds_recordings_by_name() {
    let run = Recorded::of(gadget("frames"), &[], &[STORM, "100"]);
    let dir = run.path("frames");
    let source = ig_tests::sources::root().join("tests/gadgets/frames");
    std::fs::create_dir_all(dir.join("src")).expect("a folder");
    for name in [
        "gadget.yaml",
        "program.bpf.c",
        "Cargo.toml",
        "Cargo.lock",
        "src/lib.rs",
    ] {
        std::fs::copy(source.join(name), dir.join(name)).expect("a copy");
    }
    std::fs::create_dir(dir.join("tests")).expect("a folder");
    std::fs::copy(run.path("run.igrec"), dir.join("tests/hundred.igrec")).expect("a copy");
    let out = run.path("with.oci");
    let built = Ig::new()
        .args(&["image", "build", "--recordings", "-o"])
        .arg(&out)
        .arg(&dir)
        .finish();
    built.expect_code(0);
    let inspected = Ig::new().args(&["image", "inspect"]).arg(&out).finish();
    assert!(
        inspected.stdout.contains("hundred.igrec"),
        "{}",
        inspected.stdout
    );
    for name in ["hundred", "hundred.igrec"] {
        let replay = Ig::run(&out).args(&["--replay", name]).json().finish();
        replay.expect_code(0);
        assert_eq!(replay.stdout, run.live);
    }
    Ig::run(&out)
        .args(&["--replay", "thousand"])
        .finish()
        .expect_refusal(2, &["thousand", "the bundle holds hundred.igrec"]);
}
