//! `ig` and the runtimes end without a word, at any moment.

use super::crowd::Crowd;
use ig_tests::loaded::assert_no_orphans;
use ig_tests::runtimes::{Containerd, Docker, Podman};
use ig_tests::{Finished, Ig, Running, bundle, full, times};
use serde_json::Value;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A moment, less than so many milliseconds away.
pub(super) fn moment(most: u64) -> Duration {
    let number = RandomState::new().build_hasher().finish();
    Duration::from_millis(number % most)
}

/// What could stay behind beside programs: pins, mounts and cgroups.
pub(super) fn traces() -> BTreeSet<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let ours = |line: &&str| {
        ["bpf", "tracefs", "debugfs"]
            .iter()
            .any(|kind| line.contains(&format!(" - {kind} ")))
    };
    let mut traces: BTreeSet<String> = mounts.lines().filter(ours).map(str::to_owned).collect();
    let cgroups = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    for folder in ["/sys/fs/bpf"].iter().chain(&cgroups) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path().display().to_string();
            // Cgroups of tests that run beside this one are called so, or as the runtimes call them.
            if *folder == "/sys/fs/bpf" || path.contains("/ig") && !path.contains("/igt") {
                traces.insert(path);
            }
        }
    }
    traces
}

/// One of each, with a container that runs.
struct All {
    docker: Docker,
    containerd: Containerd,
    podman: Podman,
    /// The name of Docker's container: it ends with its daemon.
    of_docker: String,
    words: AtomicU32,
}

const SLEEP: [&str; 2] = ["sleep", "3600"];

impl All {
    fn start() -> Self {
        let (docker, containerd, podman) = std::thread::scope(|scope| {
            let docker = scope.spawn(Docker::start);
            let containerd = scope.spawn(Containerd::start);
            let podman = Podman::start();
            let joined = (docker.join(), containerd.join());
            (
                joined.0.expect("docker"),
                joined.1.expect("containerd"),
                podman,
            )
        });
        let mut all = Self {
            docker,
            containerd,
            podman,
            of_docker: String::new(),
            words: AtomicU32::new(0),
        };
        all.run_docker(0);
        all.containerd.run("of-containerd", &[], &SLEEP);
        all.podman.run("of-podman", &[], &SLEEP);
        all
    }

    fn run_docker(&mut self, number: u32) {
        self.of_docker = format!("of-docker-{number}");
        self.docker.run(&self.of_docker, &[], &SLEEP);
    }

    fn ig(&self) -> Running {
        Ig::run(bundle("trace_exec"))
            .args(&["--ignore-failed", "--fields", "args,container,runtime"])
            .arg("--docker-socketpath")
            .arg(self.docker.socket())
            .arg("--containerd-socketpath")
            .arg(self.containerd.socket())
            .arg("--podman-socketpath")
            .arg(self.podman.socket())
            .json()
            .start()
    }

    /// The first program that is seen in a container that runs is that container's.
    fn is_known(&self, running: &mut Running, runtime: &str) {
        let own = self.containerd.namespace();
        let number = self.words.fetch_add(1, Ordering::Relaxed);
        let word = format!("{}-{number}", self.docker.place().name());
        let (name, mut exec) = match runtime {
            "docker" => (self.of_docker.as_str(), self.docker.command()),
            "containerd" => ("of-containerd", self.containerd.ctr(own)),
            _ => ("of-podman", self.podman.command()),
        };
        match runtime {
            "containerd" => exec.args(["task", "exec", "--exec-id"]).arg(&word),
            _ => exec.arg("exec"),
        };
        exec.args([name, "/bin/echo", &word]);
        let line = running.provoke(
            || {
                let output = exec.output().expect("the runtime's program starts");
                assert!(output.status.success(), "{output:?}");
            },
            |line| line.contains(&format!("[\"/bin/echo\",\"{word}\"]")),
        );
        let row: Value = serde_json::from_str(&line).expect("a row");
        assert_eq!(row["container"], name, "{row}");
        assert_eq!(row["runtime"], runtime, "{row}");
    }

