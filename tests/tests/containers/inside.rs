//! `ig` in a container itself.

use super::marked::{Marked, PROGRAM, cgroup, expect, run_in, unified};
use ig_tests::runtimes::Runc;
use ig_tests::{Ig, bundle};
use serde_json::{Value, json};
use std::path::Path;

/// As `docs/containers.md` says: in the host's pid namespace.
#[test]
fn in_a_container_with_the_hosts_pids_it_names_what_is_outside() {
    named_from_inside(&["mount", "uts", "ipc", "network"]);
}

/// With the host's `/proc` alone: the numbers of processes are the host's, too.
#[test]
fn in_a_container_with_pids_of_its_own_numbers_are_those_of_the_host() {
    named_from_inside(&["mount", "uts", "ipc", "network", "pid"]);
}

/// And with a cgroup namespace of its own, in which paths count from its own cgroup.
#[test]
fn in_a_container_with_namespaces_of_its_own_paths_count_from_the_root() {
    named_from_inside(&["mount", "uts", "ipc", "network", "pid", "cgroup"]);
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

    let mut words = vec![
        outside(&ig_tests::ig()),
        "run".to_owned(),
        outside(&bundle("trace_exec")),
    ];
    words.extend(Marked::words(place));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    runc.bundle_with("ig", &words, |config| contain(config, namespaces));
    let call = runc.attached("ig");
    let ig = call.get_args().fold(Ig::of(call.get_program()), Ig::arg);
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
    const NAMES: [(&str, u32); 6] = [
        ("CAP_DAC_READ_SEARCH", 2),
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
