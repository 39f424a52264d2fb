//! runc or crun, without anybody above it.

use super::image;
use super::place::{Place, done, tried};
use serde_json::{Value, json};
use std::process::Command;

/// One of the two, with its own state.
#[derive(Debug)]
pub struct Runc {
    program: &'static str,
    place: Place,
}

impl Runc {
    /// runc.
    #[allow(clippy::new_without_default, reason = "it makes a folder on the disk")]
    #[must_use]
    pub fn new() -> Self {
        Self::of("runc")
    }

    /// crun, if it can run a container on this machine: older ones can't where both versions of cgroups are in use.
    #[must_use]
    pub fn crun() -> Option<Self> {
        let crun = Self::of("crun");
        let mut command = crun.command();
        command.args(["run", "--bundle"]);
        let probe = tried(command.arg(crun.bundle("probe", &["true"])).arg("probe"));
        probe.status.success().then_some(crun)
    }

    fn of(program: &'static str) -> Self {
        Self {
            program,
            place: Place::new(),
        }
    }

    /// Where its files are; its state is in the folder `state`.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The program, with its own state.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg("--root").arg(self.place.at("state"));
        command
    }

    /// Makes a bundle; gives its folder.
    pub fn bundle(&self, id: &str, words: &[&str]) -> std::path::PathBuf {
        let folder = self.place.at(id);
        std::fs::create_dir_all(&folder).unwrap();
        done(Command::new("runc").args(["spec", "--bundle"]).arg(&folder));
        let path = folder.join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["root"] = json!({"path": image::rootfs(&self.place), "readonly": true});
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(words);
        // As it may be already: a machine may not let us raise it.
        config["process"]["rlimits"] = json!([]);
        config["linux"]["cgroupsPath"] = json!(format!("/{}/{id}", self.place.name()));
        std::fs::write(&path, config.to_string()).unwrap();
        folder
    }

    /// Starts a container and lets it run.
    pub fn run(&self, id: &str, words: &[&str]) {
        let bundle = self.bundle(id, words);
        // Its output is not ours to wait for.
        let null = std::process::Stdio::null;
        let status = self
            .command()
            .args(["run", "-d", "--bundle"])
            .arg(bundle)
            .arg(id)
            .stdin(null())
            .stdout(null())
            .stderr(null())
            .status()
            .unwrap();
        assert!(status.success(), "{} run {id}: {status}", self.program);
    }

    /// Removes a container, running or not.
    pub fn remove(&self, id: &str) {
        tried(self.command().args(["delete", "-f", id]));
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        let all = std::fs::read_dir(self.place.at("state"));
        for entry in all.into_iter().flatten().flatten() {
            if let Some(id) = entry.file_name().to_str() {
                self.remove(id);
            }
        }
    }
}
