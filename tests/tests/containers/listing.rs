//! `ig list-containers`, beside Docker.

use super::traced::{Asked, expect, stays, words};
use ig_tests::runtimes::{Docker, until};
use serde_json::Value;

/// What is there is told first, what comes as it comes, what goes as it goes; the same without `--watch`.
#[test]
fn a_list_has_what_docker_says_and_goes_on_with_what_comes_and_goes() {
    let docker = Docker::start();
    let socket = docker.socket();
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let (image, digest) = docker.pull();
    let stay = stays("nothing");
    let early = docker.run_of(&image, "early", &[("app", "shop")], &words(&stay));
    let fields =
        "event,scope,runtime,container,container_id,container_pid,image,image_digest,labels";
    let watching = asked.listing(docker.place(), &["--watch", "--fields", fields]);
    let mut watching = watching.start();
    let is = |line: &str, event: &str, name: &str| {
        serde_json::from_str::<Value>(line)
            .is_ok_and(|row| row["event"] == event && row["container"] == name)
    };
    watching.provoke(|| {}, |line| is(line, "existing", "early"));
    let web = docker.run_of(&image, "web", &[("app", "shop")], &words(&stay));
    watching.provoke(|| {}, |line| is(line, "added", "web"));

    // Whoever asks now has both.
    let pid = |name: &str| {
        let out = docker
            .command()
            .args(["inspect", "-f", "{{.State.Pid}}", name])
            .output()
            .expect("docker runs");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    };
    let listed = asked.list(docker.place());
    assert_eq!(listed.len(), 2, "{listed:#?}");
    for (name, id) in [("early", &early), ("web", &web)] {
        let row = listed.iter().find(|row| row["container"] == name);
        let row = row.unwrap_or_else(|| panic!("no {name} in {listed:#?}"));
        expect(
            row,
            &[
                ("scope", "container"),
                ("runtime", "docker"),
                ("container_id", id),
                ("image", &image),
                ("image_digest", &digest),
                ("labels", "app=shop,of=image"),
            ],
        );
        assert_eq!(row["container_pid"].to_string(), pid(name), "{row:#}");
    }
    let one = asked.listing(docker.place(), &["-c", "web"]).finish();
    assert_eq!(one.rows().len(), 1, "{}", one.stdout);
    let none = asked
        .listing(docker.place(), &["--runtime", "podman"])
        .finish();
    assert_eq!(none.stdout, "");

    docker.remove("early");
    watching.provoke(|| {}, |line| is(line, "removed", "early"));
    docker.remove("web");
    watching.provoke(|| {}, |line| is(line, "removed", "web"));
    watching.signal("INT");
    let watched = watching.wait();
    watched.expect_code(0);
    for (name, first) in [("early", "existing"), ("web", "added")] {
        let rows = watched.rows();
        let events: Vec<&str> = rows
            .iter()
            .filter(|row| row["container"] == name)
            .filter_map(|row| row["event"].as_str())
            .filter(|event| *event != "changed")
            .collect();
        assert_eq!(events, [first, "removed"], "of {name}: {}", watched.stdout);
    }
    until("an empty list", || {
        asked.list(docker.place()).is_empty().then_some(())
    });
}
