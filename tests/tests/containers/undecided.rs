//! Records whose owner is not found out in time.

use super::marked::{Marked, PROGRAM, RUNTIME, cgroup, expect, run_in};
use ig_tests::Ig;
use ig_tests::runtimes::{Place, until};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Mounts a file system that never answers, as nobody reads what the kernel asks of it, where what is run alone sees it: other
/// runs are not held up. It lives as long as that.
const HANGS: &str = "exec 3<>/dev/fuse && \
    mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hangs \"$0\" && \
    exec \"$@\"";

/// What the runtime does: the last cgroup's first program runs at once, and the bundle stays until this ends.
const SCRIPT: &str = "\
    my $pid = fork // die;\n\
    if (!$pid) {\n\
        open my $file, '>', \"$folders[-1]/cgroup.procs\" or die $!;\n\
        print $file $$; close $file or die $!;\n\
        exec split / /, $ENV{PROGRAM};\n\
    }\n\
    waitpid $pid, 0; readline STDIN;\n";

/// The bundle of each new cgroup is on a file system that hangs, for a quarter of a second each: whose the last one is is known
/// only when its record has waited long enough.
#[test]
fn a_record_whose_owner_is_not_found_out_in_time_says_so() {
    let place = Place::new();
    let bundle = place.at("bundle");
    std::fs::create_dir(&bundle).expect("a folder");
    std::fs::write(place.at("create"), format!("{RUNTIME}{SCRIPT}")).expect("a script");
    cgroup(&place, "above");
    let ig = Ig::of("unshare")
        .args(&["-m", "bash", "-c", HANGS])
        .arg(&bundle)
        .arg(ig_tests::ig())
        .arg("run")
        .arg(ig_tests::bundle("trace_exec"));
    let words = Marked::words(&place);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut traced = Marked::of(ig.args(&words), &place);

    let id = place.name();
    let folders: Vec<String> = (0..6)
        .map(|n| if n < 5 { n.to_string() } else { id.to_owned() })
        .map(|name| cgroup(&place, "above").1.join(name).display().to_string())
        .collect();
    let mut runtime = Command::new("perl")
        .arg0("runc")
        .args(["create", "--bundle"])
        .arg(&bundle)
        .arg(id)
        .env("FOLDERS", folders.join(":"))
        .env("PROGRAM", format!("{PROGRAM} {}", traced.word("first")))
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let row = traced.row("first");
    expect(
        &row,
        &[
            ("scope", Some("undecided")),
            ("container", None),
            ("unit", None),
        ],
    );

    // It was given up to wait, not to find out: the command line has to do in the end.
    let last = cgroup(&place, &format!("above/{id}")).1;
    let mut words = (0..).map(|n| format!("later-{n}"));
    let row = until("an owner", || {
        let word = words.next()?;
        run_in(&last, &traced.word(&word));
        let row = traced.row(&word);
        (row["scope"] != "undecided").then_some(row)
    });
    expect(
        &row,
        &[
            ("scope", Some("container")),
            ("container", Some(id)),
            ("runtime", Some("runc")),
        ],
    );
    drop(runtime.stdin.take());
    assert!(runtime.wait().is_ok_and(|status| status.success()));

    let finished = traced.end();
    let line = finished.stderr.lines().find_map(|line| {
        line.trim()
            .strip_suffix(" records were shown before it was known whose they are")
    });
    let undecided: u64 = line
        .and_then(|n| n.parse().ok())
        .expect("a line of the summary");
    assert!(undecided >= 1, "{}", finished.stderr);
}
