//! How a run begins and ends: signals, timeouts, exit codes, and what is left behind.

use ig_tests::loaded::{Held, orphans, programs};
use ig_tests::{Ig, Running, bundle};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Starts trace_exec over everything and waits until it is attached.
fn attached(more: &[&str]) -> Running {
    let mut running = Ig::run(bundle("trace_exec")).args(more).json().start();
    let word = format!("attached-{}", running.pid());
    running.provoke(
        || {
            Command::new("/bin/true")
                .arg(&word)
                .status()
                .expect("true runs");
        },
        |line| line.contains(&word),
    );
    running
}

#[test]
fn signals_end_it_with_a_summary_and_without_an_error() {
    for signal in ["INT", "TERM"] {
        let running = attached(&[]);
        assert!(!running.held().programs.is_empty());
        running.signal(signal);
        let finished = running.wait();
        finished.expect_code(0);
        for word in ["records ", "attempted", "rows ", "written"] {
            assert!(
                finished.stderr.contains(word),
                "no {word} in:\n{}",
                finished.stderr
            );
        }
    }
}

#[test]
fn a_timeout_ends_it() {
    let from = Instant::now();
    let finished = Ig::run(bundle("trace_exec"))
        .args(&["--timeout", "1s"])
        .json()
        .finish();
    finished.expect_code(0);
    assert!(from.elapsed() >= Duration::from_secs(1));
    assert!(finished.stderr.contains("records "), "{}", finished.stderr);
}

#[test]
fn after_kill_9_nothing_is_left_in_the_kernel() {
    let running = attached(&[]);
    let held = running.held();
    assert!(
        !held.programs.is_empty() && !held.maps.is_empty(),
        "{held:?}"
    );
    assert_eq!(held.left(), held, "what it holds is in the kernel");
    running.signal("KILL");
    let finished = running.wait();
    assert_eq!(finished.status.code(), None);
    assert_eq!(held.left(), Held::default());
}

/// The check after each run is not empty: what is loaded is seen, and whose it is.
#[test]
fn what_is_loaded_is_seen_by_the_harness() {
    let running = attached(&[]);
    let held = running.held();
    let names: Vec<_> = programs()
        .into_iter()
        .filter(|(id, _)| held.programs.contains(id))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names.len(), held.programs.len(), "{names:?} of {held:?}");
    let name = names.first().expect("a program");
    assert!(
        !orphans(name)
            .iter()
            .any(|(id, _)| held.programs.contains(id))
    );
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn a_command_s_own_status_comes_out() {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -TERM $$", 128 + 15),
        ("kill -KILL $$", 128 + 9),
    ] {
        Ig::run(bundle("trace_exec"))
            .json()
            .sh(script)
            .finish()
            .expect_code(code);
    }
}

#[test]
fn a_command_that_can_not_be_run_or_found_says_so() {
    Ig::run(bundle("trace_exec"))
        .args(&["--", "/no/such/command"])
        .finish()
        .expect_error(127, &["/no/such/command"]);
    Ig::run(bundle("trace_exec"))
        .args(&["--", "no-such-command-in-path"])
        .finish()
        .expect_error(127, &["no-such-command-in-path"]);
    Ig::run(bundle("trace_exec"))
        .args(&["--", "/etc/passwd"])
        .finish()
        .expect_error(126, &["/etc/passwd"]);
}

#[test]
fn it_ends_with_its_command_and_not_with_what_that_left_behind() {
    let from = Instant::now();
    let finished = Ig::run(bundle("trace_exec"))
        .json()
        .sh("sleep 60 & exit 3")
        .finish();
    finished.expect_code(3);
    assert!(
        from.elapsed() < Duration::from_secs(50),
        "it waited for the sleeper"
    );
}

#[test]
fn a_signal_while_a_command_runs_ends_both() {
    let mut running = Ig::run(bundle("trace_exec"))
        .json()
        .sh("/bin/true begun; exec sleep 60")
        .start();
    running.provoke(|| (), |line| line.contains("begun"));
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn wrong_usage_is_2() {
    let trace_exec = bundle("trace_exec");
    Ig::new().finish().expect_code(2);
    Ig::new().args(&["walk"]).finish().expect_code(2);
    Ig::new().args(&["run"]).finish().expect_code(2);
    for wrong in [
        &["--no-such-flag"][..],
        &["--timeout", "soon"],
        &["-o", "xml"],
        &["-p", "0"],
        &["--comm", "a-name-that-is-longer-than-15"],
        &["--param", "no-such-parameter=1"],
        &["--ring-size", "many"],
    ] {
        let finished = Ig::run(&trace_exec).args(wrong).sh(":").finish();
        finished.expect_code(2);
        assert!(!finished.stderr.is_empty(), "{wrong:?} says nothing");
        assert!(finished.held.programs.is_empty());
    }
    Ig::run(bundle("trace_open"))
        .args(&["--failed-only=perhaps"])
        .sh(":")
        .finish()
        .expect_code(2);
}

/// As somebody else: what is missing is told, and how to get it.
#[test]
fn without_root_it_says_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let ig = place.join("ig");
    let oci = place.join("trace_exec.oci");
    ig_tests::build::copy_of_ig(&ig);
    std::fs::copy(bundle("trace_exec"), &oci).expect("a copy that anybody may read");
    std::fs::set_permissions(&oci, std::fs::Permissions::from_mode(0o644)).expect("ours");
    let as_nobody = || {
        Ig::of("setpriv")
            .args(&[
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "--",
            ])
            .arg(&ig)
            .current_dir(place)
            .env("HOME", "/nonexistent")
    };
    as_nobody()
        .arg("run")
        .arg(&oci)
        .sh(":")
        .finish()
        .expect_refusal(122, &["root", "sudo"]);
    // What needs no privilege has none asked of it.
    as_nobody()
        .arg("run")
        .arg(&oci)
        .arg("--help")
        .finish()
        .expect_code(0);
    as_nobody()
        .args(&["image", "inspect"])
        .arg(&oci)
        .finish()
        .expect_code(0);
}

/// tracefs that is only unmounted is mounted for ourselves: nobody else sees it.
#[test]
fn tracefs_is_mounted_privately() {
    let script =
        "umount /sys/kernel/tracing 2>/dev/null; umount /sys/kernel/debug/tracing 2>/dev/null
        umount /sys/kernel/debug 2>/dev/null
        \"$0\" run \"$1\" -o json -- /bin/true || exit $?
        ! grep -q ' /sys/kernel/tracing ' /proc/self/mounts";
    let finished = Ig::of("unshare")
        .args(&["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(ig_tests::ig())
        .arg(bundle("trace_exec"))
        .finish();
    finished.expect_code(0);
    assert_eq!(finished.rows().len(), 1, "{}", finished.stderr);
}
