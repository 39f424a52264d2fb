//! `docs/SPECIFICATION.md`: every test or bench that it names exists.
//!
//! A name in backquotes with `::` in it is the path of a test: the member's folder (`object`,
//! `kernel`, ..., `tests`, `xtask`, `bench`), any modules, the function. `bench::NAME` in which NAME
//! has a hyphen or dot is the name of a figure that the benches print.

use ig_tests::sources;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The names in a page.
fn named(page: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (number, word) in line.split('`').enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_:-.".contains(c);
            if number % 2 == 1
                && word.contains("::")
                && word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(plain)
            {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

/// Where the sources of a test's first word are.
fn folder(first: &str) -> Option<PathBuf> {
    let root = sources::root();
    let folder = match first {
        "tests" | "xtask" => root.join(first),
        "bench" => root.join("tests/bench"),
        "sdk" => root.join("guest-sdk/rust"),
        room => root.join("host").join(room.trim_start_matches("ig_")),
    };
    folder.is_dir().then_some(folder)
}

fn exists(name: &str) -> bool {
    let mut words = name.split("::");
    let (Some(first), Some(last)) = (words.next(), words.last()) else {
        return false;
    };
    let Some(folder) = folder(first) else {
        return false;
    };
    let sought = if last.contains(['-', '.']) {
        format!("\"{last}\"")
    } else {
        format!("fn {last}(")
    };
    sources::files(&folder, &[".rs"])
        .iter()
        .any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(&sought)))
}

#[test]
fn every_test_that_the_specification_names_exists() {
    let path = sources::root().join("docs/SPECIFICATION.md");
    let page = std::fs::read_to_string(&path).expect("docs/SPECIFICATION.md");
    let named = named(&page);
    assert!(named.len() >= 10, "only {} tests are named", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !exists(name)).collect();
    assert_eq!(
        missing,
        Vec::<&String>::new(),
        "named in {} and not there",
        path.display()
    );
}

#[test]
fn names_are_found_and_a_missing_one_is_told() {
    let page = "| 50 ms | `tests::specification::names_are_found_and_a_missing_one_is_told` |\n\
                | `Span::check` | `tests::no_such_test` |\n```\n`tests::in_a_fence`\n```";
    let named: Vec<_> = named(page).into_iter().collect();
    assert_eq!(
        named,
        [
            "tests::no_such_test",
            "tests::specification::names_are_found_and_a_missing_one_is_told"
        ]
    );
    assert!(exists(&named[1]));
    assert!(!exists(&named[0]));
    assert!(!exists("nowhere::at_all"));
}
