//! Cgroups below a container's, and cgroups that look like a container's and are not.

use super::marked::{Marked, PROGRAM, as_runtime, cgroup, expect, run_in, unified};
use ig_tests::runtimes::{Docker, Runc};
use serde_json::{Value, json};

/// As Docker's ids are.
const VICTIM: &str = "00000000000000000000000000000000000000000000000000000000ca11ab1e";

#[test]
fn what_a_container_makes_is_its_own_whatever_it_is_called() {
    let runc = Runc::new();
    let name = runc.place().name();
    let mut traced = Marked::start(runc.place());
    runc.run(VICTIM, &["sleep", "1000"]);
    // It may write the host's cgroups.
    let mount = json!({"destination": "/tmp", "type": "bind", "source": unified(), "options": ["bind", "rw"]});
    runc.bundle_with("intruder", &["sleep", "1000"], |config| {
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.push(mount);
    });
    runc.start("intruder");
    let cases = [
        ("below", "intruder/inner".to_owned()),
        ("like-the-other", format!("docker/{VICTIM}")),
        (
            "like-its-scope",
            format!("system.slice/docker-{VICTIM}.scope"),
        ),
        ("in-the-other", format!("{VICTIM}/inner")),
        ("like-a-unit", "system.slice/ig-test.service".to_owned()),
    ];
    for (word, path) in &cases {
        let marked = traced.word(word);
        let folder = format!("/tmp/{name}/{path}");
        let script = format!(
            "busybox mkdir -p {folder} && echo $$ > {folder}/cgroup.procs && {PROGRAM} {marked} && \
             (sleep 1000 >/dev/null 2>&1 </dev/null &)"
        );
        runc.exec("intruder", &["/bin/sh", "-c", &script]);
        let row = traced.row(word);
        // A cgroup below a container's is that one's.
        let whose = if *word == "in-the-other" {
            VICTIM
        } else {
            "intruder"
        };
        expect_container(&row, whose);
    }
    let _ = traced.end();
    // For who comes later, too.
    let mut traced = Marked::start(runc.place());
    runc.exec(VICTIM, &[PROGRAM, &traced.word("victim")]);
    runc.exec("intruder", &[PROGRAM, &traced.word("intruder")]);
    let _ = (traced.row("victim"), traced.row("intruder"));
    let _ = traced.end();
}

#[test]
fn a_path_or_a_command_line_takes_nobodys_identity() {
    let docker = Docker::start();
    let runc = Runc::new();
    let place = runc.place();
    let mut traced = Marked::start(place);
    let id = docker.run("web", &[], &["sleep", "1000"]);
    runc.run(VICTIM, &["sleep", "1000"]);
    let bundle = place.at(VICTIM);
    let bundle = bundle.to_str().expect("a path of text");

    let unit = |name: &str| Some(format!("docker-{name}.scope"));
    let made_by_nobody = [
        ("docker", format!("docker/{id}"), None),
        (
            "docker-whole",
            format!("x/{}/{id}", docker.place().name()),
            None,
        ),
        (
            "docker-scope",
            format!("system.slice/docker-{id}.scope"),
            unit(&id),
        ),
        ("runc", format!("docker/{VICTIM}"), None),
        (
            "runc-scope",
            format!("system.slice/docker-{VICTIM}.scope"),
            unit(VICTIM),
        ),
    ];
    for (word, path, unit) in &made_by_nobody {
        let (_, folder) = cgroup(place, path);
        run_in(&folder, &traced.word(word));
        expect_not_taken(&traced.row(word), unit.as_deref());
    }
    let (_, above) = cgroup(place, "claimed");
    let claimed = above.join(VICTIM);
    as_runtime(place, bundle, VICTIM, &[&claimed]);
    run_in(&claimed, &traced.word("claimed"));
    expect_not_taken(&traced.row("claimed"), None);

    // They themselves are who they were.
    runc.exec(VICTIM, &[PROGRAM, &traced.word("victim")]);
    expect_container(&traced.row("victim"), VICTIM);
    let status = docker
        .command()
        .args(["exec", "web", PROGRAM, &traced.word("web")])
        .status();
    assert!(status.is_ok_and(|status| status.success()));
    let row = traced.row("web");
    expect(
        &row,
        &[
            ("container", Some("web")),
            ("container_id", Some(&id)),
            ("runtime", Some("docker")),
        ],
    );
    let _ = traced.end();
}

#[track_caller]
fn expect_container(row: &Value, id: &str) {
    expect(
        row,
        &[
            ("scope", Some("container")),
            ("container_id", Some(id)),
            ("runtime", Some("runc")),
        ],
    );
}

#[track_caller]
fn expect_not_taken(row: &Value, unit: Option<&str>) {
    let scope = if unit.is_some() { "unit" } else { "host" };
    let nobody = [
        ("container", None),
        ("container_id", None),
        ("runtime", None),
        ("image", None),
    ];
    expect(row, &nobody);
    expect(row, &[("scope", Some(scope)), ("unit", unit)]);
}
