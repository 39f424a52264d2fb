//! The real runtimes.

use super::{Facts, Runtime, Sockets, has_address, listen};
use crate::owner::Pod;
use ig_tests::runtimes::{Containerd, Docker, Podman, Pods};
use std::collections::BTreeMap;

const SLEEP: [&str; 3] = ["--", "sleep", "3600"];

fn label(facts: &Facts, key: &str) -> Option<String> {
    facts.labels.as_ref()?.get(key).cloned()
}

#[test]
fn docker_tells_of_containers_that_run_that_come_and_that_go() {
    let mut docker = Docker::start();
    let first = docker.run("first", &[("app", "one")], &SLEEP);
    let sockets = Sockets {
        docker: Some(docker.socket()),
        ..Sockets::default()
    };
    let listener = listen(sockets).ready();
    let known = listener.knows(&first, |facts| facts.pid.is_some());
    assert_eq!(known.name.as_deref(), Some("first"));
    assert_eq!(known.runtime, Some(Runtime::Docker));
    assert_eq!(known.image.as_deref(), Some(Docker::IMAGE));
    assert_eq!(label(&known, "app").as_deref(), Some("one"));
    assert_eq!(known.host_network, Some(false));
    assert!(known.image_id.is_some_and(|id| id.starts_with("sha256:")));
    assert!(
        known
            .started
            .is_some_and(|ns| ns > 1_600_000_000_000_000_000)
    );

    let host = ["--network", "host", "--", "sleep", "3600"];
    let later = docker.run("later", &[("app", "two")], &host);
    let known = listener.knows(&later, |facts| facts.pid.is_some());
    assert_eq!(known.name.as_deref(), Some("later"));
    assert_eq!(label(&known, "app").as_deref(), Some("two"));
    assert_eq!(known.host_network, Some(true));
    let renamed = docker.command().args(["rename", "later", "last"]).output();
    assert!(renamed.unwrap().status.success());
    listener.knows(&later, |facts| facts.name.as_deref() == Some("last"));
    docker.remove("last");
    listener.forgets(&later);

    // One more is gone when it comes back, and one has come.
    docker.kill_daemon();
    let why = listener.loses(Runtime::Docker, 1);
    assert!(!why.contains('\n'), "{why}");
    assert!(listener.known(&first).is_some(), "lost is not removed");
    listener.gives_up(Runtime::Docker);
    docker.start_daemon();
    listener.finds(Runtime::Docker, 2);
    assert!(listener.runtimes.may_answer(Runtime::Docker));
    let third = docker.run("third", &[], &SLEEP);
    listener.knows(&third, |facts| facts.name.as_deref() == Some("third"));
    docker.remove("first");
    listener.forgets(&first);
}

