//! The cgroups of the machine: which hierarchy counts, and what is in it.

use crate::process::{self, Processes};
use rustix::fs::{CWD, Mode, OFlags};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The most cgroups that are looked at; a machine with more is not served whole.
const MOST_CGROUPS: usize = 1 << 20;
/// The id of a hierarchy's root, in the kernel.
const ROOT: u64 = 1;
/// Controllers of version 1 whose hierarchies runtimes use, the best first: in the order of what tells of new cgroups.
const CONTROLLERS: [&str; 5] = ["memory", "pids", "freezer", "devices", "cpu"];
/// Where runtimes look for version 2.
const USUAL: [&str; 2] = ["sys/fs/cgroup/unified", "sys/fs/cgroup"];
/// The most bytes of a cgroup's list of processes that are read.
const MOST_PROCESSES: u64 = 1 << 20;

/// One hierarchy of cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    mount: PathBuf,
    /// Of version 2: its ids are those of records.
    pub(crate) unified: bool,
    /// How `/proc/PID/cgroup` calls it: empty for version 2, else a controller or `name=...`.
    pub(crate) line: String,
    /// The path of what is mounted, from the hierarchy's root; empty for the root.
    prefix: String,
    /// The path of the cgroup that `/proc/PID/cgroup` counts from: this process's cgroup namespace. Empty: the root.
    namespace: String,
    /// The id of that cgroup, where it is not the root.
    namespace_id: Option<u64>,
    /// It is not the root, and nothing is mounted from there that would have its id.
    namespace_unseen: bool,
}

/// A cgroup that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    /// None: the topmost.
    pub(crate) parent: Option<u64>,
    /// From the root of the hierarchy.
    pub(crate) path: String,
    /// The user that may make cgroups beside it.
    pub(crate) maker: u32,
}

/// What a walk saw.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) found: Vec<Seen>,
    /// What is not among them is not there.
    pub(crate) whole: bool,
}

/// A mount of cgroups.
#[derive(Debug)]
struct Mount {
    point: PathBuf,
    root: String,
    unified: bool,
    line: String,
}

/// The folder of the cgroup (of version 2) that paths in `/proc/PID/cgroup` count from for this process: that of the root, or
/// of its cgroup namespace. Every cgroup that is mounted is found from there, `..` going up. None: no version 2 is mounted, or
/// not what this process's cgroup namespace is in.
#[must_use]
pub fn cgroup_namespace() -> Option<PathBuf> {
    Hierarchy::find()
        .filter(|hierarchy| hierarchy.unified)?
        .counted_from()
}

