//! Containers that get other labels while they run: containerd alone can do that.

use super::super::traced::Asked;
use super::anew::Judges;
use super::{Story, expect_listed, texts};
use ig_tests::runtimes::Containerd;
use serde_json::Value;

/// The label that is asked for.
const KEY: &str = "app";

/// What `ctr` writes into each container's specification is left as it was: only the daemon knows.
#[test]
fn rows_of_containerd_s_containers_begin_and_end_with_their_labels() {
    let containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let place = containerd.place();
    let story = Story::of(place);
    let name = |word: &str| story.name(word);
    let (it, born, web, plain) = (name("it"), name("born"), name("web"), name("plain"));
    // The value: no other test's containers have it.
    let (is_web, is_db) = (name("is-web"), name("is-db"));
    containerd.run(&web, &[(KEY, &is_web)], &texts(&story.entry()));
    containerd.run(&plain, &[], &texts(&story.entry()));

    let with = format!("{KEY}={is_web}");
    let without = format!("!{KEY}");
    let other = format!("{KEY} notin ({is_web})");
    let mine = format!("{}-*", place.name());
    let flags = asked.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let exec = |name: &str, what: &str, words: &[&str]| containerd.exec(name, what, words);
    let mut judges = Judges::beside(&story, place, &exec);
    for (selector, more, always) in [
        (&with, &[][..], &web),
        (&without, &["-c", &mine][..], &plain),
        (&other, &["-c", &mine][..], &plain),
    ] {
        let selector = ["--container-selector", selector];
        judges.add(&[&flags[..], &selector, more].concat(), always);
    }
    let (of_web, of_db, of_none) = (
        [true, false, false],
        [false, false, true],
        [false, true, true],
    );

    judges.start(&it, &of_none, |entry| containerd.run(&it, &[], entry));
    containerd.label(&it, KEY, &is_web);
    judges.settle(&it, &of_web);
    containerd.label(&it, KEY, &is_db);
    judges.settle(&it, &of_db);
    containerd.label(&it, KEY, "");
    judges.settle(&it, &of_none);

    // One that has no labels at all in the end.
    judges.start(&born, &of_web, |entry| {
        containerd.run(&born, &[(KEY, &is_web)], entry);
    });
    for key in labels(&containerd, &born) {
        if key != KEY {
            containerd.label(&born, &key, "");
        }
    }
    assert_eq!(labels(&containerd, &born), [KEY]);
    judges.check(&born, &of_web);
    containerd.label(&born, KEY, "");
    judges.settle(&born, &of_none);
    assert_eq!(labels(&containerd, &born), [""; 0]);
    // Whoever asks only now has the same.
    let listed = |selector: &str, meant: &[&str]| {
        let flags = ["--container-selector", selector];
        expect_listed(&asked, place, &flags, meant);
    };
    listed(&with, &[&web]);
    listed(&without, &[&it, &born, &plain]);

    containerd.label(&born, KEY, &is_web);
    judges.settle(&born, &of_web);
    listed(&with, &[&web, &born]);
    listed(&other, &[&it, &plain]);
    judges.end();
}

/// The keys that a container has by now.
fn labels(containerd: &Containerd, id: &str) -> Vec<String> {
    let out = containerd
        .ctr(containerd.namespace())
        .args(["containers", "info", id])
        .output()
        .expect("ctr runs");
    let info: Value = serde_json::from_slice(&out.stdout).expect("what ctr says");
    let all = info["Labels"].as_object();
    all.into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect()
}
