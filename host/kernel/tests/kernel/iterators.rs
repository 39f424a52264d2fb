//! Iterators, and the network namespaces in which they are read.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ig_kernel::network::{NetworkNamespace, NetworkNamespaces, Visitor};
use ig_kernel::{IteratorError, LoadOptions, Loaded, Walk};

use crate::objects::{STARTING, load, object, word};

const ENTRY: usize = 256;

fn iterators() -> Loaded {
    let mut options = LoadOptions::default();
    let own = std::process::id().to_ne_bytes().to_vec();
    options.variables.insert("process".into(), own);
    let mut loaded = load(&object("iterators", &[]), options).unwrap();
    loaded.attach().unwrap();
    loaded
}

/// Both numbers of each entry.
fn read(mut walk: Walk) -> Vec<(u32, u32)> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let bytes = walk.read(&mut buffer).unwrap();
        if bytes == 0 {
            break;
        }
        assert_eq!(bytes % ENTRY, 0, "no record is cut");
        all.extend_from_slice(&buffer[..bytes]);
    }
    let entries = all.chunks(ENTRY);
    entries
        .map(|entry| (word(entry, 0), word(entry, 4)))
        .collect()
}

#[test]
fn an_iterator_gives_what_there_is_each_time_it_is_read() {
    let loaded = iterators();
    let [left] = loaded.left_out() else {
        panic!("one program is left out: {:?}", loaded.left_out());
    };
    assert_eq!(
        (left.program.as_str(), left.reason.as_str()),
        ("nothing", "this kernel has no iterator \"no_such_thing\"")
    );
    assert!(loaded.iterator("nothing").unwrap().is_none());
    assert!(loaded.iterator("no such program").unwrap().is_none());
    let threads = loaded.iterator("threads").unwrap().unwrap();
    assert!(!threads.of_network());
    let own = std::process::id();
    // This thread is there all the time; others come and go with the tests beside this one.
    let me = (own, crate::objects::tid());
    for _ in 0..2 {
        let found = read(threads.open().unwrap());
        assert!(found.contains(&me), "{found:?}");
        assert!(found.iter().all(|(process, _)| *process == own));
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
    }
}

#[test]
fn what_one_thing_gives_must_fit_into_the_kernels_buffer() {
    let loaded = iterators();
    let large = loaded.iterator("too_large").unwrap().unwrap();
    let error = large.open().unwrap().read(&mut [0; 1 << 16]).unwrap_err();
    assert!(
        matches!(&error, IteratorError::TooLarge { program, .. } if program == "too_large"),
        "{error}"
    );
}

/// A network namespace with a process in it; gone when this is dropped.
pub struct Apart(Child);

impl Apart {
    pub fn start() -> Self {
        Self::after("true")
    }

    /// One in which packets can be sent.
    pub fn with_loopback() -> Self {
        Self::after("ip link set lo up")
    }

    fn after(prepare: &str) -> Self {
        let _starting = STARTING.write();
        let mut command = Command::new("unshare");
        let script = format!("{prepare}; echo there; exec sleep 600");
        command.args(["-n", "sh", "-c", &script]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 6];
        use std::io::Read as _;
        child.stdout.take().unwrap().read_exact(&mut line).unwrap();
        Self(child)
    }

    pub fn inode(&self) -> u64 {
        let path = format!("/proc/{}/ns/net", self.0.id());
        std::fs::metadata(path).unwrap().ino()
    }

    fn cgroup(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.0.id())).unwrap();
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        let folder = cgroups()?.join(path.trim_start_matches('/'));
        Some(std::fs::metadata(folder).unwrap().ino())
    }
}

/// The root of the unified hierarchy.
fn cgroups() -> Option<PathBuf> {
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    roots
        .into_iter()
        .find(|root| root.join("cgroup.procs").exists())
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn machine() -> NetworkNamespaces {
    NetworkNamespaces::new(Path::new("/"), cgroups())
}

pub fn find(all: &[NetworkNamespace], inode: u64) -> Option<&NetworkNamespace> {
    let mut found = all.iter().filter(|namespace| namespace.inode() == inode);
    let first = found.next();
    assert!(found.next().is_none(), "each is listed once");
    first
}

#[test]
fn iterators_over_sockets_are_read_in_each_namespace() {
    let loaded = iterators();
    let connections = loaded.iterator("connections").unwrap().unwrap();
    assert!(connections.of_network());
    let (here, there) = (Apart::start(), Apart::start());
    let visitor = Visitor::start().unwrap();
    let machine = machine();
    let all = machine.list(None).unwrap();
    let open = |apart: &Apart| {
        let listed = find(&all, apart.inode()).expect("it is listed");
        machine.open(listed).unwrap().expect("it is there")
    };
    let (open_here, open_there) = (open(&here), open(&there));
    assert_eq!(open_here.inode(), here.inode());
    assert_eq!(open_here.cgroup(), here.cgroup());
    // More than the kernel gathers for one read.
    let listeners: Vec<TcpListener> = visitor
        .inside(&open_here, || {
            (0..300).map(|_| TcpListener::bind("0.0.0.0:0")).collect()
        })
        .unwrap();
    let ports: BTreeSet<u32> = listeners
        .iter()
        .map(|listener| u32::from(listener.local_addr().unwrap().port()))
        .collect();
    let found = read(connections.open_in(&open_here, &visitor).unwrap());
    let inode = u32::try_from(here.inode()).unwrap();
    assert!(found.iter().all(|(namespace, _)| *namespace == inode));
    assert_eq!(found.len(), 300, "each once");
    assert_eq!(
        found.iter().map(|(_, port)| *port).collect::<BTreeSet<_>>(),
        ports
    );
    assert_eq!(
        read(connections.open_in(&open_there, &visitor).unwrap()),
        []
    );
    let own = read(connections.open().unwrap());
    assert!(own.iter().all(|(namespace, _)| *namespace != inode));
}

#[test]
fn namespaces_are_those_of_the_cgroups_that_are_asked_for() {
    let apart = Apart::start();
    let cgroup = apart.cgroup();
    let machine = machine();
    let only = |keep: &dyn Fn(u64) -> bool| machine.list(Some(keep)).unwrap();
    let nobody = only(&|_| false);
    assert_eq!(nobody.len(), 0);
    let its = only(&|id| Some(id) == cgroup);
    assert!(find(&its, apart.inode()).is_some());
}

#[test]
fn a_namespace_that_is_gone_is_not_opened_and_nothing_keeps_it() {
    let apart = Apart::start();
    let (machine, visitor) = (machine(), Visitor::start().unwrap());
    let inode = apart.inode();
    let all = machine.list(None).unwrap();
    let listed = find(&all, inode).expect("it is listed");
    let open = machine.open(listed).unwrap().expect("it is there");
    // Whoever was in there is back at home, and holds nothing.
    let there = || Ok(std::fs::metadata("/proc/thread-self/ns/net")?.ino());
    assert_eq!(visitor.inside(&open, there).unwrap(), inode);
    drop((open, apart));
    assert!(machine.open(listed).unwrap().is_none());
    assert!(find(&machine.list(None).unwrap(), inode).is_none());
}
