//! Docker, when nobody asks it or it does not answer.

use super::traced::{FIELDS, Traced, expect, stays, words};
use ig_tests::runtimes::Docker;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::channel;

/// Rows name a new container from the files of its runtime alone, with all flags that leave Docker unasked, and beside a
/// socket that takes connections and never answers: a row that waited for an answer, 2 s, would be undecided by then.
#[test]
fn without_an_answer_the_files_of_the_runtime_name_a_container() {
    let docker = Docker::start();
    let (image, digest) = docker.pull();
    let hung = docker.place().at("hung.sock");
    let listener = UnixListener::bind(&hung).expect("a socket");
    // Kept, never answered.
    let (connected, connections) = channel::<UnixStream>();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if connected.send(stream).is_err() {
                return;
            }
        }
    });
    let nowhere = docker.place().at("none.sock").display().to_string();
    let hung = hung.display().to_string();
    for (name, flags) in [
        ("nowhere", ["-r", "docker", "--docker-socketpath", &nowhere]),
        ("others", ["-r", "runc", "-r", "containerd"]),
        ("hung", ["-r", "docker", "--docker-socketpath", &hung]),
    ] {
        let word = format!("{}-{name}", docker.place().name());
        let filter = format!("args ~ '{word}'");
        let shown = ["--fields", FIELDS, "--filter", &filter];
        let mut traced = Traced::with(&flags, &word, &shown);
        let entry = stays(&word);
        let id = docker.run_of(&image, name, &[("app", "shop")], &words(&entry));
        let row = traced.of(&words(&entry));
        expect(
            &row,
            &[
                ("scope", "container"),
                ("runtime", "docker"),
                ("container", name),
                ("container_id", &id),
                ("image", &image),
                ("image_digest", &digest),
                ("labels", "app=shop,of=image"),
            ],
        );
        traced.end();
    }
    assert!(connections.try_recv().is_ok(), "nobody asked");
    drop(connections);
    // The thread ends with this one.
    UnixStream::connect(&hung).expect("it listens");
}