/// The labels that cri-dockerd gives to the containers of a pod.
#[test]
fn pods_of_docker_are_told_by_the_labels_of_their_containers() {
    let docker = Docker::start();
    let (name, kind, of) = (
        "io.kubernetes.container.name",
        "io.kubernetes.docker.type",
        "io.kubernetes.sandbox.id",
    );
    let run = |container: &str, more: &[(&str, &str)], network: &str| {
        let kubelets = [
            ("io.kubernetes.pod.name", "web-7d9f-abcde"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.pod.uid", "u-1"),
            (name, container),
        ];
        let args = ["--network", network, "--", "sleep", "3600"];
        let own = format!("k8s_{container}_web-7d9f-abcde_shop_u-1_0");
        docker.run(&own, &[&kubelets, more].concat(), &args)
    };
    let own = [
        (kind, "podsandbox"),
        ("app", "web"),
        ("pod-template-hash", "7d9f"),
        ("annotation.note", "x"),
    ];
    let sandbox = run("POD", &own, "host");
    let network = format!("container:{sandbox}");
    let server = run("server", &[(kind, "container"), (of, &sandbox)], &network);
    let sockets = Sockets {
        docker: Some(docker.socket()),
        ..Sockets::default()
    };
    let listener = listen(sockets).ready();
    let check = |id: &str, container: &str| {
        let known = listener.knows(id, |facts| {
            facts.pod.as_ref().is_some_and(|pod| pod.labels.is_some())
        });
        assert!(!known.sandbox);
        assert_eq!(known.name.as_deref(), Some(container));
        assert_eq!(known.host_network, Some(true));
        let pod = known.pod.unwrap();
        assert_eq!((&*pod.namespace, &*pod.name), ("shop", "web-7d9f-abcde"));
        assert_eq!((&*pod.uid, &*pod.container), ("u-1", container));
        assert_eq!(pod.sandbox, sandbox);
        let labels: Vec<&str> = pod
            .labels
            .iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(labels, ["app", "pod-template-hash"]);
        assert_eq!(pod.owner, Some(("ReplicaSet".into(), "web-7d9f".into())));
    };
    check(&server, "server");
    let known = listener.knows(&sandbox, |_| true);
    assert!(known.sandbox);
    assert_eq!(known.name.as_deref(), Some("web-7d9f-abcde"));

    // One that comes later, by its event and by a question; another name of Docker's changes nothing.
    let later = run("proxy", &[(kind, "container"), (of, &sandbox)], &network);
    listener.runtimes.ask(Runtime::Docker, &later, None);
    check(&later, "proxy");
    listener.has_all(Runtime::Docker, &later);
    docker.rename("k8s_proxy_web-7d9f-abcde_shop_u-1_0", "other");
    let plain = docker.run("plain", &[(kind, "podsandbox")], &SLEEP);
    let known = listener.knows(&plain, |facts| facts.pid.is_some());
    assert_eq!((known.sandbox, known.pod), (false, None));
    check(&later, "proxy");
}

#[test]
fn a_container_is_looked_up_while_it_starts() {
    let docker = Docker::start();
    let sockets = Sockets {
        docker: Some(docker.socket()),
        ..Sockets::default()
    };
    let listener = listen(sockets).ready();
    let id = docker.run("asked", &[("app", "x")], &SLEEP);
    listener.runtimes.ask(Runtime::Docker, &id, None);
    let known = listener.knows(&id, |_| true);
    assert_eq!(known.name.as_deref(), Some("asked"));
    listener.has_all(Runtime::Docker, &id);
    // What is no container is no answer, and what begins like one is another.
    listener.runtimes.ask(Runtime::Docker, "nothing", None);
    listener.runtimes.ask(Runtime::Docker, &id[..12], None);
    for other in ["nothing", &id[..12]] {
        listener.has_all(Runtime::Docker, other);
    }
    docker.remove("asked");
    listener.forgets(&id);
    assert!(listener.heard.lock().unwrap().known.is_empty());
}

#[test]
fn containerd_tells_of_its_containers_with_the_digest_of_their_image() {
    let mut containerd = Containerd::start();
    containerd.run("first", &[("app", "one")], &SLEEP);
    let sockets = Sockets {
        containerd: Some(containerd.socket()),
        ..Sockets::default()
    };
    let listener = listen(sockets).ready();
    let complete = |facts: &Facts| facts.pid.is_some() && facts.image_digest.is_some();
    let known = listener.knows("first", complete);
    assert_eq!(known.name.as_deref(), Some("first"));
    assert_eq!(known.image.as_deref(), Some(Containerd::IMAGE));
    assert_eq!(known.image_digest.as_deref(), Some(containerd.digest()));
    assert_eq!(label(&known, "app").as_deref(), Some("one"));
    assert_eq!(
        known.cgroup,
        Some(format!("/{}/first", containerd.namespace()))
    );
    for key in known.labels.iter().flatten().map(|(key, _)| key) {
        containerd.label("first", key, "");
    }
    listener.knows("first", |facts| facts.labels == Some(BTreeMap::new()));
    containerd.label("first", "app", "two");
    listener.knows("first", |facts| {
        label(facts, "app").as_deref() == Some("two")
    });
    containerd.run("later", &[], &SLEEP);
    let known = listener.knows("later", complete);
    assert_eq!(known.image_digest.as_deref(), Some(containerd.digest()));
    containerd.remove("later");
    listener.forgets("later");

    // Its containers go on without it; one goes while nobody tells.
    containerd.kill_daemon();
    listener.loses(Runtime::Containerd, 1);
    assert!(listener.known("first").is_some(), "lost is not removed");
    containerd.start_daemon();
    listener.finds(Runtime::Containerd, 2);
    listener.knows("first", complete);
    containerd.run("third", &[], &SLEEP);
    listener.knows("third", complete);
    containerd.remove("first");
    listener.forgets("first");
}

#[test]
fn pods_of_containerd_are_told_once_with_their_names_labels_and_addresses() {
    let containerd = Containerd::start();
    let mut pods = Pods::of(&containerd);
    let sandbox = pods.sandbox("shop", "web-7d9f-abcde", &[("pod-template-hash", "7d9f")]);
    let pod = ("shop", "web-7d9f-abcde");
    let container = pods.container(&sandbox, pod, "server", &["sleep", "3600"]);
    let sockets = Sockets {
        containerd: Some(containerd.socket()),
        ..Sockets::default()
    };
    let listener = listen(sockets).ready();
    let check = |id: &str, sandbox: &str, pod: &str, name: &str| {
        let known = listener.knows(id, |facts| {
            facts.pid.is_some() && facts.image_digest.is_some() && facts.host_network.is_some()
        });
        assert_eq!(known.name.as_deref(), Some(name));
        assert!(!known.sandbox);
        assert_eq!(known.image.as_deref(), Some(Containerd::IMAGE));
        assert_eq!(known.image_digest.as_deref(), Some(containerd.digest()));
        let own = known.pod.unwrap();
        assert_eq!(
            (own.namespace.as_str(), own.name.as_str()),
            ("shop", pod),
            "{id}"
        );
        assert_eq!(own.uid, format!("uid-of-{pod}"));
        assert_eq!(own.container, name);
        assert_eq!(own.sandbox, sandbox);
        own
    };
    let own = check(&container, &sandbox, pod.1, "server");
    let label = |own: &Pod, key: &str| own.labels.as_ref()?.get(key).cloned();
    assert_eq!(label(&own, "pod-template-hash").as_deref(), Some("7d9f"));
    assert_eq!(own.owner, Some(("ReplicaSet".into(), "web-7d9f".into())));
    let known = listener.knows(&sandbox, has_address);
    assert!(known.sandbox);
    assert_eq!(known.host_network, Some(false));
    assert_eq!(listener.heard.lock().unwrap().known.len(), 2);

    // One that comes later.
    let second = pods.sandbox("shop", "db-0", &[("app", "db")]);
    let inside = pods.container(&second, ("shop", "db-0"), "store", &["sleep", "3600"]);
    let own = check(&inside, &second, "db-0", "store");
    assert_eq!(label(&own, "app").as_deref(), Some("db"));
    listener.knows(&second, |facts| facts.sandbox && has_address(facts));
    pods.remove_container(&inside);
    listener.forgets(&inside);
    pods.remove_sandbox(&second);
    listener.forgets(&second);
    assert!(listener.known(&container).is_some());
}

#[test]
fn podman_tells_of_containers_and_pods() {
    let mut podman = Podman::start();
    let first = podman.run("first", &[("app", "one")], &SLEEP);
    let sockets = Sockets {
        podman: Some(podman.socket()),
        ..Sockets::default()
    };
    let listener = listen(sockets).ready();
    let complete = |facts: &Facts| facts.pid.is_some() && facts.image_digest.is_some();
    let known = listener.knows(&first, complete);
    assert_eq!(known.name.as_deref(), Some("first"));
    assert_eq!(known.image.as_deref(), Some(Podman::IMAGE));
    assert_eq!(label(&known, "app").as_deref(), Some("one"));
    assert_eq!(known.pod, None);
    let renamed = podman.command().args(["rename", "first", "one"]).output();
    assert!(renamed.unwrap().status.success());
    listener.knows(&first, |facts| facts.name.as_deref() == Some("one"));

    let pod = podman.pod("shop");
    let inside = podman.run("inside", &[], &["--pod", "shop", "--", "sleep", "3600"]);
    let known = listener.knows(&inside, |f| complete(f) && f.pod.is_some());
    let own = known.pod.unwrap();
    assert_eq!(
        (own.name.as_str(), own.uid.as_str()),
        ("shop", pod.as_str())
    );
    assert!(!known.sandbox);
    let infra = |facts: &&Facts| facts.sandbox && facts.pod.is_some();
    let heard = listener.heard.lock().unwrap();
    assert!(heard.known.values().any(|facts| infra(&facts)));
    drop(heard);
    podman.remove("inside");
    listener.forgets(&inside);

    podman.stop_service();
    listener.loses(Runtime::Podman, 1);
    let meanwhile = podman.run("meanwhile", &[], &SLEEP);
    podman.remove("one");
    podman.start_service();
    listener.knows(&meanwhile, complete);
    listener.forgets(&first);
}
