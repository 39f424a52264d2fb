//! The README's gadget, word for word: it builds, runs, and shows what the README says it shows.

use ig_tests::{Ig, pages, sources};
use std::path::Path;

/// Each line with its time as `00:00:00.000`, and without the process id: they are others each time.
fn without_numbers<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let digits = |word: &str| word.replace(|c: char| c.is_ascii_digit(), "0");
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let time = words.next().map(digits).unwrap_or_default();
            words.skip(1).fold(time, |line, word| line + " " + word)
        })
        .collect()
}

#[test]
fn the_gadget_of_the_readme_runs_as_shown() {
    let page = std::fs::read_to_string(sources::root().join("README.md")).expect("README.md");
    let files = pages::files(&page, "trace_exit");
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["program.bpf.c", "gadget.yaml", "src/lib.rs", "Cargo.toml"]
    );
    let folder = tempfile::tempdir().expect("a folder");
    let gadget = folder.path().join("trace_exit");
    // As in a clone, where a newcomer is likely to try it.
    std::fs::write(folder.path().join("Cargo.toml"), "[workspace]\n").expect("a file");
    for (name, text) in files {
        let path = gadget.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a folder");
        std::fs::write(&path, text).expect("a file");
    }
    let (script, expected) = pages::shown(&page, "./trace_exit");

    let finished = Ig::run(&gadget).sh(script).finish();
    finished.expect_code(0);
    let mut seen = without_numbers(finished.stdout.lines());
    let mut expected = without_numbers(expected.into_iter());
    assert_eq!(seen.len(), 5, "{}", finished.stdout);
    // Two processes on two CPUs may end in either order.
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}
