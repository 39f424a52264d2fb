//! `ig test`: what gadgets gave when they were recorded, they give again; what differs is shown.

use ig_tests::{Ig, sources};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `ig`, with no right at all: as the user behind sudo, who has the compilers; without one as root that has lost every
/// capability.
pub fn without_rights() -> Ig {
    let Ok(uid) = std::env::var("SUDO_UID") else {
        return Ig::of("setpriv")
            .args(&["--bounding-set=-all", "--inh-caps=-all"])
            .args(&["--no-new-privs", "--"])
            .arg(ig_tests::ig());
    };
    // It becomes the calling user by itself.
    let gid = std::env::var("SUDO_GID").unwrap_or_else(|_| uid.clone());
    Ig::new().env("SUDO_UID", &uid).env("SUDO_GID", &gid)
}

/// As a user who owns the folder and nothing else.
fn nobody(folder: &Path) -> Ig {
    Ig::of("setpriv")
        .args(&["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(&["--no-new-privs", "--"])
        .arg(folder.join("ig"))
        .env("HOME", "/nonexistent")
        .current_dir(folder)
}

fn chown(folder: &Path, owner: &str) {
    let status = Command::new("chown")
        .args(["-R", owner])
        .arg(folder)
        .status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// The folder is now that of whoever [`without_rights`] is.
pub fn hand_over(folder: &Path) {
    if let Ok(uid) = std::env::var("SUDO_UID") {
        chown(folder, &uid);
    }
}

/// A copy of a gadget's folder, with what was built in it; links become what they lead to.
fn copy(from: &Path, into: &Path) -> PathBuf {
    let to = into.join(from.file_name().expect("a name"));
    let copied = Command::new("cp").arg("-RL").arg(from).arg(&to).status();
    assert!(copied.is_ok_and(|status| status.success()));
    to
}

#[test]
fn all_example_gadgets_pass_without_any_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut gadgets = 0;
    for entry in std::fs::read_dir(sources::root().join("example-gadgets")).expect("gadgets") {
        let path = entry.expect("a gadget").path();
        if !path.join("gadget.yaml").is_file() {
            continue;
        }
        gadgets += 1;
        let gadget = copy(&path, folder.path());
        hand_over(folder.path());
        let mut recordings = 0;
        for entry in std::fs::read_dir(gadget.join("tests"))
            .unwrap_or_else(|e| panic!("{} has no tests: {e}", path.display()))
        {
            let path = entry.expect("a file").path();
            if path.extension().is_some_and(|e| e == "igrec") {
                let size = path.metadata().expect("a recording").len();
                assert!(size < 20_000, "{}: {size} bytes", path.display());
                recordings += 1;
            }
        }
        assert!(recordings > 0, "{}", path.display());
        let ig = without_rights().arg("test").arg(&gadget);
        let out = ig.current_dir(folder.path()).finish();
        out.expect_code(0);
        let passed = format!("\n{recordings} passed\n");
        assert!(out.stdout.ends_with(&passed), "{}", out.stdout);
        assert_eq!(out.held.programs, Default::default(), "no eBPF");
    }
    assert!(gadgets >= 5, "{gadgets}");
}

/// A folder of nobody's with the program and a gadget that needs no more than clang.
fn nobodys() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    ig_tests::build::copy_of_ig(&folder.path().join("ig"));
    let example = sources::root().join("example-gadgets/trace_signal");
    let gadget = copy(&example, folder.path());
    chown(folder.path(), "65534:65534");
    (folder, gadget)
}

#[test]
fn what_differs_is_shown_and_can_be_accepted() {
    let (folder, gadget) = nobodys();
    let test = |arguments: &[&str]| {
        let ig = nobody(folder.path()).arg("test").args(arguments);
        ig.arg("trace_signal").finish()
    };
    let expected = gadget.join("tests/first.expected.jsonl");
    let rows = std::fs::read_to_string(&expected).expect("rows");
    assert_eq!(rows.lines().count(), 3);
    // Hidden columns are compared, too.
    assert!(rows.contains("\"tid\":"), "{rows}");
    test(&[]).expect_code(0);

    // One row is another, one is not expected.
    let (first, rest) = rows.split_once('\n').expect("rows");
    let (_, last) = rest.split_once('\n').expect("rows");
    let changed = first.replace("DELIVERED", "IGNORED");
    std::fs::write(&expected, format!("{changed}\n{last}")).expect("ours");
    let out = test(&[]);
    out.expect_code(120);
    for line in [
        "  FAILED  first",
        "    rows that differ: 2; 2 were expected, there are 3",
        "    row 1: result",
        "      - result: \"IGNORED\"",
        "      + result: \"DELIVERED\"",
        "    row 2 is new",
        "0 passed, 1 failed",
    ] {
        assert!(
            out.stdout.lines().any(|l| l == line),
            "{line}\n{}",
            out.stdout
        );
    }
    let out = test(&["--bless"]);
    out.expect_code(0);
    assert!(
        out.stdout.contains("blessed first: 3 rows"),
        "{}",
        out.stdout
    );
    assert_eq!(std::fs::read_to_string(&expected).expect("rows"), rows);
    test(&[]).expect_code(0);

    std::fs::remove_file(&expected).expect("ours");
    let out = test(&[]);
    out.expect_code(120);
    assert!(out.stdout.contains("--bless"), "{}", out.stdout);
    assert!(!expected.exists());
    test(&["--bless"]).expect_code(0);
    assert_eq!(std::fs::read_to_string(&expected).expect("rows"), rows);
}

#[test]
fn what_can_not_be_tested_is_told_and_the_others_are_tested() {
    let (folder, gadget) = nobodys();
    let other = folder.path().join("other");
    let path = gadget.join("tests/first.igrec");
    let good = std::fs::read(&path).expect("a recording");
    let test = || {
        let ig = nobody(folder.path()).args(&["test", "trace_signal", "other"]);
        ig.finish()
    };
    test().expect_error(2, &["other", "no folder"]);

    let mut damaged = good.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    let copies = folder.path().join("copies");
    std::fs::create_dir(&copies).expect("a folder");
    std::fs::rename(copy(&gadget, &copies), &other).expect("a copy");
    chown(&other, "65534:65534");
    std::fs::write(other.join("tests/first.igrec"), damaged).expect("ours");
    let out = test();
    out.expect_code(120);
    assert!(out.stdout.contains("damaged at byte"), "{}", out.stdout);
    assert!(
        out.stdout.ends_with("1 passed, 1 failed\n"),
        "{}",
        out.stdout
    );

    std::fs::remove_dir_all(other.join("tests")).expect("ours");
    let out = test();
    out.expect_error(2, &["other/tests has no recordings", "ig record other -o"]);
    assert!(
        out.stdout.ends_with("1 passed, 1 failed\n"),
        "{}",
        out.stdout
    );

    std::fs::create_dir(other.join("tests")).expect("ours");
    std::fs::write(other.join("tests/first.igrec"), good).expect("ours");
    std::fs::write(
        other.join("program.bpf.c"),
        "int broken(void) { return no_such; }\n",
    )
    .expect("ours");
    let out = test();
    out.expect_error(125, &["no_such"]);
    assert!(
        out.stdout.ends_with("1 passed, 1 failed\n"),
        "{}",
        out.stdout
    );
}
