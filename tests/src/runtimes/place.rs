//! Where one runtime lives, and the end of all that it started.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The longest that a daemon may take to start or end, or a command to be done.
const BOUND: Duration = Duration::from_secs(60);

/// Waits until something is so, a minute at most; gives it. `what` says what was waited for.
///
/// # Panics
///
/// It does not come to be so.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {BOUND:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Who uses the machine: places, or one storm.
static USERS: Mutex<Users> = Mutex::new(Users {
    places: 0,
    storm: false,
});
static CHANGED: Condvar = Condvar::new();

struct Users {
    places: u32,
    storm: bool,
}

fn users() -> MutexGuard<'static, Users> {
    USERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn when(free: impl Fn(&Users) -> bool) -> MutexGuard<'static, Users> {
    CHANGED
        .wait_while(users(), |users| !free(users))
        .unwrap_or_else(PoisonError::into_inner)
}

/// One of those for whom there has to be a runtime in peace.
#[derive(Debug)]
struct Calm(());

impl Calm {
    fn new() -> Self {
        when(|users| !users.storm).places += 1;
        Self(())
    }
}

impl Drop for Calm {
    fn drop(&mut self) {
        users().places -= 1;
        CHANGED.notify_all();
    }
}

/// The machine without a [`Place`] of any test, for a test that makes so many cgroups that whoever watches them lags behind: then
/// records may be shown before it is known whose they are, which those tests take for a fault.
#[derive(Debug)]
pub struct Storm(());

impl Storm {
    /// Waits until there is none, and keeps it so.
    #[allow(clippy::new_without_default, reason = "it waits")]
    #[must_use]
    pub fn new() -> Self {
        when(|users| users.places == 0 && !users.storm).storm = true;
        Self(())
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        users().storm = false;
        CHANGED.notify_all();
    }
}

/// A folder, a cgroup and a name that no other has.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    name: String,
    /// The last to go.
    _calm: Calm,
}

impl Place {
    /// A new one.
    ///
    /// # Panics
    ///
    /// No folder can be made.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it makes a folder on the disk")]
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("igt{}x{number}", std::process::id());
        // Short: a socket's path may have 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("igt")
            .tempdir_in("/tmp")
            .expect("a folder in /tmp");
        Self {
            folder,
            name,
            _calm: Calm::new(),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    #[must_use]
    pub fn at(&self, inside: &str) -> PathBuf {
        self.path().join(inside)
    }

    /// Its name: also that of its cgroup at the root of every hierarchy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn write(&self, inside: &str, text: &str) -> PathBuf {
        let path = self.at(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts a daemon and waits until it answers on its socket.
    pub(super) fn daemon(&self, mut command: Command, socket: &Path) -> Daemon {
        let log = self.at("daemon.log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let shown = format!("{command:?}");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}; cargo xtask setup installs it"));
        let mut daemon = Daemon { child };
        until(&format!("an answer of {shown}"), || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                let text = fs::read_to_string(&log).unwrap_or_default();
                panic!("{shown}: {status}\n{text}");
            }
            UnixStream::connect(socket).ok()
        });
        daemon
    }

    /// Ends what still runs for this place: its cgroups' processes, and those that name its folder.
    pub(super) fn end_processes(&self) {
        let folder = self.path().to_str().unwrap();
        for _ in 0..100 {
            let mut pids = Vec::new();
            for cgroup in self.cgroups() {
                for inner in folders(&cgroup) {
                    let text = fs::read_to_string(inner.join("cgroup.procs")).unwrap_or_default();
                    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
                }
            }
            for entry in fs::read_dir("/proc").unwrap().flatten() {
                let name = entry.file_name();
                let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                    continue;
                };
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                if pid != std::process::id() && String::from_utf8_lossy(&line).contains(folder) {
                    pids.push(pid);
                }
            }
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                signal("KILL", pid);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let all = fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten();
        let mut roots: Vec<PathBuf> = all.map(|entry| entry.path()).collect();
        roots.push(PathBuf::from("/sys/fs/cgroup"));
        let own = roots.into_iter().map(|root| root.join(&self.name));
        own.filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end_processes();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let inside: Vec<&str> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|point| Path::new(point).starts_with(self.path()))
            .collect();
        for point in inside.iter().rev() {
            Command::new("umount").args(["-l", point]).status().ok();
        }
        for cgroup in self.cgroups() {
            // The deepest first; a process that was killed may take a moment.
            for inner in folders(&cgroup).iter().rev() {
                for _ in 0..200 {
                    if fs::remove_dir(inner).is_ok() || !inner.exists() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }
}

/// A folder and all in it, outer ones first.
fn folders(root: &Path) -> Vec<PathBuf> {
    let mut all = vec![root.to_owned()];
    let mut next = 0;
    while let Some(folder) = all.get(next).cloned() {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        all.extend(inner.map(|entry| entry.path()));
        next += 1;
    }
    all
}

/// A daemon that runs.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in order; by force if it does not.
    pub(super) fn stop(mut self) {
        signal("TERM", self.child.id());
        let end = Instant::now() + Duration::from_secs(15);
        while Instant::now() < end {
            if self.child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Ends it at once.
    pub(super) fn kill(mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn signal(name: &str, pid: u32) {
    Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .ok();
}

/// Runs a command, a minute at most; gives what it printed.
pub(super) fn done(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = tried(command);
    let (out, err) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{command:?}: {status}\n{out}{err}");
    out.trim().to_owned()
}

/// Runs a command that may fail, a minute at most.
pub(super) fn tried(command: &mut Command) -> Output {
    let mut bounded = Command::new("timeout");
    bounded
        .args(["--kill-after=5", &BOUND.as_secs().to_string()])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            bounded.env(name, value);
        }
    }
    bounded.output().expect("timeout starts")
}

/// A folder that a daemon makes outside of its own: gone afterwards if it was not there before.
#[derive(Debug)]
pub(super) struct Foreign(Vec<PathBuf>);

impl Foreign {
    pub(super) fn watch(paths: &[&str]) -> Self {
        let absent = paths
            .iter()
            .map(PathBuf::from)
            .filter(|path| !path.exists());
        Self(absent.collect())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        for path in &self.0 {
            // Only what is ours by what is in it: nothing, or folders with nothing in them.
            for inner in folders(path).iter().rev() {
                fs::remove_dir(inner).ok();
            }
        }
    }
}
