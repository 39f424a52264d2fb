//! Containers that get another name while they run.

use super::super::traced::Asked;
use super::anew::Judges;
use super::{Story, texts};
use ig_tests::runtimes::{Docker, Place, Podman};

#[test]
fn rows_of_docker_s_containers_begin_and_end_with_their_name() {
    let docker = Docker::start();
    let socket = docker.socket();
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let run = |name: &str, words: &[&str]| {
        docker.run(name, &[], words);
    };
    let exec = |name: &str, _: &str, words: &[&str]| docker.exec(name, words);
    let rename = |name: &str, to: &str| docker.rename(name, to);
    renamed(docker.place(), &asked, run, &exec, rename);
}

#[test]
fn rows_of_podman_s_containers_begin_and_end_with_their_name() {
    let podman = Podman::start();
    let socket = podman.socket();
    let asked = Asked {
        runtime: "podman",
        socket: &socket,
    };
    let run = |name: &str, words: &[&str]| {
        podman.run(name, &[], words);
    };
    let exec = |name: &str, _: &str, words: &[&str]| podman.exec(name, words);
    let rename = |name: &str, to: &str| podman.rename(name, to);
    renamed(podman.place(), &asked, run, &exec, rename);
}

fn renamed(
    place: &Place,
    asked: &Asked,
    run: impl Fn(&str, &[&str]),
    exec: &dyn Fn(&str, &str, &[&str]),
    rename: impl Fn(&str, &str),
) {
    let story = Story::of(place);
    let [old, new, always] = ["old", "new", "always"].map(|word| story.name(word));
    for name in [&old, &always] {
        run(name, &texts(&story.entry()));
    }
    let flags = asked.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut judges = Judges::beside(&story, place, exec);
    for name in [&old, &new] {
        let names = format!("{name},{always}");
        judges.add(&[&flags[..], &["-c", &names]].concat(), &always);
    }
    judges.check(&old, &[true, false]);
    rename(&old, &new);
    judges.settle(&new, &[false, true]);
    rename(&new, &old);
    judges.settle(&old, &[true, false]);
    judges.end();
}