impl Hierarchy {
    /// The one that counts here: version 2, else one of version 1; rather one that is mounted from its root. None if there is none.
    /// Beside controllers of version 1, version 2 counts where runtimes look for it: elsewhere it is somebody's own and has no
    /// containers in it, as that of Cilium. What tells of new cgroups chooses in the same way.
    pub(crate) fn find() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let id = |mount: &Mount| std::fs::metadata(&mount.point).ok().map(|meta| meta.ino());
        Self::choose(mounts(&text), id)
    }

    /// A folder that stands for cgroups of version 2.
    #[cfg(test)]
    pub(crate) fn at(mount: &Path) -> Self {
        Self {
            mount: mount.to_owned(),
            unified: true,
            line: String::new(),
            prefix: String::new(),
            namespace: String::new(),
            namespace_id: None,
            namespace_unseen: false,
        }
    }

    fn choose(mounts: Vec<Mount>, id: impl Fn(&Mount) -> Option<u64>) -> Option<Self> {
        let mounts: Vec<(Mount, u64)> = mounts
            .into_iter()
            .filter_map(|mount| id(&mount).map(|id| (mount, id)))
            .collect();
        let usual = |(mount, _): &(Mount, u64)| {
            mount.unified && USUAL.iter().any(|usual| mount.point.ends_with(usual))
        };
        let controller = |(mount, _): &(Mount, u64)| CONTROLLERS.contains(&mount.line.as_str());
        let unified = mounts.iter().any(usual) || !mounts.iter().any(controller);
        let order = |(mount, id): &&(Mount, u64)| {
            let place = CONTROLLERS.iter().position(|name| *name == mount.line);
            let place = place.unwrap_or(CONTROLLERS.len());
            (mount.unified != unified, *id != ROOT, place)
        };
        let (mount, id) = mounts.iter().min_by_key(order)?;
        // In a cgroup namespace of its own a process sees that namespace's root as "/".
        let own = mounts.iter().find(|(other, id)| {
            other.unified == mount.unified
                && other.line == mount.line
                && other.root == "/"
                && *id != ROOT
        });
        let prefix = match mount.root.as_str() {
            root if *id == ROOT || root.starts_with("/..") => "",
            root => root.trim_end_matches('/'),
        };
        Some(Self {
            mount: mount.point.clone(),
            unified: mount.unified,
            line: mount.line.clone(),
            prefix: prefix.to_owned(),
            namespace: String::new(),
            namespace_id: own.map(|(_, id)| *id),
            namespace_unseen: own.is_none() && mount.root.starts_with("/.."),
        })
    }

    /// Every cgroup, parents first. The list is of this moment: one that is made or removed meanwhile may be in it or not.
    /// `meanwhile` is called for each; false ends it, with a part of them.
    pub(crate) fn walk(&mut self, meanwhile: &mut dyn FnMut() -> bool) -> Walk {
        let mut found = Vec::new();
        let mut whole = true;
        let top = if self.prefix.is_empty() {
            "/".to_owned()
        } else {
            self.prefix.clone()
        };
        let Ok(meta) = std::fs::metadata(&self.mount) else {
            return Walk::default();
        };
        found.push(Seen {
            id: meta.ino(),
            parent: None,
            path: top,
            maker: meta.uid(),
        });
        let mut next = 0;
        while let Some(at) = found.get(next) {
            let (id, path) = (at.id, at.path.clone());
            next += 1;
            if !meanwhile() {
                return Walk {
                    found,
                    whole: false,
                };
            }
            let folder = self.folder(&path);
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    // What is below one that can't be read, as descriptors are used up, has not gone.
                    whole &= is_gone(&error);
                    continue;
                }
            };
            let mut maker = None;
            for entry in entries.filter_map(Result::ok) {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if found.len() >= MOST_CGROUPS {
                    whole = false;
                    break;
                }
                let maker = *maker.get_or_insert_with(|| user(&folder).unwrap_or(u32::MAX));
                let name = entry.file_name();
                let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
                found.push(Seen {
                    id: entry.ino(),
                    parent: Some(id),
                    path: format!("{}/{name}", path.trim_end_matches('/')),
                    maker,
                });
            }
        }
        if let Some(id) = self.namespace_id
            && let Some(seen) = found.iter().find(|seen| seen.id == id)
        {
            self.namespace = seen.path.trim_end_matches('/').to_owned();
        }
        if self.namespace_unseen
            && let Ok(text) = std::fs::read_to_string("/proc/self/cgroup")
            && let Some(own) = process::cgroup_of(&text, &self.line)
            && let Some(namespace) = self.namespace_above(own, &found)
        {
            self.namespace = namespace;
            self.namespace_unseen = false;
        }
        Walk { found, whole }
    }

    /// The cgroup that `/proc` counts from, by where this process is: in `own`, counted from there.
    fn namespace_above(&self, own: &str, found: &[Seen]) -> Option<String> {
        let pid = std::process::id();
        let here = found
            .iter()
            .find(|seen| self.processes(&seen.path).contains(&pid))?;
        let above = here.path.strip_suffix(own.trim_end_matches('/'))?;
        Some(above.trim_end_matches('/').to_owned())
    }

    /// The folder that `/proc` counts from.
    fn counted_from(mut self) -> Option<PathBuf> {
        if self.namespace_id.is_some() || self.namespace_unseen {
            self.walk(&mut || true);
        }
        let seen = match self.namespace_id {
            Some(id) => self.id(&self.namespace) == Some(id),
            None => !self.namespace_unseen && self.prefix.is_empty(),
        };
        seen.then(|| self.folder(&self.namespace))
    }

    fn folder(&self, path: &str) -> PathBuf {
        let inside = path.strip_prefix(&self.prefix).unwrap_or(path);
        self.mount.join(inside.trim_start_matches('/'))
    }

    /// The id of the cgroup of a path.
    pub(crate) fn id(&self, path: &str) -> Option<u64> {
        let meta = std::fs::metadata(self.folder(path)).ok()?;
        meta.is_dir().then(|| meta.ino())
    }

    /// The user that may make cgroups in the one of a path.
    pub(crate) fn user(&self, path: &str) -> Option<u32> {
        user(&self.folder(path))
    }

    /// The path of a process's cgroup, from the root.
    pub(crate) fn of(&self, processes: &Processes, pid: u32) -> Option<String> {
        let path = processes.cgroup(pid, &self.line)?;
        Some(self.rooted(&path))
    }

    /// A path as `/proc` shows it, from the root.
    pub(crate) fn rooted(&self, path: &str) -> String {
        let mut base: Vec<&str> = self
            .namespace
            .split('/')
            .filter(|c| !c.is_empty())
            .collect();
        for component in path.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    base.pop();
                }
                name => base.push(name),
            }
        }
        format!("/{}", base.join("/"))
    }

    /// The processes in the cgroup of a path, by the numbers that this process sees; 0: one that it does not see.
    pub(crate) fn processes(&self, path: &str) -> Vec<u32> {
        use std::io::Read as _;
        let file = self.folder(path).join("cgroup.procs");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(file) = rustix::fs::openat(CWD, &file, flags, Mode::empty()) else {
            return Vec::new();
        };
        let mut text = String::new();
        let file = std::fs::File::from(file);
        if file.take(MOST_PROCESSES).read_to_string(&mut text).is_err() {
            return Vec::new();
        }
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// Whether a folder was removed, before it was opened or after.
fn is_gone(error: &std::io::Error) -> bool {
    let removed = Some(rustix::io::Errno::NODEV.raw_os_error());
    error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == removed
}

fn user(folder: &Path) -> Option<u32> {
    std::fs::metadata(folder).ok().map(|meta| meta.uid())
}

/// The mounts of cgroups in `/proc/self/mountinfo`.
fn mounts(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (own, kind) = line.split_once(" - ")?;
        let mut own = own.split(' ').skip(3);
        let (root, point) = (own.next()?, own.next()?);
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
        let line = match kind {
            "cgroup2" => String::new(),
            "cgroup" => {
                let all = || options.split(',');
                let known = |option: &&str| CONTROLLERS.contains(option);
                let named = |option: &&str| option.starts_with("name=");
                all().find(known).or_else(|| all().find(named))?.to_owned()
            }
            _ => return None,
        };
        Some(Mount {
            point: unescaped(point),
            root: unescaped(root).to_string_lossy().into_owned(),
            unified: kind == "cgroup2",
            line,
        })
    };
    text.lines().filter_map(mount).collect()
}

