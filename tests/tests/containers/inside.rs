//! `ig` in a container itself.

use super::marked::{Marked, PROGRAM, cgroup, expect, run_in, unified};
use super::sockets;
use crate::socket_filters::{Sender, seen, wanted};
use ig_tests::runtimes::Runc;
use ig_tests::{Ig, bundle, gadget};
use serde_json::{Value, json};
use std::path::Path;

/// The kinds of namespaces that a container may have of its own.
const ALL: [&str; 6] = ["mount", "uts", "ipc", "network", "pid", "cgroup"];
/// Those that `ig` is told to have.
const USUAL: [&str; 4] = ["mount", "uts", "ipc", "network"];

/// As `docs/containers.md` says: in the host's pid namespace.
#[test]
fn in_a_container_with_the_hosts_pids_it_names_what_is_outside() {
    named_from_inside(&USUAL);
}

/// With the host's `/proc` alone: the numbers of processes are the host's, too.
#[test]
fn in_a_container_with_pids_of_its_own_numbers_are_those_of_the_host() {
    named_from_inside(&["mount", "uts", "ipc", "network", "pid"]);
}

/// And with a cgroup namespace of its own, in which paths count from its own cgroup.
#[test]
fn in_a_container_with_namespaces_of_its_own_paths_count_from_the_root() {
    named_from_inside(&ALL);
}

/// Also what no process has: that is whose the network namespace is.
#[test]
fn in_a_container_sockets_outside_are_listed_and_can_be_selected() {
    let servers = Servers::start();
    let web = &servers.names[0];
    let with_cgroup = [&USUAL[..], &["cgroup"]].concat();
    for namespaces in [&USUAL[..], &with_cgroup] {
        let sockets = |flags: &[&str]| {
            let words = sockets::words(flags, &servers.networks);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let finished = inside(
                &servers.runc,
                &bundle("snapshot_socket"),
                &words,
                namespaces,
            )
            .finish();
            finished.expect_code(0);
            finished.rows()
        };
        sockets::connect(servers.pids[0], PORT);
        let all = sockets::once_over(|| sockets(&[]));
        for (i, network) in servers.networks.into_iter().enumerate() {
            let row = sockets::on_port(&all, network, PORT, "LISTEN");
            expect(&row, &[("container", Some(&servers.names[i]))]);
            assert_eq!(row["pid"], servers.pids[i]);
        }
        let over = all.iter().find(|row| row["state"] == "TIME_WAIT");
        let over = over.expect("it was there");
        assert_eq!((&over["pid"], &over["container"]), (&json!(0), &json!(web)));

        let only = sockets(&["-c", web]);
        sockets::on_port(&only, servers.networks[0], PORT, "LISTEN");
        assert!(
            only.iter().any(|row| row["state"] == "TIME_WAIT"),
            "{only:#?}"
        );
        assert!(
            only.iter().all(|row| row["container"] == **web),
            "{only:#?}"
        );
    }
}

#[test]
fn in_a_container_packets_outside_are_seen_and_can_be_selected() {
    const TO: u16 = 9196;
    let servers = Servers::start();
    let [mut web, mut other] = servers.pids.map(|pid| Sender::beside(pid, TO));
    let flags = [
        "--port",
        &TO.to_string(),
        "--fields",
        "+container",
        "-o",
        "json",
        "-c",
        &servers.names[0],
    ];
    let mut running = inside(&servers.runc, &gadget("packets"), &flags, &ALL).start();
    web.until_seen(&mut running);
    other.send(2000, 100);
    web.send(1000, 100);
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    let rows = finished.rows();
    assert!(
        seen(&rows) == wanted(web.namespace, 1000..1100),
        "only its, each once"
    );
    assert!(rows.iter().all(|row| row["container"] == *servers.names[0]));
}

/// Where each of them listens.
const PORT: u16 = 8080;

/// Two containers, with a server each.
struct Servers {
    runc: Runc,
    names: [String; 2],
    pids: [u32; 2],
    /// Their network namespaces.
    networks: [u64; 2],
}

