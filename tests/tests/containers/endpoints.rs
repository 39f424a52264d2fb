//! Both ends of connections between pods, by their names.

use super::traced::{Asked, expect};
use ig_tests::runtimes::{Containerd, Pods};
use ig_tests::{Ig, bundle};
use serde_json::Value;

/// `trace_tcp`, of what is in this namespace of pods.
fn traced(asked: &Asked<'_>, namespace: &str) -> Ig {
    let flags = asked.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Ig::run(bundle("trace_tcp"))
        .args(&flags)
        .args(&["--filter", &format!("namespace == '{namespace}'")])
}

#[test]
fn a_connection_between_pods_has_the_names_of_both() {
    let containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let namespace = format!("shops-{}", containerd.namespace());
    let mut pods = Pods::of(&containerd);
    let mut json = traced(&asked, &namespace)
        .args(&["--fields", "+src.name,+dst.name"])
        .json()
        .start();
    let mut people = traced(&asked, &namespace).start();

    let shop = pods.sandbox(&namespace, "shop", &[]);
    let serve = ["/bin/busybox", "nc", "-ll", "-p", "8080", "-e", "/bin/cat"];
    pods.container(&shop, (&namespace, "shop"), "web", &serve);
    let address = pods.address(&shop);
    let buyer = pods.sandbox(&namespace, "buyer", &[]);
    // Again and again, until it is known whose both addresses are.
    let buys =
        format!("while true; do echo hi | /bin/busybox nc -w 5 {address} 8080; sleep 0.2; done");
    let buys = ["/bin/sh", "-c", &buys];
    pods.container(&buyer, (&namespace, "buyer"), "cart", &buys);

    let shop_name = format!("p/{namespace}/shop:8080");
    let buyer_name = format!("p/{namespace}/buyer:");
    let mut row = |event: &str, pod: &str| -> Value {
        let of = |line: &str| {
            let row: Value = serde_json::from_str(line).ok()?;
            let named = row["src.name"].is_string() && row["dst.name"].is_string();
            (row["event"] == event && row["pod"] == pod && named).then_some(row)
        };
        of(&json.provoke(|| {}, |line| of(line).is_some())).expect("it was one before")
    };
    for event in ["connect", "close"] {
        let row = row(event, "buyer");
        expect(&row, &[("dst.name", &shop_name), ("container", "cart")]);
        assert_eq!(row["dst"]["address"], address.to_string());
        let src = row["src.name"].as_str().expect("a name");
        assert!(src.starts_with(&buyer_name), "{row:#}");
    }
    for event in ["accept", "close"] {
        let row = row(event, "shop");
        expect(&row, &[("src.name", &shop_name), ("container", "web")]);
        let dst = row["dst.name"].as_str().expect("a name");
        assert!(dst.starts_with(&buyer_name), "{row:#}");
    }
    // People see the names in place of the addresses, and nothing twice.
    let line = people.provoke(
        || {},
        |line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.contains(&"accept")
                && words.contains(&shop_name.as_str())
                && words.iter().any(|word| word.starts_with(&buyer_name))
        },
    );
    assert!(!line.contains(&address.to_string()), "{line}");
    for running in [json, people] {
        running.signal("INT");
        let finished = running.wait();
        finished.expect_code(0);
        assert!(
            !finished.stdout.contains(" src.name"),
            "{}",
            finished.stdout
        );
    }
}
