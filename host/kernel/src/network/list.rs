//! The network namespaces of a machine: those that its processes are in, and those that are mounted.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::sys::os;

/// Processes that are tried when a namespace is opened: those that are there longest, in case one ends meanwhile.
const CANDIDATES: usize = 8;

/// The id of the unified hierarchy's root, in the kernel.
const ROOT: u64 = 1;

/// Why it can't be told which namespaces there are.
#[derive(Debug, thiserror::Error)]
#[error("network namespaces can't be listed: {path}: {error}{}", list_cure(error), path = path.display())]
pub struct ListError {
    path: PathBuf,
    error: io::Error,
}

fn list_cure(error: &io::Error) -> &'static str {
    match os::is_short(error) {
        true => os::cure(error),
        false => "; mount procfs, that of the host when in a container",
    }
}

/// A namespace may be there, and the system has too little of something to open it.
#[derive(Debug, thiserror::Error)]
#[error("the network namespace {inode} can't be opened: {path}: {error}{}", os::cure(error), path = path.display())]
pub struct OpenError {
    inode: u64,
    path: PathBuf,
    error: io::Error,
}

/// Where namespaces are looked for.
#[derive(Debug)]
pub struct NetworkNamespaces {
    root: PathBuf,
    proc: PathBuf,
    cgroups: Option<Cgroups>,
}

/// What paths of cgroups in `/proc` count from.
#[derive(Debug)]
struct Cgroups {
    folder: PathBuf,
    /// Of the file system: a path may lead up out of what is mounted.
    device: u64,
}

/// A namespace that was there when it was looked.
#[derive(Clone, Debug)]
pub struct NetworkNamespace {
    inode: u64,
    host: bool,
    /// A process in it was asked for.
    kept: bool,
    /// Those that were asked for come first, and of these the first started.
    processes: Vec<Process>,
    mount: Option<PathBuf>,
}

/// A process in a namespace.
#[derive(Clone, Debug)]
struct Process {
    /// It was not asked for, and when it was started.
    order: (bool, u64),
    folder: PathBuf,
}

/// A namespace that does not go away as long as this is there.
#[derive(Debug)]
pub struct OpenNamespace {
    inode: u64,
    cgroup: Option<u64>,
    fd: OwnedFd,
}