/// Spaces and the like stand there as `\040`.
fn unescaped(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(code) => {
                plain.push(code);
                at += 4;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from(
        <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&plain),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

    fn choose(text: &str, ids: &[(&str, u64)]) -> Option<Hierarchy> {
        Hierarchy::choose(mounts(text), |mount| {
            let id = ids
                .iter()
                .find(|(point, _)| mount.point == Path::new(point));
            Some(id.map_or(ROOT, |(_, id)| *id))
        })
    }

    #[test]
    fn version_2_counts_where_runtimes_use_it_and_then_the_one_of_a_controller() {
        let found = choose(HYBRID, &[]).unwrap();
        assert_eq!(found.mount, Path::new("/sys/fs/cgroup/unified"));
        assert!(found.unified && found.line.is_empty() && found.prefix.is_empty());
        let first = HYBRID.lines().take(3).collect::<Vec<_>>().join("\n");
        let found = choose(&first, &[]).unwrap();
        assert_eq!((found.unified, found.line.as_str()), (false, "memory"));
        assert_eq!(choose("", &[]), None);
        let cilium = "44 31 0:40 / /run/cilium/cgroupv2 rw - cgroup2 none rw";
        let found = choose(&format!("{cilium}\n{first}"), &[]).unwrap();
        assert_eq!((found.unified, found.line.as_str()), (false, "memory"));
        let found = choose(&format!("{cilium}\n{HYBRID}"), &[]).unwrap();
        assert!(found.unified);
        assert!(choose(cilium, &[]).unwrap().unified);
        let spaces = "1 2 0:1 /a\\040b /sys/c\\134d rw - cgroup2 c rw";
        let found = choose(spaces, &[("/sys/c\\d", 7)]).unwrap();
        assert_eq!(found.prefix, "/a b");
        assert_eq!(found.folder("/a b/x"), Path::new("/sys/c\\d/x"));
    }

    #[test]
    fn in_a_container_the_hosts_mount_counts_and_paths_count_from_there() {
        let text = "\
1 0 0:38 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw
2 0 0:38 /../.. /host/sys/fs/cgroup ro - cgroup2 cgroup2 rw
";
        let mut found = choose(text, &[("/sys/fs/cgroup", 77)]).unwrap();
        assert_eq!(found.mount, Path::new("/host/sys/fs/cgroup"));
        assert_eq!((found.prefix.as_str(), found.namespace_id), ("", Some(77)));
        found.namespace = "/docker/me".to_owned();
        assert_eq!(found.rooted("/"), "/docker/me");
        assert_eq!(found.rooted("/a"), "/docker/me/a");
        assert_eq!(found.rooted("/../other"), "/docker/other");
        assert_eq!(found.rooted("/../../system.slice/x"), "/system.slice/x");
        assert_eq!(found.rooted("/../../../../x"), "/x");
    }

    #[test]
    fn where_nothing_is_mounted_from_the_cgroup_namespace_this_process_says_where_it_is() {
        let text = "2 0 0:38 /../.. /host/sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        assert!(choose(text, &[]).unwrap().namespace_unseen);
        assert!(!choose(HYBRID, &[]).unwrap().namespace_unseen);
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("docker/me/inner");
        std::fs::create_dir_all(&own).unwrap();
        let processes = format!("1\n{}\n", std::process::id());
        std::fs::write(own.join("cgroup.procs"), processes).unwrap();
        let mut hierarchy = Hierarchy::at(folder.path());
        let found = hierarchy.walk(&mut || true).found;
        let above = |own: &str| hierarchy.namespace_above(own, &found);
        assert_eq!(above("/inner").as_deref(), Some("/docker/me"));
        assert_eq!(above("/").as_deref(), Some("/docker/me/inner"));
        assert_eq!(above("/docker/me/inner").as_deref(), Some(""));
        assert_eq!(above("/../elsewhere"), None);
    }

    #[test]
    fn what_can_not_be_read_has_not_gone() {
        use rustix::io::Errno;
        let gone = |error: Errno| is_gone(&std::io::Error::from(error));
        assert!(gone(Errno::NOENT) && gone(Errno::NODEV));
        assert!(!gone(Errno::MFILE) && !gone(Errno::NOMEM) && !gone(Errno::ACCESS));
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let mut hierarchy = Hierarchy::at(folder.path());
        assert!(hierarchy.walk(&mut || true).whole);
        let mut looks = 1..2;
        let ended = hierarchy.walk(&mut || looks.next().is_some());
        assert!(!ended.whole && ended.found.len() == 2);
    }

    #[test]
    fn the_folder_that_proc_counts_from_is_that_of_the_cgroup_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("docker/me");
        std::fs::create_dir_all(&own).unwrap();
        let id = std::fs::metadata(&own).unwrap().ino();
        let counted = |change: &dyn Fn(&mut Hierarchy)| {
            let mut hierarchy = Hierarchy::at(folder.path());
            change(&mut hierarchy);
            hierarchy.counted_from()
        };
        assert_eq!(counted(&|_| ()).as_deref(), Some(folder.path()));
        let namespaced = counted(&|hierarchy| hierarchy.namespace_id = Some(id));
        assert_eq!(namespaced, Some(own.clone()));
        // Its own cgroup alone is mounted.
        let mut inside = Hierarchy::at(&own);
        inside.namespace_id = Some(id);
        assert_eq!(inside.counted_from(), Some(own));
        let elsewhere = counted(&|hierarchy| hierarchy.namespace_id = Some(u64::MAX));
        assert_eq!(elsewhere, None);
        let below = counted(&|hierarchy| hierarchy.prefix = "/docker".to_owned());
        assert_eq!(below, None);
    }

    #[test]
    fn this_process_is_in_a_cgroup_that_is_walked() {
        let Some(mut hierarchy) = Hierarchy::find() else {
            return;
        };
        let all = hierarchy.walk(&mut || true).found;
        let processes = Processes::new(Path::new("/"));
        let own = hierarchy.of(&processes, std::process::id()).unwrap();
        let seen = all.iter().find(|seen| seen.path == own).unwrap();
        assert_eq!(hierarchy.id(&own), Some(seen.id));
        assert!(hierarchy.processes(&own).contains(&std::process::id()));
        for (i, seen) in all.iter().enumerate() {
            let above = seen
                .parent
                .map(|id| all[..i].iter().any(|other| other.id == id));
            assert!(above != Some(false), "{} before its parent", seen.path);
        }
    }
}
