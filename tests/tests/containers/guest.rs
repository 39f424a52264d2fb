//! A guest that asks whose records are and is told of containers, beside Docker.

use super::traced::{Asked, Traced, expect, stays, words};
use ig_tests::runtimes::Docker;
use ig_tests::{Ig, gadget};
use serde_json::Value;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Whose programs are looked at: nobody else on the machine has it.
const UID: u32 = 47_111;

/// It is told of a container before the container's first record, has the same answer by all that it can ask by, and can
/// name what is gone; the host joins the same to its rows.
#[test]
fn a_guest_is_told_of_containers_and_can_ask_whose_records_are() {
    let docker = Docker::start();
    let socket = docker.socket();
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let flags = asked.flags();
    let uid = UID.to_string();
    let only = format!("path ~ '^/{}/' or path is null", docker.place().name());
    docker.run("early", &[], &words(&stays("nothing")));
    let ig = Ig::run(gadget("owners"))
        .args(&flags.iter().map(String::as_str).collect::<Vec<_>>())
        .args(&["--uid", &uid, "--fields", "+whose,+container,+image,+scope"])
        .args(&["--filter", &only])
        .json();
    let is = |row: &Value, what: &str, name: &str| row["what"] == what && row["name"] == name;
    let mut told = Traced::attached(ig, || {
        let status = Command::new("/bin/true").uid(UID).status();
        status.expect("true runs");
    });
    told.row(|row| is(row, "added", "early"));
    let user = format!("{UID}:{UID}");
    docker.run("web", &[], &["--user", &user, "--", "/bin/sleep", "1000"]);
    told.row(|row| is(row, "id", "web"));
    docker.remove("web");
    told.row(|row| is(row, "removed", "web"));
    let rows = told.end().rows();

    // By its mount namespace its first program may come too early: then nobody is known yet, and never another.
    let (by_namespace, others): (Vec<&Value>, Vec<&Value>) = rows
        .iter()
        .partition(|row| row["what"] == "mount namespace");
    let of_web: Vec<&Value> = others
        .into_iter()
        .filter(|row| row["name"] == "web")
        .collect();
    for row in by_namespace {
        assert!(
            row["whose"] == 0 || row["whose"] == of_web[0]["whose"],
            "{row:#}"
        );
    }
    let whats: Vec<&str> = of_web
        .iter()
        .filter_map(|row| row["what"].as_str())
        .collect();
    assert_eq!(
        whats,
        ["added", "record", "cgroup", "id", "removed", "late"],
        "{rows:#?}"
    );
    for row in &of_web {
        assert_eq!(row["whose"], of_web[0]["whose"], "{row:#}");
        expect(
            row,
            &[
                ("picture", Docker::IMAGE),
                ("scope", "container"),
                ("container", "web"),
                ("image", Docker::IMAGE),
            ],
        );
    }
    // It was never told that the other is gone.
    assert!(
        !rows.iter().any(|row| is(row, "removed", "early")),
        "{rows:#?}"
    );
}