impl OpenNamespace {
    /// Its number, which the kernel gives to another one when it is gone.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The cgroup (of the unified hierarchy) of the process that is in it for longest, of those that were asked for: a pod's
    /// sandbox, a container's first process; of the host's namespace the root, whoever is in it too. None: nobody is in it.
    #[must_use]
    pub fn cgroup(&self) -> Option<u64> {
        self.cgroup
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl NetworkNamespaces {
    /// Those of the machine whose root folder is at `root`: `/`, and in a container where the host's is mounted. `cgroups` is
    /// the folder of the cgroup (of the unified hierarchy) that paths in `/proc/PID/cgroup` count from for this process: the
    /// root, or that of its cgroup namespace. None, or nothing there: then no process's cgroup is known.
    #[must_use]
    pub fn new(root: &Path, cgroups: Option<PathBuf>) -> Self {
        let cgroups = cgroups.and_then(|folder| {
            let device = fs::metadata(&folder).ok()?.dev();
            Some(Cgroups { folder, device })
        });
        Self {
            root: root.to_owned(),
            proc: root.join("proc"),
            cgroups,
        }
    }

    /// Every namespace that a process is in or that is mounted, once. With `keep` only those in which there is a process of
    /// a cgroup (its id in the unified hierarchy) of which it says so; where cgroups are not known, every one all the same.
    ///
    /// # Errors
    ///
    /// procfs can't be read, or the system has too little of something.
    pub fn list(
        &self,
        keep: Option<&dyn Fn(u64) -> bool>,
    ) -> Result<Vec<NetworkNamespace>, ListError> {
        let error = |error| ListError {
            path: self.proc.clone(),
            error,
        };
        let keep = keep.filter(|_| self.cgroups.is_some());
        // Not even root may always look at the first process; kernel threads are in the same namespace.
        let host = ["1", "2", "self"]
            .iter()
            .find_map(|process| number(&self.proc.join(process)).ok());
        let mut found: BTreeMap<u64, NetworkNamespace> = BTreeMap::new();
        for entry in os::with_files(|| fs::read_dir(&self.proc)).map_err(error)? {
            let Ok(entry) = entry else {
                continue;
            };
            let name = entry.file_name();
            if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            let folder = entry.path();
            // Whoever has ended since is in none.
            let Ok(inode) = number(&folder) else {
                continue;
            };
            let namespace = found
                .entry(inode)
                .or_insert_with(|| NetworkNamespace::new(inode, Some(inode) == host));
            let kept = match keep {
                Some(keep) => self.cgroup(&folder).map_err(error)?.is_some_and(keep),
                None => false,
            };
            namespace.kept |= kept;
            // Whoever opens the host's can take any.
            let started = if namespace.host { 0 } else { started(&folder) };
            namespace.add((!kept, started), folder);
        }
        if keep.is_none() {
            self.mounted(&mut found);
        } else {
            found.retain(|_, namespace| namespace.kept);
        }
        Ok(found.into_values().collect())
    }

    /// Adds those that are mounted, as `ip netns` and runtimes do it: they may be without a process.
    fn mounted(&self, found: &mut BTreeMap<u64, NetworkNamespace>) {
        for (process, root) in [("1", self.root.as_path()), ("self", Path::new("/"))] {
            let Ok(mounts) = fs::read_to_string(self.proc.join(process).join("mountinfo")) else {
                continue;
            };
            for line in mounts.lines() {
                let Some(mount) = Mount::parse(line).filter(|mount| mount.kind == "nsfs") else {
                    continue;
                };
                if let Some(inode) = in_brackets(mount.root) {
                    let namespace = found
                        .entry(inode)
                        .or_insert_with(|| NetworkNamespace::new(inode, false));
                    let path = below(root, &mount.point);
                    namespace.mount.get_or_insert(path);
                }
            }
        }
    }

    /// Opens a namespace; none: it is gone. What is open is the namespace that was listed, or one that has got its number
    /// since, and the cgroup is that of a process in it.
    ///
    /// # Errors
    ///
    /// The system has no descriptor or no memory for it.
    pub fn open(&self, namespace: &NetworkNamespace) -> Result<Option<OpenNamespace>, OpenError> {
        for Process { folder, .. } in &namespace.processes {
            let opened = os::with_files(|| self.open_of(namespace, folder));
            if let Some(open) = unless_short(opened, namespace, folder)? {
                return Ok(Some(open));
            }
        }
        let Some(mount) = &namespace.mount else {
            return Ok(None);
        };
        let opened = os::with_files(|| {
            let open = OpenNamespace {
                inode: namespace.inode,
                cgroup: None,
                fd: OwnedFd::from(File::open(mount)?),
            };
            Ok(open.is(namespace).then_some(open))
        });
        unless_short(opened, namespace, mount)
    }

    fn open_of(
        &self,
        namespace: &NetworkNamespace,
        folder: &Path,
    ) -> io::Result<Option<OpenNamespace>> {
        // The folder of a process stays its own: when it has ended there is nothing in it, whoever has its number then.
        let mut options = File::options();
        options
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY);
        let process = options.open(folder)?;
        let folder = PathBuf::from(format!("/proc/self/fd/{}", process.as_raw_fd()));
        let fd = OwnedFd::from(File::open(folder.join("ns/net"))?);
        let cgroup = if namespace.host {
            Some(ROOT)
        } else {
            self.cgroup(&folder)?
        };
        let open = OpenNamespace {
            inode: namespace.inode,
            cgroup,
            fd,
        };
        Ok(open.is(namespace).then_some(open))
    }

    /// The id of a process's cgroup in the unified hierarchy; none: it has none, or has ended. The error is that the system has
    /// too little of something.
    fn cgroup(&self, folder: &Path) -> io::Result<Option<u64>> {
        let Some(cgroups) = &self.cgroups else {
            return Ok(None);
        };
        let text = match os::with_files(|| fs::read(folder.join("cgroup"))) {
            Ok(text) => text,
            Err(error) if os::is_short(&error) => return Err(error),
            Err(_) => return Ok(None),
        };
        let path = text
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(b"0::"));
        Ok(path.and_then(|path| {
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            let meta = fs::metadata(below(&cgroups.folder, &path)).ok()?;
            (meta.dev() == cgroups.device).then(|| meta.ino())
        }))
    }
}

