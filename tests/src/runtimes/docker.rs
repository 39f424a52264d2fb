//! Docker.

use super::image;
use super::place::{Daemon, Foreign, Place, done, tried};
use super::registry::Registry;
use std::path::PathBuf;
use std::process::Command;

/// A `dockerd` of one's own, without a rule in the firewall, and without a bridge until one is asked for.
#[derive(Debug)]
pub struct Docker {
    daemon: Option<Daemon>,
    /// A network was made.
    networked: bool,
    place: Place,
    _foreign: Foreign,
}

impl Docker {
    /// The image that is there.
    pub const IMAGE: &str = image::NAME;

    /// The addresses of [`Self::network`].
    pub const SUBNET: &str = "10.88.78.0/24";

    /// Starts it, with an image.
    #[must_use]
    pub fn start() -> Self {
        let mut docker = Self {
            daemon: None,
            networked: false,
            place: Place::new(),
            _foreign: Foreign::watch(&["/opt/containerd", "/run/docker", "/run/containerd"]),
        };
        docker.start_daemon();
        let tar = image::tar(&docker.place);
        done(
            docker
                .command()
                .args(["import", "--change", "ENV PATH=/bin"])
                .arg(tar)
                .arg(Self::IMAGE),
        );
        docker
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.at("d.sock")
    }

    /// Where its files are: cgroup's name, folder.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// `docker`, talking to it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.place.path());
        command
    }

    /// Starts a container and lets it run; gives its id.
    pub fn run(&self, name: &str, labels: &[(&str, &str)], args: &[&str]) -> String {
        self.run_of(Self::IMAGE, name, labels, args)
    }

    /// The same, of another image.
    pub fn run_of(
        &self,
        image: &str,
        name: &str,
        labels: &[(&str, &str)],
        args: &[&str],
    ) -> String {
        let mut command = self.command();
        command.args(["run", "-d", "--pull", "never", "--name", name]);
        if !args.contains(&"--network") {
            command.args(["--network", "none"]);
        }
        for (key, value) in labels {
            command.arg("--label").arg(format!("{key}={value}"));
        }
        let (options, words) = split(args);
        done(command.args(options).arg(image).args(words))
    }

    /// Makes a container and does not start it; gives its id.
    pub fn create(&self, name: &str, words: &[&str]) -> String {
        let mut command = self.command();
        command.args([
            "create",
            "--pull",
            "never",
            "--network",
            "none",
            "--name",
            name,
        ]);
        done(command.arg(Self::IMAGE).args(words))
    }

    /// A container's id.
    #[must_use]
    pub fn id(&self, name: &str) -> String {
        done(self.command().args(["inspect", "-f", "{{.Id}}", name]))
    }

    /// Starts a container that was made.
    pub fn start_made(&self, name: &str) {
        done(self.command().args(["start", name]));
    }

    /// Ends a container's programs and starts it again.
    pub fn restart(&self, name: &str) {
        done(self.command().args(["restart", "-t", "0", name]));
    }

    /// Gives a container another name.
    pub fn rename(&self, name: &str, to: &str) {
        done(self.command().args(["rename", name, to]));
    }

    /// The daemon's process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::pid)
    }

    /// Pulls the same from a registry of our own; gives its name and its digest.
    #[must_use]
    pub fn pull(&self) -> (String, String) {
        let registry = Registry::start(&self.place);
        let name = registry.name();
        done(self.command().args(["pull", "-q", &name]));
        (name, registry.digest().to_owned())
    }

    /// Makes a network of containers that reach each other and nobody else: a bridge without an address and without a rule in the
    /// firewall. Gives its name, for `--network`; addresses of [`Self::SUBNET`] are for `--ip`.
    pub fn network(&mut self) -> String {
        self.networked = true;
        let name = self.place.name();
        let mut command = self.command();
        command.args(["network", "create", "--driver", "bridge", "--internal"]);
        command.args(["--subnet", Self::SUBNET]);
        command.args(["-o", "com.docker.network.bridge.inhibit_ipv4=true"]);
        let bridge = format!("com.docker.network.bridge.name={}", self.bridge());
        done(command.args(["-o", &bridge, name]));
        name.to_owned()
    }

    /// Takes a container out of its network.
    pub fn disconnect(&self, network: &str, name: &str) {
        done(
            self.command()
                .args(["network", "disconnect", network, name]),
        );
    }

    fn bridge(&self) -> &str {
        // A name of an interface has 15 bytes at most.
        let name = self.place.name();
        name.get(..15).unwrap_or(name)
    }

    /// Executes something in a container.
    pub fn exec(&self, name: &str, words: &[&str]) {
        done(self.command().args(["exec", name]).args(words));
    }

    /// Removes a container, running or not.
    pub fn remove(&self, name: &str) {
        done(self.command().args(["rm", "-f", name]));
    }

    /// Ends the daemon; its containers end with it.
    pub fn stop_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
    }

    /// Ends the daemon without a word.
    pub fn kill_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill();
            // The containerd that it started ends with it. Where nobody collects the dead, the next daemon would take
            // that one for alive by this file.
            std::fs::remove_file(self.place.at("exec/containerd/containerd.pid")).ok();
        }
    }

    /// Starts it again.
    pub fn start_daemon(&mut self) {
        let place = &self.place;
        let mut command = Command::new("dockerd");
        command
            .arg("--config-file")
            .arg(place.write("daemon.json", "{}"))
            .arg("--data-root")
            .arg(place.at("data"))
            .arg("--exec-root")
            .arg(place.at("exec"))
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .arg("-p")
            .arg(place.at("d.pid"))
            .arg("--cgroup-parent")
            .arg(format!("/{}", place.name()))
            .args([
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ])
            .args(["--ip-masq=false", "--bridge=none"]);
        self.daemon = Some(place.daemon(command, &self.socket()));
    }
}

/// What is for the runtime, and what is for the container: all behind `--`.
pub(super) fn split<'a>(args: &'a [&'a str]) -> (&'a [&'a str], &'a [&'a str]) {
    match args.iter().position(|word| *word == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (&[], args),
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            let all = tried(self.command().args(["ps", "-aq"]));
            let all = String::from_utf8_lossy(&all.stdout).into_owned();
            if !all.trim().is_empty() {
                tried(
                    self.command()
                        .args(["rm", "-f"])
                        .args(all.split_whitespace()),
                );
            }
            if self.networked {
                tried(self.command().args(["network", "rm", self.place.name()]));
            }
        }
        self.stop_daemon();
        if self.networked {
            tried(Command::new("ip").args(["link", "del", self.bridge()]));
        }
    }
}
