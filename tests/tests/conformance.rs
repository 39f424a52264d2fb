//! The conformance suite: guests of one gadget, in every language, make the same rows of the same recordings.
//! `docs/conformance.md` says what the cases cover, and how a language is added.

use ig_tests::{Ig, build, sources};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders of `tests/conformance`, a guest each.
const LANGUAGES: [&str; 3] = ["rust", "c", "python"];

/// A recording with the rows that come of it.
struct Case {
    /// `NAME.expected.jsonl`.
    name: &'static str,
    /// `NAME.igrec`.
    recording: &'static str,
    arguments: &'static [&'static str],
    /// The source of its records.
    source: &'static str,
    /// What became of the records.
    ledger: &'static str,
}

const fn case(name: &'static str, ledger: &'static str) -> Case {
    Case {
        name,
        recording: name,
        arguments: &[],
        source: "cases",
        ledger,
    }
}

const CASES: [Case; 18] = [
    case("types", "5 attempted = 5 accepted"),
    case("limits", "1 attempted = 1 accepted"),
    case("nulls", "3 attempted = 3 accepted"),
    case("nested", "3 attempted = 3 accepted"),
    Case {
        recording: "nulls",
        arguments: &["--table", "types", "--fields", "sequence,i_8,words,place"],
        ..case("wanted", "3 attempted = 3 accepted")
    },
    case("drops", "6 attempted = 2 accepted + 4 dropped by the guest"),
    case("malformed", "6 attempted = 2 accepted + 4 malformed"),
    case("splits", "5 attempted = 5 accepted"),
    case("late", "5 attempted = 5 accepted"),
    case("timers", "4 attempted = 4 accepted"),
    case("overdue", "2 attempted = 2 accepted"),
    case("clock", "2 attempted = 2 accepted"),
    case("maps", "4 attempted = 4 accepted"),
    case("params", "1 attempted = 1 accepted"),
    case("defaults", "1 attempted = 1 accepted"),
    case("frames", "3 attempted = 3 accepted"),
    Case {
        ledger: "19 attempted = 18 accepted + 1 LOST to a trap",
        source: "owned",
        ..case("containers", "")
    },
    case("trap", "8 attempted = 6 accepted + 2 LOST to a trap"),
];

fn suite() -> PathBuf {
    sources::root().join("tests/conformance")
}

/// The bundle of the gadget with its guest in a language.
fn bundle(language: &str, folder: &Path) -> PathBuf {
    let gadget = folder.join(language);
    let copied = Command::new("cp")
        .arg("-R")
        .arg(suite().join(language))
        .arg(&gadget)
        .status();
    assert!(copied.is_ok_and(|status| status.success()), "{language}");
    for name in ["gadget.yaml", "program.bpf.c"] {
        std::fs::copy(suite().join(name), gadget.join(name)).expect("a source can be copied");
    }
    let out = folder.join(format!("{language}.oci"));
    let built = build::build(&gadget, &out);
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{language}:\n{said}");
    out
}

/// What is wrong with a case.
fn wrong(case: &Case, bundle: &Path) -> Option<String> {
    let file = |ending: &str| suite().join(ending);
    let finished = Ig::run(bundle)
        .arg("--replay")
        .arg(file(&format!("{}.igrec", case.recording)))
        .args(&["--strict", "-o", "json"])
        .args(case.arguments)
        .finish();
    finished.expect_code(0);
    let expected = file(&format!("{}.expected.jsonl", case.name));
    let expected = std::fs::read_to_string(expected).expect("the expected rows");
    let ledger = format!("records {}: {}", case.source, case.ledger);
    if finished.stdout != expected {
        Some(format!(
            "expected:\n{expected}came:\n{}{}",
            finished.stdout, finished.stderr
        ))
    } else if !finished.stderr.lines().any(|line| line == ledger) {
        Some(format!("expected: {ledger}\n{}", finished.stderr))
    } else {
        None
    }
}

#[test]
fn every_language_makes_the_same_rows_of_the_same_recordings() {
    let folder = tempfile::tempdir().expect("a folder");
    let results = std::thread::scope(|scope| {
        let threads = LANGUAGES.map(|language| {
            let folder = folder.path();
            scope.spawn(move || {
                let bundle = bundle(language, folder);
                CASES.map(|case| wrong(&case, &bundle))
            })
        });
        threads.map(|thread| thread.join().expect("no panic"))
    });
    let mut table = format!("{:<10}", "case");
    let mut failures = String::new();
    for language in LANGUAGES {
        let _ = write!(table, " {language:<8}");
    }
    for (row, case) in CASES.iter().enumerate() {
        let _ = write!(table, "\n{:<10}", case.name);
        for (language, results) in LANGUAGES.iter().zip(&results) {
            let passed = if results[row].is_none() {
                "ok"
            } else {
                "FAILED"
            };
            let _ = write!(table, " {passed:<8}");
            if let Some(wrong) = &results[row] {
                let _ = write!(failures, "\n{} in {language}: {wrong}", case.name);
            }
        }
    }
    println!("{table}");
    assert!(failures.is_empty(), "{table}\n{failures}");
}

#[test]
fn every_case_and_language_is_on_its_page() {
    let page = sources::root().join("docs/conformance.md");
    let page = std::fs::read_to_string(page).expect("docs/conformance.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    assert_eq!(rows[0][2..], ["Rust", "C", "Python"]);
    let of_page: Vec<_> = rows[1..]
        .iter()
        .map(|row| (row[0], row[2..].to_vec()))
        .collect();
    let of_suite: Vec<_> = CASES
        .iter()
        .map(|case| (case.name, vec!["ok"; LANGUAGES.len()]))
        .collect();
    assert_eq!(of_page, of_suite);
    // Nothing lies there unused.
    let files = sources::files(&suite(), &[".igrec", ".expected.jsonl"]);
    let recordings = CASES.iter().filter(|case| case.recording == case.name);
    assert_eq!(files.len(), CASES.len() + recordings.count(), "{files:?}");
}
