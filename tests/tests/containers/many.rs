//! More cgroups at once than anybody can be told of.

use crate::ledgers::summary;
use ig_tests::runtimes::{Storm, until};
use ig_tests::{Ig, Running, bundle};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const MANY: u32 = 10_000;

/// What `ig` may take for all of it, in KiB.
const MEMORY: u64 = 160 << 10;

/// Where the hierarchy of version 2 is mounted.
fn unified() -> PathBuf {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    let folder = if hybrid.is_dir() {
        hybrid
    } else {
        Path::new("/sys/fs/cgroup")
    };
    folder.to_owned()
}

/// Cgroups that are called like units of systemd.
pub(super) struct Units(PathBuf);

impl Units {
    /// All of them below one of this name.
    pub(super) fn make(name: &str) -> Self {
        let parent = format!("igt{}{name}", std::process::id());
        let units = Self(unified().join(parent));
        std::fs::create_dir_all(&units.0).expect("a cgroup");
        for number in 0..MANY {
            std::fs::create_dir(units.path(number)).expect("a cgroup");
        }
        units
    }

    pub(super) fn name(&self, number: u32) -> String {
        let of = self.0.file_name().expect("a name").to_string_lossy();
        format!("{of}{number}.service")
    }

    fn path(&self, number: u32) -> PathBuf {
        self.0.join(self.name(number))
    }

    /// Starts a program in one of them, with this last argument.
    pub(super) fn enter(&self, number: u32, word: &str) {
        let status = Command::new("sh")
            .args(["-c", "echo $$ > $0/cgroup.procs && exec /bin/true $1"])
            .arg(self.path(number))
            .arg(word)
            .status();
        assert!(status.expect("sh starts").success());
    }

    /// Each program is shown as that of its unit, in the end, and never as another's.
    fn are_known(&self, running: &mut Running, more: &str) {
        for number in [0, 1, MANY / 3, MANY / 2, MANY - 2, MANY - 1] {
            let word = format!("{}-{more}-{number}-", self.0.display());
            let unit = self.name(number);
            let mut times = 0;
            running.provoke(
                || {
                    times += 1;
                    self.enter(number, &format!("{word}{times}"));
                },
                |line| {
                    let row: Option<Value> = serde_json::from_str(line).ok();
                    let Some(row) = row.filter(|row| row["args"][0] == "/bin/true") else {
                        return false;
                    };
                    let its = row["args"][1]
                        .as_str()
                        .is_some_and(|told| told.starts_with(&word));
                    let shown = row["unit"].as_str();
                    if its {
                        assert!(shown.is_none_or(|shown| shown == unit), "{row}");
                    }
                    its && shown.is_some()
                },
            );
        }
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        let all = (0..MANY).map(|number| self.path(number));
        for path in all.chain([self.0.clone()]).filter(|path| path.exists()) {
            until("an empty cgroup", || std::fs::remove_dir(&path).ok());
        }
    }
}

#[test]
fn ten_thousand_cgroups_at_once_are_known_or_looked_for() {
    let _storm = Storm::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let mut running = Ig::run(bundle("trace_exec"))
        .args(&["--ignore-failed", "--fields", "args,unit,cgroup"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .start();
    let word = format!("{}-attached", folder.path().display());
    running.provoke(
        || {
            let status = Command::new("/bin/true").arg(&word).status();
            assert!(status.expect("true runs").success());
        },
        |line| line.contains(&word),
    );

    let first = Units::make("a");
    first.are_known(&mut running, "new");

    // While it can't listen there is no room for all of the news: it has to look for itself.
    running.signal("STOP");
    let second = Units::make("b");
    running.signal("CONT");
    second.are_known(&mut running, "missed");
    first.are_known(&mut running, "old");
    drop(first);
    second.are_known(&mut running, "still");
    drop(second);

    let memory = peak(running.pid());
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    let undecided = summary(&path)["owner_undecided"].as_u64().unwrap_or(0);
    println!("peak of {memory} KiB, {undecided} records undecided");
    assert!(memory < MEMORY, "{memory} KiB");
}

/// The most memory that a process had, in KiB.
fn peak(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|n| n.parse().ok()).expect("VmHWM")
}
