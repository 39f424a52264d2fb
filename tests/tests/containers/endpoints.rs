//! Both ends of connections between pods, and between containers, by their names.

use super::sockets::process;
use super::traced::{Asked, Traced, expect};
use ig_tests::runtimes::{Containerd, Docker, Pods};
use ig_tests::{Ig, bundle};
use serde_json::{Value, json};
use std::process::Command;

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

/// A container's address on a bridge, and what it is called as long as it is that container's: known also of one that nobody asked
/// for. A replay says the same.
#[test]
fn a_connection_to_a_container_has_its_name_as_long_as_it_has_the_address() {
    const ADDRESS: &str = "10.88.78.10";
    let mut docker = Docker::start();
    let network = docker.network();
    let docker = docker;
    let socket = docker.socket();
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let flags = asked.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let name = |word: &str| format!("{}-{word}", docker.place().name());
    let [buyer, shop, next] = ["buyer", "shop", "next"].map(name);
    let serve = ["/bin/busybox", "nc", "-ll", "-p", "8080", "-e", "/bin/cat"];
    let served = |name: &str| {
        let network = ["--network", &network, "--ip", ADDRESS, "--"];
        docker.run(name, &[], &[&network[..], &serve].concat())
    };
    let rest = ["--network", &network, "--", "/bin/sleep", "1000"];
    let buyer_id = docker.run(&buyer, &[], &rest);
    // One is there before, with all that is known of it, and another comes.
    served(&shop);
    let fields = "event,container,src,src.name,dst,dst.name,error";
    let recording = docker.place().at("run.igrec").display().to_string();
    let recorded = Ig::new()
        .args(&["record", "-o", &recording, "-o", "json"])
        .arg(bundle("trace_tcp"))
        .args(&flags)
        .args(&["-c", &buyer, "--fields", fields]);
    let buy = |port: u16| {
        let script = format!("echo hi | /bin/busybox nc -w 5 {ADDRESS} {port} || true");
        docker.exec(&buyer, &["/bin/sh", "-c", &script]);
    };
    let mut traced = Traced::attached(recorded, || buy(8080));
    let mut people = Ig::run(bundle("trace_tcp"))
        .args(&flags)
        .args(&["-c", &buyer])
        .start();
    let far = |name: &str| format!("c/{name}:8080");
    for event in ["connect", "close"] {
        let row = traced.provoke(
            || buy(8080),
            |row| {
                row["event"] == event && row["src.name"].is_string() && row["dst.name"].is_string()
            },
        );
        expect(&row, &[("dst.name", &far(&shop)), ("container", &buyer)]);
        assert_eq!(row["dst"], json!({"address": ADDRESS, "port": 8080}));
        let own = format!("c/{buyer}:{}", row["src"]["port"]);
        assert_eq!(row["src.name"], own);
    }
    let line = people.provoke(|| buy(8080), |line| line.contains(&far(&shop)));
    assert!(!line.contains(ADDRESS), "{line}");

    // Another has the address, and the name is that one's.
    docker.remove(&shop);
    served(&next);
    traced.provoke(|| buy(8080), |row| row["dst.name"] == far(&next));
    // Who has left the network has none: it is anybody's.
    docker.disconnect(&network, &next);
    let pid = process(&buyer_id, "1000").to_string();
    let status = Command::new("nsenter")
        .args(["-n", "-t", &pid, "ip", "address", "add"])
        .args([&format!("{ADDRESS}/32"), "dev", "lo"])
        .status();
    assert!(status.expect("nsenter starts").success());
    traced.provoke(
        || buy(81),
        |row| row["error"] == "ECONNREFUSED" && row["dst.name"].is_null(),
    );
    let live = traced.end();
    let rows = live.rows();
    assert!(rows.iter().all(|row| row["container"] == buyer));
    let names = rows.iter().filter_map(|row| row["dst.name"].as_str());
    let mut names: Vec<&str> = names.filter(|name| name.ends_with(":8080")).collect();
    names.dedup();
    assert_eq!(names, [far(&shop), far(&next)]);
    people.signal("INT");
    people.wait().expect_code(0);

    let replay = Ig::run(bundle("trace_tcp"))
        .args(&["--replay", &recording, "--strict", "--fields", fields])
        .json()
        .finish();
    replay.expect_code(0);
    assert_eq!(replay.stdout, live.stdout);
}
