//! Pods, by containerd's interface for Kubernetes.

use super::super::traced::Asked;
use super::{Chosen, Story, expect_listed, texts};
use ig_tests::runtimes::{Containerd, Pods};

const NAMESPACE: &str = "shops";

/// A pod with its containers; gives the sandbox's id.
fn pod(
    pods: &mut Pods,
    story: &mut Story,
    (namespace, name): (&str, &str),
    labels: &[(&str, &str)],
    containers: &[&str],
) -> (String, Vec<String>) {
    let sandbox = pods.sandbox(namespace, name, labels);
    let ids = containers.iter().map(|container| {
        let entry = story.entry();
        let id = pods.container(&sandbox, (namespace, name), container, &texts(&entry));
        story.told(Some(container), &entry);
        id
    });
    let ids = ids.collect();
    (sandbox, ids)
}

/// A pod's labels are known to its runtime's interface alone. A sandbox is nobody's container.
#[test]
fn of_pods_the_containers_that_were_asked_for_are_shown_and_nothing_else() {
    let containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let place = containerd.place();
    let mut pods = Pods::of(&containerd);
    let mut story = Story::of(place);
    let name = |word: &str| format!("{}-{word}", place.name());
    let (main, web, proxy, job) = (name("main"), name("web"), name("proxy"), name("job"));
    let (early, cart, batch) = (name("early"), name("cart"), name("batch"));
    let shop = format!("igt/shop={}", place.name());
    let labels = [("igt/shop", place.name()), ("tier", "front")];
    let (_, ids) = pod(
        &mut pods,
        &mut story,
        (NAMESPACE, &early),
        &labels,
        &[&main],
    );
    story.begin();

    let mine = format!("{}-*", place.name());
    let front = format!("{shop},tier in (front, middle),!canary");
    let mut chosen = Chosen::beside(place, Some(&asked));
    chosen
        // As the issue has it: by a label, before there is such a pod.
        .only(&["--k8s-selector", &front], &[&main, &web, &proxy])
        .bare(
            &["--k8s-selector", &format!("{shop},tier notin (front)")],
            &[&job],
        )
        .only(&["--k8s-selector", &format!("{shop},canary")], &[])
        .only(&["--k8s-podname", &cart], &[&web, &proxy])
        .only(
            &["--k8s-podname", &format!("{mine},!{cart}")],
            &[&main, &job],
        )
        .only(
            &["--k8s-containername", &format!("{web},{job}")],
            &[&web, &job],
        )
        .only(
            &["--k8s-namespace", "jobs*", "--k8s-podname", &mine],
            &[&job],
        )
        .only(
            &[
                "--k8s-namespace",
                NAMESPACE,
                "-c",
                &format!("{mine},!{proxy}"),
            ],
            &[&main, &web],
        )
        .only(
            &["--k8s-podname", &cart, "--k8s-selector", "tier!=front"],
            &[],
        )
        .among(&["--k8s-namespace", &format!("!{NAMESPACE}")], &[&job])
        .attached();

    let in_main = |story: &mut Story, what: &str| {
        let words = story.words(what);
        let mut exec = containerd.ctr("k8s.io");
        exec.args(["tasks", "exec", "--exec-id", what, &ids[0]])
            .args(&words);
        let output = exec.output().expect("ctr starts");
        assert!(output.status.success(), "{output:?}");
        story.told(Some(&main), &words);
    };
    in_main(&mut story, "in-main");
    let back = [("igt/shop", place.name()), ("tier", "back")];
    pod(&mut pods, &mut story, ("jobs", &batch), &back, &[&job]);
    let (sandbox, _) = pod(
        &mut pods,
        &mut story,
        (NAMESPACE, &cart),
        &labels,
        &[&web, &proxy],
    );
    story.host("between");
    // Of another test, as far as these selectors go: neither label nor name.
    pod(
        &mut pods,
        &mut story,
        (NAMESPACE, "nobody"),
        &[("tier", "front")],
        &["none"],
    );
    expect_listed(
        &asked,
        place,
        &["--k8s-selector", &front],
        &[&main, &web, &proxy],
    );
    expect_listed(
        &asked,
        place,
        &["--k8s-podname", &format!("{mine},!{cart}")],
        &[&main, &job],
    );
    pods.remove_sandbox(&sandbox);
    pod(&mut pods, &mut story, (NAMESPACE, &cart), &labels, &[&web]);
    in_main(&mut story, "in-main-again");
    chosen.expect(&story);
}
