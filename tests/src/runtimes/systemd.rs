//! A system of its own, booted by systemd-nspawn.

use super::place::{Place, done, tried, until};
use crate::sources;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// systemd as it boots a machine, in a container that shares the kernel.
#[derive(Debug)]
pub struct Systemd {
    nspawn: Child,
    leader: u32,
    place: Place,
}

impl Systemd {
    /// Boots it. None: its root file system was not made yet, which takes half a minute and a mirror of Debian's packages, and is
    /// done only where everything is tested ([`crate::full`]); later runs find it.
    #[must_use]
    pub fn boot() -> Option<Self> {
        let root = root()?;
        let place = Place::new();
        let inside = format!("{}/nspawn", place.name());
        let cgroups = [
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/unified",
            "/sys/fs/cgroup/systemd",
        ];
        let cgroups: Vec<PathBuf> = cgroups
            .iter()
            .map(Path::new)
            .filter(|mount| mount.join("cgroup.procs").is_file())
            .map(|mount| mount.join(&inside))
            .collect();
        for cgroup in &cgroups {
            fs::create_dir_all(cgroup).unwrap();
        }
        let enter = "for at in $CGROUPS; do echo $$ > $at/cgroup.procs || exit; done; exec \"$@\"";
        let cgroups: Vec<&str> = cgroups.iter().filter_map(|path| path.to_str()).collect();
        let log = fs::File::create(place.at("log")).unwrap();
        let nspawn = Command::new("sh")
            .args([
                "-c",
                enter,
                "sh",
                "systemd-nspawn",
                "--quiet",
                "--boot",
                "--directory",
            ])
            .arg(root)
            // What it writes is in memory, and gone afterwards.
            .args([
                "--volatile=overlay",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
            ])
            .args(["--machine", place.name()])
            .env("CGROUPS", cgroups.join(" "))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("it starts");
        let mut booted = Self {
            nspawn,
            leader: 0,
            place,
        };
        let scope = format!("{inside}/payload/init.scope/cgroup.procs");
        until("a booted system", || {
            if let Some(status) = booted.nspawn.try_wait().unwrap() {
                let log = fs::read_to_string(booted.place.at("log")).unwrap_or_default();
                panic!("systemd-nspawn: {status}\n{log}");
            }
            let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
            let list = mounts
                .iter()
                .find_map(|mount| fs::read_to_string(mount.join(&scope)).ok())?;
            booted.leader = list.lines().find_map(|pid| pid.parse().ok())?;
            let state = tried(booted.command().args(["systemctl", "is-system-running"]));
            let state = String::from_utf8_lossy(&state.stdout).into_owned();
            ["running", "degraded"]
                .contains(&state.trim())
                .then_some(())
        });
        Some(booted)
    }

    /// Where it is: the cgroup's name.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A call inside of it.
    fn command(&self) -> Command {
        let root = format!("/proc/{}/root", self.leader);
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.leader.to_string()])
            .args(["-m", "-p", "-u", "-i", "-C", "-n"])
            .args([format!("--root={root}"), format!("--wd={root}")]);
        command
    }

    /// Runs a program as a unit and waits for its end.
    pub fn run(&self, unit: &str, words: &[&str]) {
        done(
            self.command()
                .args(["systemd-run", "--quiet", "--wait", "--unit", unit])
                .args(words),
        );
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.place.end_processes();
        self.nspawn.wait().ok();
    }
}

/// The root file system, made once for all runs.
fn root() -> Option<PathBuf> {
    let root = sources::target().join("tools/systemd");
    if !root.is_dir() {
        if !crate::full() {
            return None;
        }
        let text = fs::read_to_string("/etc/os-release").unwrap();
        let suite = text
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let suite = suite.expect("a release of Debian or Ubuntu");
        let made = tempfile::tempdir_in(sources::target()).unwrap();
        let inside = made.path().join("root");
        let made = Command::new("mmdebstrap")
            .args([
                "--quiet",
                "--variant=apt",
                "--include=systemd,systemd-sysv,dbus",
                suite,
            ])
            .arg(&inside)
            .stdin(Stdio::null())
            .status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "mmdebstrap {suite}"
        );
        fs::create_dir_all(root.parent().unwrap()).unwrap();
        fs::rename(inside, &root).unwrap();
    }
    Some(root)
}
