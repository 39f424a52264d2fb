//! What a container's owner may write into its metadata, as far as the runtimes let it.

use super::traced::{Asked, Traced, shown, stays, words};
use ig_tests::runtimes::{Containerd, Docker, Pods};
use ig_tests::{Finished, Ig};

/// A megabyte of labels, and some that would paint the terminal: what is written holds no control character, and all of it
/// is whole.
#[test]
fn labels_of_a_megabyte_and_with_control_characters_do_no_harm() {
    let docker = Docker::start();
    let socket = docker.socket();
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let flags = asked.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let word = docker.place().name().to_owned();
    let evil = "red\u{1b}[31m\u{1b}]0;title\u{7}\u{9b}2J\rback";
    let huge: String = (0..64)
        .map(|n| format!("huge{n:02}={}\n", "x".repeat(16 << 10)))
        .collect();
    let file = docker.place().at("labels");
    std::fs::write(&file, huge).expect("a file");
    let file = file.display().to_string();
    let filter = format!("args ~ '{word}'");
    let shown = ["--fields", "args,container,labels", "--filter", &filter];

    // Two runs: what people read, and what programs read.
    let people = Ig::run(ig_tests::bundle("trace_exec"))
        .args(&flags)
        .args(&shown);
    let mut people = people.start();
    let mut programs = Traced::with(&flags, &word, &shown);
    let attach = || {
        let probe = std::process::Command::new("/bin/true").arg(&word).status();
        probe.expect("true runs");
    };
    people.provoke(attach, |line| line.contains(&word));
    let entry = stays(&format!("{word}-web"));
    let mut run = vec!["--label-file", &file, "--"];
    run.extend(words(&entry));
    docker.run("web", &[("aaa", evil), ("app", "shop")], &run);
    let row = programs.of(&words(&entry));
    assert_eq!(row["container"], "web");
    let labels = row["labels"].as_str().expect("labels");
    assert!(labels.contains("app=shop"), "{} bytes", labels.len());
    assert!(labels.len() <= 128 << 10, "{} bytes", labels.len());
    people.provoke(|| {}, |line| line.contains("web") && line.contains("red"));
    people.signal("INT");
    let people = people.wait();
    // Every line is an object, which also says that all of it is valid.
    let programs = programs.end();
    assert_eq!(programs.rows().len(), programs.stdout.lines().count());

    let listing = |format: &str| {
        let only = format!("cgroup_path ~ '^/{word}/'");
        let listed = Ig::new()
            .arg("list-containers")
            .args(&flags)
            .args(&["--filter", &only, "--fields", "container,labels"])
            .args(&["-o", format])
            .finish();
        listed.expect_code(0);
        listed
    };
    let columns = listing("columns");
    expect_no_commands(&people);
    expect_no_commands(&columns);
    assert!(columns.stdout.contains("web"), "{}", columns.stdout);
    let listed = listing("json").rows();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["container"], "web");
    assert!(
        listed[0]["labels"]
            .as_str()
            .is_some_and(|l| l.len() <= 128 << 10)
    );
}

/// Kubernetes would not take such names, containerd does: of pods, their namespaces and containers.
#[test]
fn names_of_pods_with_control_characters_do_no_harm() {
    let containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let word = containerd.namespace().to_owned();
    let mut pods = Pods::of(&containerd);
    let namespace = "shops\u{1b}[31m\u{7}";
    let (pod, name) = ("cart\u{1b}[2J", "web\u{9b}2J\r\n{\"pod\":\"other\"}");
    let mut people = shown(&asked, &word);
    let filter = format!("args ~ '{word}'");
    let fields = [
        "--fields",
        "args,namespace,pod,container",
        "--filter",
        &filter,
    ];
    let flags = asked.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut programs = Traced::with(&flags, &word, &fields);
    let sandbox = pods.sandbox(namespace, pod, &[]);
    let entry = stays(&format!("{word}-web"));
    pods.container(&sandbox, (namespace, pod), name, &words(&entry));
    let row = programs.of(&words(&entry));
    assert_eq!(row["namespace"], namespace);
    assert_eq!(row["pod"], pod);
    assert_eq!(row["container"], name);
    let programs = programs.end();
    assert_eq!(programs.rows().len(), programs.stdout.lines().count());
    people.provoke(
        || {},
        |line| line.contains("cart") && line.contains(&entry[2]),
    );
    people.signal("INT");
    expect_no_commands(&people.wait());
}

/// Panics if anything that a terminal may take for a command was printed.
#[track_caller]
fn expect_no_commands(finished: &Finished) {
    finished.expect_code(0);
    for text in [&finished.stdout, &finished.stderr] {
        let odd = text.chars().filter(|c| c.is_control() && *c != '\n');
        assert_eq!(odd.collect::<Vec<char>>(), []);
    }
}
