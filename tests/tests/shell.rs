//! What a shell and its user get around the program: completions, manual pages, the version.

use ig_tests::{Finished, Ig};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn ig(arguments: &[&str]) -> Finished {
    let finished = Ig::new().args(arguments).finish();
    finished.expect_code(0);
    assert_eq!(finished.stderr, "");
    finished
}

/// Runs a program with this on its standard input.
fn fed(program: &mut Command, text: &str) -> Output {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let script = ig(&["completion", "bash"]).stdout;
    let checked = fed(Command::new("bash").arg("-n"), &script);
    assert!(checked.status.success(), "{checked:?}");
    // Words of the command line, the last of which is half typed, and what bash offers for it.
    for (words, offered) in [
        (&["ig", "comp"][..], "completion"),
        (&["ig", "image", "in"], "inspect"),
        (&["ig", "completion", "z"], "zsh"),
        (&["ig", "run", "--fail"], "--fail-on-loss"),
        (&["ig", "image", "inspect", "-o", "js"], "json"),
    ] {
        let typed = words.last().expect("a word");
        let before = words.get(words.len() - 2).expect("a word");
        let ask = format!(
            "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _ig ig '{typed}' '{before}'; echo \"${{COMPREPLY[*]}}\"",
            words.join(" "),
            words.len() - 1
        );
        let answer = fed(&mut Command::new("bash"), &ask);
        assert_eq!(String::from_utf8_lossy(&answer.stderr), "", "{words:?}");
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        let answers: Vec<_> = answer.split_whitespace().collect();
        assert!(answers.contains(&offered), "{words:?}: {answers:?}");
    }
}

#[test]
fn other_shells_have_completions_and_a_stranger_has_none() {
    assert!(
        ig(&["completion", "zsh"])
            .stdout
            .starts_with("#compdef ig\n")
    );
    let fish = ig(&["completion", "fish"]).stdout;
    assert!(fish.contains("complete -c ig "), "{fish}");
    for arguments in [&["completion", "tcsh"][..], &["completion"]] {
        Ig::new().args(arguments).finish().expect_code(2);
    }
}

/// The page as a reader sees it, where there is something to show it with.
fn rendered(page: &str) -> Option<String> {
    let found = Command::new("sh")
        .args(["-c", "command -v man groff"])
        .stdout(Stdio::null())
        .status()
        .expect("sh starts");
    let output = found.success().then(|| {
        fed(
            Command::new("man")
                .args(["--warnings", "--no-justification", "-l", "-"])
                .env("LC_ALL", "C")
                .env("MANWIDTH", "200"),
            page,
        )
    })?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn manual_pages_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("share/man1");
    let place_text = place.to_str().expect("UTF-8");
    assert_eq!(ig(&["man", place_text]).stdout, "");
    let read = |name: &str| std::fs::read_to_string(place.join(name)).expect(name);
    assert_eq!(read("ig.1"), ig(&["man"]).stdout);
    let run = read("ig-run.1");
    assert!(run.contains(".TH ig-run 1"), "{run}");
    if let Some(text) = rendered(&run) {
        for words in [
            "ig-run - Runs a gadget",
            "-p, --pid <PID>",
            "--fail-on-loss",
            "Exit codes: 0 also after Ctrl-C",
        ] {
            assert!(text.contains(words), "no {words} in:\n{text}");
        }
    }
    // Twice the same, so that packages are.
    assert_eq!(ig(&["man"]).stdout, ig(&["man"]).stdout);
    Ig::new()
        .args(&["man", "/dev/null/pages"])
        .finish()
        .expect_refusal(125, &["/dev/null/pages"]);
    assert!(!Path::new("/dev/null/pages").exists());
}

#[test]
fn the_version_is_told_in_two_ways() {
    let text = ig(&["version"]).stdout;
    assert_eq!(text, ig(&["--version"]).stdout);
    let json: Value = serde_json::from_str(&ig(&["version", "-o", "json"]).stdout).expect("JSON");
    let version = json["version"].as_str().expect("a version");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&format!("ig {version} (linux/")), "{text}");
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    assert_eq!(json["arch"], arch);
    assert_eq!(ig(&["-V"]).stdout, format!("ig {version}\n"));
}
