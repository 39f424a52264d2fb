//! A recording beside Docker: a replay has the same containers, to the byte.

use super::traced::{Asked, Traced, expect, stays, words};
use ig_tests::runtimes::Docker;
use ig_tests::{Finished, Ig, bundle};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Whose programs are recorded: nobody else on the machine has it.
const UID: u32 = 47_110;

/// Inspektor Gadget's names for what is asked for.
const FIELDS: &str = "args,runtime.containerName,runtime.containerImageName,runtime.containerImageDigest,\
                      runtime.runtimeName,runtime.containerId,labels,scope";

#[test]
fn a_replay_has_the_containers_of_the_recording_to_the_byte() {
    let docker = Docker::start();
    let (image, digest) = docker.pull();
    let socket = docker.socket();
    let word = docker.place().name().to_owned();
    let at = |name: &str| docker.place().at(name).display().to_string();
    let (recording, live) = (at("run.igrec"), at("live.json"));
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let flags = asked.flags();
    let shown: Vec<&str> = vec!["--fields", FIELDS];
    let uid = UID.to_string();
    let probe = || {
        let status = Command::new("/bin/true").arg(&word).uid(UID).status();
        status.expect("true runs");
    };
    let ig = Ig::new()
        .args(&["record", "-o", &recording])
        .args(&["-o", "json", "-o", &format!("json={live}")])
        .arg(bundle("trace_exec"))
        .args(&["--uid", &uid])
        .args(&flags.iter().map(String::as_str).collect::<Vec<_>>())
        .args(&shown);
    let mut traced = Traced::attached(ig, probe);
    let user = format!("{UID}:{UID}");
    let entry = stays(&format!("{word}-web"));
    let mut run = vec!["--user", &user, "--"];
    run.extend(words(&entry));
    let web = docker.run_of(&image, "web", &[("app", "shop")], &run);
    let row = traced.of(&words(&entry));
    let said = format!("{word}-in-web");
    docker.exec("web", &["/bin/true", &said]);
    traced.of(&["/bin/true", &said]);
    docker.remove("web");
    let finished = traced.end();
    // The columns have their own names, whatever they are asked for by.
    expect(
        &row,
        &[
            ("container", "web"),
            ("image", &image),
            ("image_digest", &digest),
            ("runtime", "docker"),
            ("container_id", &web),
            ("labels", "app=shop,of=image"),
            ("scope", "container"),
        ],
    );
    let live = std::fs::read_to_string(&live).expect("rows");
    assert_eq!(finished.stdout, live);

    let replay = |more: &[&str]| -> Finished {
        let finished = Ig::run(bundle("trace_exec"))
            .args(&["--replay", &recording, "--strict"])
            .args(more)
            .json()
            .finish();
        finished.expect_code(0);
        finished
    };
    for _ in 0..2 {
        assert_eq!(replay(&shown).stdout, live);
    }
    // Who chooses by container has what is its, by either name and without the column being shown.
    let of_web: Vec<_> = replay(&shown)
        .rows()
        .into_iter()
        .filter(|row| row["container"] == "web")
        .collect();
    assert!(of_web.len() >= 2, "{live}");
    for filter in ["container == \"web\"", "runtime.containerName == 'web'"] {
        let mut asked = shown.clone();
        asked.extend(["--filter", filter]);
        assert_eq!(replay(&asked).rows(), of_web, "{filter}");
        let only_args = replay(&["--fields", "args", "--filter", filter]).rows();
        assert_eq!(only_args.len(), of_web.len());
        assert!(only_args.iter().all(|row| row.get("container").is_none()));
    }
}