    fn are_known(&self, running: &mut Running) {
        for runtime in ["docker", "containerd", "podman"] {
            self.is_known(running, runtime);
        }
    }
}

/// Ends a run by kill -9; its rows.
pub(super) fn kill(running: Running, before: &BTreeSet<String>) -> Vec<Value> {
    running.signal("KILL");
    let finished: Finished = running.wait();
    assert_eq!(finished.status.code(), None, "{}", finished.stderr);
    for program in [
        "cgroup_made",
        "cgroup_removed",
        "cgroup_entered",
        "cgroup_emptied",
    ] {
        assert_no_orphans(program);
    }
    assert_no_orphans("exec_started");
    assert_eq!(&traces(), before, "left behind");
    // The last line may be half a row.
    let rows = finished.stdout.lines();
    rows.filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// How many of the rows are of containers of the crowd; none is called another's.
fn of_crowd(rows: &[Value], crowd: &Crowd) -> usize {
    let mut right = 0;
    for row in rows {
        let args = row["args"].as_array().map_or(&[][..], Vec::as_slice);
        let told = args.last().and_then(Value::as_str).unwrap_or_default();
        if told.starts_with(&crowd.prefix())
            && let Some(container) = row["container"].as_str()
        {
            assert_eq!(Some(container), told.strip_prefix("in:"), "{row}");
            right += 1;
        }
    }
    right
}

#[test]
fn kill_9_leaves_nothing_behind_and_the_next_run_is_right() {
    let mut all = All::start();
    let crowd = Crowd::new();
    let before = traces();
    let (stop, number) = (AtomicBool::new(false), AtomicU32::new(0));
    let (mut kills, mut right) = (0, 0);
    std::thread::scope(|scope| {
        let stopped = Stopped(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    crowd.run(number.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
        for _ in 0..times(40) {
            // While it starts, or soon after.
            let one = all.ig();
            std::thread::sleep(moment(600));
            right += of_crowd(&kill(one, &before), &crowd);
            let mut next = all.ig();
            all.are_known(&mut next);
            is_new_one_known(&mut next, &crowd, &number);
            std::thread::sleep(moment(200));
            right += of_crowd(&kill(next, &before), &crowd);
            kills += 2;
        }
        let mut running = all.ig();
        all.are_known(&mut running);
        for round in 1..=(if full() { 7 } else { 1 }) {
            std::thread::sleep(moment(200));
            all.docker.kill_daemon();
            all.docker.start_daemon();
            all.run_docker(round);
            std::thread::sleep(moment(200));
            all.containerd.kill_daemon();
            all.containerd.start_daemon();
            std::thread::sleep(moment(200));
            all.podman.kill_service();
            all.podman.start_service();
            all.are_known(&mut running);
            is_new_one_known(&mut running, &crowd, &number);
            kills += 3;
        }
        running.signal("INT");
        let finished = running.wait();
        finished.expect_code(0);
        right += of_crowd(&finished.rows(), &crowd);
        drop(stopped);
    });
    println!(
        "{kills} kills beside {} containers, {right} of whose rows were named, none wrong",
        number.load(Ordering::Relaxed)
    );
    assert!(right > 0, "no container was seen");
}

/// Ends the threads of a scope, whatever happens.
pub(super) struct Stopped<'a>(pub(super) &'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A container that is made now is known by its first program.
fn is_new_one_known(running: &mut Running, crowd: &Crowd, number: &AtomicU32) {
    let number = number.fetch_add(1, Ordering::Relaxed);
    let mut started = false;
    let line = running.provoke(
        || {
            if !std::mem::replace(&mut started, true) {
                crowd.run(number);
            }
        },
        |line| line.contains(&format!("\"in:{}\"]", crowd.name(number))),
    );
    let row: Value = serde_json::from_str(&line).expect("a row");
    assert_eq!(row["container"], crowd.name(number).as_str(), "{row}");
}
