//! `ig new`: from an empty folder to a gadget that is tested and runs, in each language.

use crate::gadget_tests::{hand_over, without_rights};
use ig_tests::Ig;
use std::path::Path;

/// What `ig new --help` offers.
fn languages() -> Vec<String> {
    let help = Ig::new().args(&["new", "--help"]).finish();
    let (_, values) = help
        .stdout
        .split_once("[possible values: ")
        .expect("languages");
    let (values, _) = values.split_once(']').expect("languages");
    values.split(", ").map(str::to_owned).collect()
}

fn new(folder: &Path, name: &str, language: &str) {
    hand_over(folder);
    let ig = without_rights().args(&["new", name, "--lang", language]);
    let out = ig.current_dir(folder).finish();
    out.expect_code(0);
    assert!(
        out.stdout.contains(&format!("ig test {name}")),
        "{}",
        out.stdout
    );
}

#[test]
fn a_new_gadget_in_each_language_passes_its_test_and_runs() {
    let languages = languages();
    assert_eq!(languages, ["none", "rust", "c", "python"]);
    for language in languages {
        let folder = tempfile::tempdir().expect("a folder");
        let name = format!("opens-in-{language}");
        new(folder.path(), &name, &language);
        let test = without_rights().args(&["test", &name]);
        let out = test.current_dir(folder.path()).finish();
        out.expect_code(0);
        assert!(out.stdout.ends_with("1 passed\n"), "{}", out.stdout);
        // As its README says.
        let readme = folder.path().join(&name).join("README.md");
        let readme = std::fs::read_to_string(readme).expect("a README");
        assert!(readme.contains("$ sudo ig run . -- ls /"), "{readme}");
        let run = Ig::run(".").json().args(&["--", "ls", "/"]);
        let out = run.current_dir(&folder.path().join(&name)).finish();
        out.expect_code(0);
        let rows = out.rows();
        assert!(rows.iter().any(|row| row["path"] == "/"), "{}", out.stdout);
        if language != "none" {
            let library = rows.iter().find(|row| row["file"] == "libc.so.6");
            let path = library.and_then(|row| row["path"].as_str());
            assert!(path.is_some_and(|path| path.ends_with("/libc.so.6")));
        }
    }
}

#[test]
fn a_guest_that_traps_or_does_not_understand_fails_its_test() {
    let folder = tempfile::tempdir().expect("a folder");
    new(folder.path(), "broken", "rust");
    let source = folder.path().join("broken/src/lib.rs");
    let good = std::fs::read_to_string(&source).expect("a source");
    for (change, told) in [
        ("panic!(\"no file\")", "the guest trapped"),
        ("return Outcome::Malformed", "6 records malformed"),
    ] {
        let bad = good.replace("row.file(file)", change);
        assert_ne!(bad, good);
        std::fs::write(&source, bad).expect("ours");
        // And nobody can accept that.
        for bless in [&["test", "broken"][..], &["test", "--bless", "broken"]] {
            let ig = without_rights().args(bless);
            let out = ig.current_dir(folder.path()).finish();
            out.expect_code(120);
            assert!(out.stdout.contains(told), "{}", out.stdout);
        }
    }
}

#[test]
fn a_name_that_is_none_or_taken_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = |name: &str, words: &[&str]| {
        let ig = Ig::new().args(&["new", "--", name]);
        ig.current_dir(folder.path())
            .finish()
            .expect_refusal(2, words);
    };
    new("Opens", &["`Opens`", "lower-case letters"]);
    new("a/b", &["`a/b`"]);
    std::fs::create_dir(folder.path().join("mine")).expect("a folder");
    std::fs::write(folder.path().join("mine/file"), "").expect("a file");
    new("mine", &["mine is there already", "not empty"]);
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 1);
}