impl Servers {
    fn start() -> Self {
        let runc = Runc::new();
        let names = ["web", "other"].map(|name| format!("{}-{name}", runc.place().name()));
        let pids = names.each_ref().map(|name| {
            runc.bundle(name, &sockets::serves(&PORT.to_string()));
            runc.start_as_usual(name);
            sockets::process(&runc.cgroup(name), "httpd")
        });
        Self {
            runc,
            names,
            pids,
            networks: pids.map(sockets::namespace),
        }
    }
}

/// `ig run BUNDLE` with more words, in a container with these namespaces.
fn inside(runc: &Runc, bundle: &Path, words: &[&str], namespaces: &[&str]) -> Ig {
    let (ig, bundle) = (outside(&ig_tests::ig()), outside(bundle));
    let words = [&[ig.as_str(), "run", &bundle], words].concat();
    runc.bundle_with("ig", &words, |config| contain(config, namespaces));
    let call = runc.attached("ig");
    call.get_args().fold(Ig::of(call.get_program()), Ig::arg)
}

fn named_from_inside(namespaces: &[&str]) {
    let runc = Runc::new();
    let place = runc.place();
    let (old, new) = (
        format!("{}-old", place.name()),
        format!("{}-new", place.name()),
    );
    runc.bundle(&old, &["sleep", "1000"]);
    runc.start_as_usual(&old);

    let words = Marked::words(place);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ig = inside(&runc, &bundle("trace_exec"), &words, namespaces);
    let mut traced = Marked::of(ig, place);

    runc.run(
        &new,
        &[
            "sh",
            "-c",
            &format!("{PROGRAM} {}; exec sleep 1000", traced.word("first")),
        ],
    );
    let first = traced.row("first");
    expect(
        &first,
        &[
            ("container", Some(&new)),
            ("runtime", Some("runc")),
            ("scope", Some("container")),
        ],
    );
    for id in [&old, &new] {
        runc.exec(id, &[PROGRAM, &traced.word(id)]);
        let row = traced.row(id);
        expect(
            &row,
            &[
                ("container", Some(id)),
                ("cgroup_path", Some(&runc.cgroup(id))),
            ],
        );
        assert_eq!(row["container_pid"], first_process(&runc, id), "{row:#}");
    }
    let (_, unit) = cgroup(place, "system.slice/ig-test.service");
    run_in(&unit, &traced.word("unit"));
    expect(
        &traced.row("unit"),
        &[("scope", Some("unit")), ("unit", Some("ig-test.service"))],
    );
    let _ = traced.end();
}

/// All that `ig` needs: capabilities, the host's files, and the libraries that it is linked with.
fn contain(config: &mut Value, namespaces: &[&str]) {
    let own: Vec<Value> = namespaces
        .iter()
        .map(|kind| json!({"type": kind}))
        .collect();
    config["linux"]["namespaces"] = json!(own);
    let all = capabilities();
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(all);
    }
    config["process"]["env"] = json!(["PATH=/bin", "HOST_ROOT=/host"]);
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    for (source, destination) in [("/", "/host"), ("/lib", "/lib"), ("/lib64", "/lib64")] {
        if Path::new(source).is_dir() {
            mounts.push(json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "ro", "rslave"]}));
        }
    }
}

/// Those that are there to be given.
fn capabilities() -> Vec<String> {
    const NAMES: [(&str, u32); 7] = [
        ("CAP_DAC_READ_SEARCH", 2),
        ("CAP_NET_RAW", 13),
        ("CAP_SYS_PTRACE", 19),
        ("CAP_SYS_ADMIN", 21),
        ("CAP_SYSLOG", 34),
        ("CAP_PERFMON", 38),
        ("CAP_BPF", 39),
    ];
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let bits = bits.expect("a mask");
    let there = NAMES.iter().filter(|(_, bit)| bits >> bit & 1 == 1);
    there.map(|(name, _)| (*name).to_owned()).collect()
}

/// The path of a file of the host in the container.
fn outside(path: &Path) -> String {
    format!("/host{}", path.display())
}

/// The number of a container's first process.
fn first_process(runc: &Runc, id: &str) -> u64 {
    let list = unified()
        .join(runc.cgroup(id).trim_start_matches('/'))
        .join("cgroup.procs");
    let list = std::fs::read_to_string(list).expect("its processes");
    let first = list.lines().next().and_then(|pid| pid.parse().ok());
    first.expect("a process")
}
