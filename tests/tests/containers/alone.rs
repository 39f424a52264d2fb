//! runc and crun without anybody above them.

use super::marked::{Marked, PROGRAM, expect};
use ig_tests::Ig;
use ig_tests::runtimes::{Runc, until};
use serde_json::{Value, json};

#[test]
fn containers_of_runc_alone_are_named_from_their_first_program_on() {
    named(&Runc::new());
}

#[test]
fn containers_of_crun_alone_are_named_from_their_first_program_on() {
    named(&Runc::crun());
}

/// As on a machine that has no other.
#[test]
fn with_version_2_of_cgroups_alone_containers_are_named_too() {
    named(&Runc::with_version_2_alone());
}

fn named(runc: &Runc) {
    let place = runc.place();
    let name = |word: &str| format!("{}-{word}", place.name());
    let sleep = ["sleep", "1000"];
    // One whose runtime stays, and one that its state tells of.
    runc.bundle(&name("stays"), &sleep);
    let mut stays = runc.attached(&name("stays")).spawn().expect("it runs");
    runc.bundle_with(&name("old"), &sleep, annotated);
    runc.start_as_usual(&name("old"));
    let in_stays = || runc.exec(&name("stays"), &[PROGRAM, "there"]);
    until("a container that runs", || {
        let state = place.at("state").join(name("stays"));
        state
            .read_dir()
            .is_ok_and(|mut all| all.any(|_| true))
            .then_some(())
    });
    until("its first program", || {
        let state = runc
            .command()
            .args(["state", &name("stays")])
            .output()
            .ok()?;
        let state: Value = serde_json::from_slice(&state.stdout).ok()?;
        (state["status"] == "running").then_some(())
    });
    in_stays();

    let mut listed = listing(runc).arg("--watch").start();
    listed.provoke(|| {}, event("existing", &name("old")));
    let mut traced = Marked::start(place);
    for old in ["stays", "old"] {
        let word = format!("in-{old}");
        runc.exec(&name(old), &[PROGRAM, &traced.word(&word)]);
        expect_container(&traced.row(&word), runc, &name(old));
    }
    expect(&traced.row("in-old"), &[("labels", Some("team=blue"))]);

    // The entrypoint's first exec, with all that there is to say.
    let first = traced.word("first");
    let script = format!("{PROGRAM} {} ; exec sleep 1000", traced.word("second"));
    runc.bundle_with(&name("new"), &["sh", "-c", &script, &first], annotated);
    runc.start(&name("new"));
    let args = json!(["sh", "-c", script, first]);
    let second = traced.row("second");
    expect_container(&second, runc, &name("new"));
    runc.exec(&name("new"), &[PROGRAM, &traced.word("in-new")]);
    expect_container(&traced.row("in-new"), runc, &name("new"));
    listed.provoke(|| {}, event("added", &name("new")));

    runc.remove(&name("new"));
    listed.provoke(|| {}, event("removed", &name("new")));
    // Again with the same name: it is another one.
    runc.start(&name("new"));
    runc.exec(&name("new"), &[PROGRAM, &traced.word("in-next")]);
    expect_container(&traced.row("in-next"), runc, &name("new"));
    runc.remove(&name("new"));
    listed.signal("INT");
    listed.wait().expect_code(0);

    let traced_ready = traced.word("ready");
    let rows = traced.end().rows();
    let firsts: Vec<&Value> = rows.iter().filter(|row| row["args"] == args).collect();
    assert_eq!(firsts.len(), 2, "{rows:#?}");
    for row in &firsts {
        expect_container(row, runc, &name("new"));
        expect(row, &[("labels", Some("team=blue")), ("image", None)]);
        let (started, seen) = (row["container_started"].as_str(), row["timestamp"].as_str());
        assert!(started.is_some() && started < seen, "{row:#}");
    }
    for row in rows.iter().filter(|row| row["args"][0] == PROGRAM) {
        let ready = row["args"][1] == traced_ready;
        assert!(ready || row["scope"] == "container", "{row:#}");
    }
    for id in ["stays", "old"] {
        runc.remove(&name(id));
    }
    stays.wait().expect("a child of ours");
    let left = listing(runc).finish();
    left.expect_code(0);
    assert_eq!(left.stdout, "", "they are gone");
}

fn annotated(config: &mut Value) {
    config["annotations"] = json!({"team": "blue"});
}

/// `ig list-containers` of one place.
fn listing(runc: &Runc) -> Ig {
    let filter = format!("cgroup_path like '/{}/*'", runc.place().name());
    Ig::new()
        .args(&["list-containers", "--filter", &filter])
        .json()
}

fn event(event: &str, id: &str) -> impl Fn(&str) -> bool {
    let (event, id) = (json!(event), json!(id));
    move |line| {
        let row: Value = serde_json::from_str(line).unwrap_or_default();
        row["event"] == event && row["container"] == id
    }
}

#[track_caller]
fn expect_container(row: &Value, runc: &Runc, id: &str) {
    expect(
        row,
        &[
            ("scope", Some("container")),
            ("runtime", Some(runc.program())),
            ("container", Some(id)),
            ("container_id", Some(id)),
            ("cgroup_path", Some(&runc.cgroup(id))),
        ],
    );
}
