//! The README's gadget, word for word: it builds, runs, and shows what the README says it shows.

use ig_tests::{Ig, sources};
use std::path::Path;

/// The fenced blocks after a paragraph that ends in "`FOLDER/NAME`:", as name and text.
fn files<'a>(page: &'a str, folder: &str) -> Vec<(&'a str, &'a str)> {
    let start = format!("`{folder}/");
    let mut found = Vec::new();
    for part in page.split(&start).skip(1) {
        let Some((name, rest)) = part.split_once("`:\n\n```") else {
            continue;
        };
        let block = rest
            .split_once('\n')
            .and_then(|(_, text)| text.split_once("```\n"));
        if let Some((text, _)) = block {
            found.push((name, text));
        }
    }
    found
}

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
    let files = files(&page, "trace_exit");
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
    let shown = page
        .split_once("$ sudo ig run ./trace_exit -- sh -c '")
        .and_then(|(_, rest)| rest.split_once("'\n"));
    let (script, rest) = shown.expect("the command that runs it");
    let expected = rest.lines().take_while(|line| !line.starts_with('$'));

    let finished = Ig::run(&gadget).sh(script).finish();
    finished.expect_code(0);
    let mut seen = without_numbers(finished.stdout.lines());
    let mut expected = without_numbers(expected);
    assert_eq!(seen.len(), 5, "{}", finished.stdout);
    // Two processes on two CPUs may end in either order.
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}
