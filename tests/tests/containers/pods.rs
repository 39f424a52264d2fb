//! Pods, by containerd's interface for Kubernetes.

use super::traced::{Asked, Traced, expect, expect_shown, shown, stays, words};
use ig_tests::runtimes::{Containerd, Pods, until};
use serde_json::Value;

/// A container of a pod that was there before, one of a new pod, and one of a pod that is made when the daemon was killed
/// and is back.
#[test]
fn containers_of_pods_have_pod_and_namespace_from_their_first_program_on() {
    let mut containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let word = containerd.namespace().to_owned();
    let mut pods = Pods::of(&containerd);
    let labels = [("app", "shop")];
    // What is executed inside of the first is executed by itself, again and again.
    let ticks = format!("while true; do /bin/true {word}-in-early; /bin/sleep 0.2; done");
    let sandbox = pods.sandbox("shops", "early", &labels);
    pods.container(
        &sandbox,
        ("shops", "early"),
        "main",
        &["/bin/sh", "-c", &ticks],
    );
    let mut traced = Traced::start(&asked, &word);
    let people = shown(&asked, &word);
    let check = |row: &Value, pod: &str, container: &str| {
        let uid = format!("uid-of-{pod}");
        expect(
            row,
            &[
                ("scope", "container"),
                ("runtime", "containerd"),
                ("namespace", "shops"),
                ("pod", pod),
                ("pod_uid", &uid),
                ("pod_container", container),
                ("container", container),
                ("image", Containerd::IMAGE),
            ],
        );
    };
    let pod_label = |row: &Value| {
        let labels = row["pod_labels"].as_str().unwrap_or_default();
        labels.split(',').any(|one| one == "app=shop")
    };
    let said = format!("{word}-in-early");
    let row = traced.row(|row| row["args"][1] == said.as_str() && pod_label(row));
    check(&row, "early", "main");

    let sandbox = pods.sandbox("shops", "cart", &labels);
    let entry = stays(&format!("{word}-web"));
    let web = pods.container(&sandbox, ("shops", "cart"), "web", &words(&entry));
    let row = traced.of(&words(&entry));
    check(&row, "cart", "web");
    assert_eq!(row["container_id"], web.as_str());
    expect_shown(
        people,
        &["shops", "cart", "web", &entry[2]],
        &["NAMESPACE", "POD", "CONTAINER", "IMAGE"],
    );

    containerd.kill_daemon();
    containerd.start_daemon();
    drop(pods);
    let mut pods = Pods::of(&containerd);
    let sandbox = pods.sandbox("shops", "late", &labels);
    let entry = stays(&format!("{word}-later"));
    let later = pods.container(&sandbox, ("shops", "late"), "web", &words(&entry));
    let row = traced.of(&words(&entry));
    check(&row, "late", "web");
    assert_eq!(row["container_id"], later.as_str());
    traced.end();

    let listed = asked.list(containerd.place());
    let main = listed
        .iter()
        .find(|row| row["container_id"] == later.as_str());
    let main = main.expect("it is listed");
    check(main, "late", "web");
    assert!(main["container_pid"].is_number(), "{main:#}");
    // By its pod alone. A sandbox is no container.
    let of_pod = asked.listing(containerd.place(), &["-n", "shops", "-p", "late"]);
    let of_pod = of_pod.finish();
    assert_eq!(of_pod.rows().len(), 1, "{}", of_pod.stdout);
    for scope in ["containers", "all"] {
        let flags = ["-n", "shops", "-p", "late", "--scope", scope];
        let with_sandbox = asked.listing(containerd.place(), &flags).finish();
        let rows = with_sandbox.rows();
        let mut found: Vec<_> = rows
            .iter()
            .filter_map(|row| Some((row["scope"].as_str()?, row["container_id"].as_str()?)))
            .collect();
        found.sort_unstable();
        let expected = [("container", later.as_str()), ("sandbox", sandbox.as_str())];
        assert_eq!(found, expected, "{}", with_sandbox.stdout);
    }
    let host = asked.listing(containerd.place(), &["--scope", "host"]);
    host.finish()
        .expect_refusal(2, &["--scope host", "--scope containers"]);
    pods.remove_sandbox(&sandbox);
    until("the end of the pod", || {
        let listed = asked.list(containerd.place());
        listed.iter().all(|row| row["pod"] != "late").then_some(())
    });
}
