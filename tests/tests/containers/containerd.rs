//! containerd, used through `ctr`.

use super::traced::{Asked, Traced, expect, stays, words};
use ig_tests::runtimes::{Containerd, until};
use serde_json::Value;

/// One that was there before, one that comes, and one that comes after the daemon was killed and is back: containerd alone
/// knows the image.
#[test]
fn containerd_s_containers_have_name_image_and_digest_from_their_first_program_on() {
    let mut containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let word = containerd.namespace().to_owned();
    let digest = containerd.digest().to_owned();
    let labels = [("app", "shop")];
    containerd.run("early", &labels, &words(&stays("nothing")));
    let mut traced = Traced::start(&asked, &word);
    let check = |row: &Value, name: &str| {
        let has = |label: &str| {
            let labels = row["labels"].as_str().unwrap_or_default();
            labels.split(',').any(|one| one == label)
        };
        assert!(has("app=shop"), "{row:#}");
        expect(
            row,
            &[
                ("scope", "container"),
                ("runtime", "containerd"),
                ("container", name),
                ("container_id", name),
                ("image", Containerd::IMAGE),
                ("image_digest", &digest),
            ],
        );
    };
    let said = format!("{word}-in-early");
    containerd.exec("early", "one", &["/bin/true", &said]);
    check(&traced.of(&["/bin/true", &said]), "early");

    let entry = stays(&format!("{word}-web"));
    containerd.run("web", &labels, &words(&entry));
    check(&traced.of(&words(&entry)), "web");

    containerd.kill_daemon();
    containerd.start_daemon();
    // From disk a container made now has its name at once. When the daemon is asked again its image is there, too, and then
    // the digest, which is another question.
    containerd.run("between", &labels, &words(&stays("nothing")));
    let mut number = 0;
    let said = format!("{word}-in-between");
    let row = traced.provoke(
        || {
            number += 1;
            let exec = format!("exec{number}");
            containerd.exec("between", &exec, &["/bin/true", &said]);
        },
        |row| row["container"] == "between" && row["image_digest"].is_string(),
    );
    check(&row, "between");
    let entry = stays(&format!("{word}-later"));
    containerd.run("later", &labels, &words(&entry));
    check(&traced.of(&words(&entry)), "later");
    traced.end();

    let listed = asked.list(containerd.place());
    for row in &listed {
        check(row, row["container_id"].as_str().expect("an id"));
        assert!(row["container_pid"].is_number(), "{row:#}");
    }
    let names = || {
        let listed = asked.list(containerd.place());
        let mut names: Vec<String> = listed
            .iter()
            .map(|row| row["container"].to_string())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names(),
        ["\"between\"", "\"early\"", "\"later\"", "\"web\""]
    );
    containerd.remove("web");
    until("the end of web", || {
        (names() == ["\"between\"", "\"early\"", "\"later\""]).then_some(())
    });
}
