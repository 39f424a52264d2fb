//! Containers that get another name while they run.

use super::super::traced::Asked;
use super::{Story, attached, ended, texts};
use ig_tests::Running;
use ig_tests::runtimes::{Docker, Place, Podman, until};

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
    let exec = |name: &str, words: &[&str]| docker.exec(name, words);
    let rename = |name: &str, to: &str| docker.rename(name, to);
    renamed(docker.place(), &asked, run, exec, rename);
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
    let exec = |name: &str, words: &[&str]| podman.exec(name, words);
    let rename = |name: &str, to: &str| podman.rename(name, to);
    renamed(podman.place(), &asked, run, exec, rename);
}

fn renamed(
    place: &Place,
    asked: &Asked,
    run: impl Fn(&str, &[&str]),
    exec: impl Fn(&str, &[&str]),
    rename: impl Fn(&str, &str),
) {
    let story = Story::of(place);
    let [old, new, always] = ["old", "new", "always"].map(|word| story.name(word));
    for name in [&old, &always] {
        run(name, &texts(&story.entry()));
    }
    let exec = |name: &str, what: &str| exec(name, &texts(&story.words(what)));
    let is = |what: &str| {
        let told = format!("\"{}\"", story.name(what));
        move |line: &str| line.contains(&told)
    };
    let flags = asked.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let start = |names: &str| attached(place, &[&flags[..], &["-c", names]].concat());
    let (mut of_old, summary_of_old) = start(&format!("{old},{always}"));
    let (mut of_new, summary_of_new) = start(&format!("{new},{always}"));
    // Shows what is executed now, if it ever does: what follows in the other container is shown in any case.
    let mut number = 0;
    let mut shows = |run: &mut Running, name: &str| {
        number += 1;
        let (what, then) = (format!("{number}-of-it"), format!("{number}-then"));
        exec(name, &what);
        exec(&always, &then);
        run.provoke(|| {}, is(&then));
        run.shown(is(&what))
    };
    assert!(shows(&mut of_old, &old));
    assert!(!shows(&mut of_new, &old));

    rename(&old, &new);
    until("rows under the new name", || {
        shows(&mut of_new, &new).then_some(())
    });
    until("no rows under the old name", || {
        (!shows(&mut of_old, &new)).then_some(())
    });
    assert!(shows(&mut of_new, &new));
    assert!(!shows(&mut of_old, &new));

    rename(&new, &old);
    until("rows under the old name", || {
        shows(&mut of_old, &old).then_some(())
    });
    until("no rows under the new name", || {
        (!shows(&mut of_new, &old)).then_some(())
    });
    assert!(shows(&mut of_old, &old));
    assert!(!shows(&mut of_new, &old));
    let _ = ended(of_old, &summary_of_old);
    let _ = ended(of_new, &summary_of_new);
}
