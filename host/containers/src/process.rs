//! What the host's `/proc` says of processes.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The most bytes of a file of `/proc` that are read.
const MOST: u64 = 64 << 10;
/// Ticks of the clock that `/proc/PID/stat` counts in, to nanoseconds: 100 a second for programs, on every machine that Rust
/// knows.
const TICK: u64 = 10_000_000;

/// The processes of the host, by their numbers in the pid namespace that the `/proc` belongs to.
#[derive(Debug)]
pub(crate) struct Processes {
    proc: PathBuf,
    /// The numbers in this `/proc` are those that this process sees itself.
    same_numbers: bool,
    host_mount_namespace: Option<u64>,
}

/// A process, to tell it from the next one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: u32,
    /// When it started, in ticks since the boot.
    pub(crate) start: u64,
}

impl Stat {
    /// When it started, in nanoseconds of CLOCK_BOOTTIME.
    pub(crate) fn start_time(self) -> u64 {
        self.start.saturating_mul(TICK)
    }
}

impl Processes {
    pub(crate) fn new(host_root: &Path) -> Self {
        let proc = host_root.join("proc");
        let own = std::fs::read_link(proc.join("self")).ok();
        let own = own.and_then(|link| link.to_str()?.parse().ok());
        let mut processes = Self {
            proc,
            same_numbers: own == Some(std::process::id()),
            host_mount_namespace: None,
        };
        // 1 may be out of reach for who has not all of its capabilities; 2 is the kernel's own, where it is.
        let kernel = |pid: &u32| *pid == 1 || processes.command_line(*pid).is_empty();
        processes.host_mount_namespace = [1, 2]
            .into_iter()
            .filter(kernel)
            .find_map(|pid| processes.mount_namespace(pid))
            .or_else(|| namespace(&processes.proc.join("self/ns/mnt")));
        processes
    }

    fn path(&self, pid: u32, file: &str) -> PathBuf {
        self.proc.join(pid.to_string()).join(file)
    }

    fn read(&self, pid: u32, file: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.path(pid, file)).ok()?;
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The folder that is a process's root, by a name that leads there.
    pub(crate) fn root(&self, pid: u32) -> PathBuf {
        self.path(pid, "root")
    }

    /// The words of its command line, NUL after each; empty if it is gone or the kernel's.
    pub(crate) fn command_line(&self, pid: u32) -> Vec<u8> {
        self.read(pid, "cmdline").unwrap_or_default()
    }

    /// Its working folder.
    pub(crate) fn cwd(&self, pid: u32) -> Option<PathBuf> {
        std::fs::read_link(self.path(pid, "cwd")).ok()
    }

    /// The number of its mount namespace.
    pub(crate) fn mount_namespace(&self, pid: u32) -> Option<u64> {
        namespace(&self.path(pid, "ns/mnt"))
    }

    /// The host's own mount namespace; None: it can't be told.
    pub(crate) fn hosts(&self) -> Option<u64> {
        self.host_mount_namespace
    }

    /// Whether a mount namespace is the host's own.
    pub(crate) fn is_hosts(&self, namespace: u64) -> bool {
        self.host_mount_namespace == Some(namespace)
    }

    /// The user that it runs as.
    pub(crate) fn user(&self, pid: u32) -> Option<u32> {
        let path = self.proc.join(pid.to_string());
        std::fs::metadata(path).ok().map(|meta| meta.uid())
    }

    pub(crate) fn stat(&self, pid: u32) -> Option<Stat> {
        let text = self.read(pid, "stat")?;
        // The name may hold anything, parentheses too.
        let end = text.iter().rposition(|b| *b == b')')?;
        let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
        let mut words = rest.split_ascii_whitespace();
        let parent = words.nth(1)?.parse().ok()?;
        let start = words.nth(17)?.parse().ok()?;
        Some(Stat { parent, start })
    }

    /// The path of its cgroup as the kernel shows it to this process, in the hierarchy of `line`: empty for the unified
    /// one, else a controller or `name=...`.
    pub(crate) fn cgroup(&self, pid: u32, line: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.read(pid, "cgroup")?).into_owned();
        cgroup_of(&text, line).map(str::to_owned)
    }

    /// Its numbers from the outermost pid namespace that is seen from here to its own.
    pub(crate) fn numbers(&self, pid: u32) -> Vec<u32> {
        let text = self.read(pid, "status").unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let numbers = line.unwrap_or_default().split_ascii_whitespace();
        numbers.filter_map(|number| number.parse().ok()).collect()
    }

    /// The numbers that files of cgroups have are those of this `/proc`.
    pub(crate) fn same_numbers(&self) -> bool {
        self.same_numbers
    }

    /// Every process by the path of its cgroup: for when the cgroups' own lists have other numbers.
    pub(crate) fn by_cgroup(
        &self,
        line: &str,
        rooted: impl Fn(&str) -> String,
    ) -> HashMap<String, Vec<u32>> {
        let mut all: HashMap<String, Vec<u32>> = HashMap::new();
        let Ok(entries) = std::fs::read_dir(&self.proc) else {
            return all;
        };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let pid = std::str::from_utf8(name.as_bytes()).ok();
            let Some(pid) = pid.and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(path) = self.cgroup(pid, line) {
                all.entry(rooted(&path)).or_default().push(pid);
            }
        }
        all
    }
}

fn namespace(link: &Path) -> Option<u64> {
    let text = std::fs::read_link(link).ok()?;
    let text = text.to_str()?.strip_prefix("mnt:[")?;
    text.strip_suffix(']')?.parse().ok()
}

/// The path in a text like `/proc/PID/cgroup`, in one hierarchy.
pub(crate) fn cgroup_of<'a>(text: &'a str, hierarchy: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let this = match hierarchy {
            "" => number == "0" && controllers.is_empty(),
            name => controllers.split(',').any(|controller| controller == name),
        };
        // Said of processes whose cgroup was removed.
        this.then(|| path.strip_suffix(" (deleted)").unwrap_or(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_where_it_is() {
        let processes = Processes::new(Path::new("/"));
        let own = std::process::id();
        let stat = processes.stat(own).unwrap();
        assert_eq!(stat.parent, std::os::unix::process::parent_id());
        assert!(stat.start > 0 && stat.start_time() > stat.start);
        assert!(processes.mount_namespace(own).is_some() && processes.same_numbers());
        assert_eq!(processes.numbers(own).first(), Some(&own));
        let line = processes.command_line(own);
        assert!(line.contains(&0), "words end with NUL");
        assert_eq!(processes.cwd(own), std::env::current_dir().ok());
        assert!(processes.user(own).is_some_and(crate::files::trusted));
        assert!(processes.stat(u32::MAX).is_none() && processes.command_line(u32::MAX).is_empty());
    }

    #[test]
    fn the_line_of_the_hierarchy_counts() {
        let text = "9:name=systemd:/a\n4:memory:/p/b\n2:cpu,cpuacct:/c\n0::/d:e (deleted)\n";
        assert_eq!(cgroup_of(text, ""), Some("/d:e"));
        assert_eq!(cgroup_of(text, "name=systemd"), Some("/a"));
        assert_eq!(cgroup_of(text, "cpuacct"), Some("/c"));
        assert_eq!(cgroup_of(text, "cpuset"), None);
        assert_eq!(cgroup_of("0:", ""), None);
    }
}
