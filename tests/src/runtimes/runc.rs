//! runc or crun, without anybody above it.

use super::image;
use super::place::{Place, done, tried};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Shows who is behind it version 2 of cgroups alone, as a machine without version 1 has it. Its controllers may be those of
/// version 1 all the same: containers have no limits there.
const VIEW: &str = "mount --make-rprivate / && umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";

/// Controllers of version 2 that were in use before the first container of these tests: runtimes put more to use.
static CONTROLLERS: OnceLock<(PathBuf, String)> = OnceLock::new();

/// The file at the root, and what it says.
fn controllers() -> (PathBuf, String) {
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let root = roots.iter().find(|root| root.join(CONTROL).is_file());
    let file = root.expect("version 2 of cgroups").join(CONTROL);
    let text = std::fs::read_to_string(&file).unwrap();
    (file, text)
}

const CONTROL: &str = "cgroup.subtree_control";

/// One of the two, with its own state.
#[derive(Debug)]
pub struct Runc {
    program: &'static str,
    /// It sees version 2 of cgroups alone.
    view: bool,
    place: Place,
    /// Containers whose state is in the usual folder.
    usual: Mutex<Vec<String>>,
    /// The last: it is dropped behind the place.
    _controllers: Controllers,
}

impl Runc {
    /// runc.
    #[allow(clippy::new_without_default, reason = "it makes a folder on the disk")]
    #[must_use]
    pub fn new() -> Self {
        Self::of("runc", false)
    }

    /// runc that sees version 2 of cgroups alone.
    #[must_use]
    pub fn with_version_2_alone() -> Self {
        Self::of("runc", true)
    }

    /// crun, which sees version 2 of cgroups alone if it can't run a container otherwise: older ones can't where both versions are
    /// in use.
    #[must_use]
    pub fn crun() -> Self {
        let crun = Self::of("crun", false);
        let mut command = crun.command();
        command.args(["run", "--bundle"]);
        let probe = tried(command.arg(crun.bundle("probe", &["true"])).arg("probe"));
        match probe.status.success() {
            true => crun,
            false => Self::of("crun", true),
        }
    }

    fn of(program: &'static str, view: bool) -> Self {
        CONTROLLERS.get_or_init(controllers);
        Self {
            program,
            view,
            place: Place::new(),
            usual: Vec::new().into(),
            _controllers: Controllers,
        }
    }

    /// `runc` or `crun`.
    #[must_use]
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Where its files are; its state is in the folder `state`.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The program, with its own state.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.usual();
        command.arg("--root").arg(self.place.at("state"));
        command
    }

    /// The program, with its state where it usually is.
    fn usual(&self) -> Command {
        if !self.view {
            return Command::new(self.program);
        }
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", VIEW, "sh", self.program]);
        command
    }

    /// Makes a bundle; gives its folder.
    pub fn bundle(&self, id: &str, words: &[&str]) -> PathBuf {
        self.bundle_with(id, words, |_| {})
    }

    /// Makes a bundle, in place of the one that was there, with changes to its configuration; gives its folder.
    pub fn bundle_with(
        &self,
        id: &str,
        words: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> PathBuf {
        let folder = self.place.at(id);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("config.json");
        std::fs::remove_file(&path).ok();
        done(Command::new("runc").args(["spec", "--bundle"]).arg(&folder));
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["root"] = json!({"path": image::rootfs(&self.place), "readonly": true});
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(words);
        // As it may be already: a machine may not let us raise it.
        config["process"]["rlimits"] = json!([]);
        config["linux"]["cgroupsPath"] = json!(self.cgroup(id));
        if self.view {
            config["linux"].as_object_mut().unwrap().remove("resources");
        }
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
        folder
    }

    /// The path of a container's cgroup.
    #[must_use]
    pub fn cgroup(&self, id: &str) -> String {
        format!("/{}/{id}", self.place.name())
    }

    /// Starts a container and lets it run.
    pub fn run(&self, id: &str, words: &[&str]) {
        self.bundle(id, words);
        self.start(id);
    }

    /// Starts a container whose bundle was made, and lets it run.
    pub fn start(&self, id: &str) {
        self.detach(self.command(), id);
    }

    /// The same, with its state where it usually is: the name has to be one that no other has.
    pub fn start_as_usual(&self, id: &str) {
        self.usual.lock().unwrap().push(id.to_owned());
        self.detach(self.usual(), id);
    }

    /// The call that starts a container whose bundle was made, and stays until that ends.
    #[must_use]
    pub fn attached(&self, id: &str) -> Command {
        let mut command = self.command();
        command
            .args(["run", "--bundle"])
            .arg(self.place.at(id))
            .arg(id);
        command.stdin(Stdio::null());
        command
    }

    /// Runs something in a container.
    pub fn exec(&self, id: &str, words: &[&str]) {
        done(self.command_for(id).args(["exec", id]).args(words));
    }

    fn detach(&self, mut command: Command, id: &str) {
        // Its output is not ours to wait for.
        let status = command
            .args(["run", "-d", "--bundle"])
            .arg(self.place.at(id))
            .arg(id)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{} run {id}: {status}", self.program);
    }

    /// Removes a container, running or not.
    pub fn remove(&self, id: &str) {
        tried(self.command_for(id).args(["delete", "-f", id]));
    }

    fn command_for(&self, id: &str) -> Command {
        match self.usual.lock().unwrap().iter().any(|usual| usual == id) {
            true => self.usual(),
            false => self.command(),
        }
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        let all = std::fs::read_dir(self.place.at("state"));
        let usual = std::mem::take(&mut *self.usual.lock().unwrap());
        for id in &usual {
            tried(self.usual().args(["delete", "-f", id]));
        }
        for entry in all.into_iter().flatten().flatten() {
            if let Some(id) = entry.file_name().to_str() {
                self.remove(id);
            }
        }
    }
}

/// Puts controllers back that containers put to use, when their cgroups are gone.
#[derive(Debug)]
struct Controllers;

impl Drop for Controllers {
    fn drop(&mut self) {
        let Some((file, before)) = CONTROLLERS.get() else {
            return;
        };
        let now = std::fs::read_to_string(file).unwrap_or_default();
        for controller in now.split_whitespace() {
            if !before.split_whitespace().any(|known| known == controller) {
                // Another test's container may use it still.
                std::fs::write(file, format!("-{controller}")).ok();
            }
        }
    }
}
