//! Recordings of some containers only: what was not asked for is not in them, and replays say what the runs said.

use super::super::traced::{Asked, Traced};
use super::{ATTACHED, Seen, Story, parts};
use crate::ledgers::{assert_sums, sum, summary};
use ig_tests::runtimes::Docker;
use ig_tests::{Ig, bundle, gadget};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose programs are recorded: nobody else on the machine has it.
const UID: u32 = 47_113;

/// A run that is being recorded.
struct Recorded {
    bundle: PathBuf,
    shown: Vec<String>,
    at: PathBuf,
    traced: Traced,
}

impl Recorded {
    /// `at`: where the recording will be, and beside it the summary.
    fn start(bundle: PathBuf, at: PathBuf, asked: &[&str], shown: &[&str]) -> Self {
        let ig = Ig::new()
            .args(&["record", "-o"])
            .arg(&at)
            .arg(&bundle)
            .args(asked)
            .args(shown)
            .arg("--summary")
            .arg(format!("json:{}", at.with_extension("live").display()))
            .json();
        Self {
            shown: shown.iter().map(|word| (*word).to_owned()).collect(),
            traced: Traced::of_running(ig.start()),
            bundle,
            at,
        }
    }

    /// Ends it, and checks what is left out of the recording, what that says of it, and that a replay says the same as the run.
    /// `newcomers`: records that nobody could leave out before. Gives the rows.
    fn end(self, newcomers: u64) -> Vec<Value> {
        let live = self.traced.end();
        let shown: Vec<&str> = self.shown.iter().map(String::as_str).collect();
        let replayed = self.at.with_extension("replayed");
        let replay = Ig::run(&self.bundle)
            .arg("--replay")
            .arg(&self.at)
            .args(&["--strict", "--summary"])
            .arg(format!("json:{}", replayed.display()))
            .args(&shown)
            .json()
            .finish();
        replay.expect_code(0);
        assert_eq!(replay.stdout, live.stdout);
        let summaries = [&self.at.with_extension("live"), &replayed].map(|path| summary(path));
        let excluded = &summaries[0]["records"]["exec"]["excluded_before_guest"];
        let selection = sum(&excluded["selection"]);
        // With both versions of cgroups the kernel lets the host's program pass, too.
        let expected = newcomers..=newcomers + 1;
        assert!(expected.contains(&selection), "{excluded}");
        assert_eq!(*excluded, json!({"selection": selection}));
        assert_sums(&summaries[0]);
        for ledger in ["records", "rows"] {
            assert_eq!(summaries[0][ledger], summaries[1][ledger]);
        }
        let said: Value = serde_json::from_str(&show(&self.at, "json")).expect("JSON");
        assert_eq!(said["footer"]["sources"]["exec"]["excluded"], *excluded);
        let part = format!(", {selection} excluded before: selection");
        let text = show(&self.at, "text");
        assert!(text.contains(&part), "{text}");
        live.rows()
    }
}

/// What `ig recording show` prints.
fn show(recording: &Path, format: &str) -> String {
    let show = Ig::new().args(&["recording", "show", "-o", format]);
    let finished = show.arg(recording).finish();
    finished.expect_code(0);
    finished.stdout
}

/// All that is in a recording, as it was before it was compressed.
fn contents(path: &Path) -> Vec<u8> {
    const HEADER: usize = 24;
    let file = std::fs::read(path).expect("a recording");
    let mut rest = file.get(12..).expect("a recording");
    let mut all = Vec::new();
    while let Some((header, behind)) = rest.split_at_checked(HEADER) {
        let length = header[12..16].try_into().map(u32::from_le_bytes);
        let (packed, next) = behind.split_at(length.expect("a length") as usize);
        let mut frame = ruzstd::decoding::StreamingDecoder::new(packed).expect("zstd");
        frame.read_to_end(&mut all).expect("zstd");
        rest = next;
    }
    all
}