/// What can't be opened for another reason than that the system has too little of something is gone.
fn unless_short(
    opened: io::Result<Option<OpenNamespace>>,
    namespace: &NetworkNamespace,
    path: &Path,
) -> Result<Option<OpenNamespace>, OpenError> {
    match opened {
        Err(error) if os::is_short(&error) => Err(OpenError {
            inode: namespace.inode,
            path: path.to_owned(),
            error,
        }),
        opened => Ok(opened.ok().flatten()),
    }
}

impl NetworkNamespace {
    fn new(inode: u64, host: bool) -> Self {
        Self {
            inode,
            host,
            kept: false,
            processes: Vec::new(),
            mount: None,
        }
    }

    /// Its number, which the kernel gives to another one when it is gone.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// When the process whose cgroup is [`OpenNamespace::cgroup`] was started, in ticks since boot, and its folder; none: nobody
    /// is in it. Of the host's namespace any process.
    #[must_use]
    pub fn first(&self) -> Option<(u64, &Path)> {
        let Process { order, folder } = self.processes.first()?;
        Some((order.1, folder))
    }

    fn add(&mut self, order: (bool, u64), folder: PathBuf) {
        let place = self.processes.partition_point(|p| p.order <= order);
        if place < CANDIDATES {
            self.processes.insert(place, Process { order, folder });
            self.processes.truncate(CANDIDATES);
        }
    }
}

impl OpenNamespace {
    fn is(&self, listed: &NetworkNamespace) -> bool {
        let fd = self.fd.as_fd().as_raw_fd();
        id(Path::new(&format!("/proc/self/fd/{fd}"))) == Some(listed.inode)
    }
}

/// A line of `mountinfo`.
struct Mount<'a> {
    root: &'a str,
    point: PathBuf,
    kind: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (before, behind) = line.split_once(" - ")?;
        let mut words = before.split(' ').skip(3);
        Some(Self {
            root: words.next()?,
            point: unescaped(words.next()?),
            kind: behind.split(' ').next()?,
        })
    }
}

