//! podman, with root.

use super::traced::{Asked, Traced, expect, stays, words};
use ig_tests::runtimes::{Podman, until};
use serde_json::Value;

/// One that was there before, one that comes, one that comes while the service is away, and labels, which the service alone
/// knows.
#[test]
fn podman_s_containers_have_name_and_image_from_their_first_program_on() {
    let mut podman = Podman::start();
    let socket = podman.socket();
    let asked = Asked {
        runtime: "podman",
        socket: &socket,
    };
    let word = podman.place().name().to_owned();
    let labels = [("app", "shop")];
    let early = podman.run("early", &labels, &words(&stays("nothing")));
    let mut traced = Traced::start(&asked, &word);
    let check = |row: &Value, name: &str, id: &str| {
        expect(
            row,
            &[
                ("scope", "container"),
                ("runtime", "podman"),
                ("container", name),
                ("container_id", id),
                ("image", Podman::IMAGE),
            ],
        );
        let digest = row["image_digest"].as_str().unwrap_or_default();
        assert!(digest.starts_with("sha256:"), "{row:#}");
    };
    let label = |row: &Value| {
        let labels = row["labels"].as_str().unwrap_or_default();
        labels.split(',').any(|one| one == "app=shop")
    };
    let labelled = |traced: &mut Traced, podman: &Podman, name: &str| {
        let said = format!("{word}-in-{name}");
        traced.provoke(
            || podman.exec(name, &["/bin/true", &said]),
            |row| row["args"][1] == said.as_str() && label(row),
        )
    };
    check(&labelled(&mut traced, &podman, "early"), "early", &early);

    let entry = stays(&format!("{word}-web"));
    let web = podman.run("web", &labels, &words(&entry));
    check(&traced.of(&words(&entry)), "web", &web);
    check(&labelled(&mut traced, &podman, "web"), "web", &web);

    podman.stop_service();
    let entry = stays(&format!("{word}-between"));
    let between = podman.run("between", &labels, &words(&entry));
    check(&traced.of(&words(&entry)), "between", &between);
    podman.start_service();
    check(
        &labelled(&mut traced, &podman, "between"),
        "between",
        &between,
    );
    let entry = stays(&format!("{word}-later"));
    let later = podman.run("later", &labels, &words(&entry));
    check(&traced.of(&words(&entry)), "later", &later);
    traced.end();

    let listed = asked.list(podman.place());
    let row = listed.iter().find(|row| row["container"] == "web");
    let row = row.expect("it is listed");
    check(row, "web", &web);
    assert!(label(row) && row["container_pid"].is_number(), "{row:#}");
    podman.remove("web");
    until("the end of web", || {
        let listed = asked.list(podman.place());
        listed
            .iter()
            .all(|row| row["container"] != "web")
            .then_some(())
    });
    // The others are still there.
    let names = asked.list(podman.place());
    for name in ["early", "between", "later"] {
        assert!(names.iter().any(|row| row["container"] == name), "{name}");
    }
}
