//! A runtime that hangs in the middle.

use super::super::traced::Asked;
use super::{PROGRAM, Story, attached, ended, texts};
use crate::ledgers::sum;
use ig_tests::full;
use ig_tests::runtimes::{Containerd, Docker, Pods, Runc, until};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long it hangs.
fn long() -> Duration {
    Duration::from_secs(if full() { 10 } else { 2 })
}

/// A process that stands still; until this is dropped.
struct Hung(u32);

impl Hung {
    fn now(pid: Option<u32>) -> Self {
        let hung = Self(pid.expect("a daemon"));
        hung.signal("STOP");
        hung
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.0.to_string()])
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}

/// The word of a program that is started again and again.
fn ticking(word: &str) -> [String; 3] {
    let script = format!("while :; do {PROGRAM} {word}; /bin/sleep 0.1; done");
    ["/bin/sh".to_owned(), "-c".to_owned(), script]
}

/// While Docker's daemon stands still in the midst of starting containers, rows of others and of those that run come as they do
/// otherwise, and those of its new containers come when it goes on; nothing is lost.
#[test]
fn while_docker_hangs_nothing_else_waits_and_its_containers_are_shown_when_it_goes_on() {
    let (docker, runc) = (Docker::start(), Runc::new());
    let socket = docker.socket();
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let place = docker.place();
    let mut story = Story::of(place);
    let tick = story.name("tick");
    docker.run(&tick, &[], &texts(&ticking(&tick)));
    let flags = [
        "--docker-socketpath",
        asked_socket(&asked),
        "-c",
        &format!("{},!*-other*", story.name("*")),
    ];
    let (mut running, path) = attached(place, &flags);
    running.provoke(|| {}, |line| line.contains(&format!("\"{tick}\"]")));

    let before =
        ["new-0", "other-0", "new-1", "other-1"].map(|word| (story.name(word), story.entry()));
    let mut hung_for = Duration::ZERO;
    std::thread::scope(|scope| {
        for (name, entry) in &before {
            let docker = &docker;
            scope.spawn(move || docker.run(name, &[], &texts(entry)));
        }
        let cgroups = super::super::marked::cgroup(place, "").1;
        let known = folders(&cgroups);
        until("the first cgroup of a new one", || {
            (folders(&cgroups) > known).then_some(())
        });
        let begin = Instant::now();
        let hung = Hung::now(docker.pid());
        let mut number = 0;
        while begin.elapsed() < long() {
            // What was never heard of, from its first program on.
            let (name, entry) = (story.name(&format!("alone-{number}")), story.entry());
            runc.bundle(&name, &texts(&entry));
            runc.start(&name);
            running.provoke(
                || {},
                |line| line.contains(&format!("[\"{}\",\"{}\"]", entry[0], entry[1])),
            );
            story.told(Some(&name), &entry);
            number += 1;
        }
        hung_for = begin.elapsed();
        drop(hung);
    });
    for (name, entry) in before.iter().filter(|(name, _)| !name.contains("other")) {
        story.told(Some(name), entry);
        running.provoke(|| {}, |line| line.contains(&entry[1]));
    }
    let (mut seen, records) = ended(running, &path);
    let ticks = seen.remove(&Some(tick)).unwrap_or_default();
    let ticks = ticks.iter().filter(|args| args[0] == PROGRAM).count();
    println!(
        "{hung_for:?}: {ticks} ticks, {} others, {records}",
        seen.len()
    );
    let expected = story
        .told
        .into_iter()
        .map(|told| (told.container, vec![told.args]));
    assert_eq!(seen, expected.collect());
    assert_eq!(
        sum(&records["excluded_before_guest"]["undecided"]),
        0,
        "{records:#}"
    );
}

fn asked_socket<'a>(asked: &Asked<'a>) -> &'a str {
    asked.socket.to_str().expect("a path")
}

fn folders(of: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).count()
}

/// Labels of pods are known to the runtime alone, and it hangs from before the start: what comes meanwhile is not shown, nor does
/// it wait for ever. When the runtime goes on, so do the rows.
#[test]
fn labels_that_a_hung_runtime_keeps_to_itself_are_found_when_it_goes_on() {
    let containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let place = containerd.place();
    let mut pods = Pods::of(&containerd);
    let story = Story::of(place);
    let [web, other] = ["web", "other"].map(|word| story.name(word));
    for name in [&web, &other] {
        let labels = [("igt/name", name.as_str())];
        let sandbox = pods.sandbox("shops", name, &labels);
        pods.container(&sandbox, ("shops", name), name, &texts(&ticking(name)));
    }
    let hung = Hung::now(containerd.pid());
    let labels = format!("igt/name={web}");
    let flags = [
        "--containerd-socketpath",
        asked_socket(&asked),
        "--k8s-selector",
        &labels,
    ];
    let (mut running, path) = attached(place, &flags);
    std::thread::sleep(long());
    assert!(!running.shown(|line| line.starts_with('{')), "whose is it?");
    drop(hung);
    running.provoke(|| {}, |line| line.contains(&format!("\"{web}\"]")));
    let (seen, records) = ended(running, &path);
    println!("{records}");
    let shown: Vec<_> = seen.keys().collect();
    assert_eq!(shown, [&Some(web)]);
}