/// Two runs: of a gadget that asks nothing, and of one whose guest asks whose its records are and is told of containers.
#[test]
fn a_recording_of_some_containers_has_nothing_of_others_and_its_replay_says_what_the_run_said() {
    let docker = Docker::start();
    let socket = docker.socket();
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let place = docker.place();
    let mut story = Story::of(place);
    let [web, late, other, newcomer] =
        ["web", "late", "other", "newcomer"].map(|word| story.name(word));
    let user = format!("{UID}:{UID}");
    let run = |story: &mut Story, name: &str| {
        let [program, word] = story.entry();
        docker.run(name, &[], &["--user", &user, "--", &program, &word]);
        story.told(Some(name), &[program, word]);
    };
    let exec = |story: &mut Story, name: &str, what: &str| {
        let words = story.words(what);
        docker.exec(name, &words.each_ref().map(String::as_str));
        story.told(Some(name), &words);
    };
    run(&mut story, &web);
    run(&mut story, &other);
    story.begin();

    let uid = UID.to_string();
    let names = format!("{web},{late}");
    let flags = asked.flags();
    let mut selected: Vec<&str> = flags.iter().map(String::as_str).collect();
    selected.extend(["-c", &names, "--uid", &uid]);
    let ours = format!("path ~ '^/{}/' or path is null", place.name());
    let mut programs = Recorded::start(
        bundle("trace_exec"),
        place.at("programs.igrec"),
        &selected,
        &["--fields", "args,container,scope"],
    );
    let mut owners = Recorded::start(
        gadget("owners"),
        place.at("owners.igrec"),
        &selected,
        // It is told of all containers of the machine.
        &["--fields", "+whose,+container", "--filter", &ours],
    );
    programs.traced.running().attached(ATTACHED);
    owners.traced.running().attached("owners_exec");

    exec(&mut story, &web, "in-web");
    exec(&mut story, &other, "in-other");
    let words = story.words("host");
    let host = Command::new(&words[0]).arg(&words[1]).uid(UID).status();
    assert!(host.expect("it runs").success());
    // While nobody listens, whoever is new passes the kernel.
    for recorded in [&mut programs, &mut owners] {
        recorded.traced.running().signal("STOP");
    }
    run(&mut story, &newcomer);
    exec(&mut story, &newcomer, "in-newcomer");
    for recorded in [&mut programs, &mut owners] {
        recorded.traced.running().signal("CONT");
    }
    run(&mut story, &late);
    exec(&mut story, &late, "in-late");
    docker.remove(&newcomer);
    docker.remove(&late);
    exec(&mut story, &web, "in-web-again");
    let last = &story.told.last().expect("a program").args;
    programs.traced.row(|row| row["args"] == json!(last));
    for name in [&newcomer, &late] {
        let removed = |row: &Value| row["what"] == "removed" && row["name"] == **name;
        owners.traced.row(removed);
    }

    let recording = programs.at.clone();
    let mut seen = Seen::new();
    for row in programs.end(2) {
        let (container, args) = parts(&row);
        seen.entry(container).or_default().push(args);
    }
    let mut expected = Seen::new();
    for told in &story.told {
        if [Some(&web), Some(&late)].contains(&told.container.as_ref()) {
            let all = expected.entry(told.container.clone()).or_default();
            all.push(told.args.clone());
        }
    }
    assert_eq!(seen, expected);
    let recording = contents(&recording);
    let has = |word: &str| {
        recording
            .windows(word.len())
            .any(|at| at == word.as_bytes())
    };
    for word in [&web, &late, &story.name("in-web")] {
        assert!(has(word), "{word} is not in the recording");
    }
    for word in [
        &other,
        &newcomer,
        &story.name("in-newcomer"),
        &story.name("host"),
    ] {
        assert!(!has(word), "{word} is in the recording");
    }

    let rows = owners.end(2);
    let named = |what: &str| -> BTreeSet<&str> {
        let rows = rows.iter().filter(|row| row["what"] == what);
        rows.filter_map(|row| row["name"].as_str()).collect()
    };
    for what in ["record", "cgroup", "id", "late"] {
        assert_eq!(named(what), [&*web, &*late].into(), "{what}");
    }
    // Which containers there are is asked for by nobody's records.
    let all = [&*web, &*late, &*other, &*newcomer];
    assert_eq!(named("added"), all.into());
    assert_eq!(named("removed"), [&*late, &*newcomer].into());
}
