//! Docker.

use super::traced::{Asked, Traced, expect, expect_shown, shown, stays, words};
use ig_tests::runtimes::Docker;
use serde_json::Value;
use std::path::Path;

fn asked(socket: &Path) -> Asked<'_> {
    Asked {
        runtime: "docker",
        socket,
    }
}

/// One that was there before, one that comes, and one that comes after the daemon was killed and is back.
#[test]
fn docker_s_containers_have_name_image_and_digest_from_their_first_program_on() {
    let mut docker = Docker::start();
    let (image, digest) = docker.pull();
    let word = docker.place().name().to_owned();
    let socket = docker.socket();
    let early = docker.run_of(
        &image,
        "early",
        &[("app", "shop")],
        &words(&stays("nothing")),
    );
    let mut traced = Traced::start(&asked(&socket), &word);
    let people = shown(&asked(&socket), &word);
    let expected = |name: &'static str| {
        [
            ("scope", "container".to_owned()),
            ("runtime", "docker".to_owned()),
            ("container", name.to_owned()),
            ("image", image.clone()),
            ("image_digest", digest.clone()),
            ("labels", "app=shop,of=image".to_owned()),
        ]
    };
    let check = |row: &Value, name: &'static str, id: &str| {
        let expected = expected(name);
        expect(row, &expected.each_ref().map(|(k, v)| (*k, v.as_str())));
        assert_eq!(row["container_id"], id);
    };
    // What is executed in one that was there.
    let said = format!("{word}-in-early");
    docker.exec("early", &["/bin/true", &said]);
    check(&traced.of(&["/bin/true", &said]), "early", &early);

    // The entrypoint of one that comes.
    let entry = stays(&format!("{word}-web"));
    let web = docker.run_of(&image, "web", &[("app", "shop")], &words(&entry));
    check(&traced.of(&words(&entry)), "web", &web);
    let script = &entry[2];
    expect_shown(people, &["web", &image, script], &["CONTAINER", "IMAGE"]);

    docker.kill_daemon();
    docker.start_daemon();
    let entry = stays(&format!("{word}-later"));
    let later = docker.run_of(&image, "later", &[("app", "shop")], &words(&entry));
    check(&traced.of(&words(&entry)), "later", &later);

    // The client that asked for it is the host's.
    let rows = traced.end().rows();
    let client = rows
        .iter()
        .find(|row| row["args"].to_string().contains("--name\",\"web"));
    let client = client.unwrap_or_else(|| panic!("no client in {rows:#?}"));
    assert_ne!(client["scope"], "container", "{client:#}");
    assert_eq!(client["container"], Value::Null);
}
