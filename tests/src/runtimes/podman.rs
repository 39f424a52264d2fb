//! podman, with root.

use super::docker::split;
use super::image::{self, PAUSE};
use super::place::{Daemon, Foreign, Place, done, tried};
use std::path::PathBuf;
use std::process::Command;

/// podman with its own storage, and its API service.
#[derive(Debug)]
pub struct Podman {
    daemon: Option<Daemon>,
    place: Place,
    _foreign: Foreign,
}

impl Podman {
    /// The image that is there.
    pub const IMAGE: &str = image::NAME;

    /// Starts the service, with an image.
    #[must_use]
    pub fn start() -> Self {
        let mut podman = Self {
            daemon: None,
            place: Place::new(),
            _foreign: Foreign::watch(&["/run/libpod", "/run/crun", "/var/lib/cni"]),
        };
        podman.place.write(
            "containers.conf",
            // Limits that a machine may not let us raise.
            &format!(
                "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
                 [engine]\ninfra_image = \"{PAUSE}\"\n"
            ),
        );
        podman.start_service();
        for name in [Self::IMAGE, PAUSE] {
            let (archive, _) = image::archive(&podman.place, name);
            done(podman.command().args(["load", "-q", "-i"]).arg(archive));
        }
        podman
    }

    /// Where its service listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.at("p.sock")
    }

    /// Where its files are.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// `podman`, with its own folders.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command
            .env("CONTAINERS_CONF", self.place.at("containers.conf"))
            .arg("--root")
            .arg(self.place.at("root"))
            .arg("--runroot")
            .arg(self.place.at("run"))
            .arg("--tmpdir")
            .arg(self.place.at("tmp"))
            .args(["--cgroup-manager", "cgroupfs", "--events-backend", "file"])
            .args(["--runtime", "runc"]);
        command
    }

    /// Starts a container and lets it run; gives its id.
    pub fn run(&self, name: &str, labels: &[(&str, &str)], args: &[&str]) -> String {
        let mut command = self.command();
        command.args(["run", "-d", "--pull", "never", "--name", name]);
        let (options, words) = split(args);
        if !options.contains(&"--pod") {
            let parent = format!("/{}", self.place.name());
            command.args(["--network", "none", "--cgroup-parent", &parent]);
        }
        for (key, value) in labels {
            command.arg("--label").arg(format!("{key}={value}"));
        }
        done(command.args(options).arg(Self::IMAGE).args(words))
    }

    /// Makes a pod; gives its id.
    pub fn pod(&self, name: &str) -> String {
        let parent = format!("/{}", self.place.name());
        done(
            self.command()
                .args(["pod", "create", "--name", name, "--network", "none"])
                .args(["--cgroup-parent", &parent]),
        )
    }

    /// Executes something in a container.
    pub fn exec(&self, name: &str, words: &[&str]) {
        done(self.command().args(["exec", name]).args(words));
    }

    /// Removes a container, running or not.
    pub fn remove(&self, name: &str) {
        done(self.command().args(["rm", "-f", "-t", "0", name]));
    }

    /// Ends a container's programs and starts it again.
    pub fn restart(&self, name: &str) {
        done(self.command().args(["restart", "-t", "0", name]));
    }

    /// Gives a container another name.
    pub fn rename(&self, name: &str, to: &str) {
        done(self.command().args(["rename", name, to]));
    }

    /// Ends the service; containers go on.
    pub fn stop_service(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
        std::fs::remove_file(self.socket()).ok();
    }

    /// Ends the service without a word; containers go on.
    pub fn kill_service(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill();
        }
        std::fs::remove_file(self.socket()).ok();
    }

    /// Starts it again.
    pub fn start_service(&mut self) {
        let mut command = self.command();
        command
            .args(["system", "service", "-t", "0"])
            .arg(format!("unix://{}", self.socket().display()));
        self.daemon = Some(self.place.daemon(command, &self.socket()));
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        tried(self.command().args(["pod", "rm", "-f", "-t", "0", "-a"]));
        tried(self.command().args(["rm", "-f", "-t", "0", "-a"]));
        self.stop_service();
    }
}