/// A path in which blanks and the like are written as `\040`.
fn unescaped(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let octal = (*byte == b'\\')
            .then(|| bytes.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        path.push(octal.unwrap_or(*byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    PathBuf::from(OsString::from_vec(path))
}

/// An absolute path of a tree whose root is at `root`.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn id(path: &Path) -> Option<u64> {
    Some(fs::metadata(path).ok()?.ino())
}

/// The number of the namespace that the process with this folder is in.
fn number(folder: &Path) -> io::Result<u64> {
    let link = fs::read_link(folder.join("ns/net"))?;
    let number = link.to_str().and_then(in_brackets);
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `net:[4026531840]`
fn in_brackets(text: &str) -> Option<u64> {
    let number = text.strip_prefix("net:[")?.strip_suffix(']')?;
    number.parse().ok()
}

/// When the process with this folder was started, in ticks (proc_pid_stat(5)); a time that never comes if it has ended.
fn started(folder: &Path) -> u64 {
    let stat = fs::read(folder.join("stat")).unwrap_or_default();
    let behind_name = stat.rsplit(|byte| *byte == b')').next();
    behind_name
        .and_then(|rest| std::str::from_utf8(rest).ok())
        .and_then(|rest| rest.split_ascii_whitespace().nth(19)?.parse().ok())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A process of a machine made here, in the namespace of the same number.
    fn process(root: &Path, number: u64, cgroup: &str) {
        let folder = root.join("proc").join(number.to_string());
        fs::create_dir_all(folder.join("ns")).unwrap();
        symlink(format!("net:[{number}]"), folder.join("ns/net")).unwrap();
        fs::write(folder.join("cgroup"), format!("4:pids:/x\n{cgroup}\n")).unwrap();
    }

    #[test]
    fn paths_of_cgroups_count_from_the_cgroup_namespace() {
        let machine = tempfile::tempdir().unwrap();
        let hierarchy = machine.path().join("cgroup");
        let cgroup = |path: &str| {
            let folder = hierarchy.join(path);
            fs::create_dir_all(&folder).unwrap();
            id(&folder)
        };
        let (own, inner) = (cgroup("docker/me"), cgroup("docker/me/init"));
        let (web, unit) = (cgroup("docker/web"), cgroup("system.slice/a b.service"));
        // Up to the machine's root and down into another file system.
        let outside = format!("0::{}/proc", "/..".repeat(100));
        let processes = [
            ("0::/", own),
            ("0::/init", inner),
            ("0::/../web", web),
            ("0::/../../system.slice/a b.service", unit),
            ("0::/../gone (deleted)", None),
            (&outside, None),
            ("1:memory:/", None),
        ];
        for (number, (text, _)) in (11..).zip(processes) {
            process(machine.path(), number, text);
        }
        let seen = |from: Option<&str>| {
            NetworkNamespaces::new(machine.path(), from.map(|path| hierarchy.join(path)))
        };
        let listed = |namespaces: &NetworkNamespaces, keep: &dyn Fn(u64) -> bool| -> Vec<u64> {
            let listed = namespaces.list(Some(keep)).unwrap();
            listed.iter().map(NetworkNamespace::inode).collect()
        };
        let namespaces = seen(Some("docker/me"));
        for (number, (text, cgroup)) in (11_u64..).zip(processes) {
            let folder = namespaces.proc.join(number.to_string());
            assert_eq!(namespaces.cgroup(&folder).unwrap(), cgroup, "{text}");
        }
        assert_eq!(listed(&namespaces, &|id| Some(id) == web), [13]);
        assert_eq!(listed(&namespaces, &|_| true), [11, 12, 13, 14]);
        // Where no cgroup is known nobody can be left out by it.
        for unknown in [None, Some("docker/gone")] {
            assert_eq!(listed(&seen(unknown), &|_| false).len(), processes.len());
        }
    }

    #[test]
    fn mounts_of_namespaces_are_read() {
        let line = "600 40 0:4 net:[4026532300] /run/netns/a\\040b rw shared:300 - nsfs nsfs rw";
        let mount = Mount::parse(line).unwrap();
        assert_eq!(mount.kind, "nsfs");
        assert_eq!(mount.point, Path::new("/run/netns/a b"));
        assert_eq!(in_brackets(mount.root), Some(4_026_532_300));
        assert_eq!(in_brackets("mnt:[4026532300]"), None);
        assert!(Mount::parse("no mount").is_none());
        assert_eq!(unescaped("a\\04"), Path::new("a\\04"));
    }

    #[test]
    fn the_first_started_processes_are_kept() {
        let mut namespace = NetworkNamespace::new(1, false);
        for started in (1..20).rev() {
            namespace.add((true, started), PathBuf::from(format!("/proc/{started}")));
        }
        let started = |namespace: &NetworkNamespace| -> Vec<u64> {
            namespace.processes.iter().map(|p| p.order.1).collect()
        };
        assert_eq!(started(&namespace), [1, 2, 3, 4, 5, 6, 7, 8]);
        // One that is asked for goes before all others.
        namespace.add((false, 30), PathBuf::from("/proc/30"));
        assert_eq!(started(&namespace), [30, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(namespace.first(), Some((30, Path::new("/proc/30"))));
    }
}
