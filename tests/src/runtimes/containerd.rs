//! containerd.

use super::docker::split;
use super::image::{self, PAUSE};
use super::place::{Daemon, Foreign, Place, done, tried};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A `containerd` of one's own, with Kubernetes' interface on the same socket.
#[derive(Debug)]
pub struct Containerd {
    daemon: Option<Daemon>,
    place: Place,
    digest: String,
    _foreign: Foreign,
}

impl Containerd {
    /// The image that is there, in [`Self::namespace`] and in Kubernetes'.
    pub const IMAGE: &str = image::NAME;

    /// Starts it, with an image.
    #[must_use]
    pub fn start() -> Self {
        let mut containerd = Self {
            daemon: None,
            place: Place::new(),
            digest: String::new(),
            _foreign: Foreign::watch(&["/opt/containerd", "/run/containerd"]),
        };
        containerd.start_daemon();
        let (archive, digest) = image::archive(&containerd.place, Self::IMAGE);
        containerd.digest = digest;
        let (pause, _) = image::archive(&containerd.place, PAUSE);
        let own = containerd.namespace().to_owned();
        for (namespace, archive) in [
            (own.as_str(), &archive),
            ("k8s.io", &archive),
            ("k8s.io", &pause),
        ] {
            done(
                containerd
                    .ctr(namespace)
                    .args(["images", "import"])
                    .arg(archive),
            );
        }
        containerd
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.at("c.sock")
    }

    /// Where its files are.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The namespace of [`Self::run`], and the name of its cgroup.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.place.name()
    }

    /// The digest of the image's manifest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// `ctr`, talking to it.
    #[must_use]
    pub fn ctr(&self, namespace: &str) -> Command {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.socket()).args(["-n", namespace]);
        command
    }

    /// Starts a container and lets it run.
    pub fn run(&self, id: &str, labels: &[(&str, &str)], args: &[&str]) {
        let mut command = self.ctr(self.namespace());
        command.args(["run", "-d"]);
        for (key, value) in labels {
            command.arg("--label").arg(format!("{key}={value}"));
        }
        let (options, words) = split(args);
        done(command.args(options).args([Self::IMAGE, id]).args(words));
    }

    /// Executes something in a container, under a name of its own.
    pub fn exec(&self, id: &str, exec: &str, words: &[&str]) {
        let mut command = self.ctr(self.namespace());
        command.args(["tasks", "exec", "--exec-id", exec, id]);
        done(command.args(words));
    }

    /// Gives a container a label, or takes it away where the value is empty.
    pub fn label(&self, id: &str, key: &str, value: &str) {
        let mut command = self.ctr(self.namespace());
        command.args(["containers", "label", id]);
        done(command.arg(format!("{key}={value}")));
    }

    /// Removes a container, running or not.
    pub fn remove(&self, id: &str) {
        let own = self.namespace();
        tried(self.ctr(own).args(["task", "kill", "-s", "KILL", id]));
        // It ends when it has ended.
        super::until("the task's end", || {
            let gone = tried(self.ctr(own).args(["task", "rm", id]));
            let text = String::from_utf8_lossy(&gone.stderr).into_owned();
            (gone.status.success() || text.contains("not found")).then_some(())
        });
        done(self.ctr(own).args(["containers", "rm", id]));
    }

    /// The daemon's process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::pid)
    }

    /// Ends the daemon; its containers go on.
    pub fn stop_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
    }

    /// Ends the daemon without a word; its containers go on.
    pub fn kill_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill();
        }
    }

    /// Starts it again.
    pub fn start_daemon(&mut self) {
        let at = |inside: &str| self.place.at(inside).display().to_string();
        // A bridge that is no gateway: no forwarding is turned on, and it goes with the name of the place.
        self.place.write(
            "net.d/10-bridge.conflist",
            &serde_json::json!({
                "cniVersion": "0.4.0",
                "name": self.place.name(),
                "plugins": [{
                    "type": "bridge",
                    "bridge": self.bridge(),
                    "isGateway": false,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": at("ipam"),
                        "ranges": [[{"subnet": "10.88.77.0/24"}]],
                    },
                }],
            })
            .to_string(),
        );
        let config = self.place.write(
            "config.toml",
            &format!(
                r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{net}"
"#,
                root = at("root"),
                state = at("state"),
                socket = at("c.sock"),
                net = at("net.d"),
            ),
        );
        let mut command = Command::new("containerd");
        command.arg("-c").arg(config);
        self.daemon = Some(self.place.daemon(command, &self.socket()));
    }

    fn bridge(&self) -> &str {
        // A name of an interface has 15 bytes at most.
        let name = self.place.name();
        name.get(..15).unwrap_or(name)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            for namespace in [self.namespace(), "k8s.io"] {
                let all = tried(self.ctr(namespace).args(["containers", "ls", "-q"]));
                for id in String::from_utf8_lossy(&all.stdout).split_whitespace() {
                    tried(self.ctr(namespace).args(["task", "kill", "-s", "KILL", id]));
                    tried(self.ctr(namespace).args(["task", "rm", "-f", id]));
                    tried(self.ctr(namespace).args(["containers", "rm", id]));
                }
            }
        }
        self.stop_daemon();
        // runc's state has a folder a namespace, whatever containerd's root, and each start of `ig` looks into all of them.
        let state = Path::new("/run/containerd/runc").join(self.namespace());
        fs::remove_dir(state).ok();
        tried(Command::new("ip").args(["link", "del", self.bridge()]));
    }
}
