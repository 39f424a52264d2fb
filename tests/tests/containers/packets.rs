//! Packets of containers, each in a network namespace of its own or in one of a pod.

use crate::socket_filters::{Sender, packets, seen, wanted};
use ig_tests::runtimes::{Containerd, Docker, Pods};
use serde_json::Value;

const FIELDS: &str = "+container,+namespace,+pod";

#[test]
fn only_packets_of_containers_that_are_asked_for_are_seen_also_of_later_ones() {
    const PORT: u16 = 9194;
    let docker = Docker::start();
    let socket = docker.socket().display().to_string();
    let run = |name: &str| {
        docker.run(name, &[], &["--", "/bin/busybox", "sleep", "600"]);
        Sender::beside(pid(&docker, name), PORT)
    };
    let (mut one, mut two) = (run("one"), run("two"));
    let mut running = packets(PORT)
        .args(&["-r", "docker", "--docker-socketpath", &socket])
        .args(&["-c", "one,three", "--fields", FIELDS])
        .start();
    one.until_seen(&mut running);
    let mut three = run("three");
    three.until_seen(&mut running);
    one.send(1000, 100);
    two.send(2000, 100);
    three.send(3000, 100);
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    let rows = finished.rows();
    let mut all = wanted(one.namespace, 1000..1100);
    all.extend(wanted(three.namespace, 3000..3100));
    assert!(seen(&rows) == all, "only those, and each once");
    for row in &rows {
        let name = if row["netns"] == one.namespace {
            "one"
        } else {
            "three"
        };
        assert_eq!(row["container"], name);
    }
}

fn pid(docker: &Docker, name: &str) -> u32 {
    let output = docker
        .command()
        .args(["inspect", "-f", "{{.State.Pid}}", name])
        .output()
        .expect("docker starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().expect("a process id")
}

#[test]
fn containers_of_a_pod_share_a_namespace_whose_packets_are_seen_once() {
    const PORT: u16 = 9195;
    let containerd = Containerd::start();
    let mut pods = Pods::of(&containerd);
    let sandbox = pods.sandbox("shops", "cart", &[]);
    let sleep = |port| ["/bin/busybox", "httpd", "-f", "-p", port];
    let web = pods.container(&sandbox, ("shops", "cart"), "web", &sleep("8080"));
    let side = pods.container(&sandbox, ("shops", "cart"), "side", &sleep("8081"));
    let pids = [&web, &side].map(|id| super::sockets::process(id, "httpd"));
    let mut senders = pids.map(|pid| Sender::beside(pid, PORT));
    assert_eq!(senders[0].namespace, senders[1].namespace);
    let socket = containerd.socket().display().to_string();
    let mut running = packets(PORT)
        .args(&["-r", "containerd", "--containerd-socketpath", &socket])
        .args(&["--fields", FIELDS])
        .start();
    senders[0].until_seen(&mut running);
    for (sender, first) in senders.iter_mut().zip([1000, 2000]) {
        sender.send(first, 100);
    }
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    let rows = finished.rows();
    let namespace = senders[0].namespace;
    let mut all = wanted(namespace, 1000..1100);
    all.extend(wanted(namespace, 2000..2100));
    assert!(seen(&rows) == all, "each once");
    let whose = |row: &Value| (row["namespace"].clone(), row["pod"].clone());
    for row in &rows {
        assert_eq!(whose(row), ("shops".into(), "cart".into()));
    }

    // They are of whoever is asked for.
    let mut running = packets(PORT)
        .args(&["-r", "containerd", "--containerd-socketpath", &socket])
        .args(&["-c", "side", "--fields", FIELDS])
        .start();
    senders[0].until_seen(&mut running);
    senders[0].send(1000, 100);
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    let rows = finished.rows();
    assert!(seen(&rows) == wanted(namespace, 1000..1100), "each once");
    assert!(rows.iter().all(|row| row["container"] == "side"));
    pods.remove_sandbox(&sandbox);
}
