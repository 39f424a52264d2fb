//! `docs/first-gadget.md`, word for word: its two files are the gadget trace_signal, build, run, and show what the page
//! shows.

use ig_tests::{Ig, pages, sources};

/// Sender, user, signal and result of each line; times and process ids are others each time.
fn without_numbers<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<[String; 4]> {
    lines
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            assert_eq!(words.len(), 7, "{line}");
            [1, 3, 4, 6].map(|at| words[at].to_owned())
        })
        .collect()
}

#[test]
fn the_page_is_the_gadget() {
    let page = std::fs::read_to_string(sources::root().join("docs/first-gadget.md"))
        .expect("docs/first-gadget.md");
    let files = pages::files(&page, "trace_signal");
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["program.bpf.c", "gadget.yaml"]);
    let folder = tempfile::tempdir().expect("a folder");
    let gadget = folder.path().join("trace_signal");
    std::fs::create_dir(&gadget).expect("a folder");
    for (name, text) in files {
        let example = sources::root()
            .join("example-gadgets/trace_signal")
            .join(name);
        let example = std::fs::read_to_string(&example).expect("a file of the example");
        // For editors, and only where that relative path leads somewhere.
        let example: String = example
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("# yaml-language-server:"))
            .collect();
        assert_eq!(text, example, "{name} of the page and of the example");
        std::fs::write(gadget.join(name), text).expect("a file");
    }

    let (script, expected) = pages::shown(&page, "./trace_signal");
    let finished = Ig::run("./trace_signal")
        .current_dir(folder.path())
        .sh(script)
        .finish();
    finished.expect_code(0);
    let seen = without_numbers(finished.stdout.lines());
    assert_eq!(seen.len(), 4, "{}", finished.stdout);
    assert_eq!(seen, without_numbers(expected.into_iter()));
}
