//! What a network namespace more costs who lists the sockets of all of them: iterators opened in each, with ten namespaces
//! and with a hundred, against the kernel's tables in `/proc/PID/net`, and against `ss` run in each. And what it
//! costs to open a socket filter in each.

use crate::figures::{Figure, median};
use crate::process::Setup;
use anyhow::{Context as _, Result, bail, ensure};
use ig_kernel::network::{NetworkNamespace, NetworkNamespaces, Visitor};
use ig_kernel::{BpfIterator, LoadOptions, Loaded, Loader, OpenFilter, SocketFilter};
use ig_object::Object;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const FEW: usize = 10;
const MANY: usize = 100;
/// Sockets in each.
const SOCKETS: usize = 5;
/// Bytes of a `struct socket_entry`.
const ENTRY: usize = 112;

/// A process in a network namespace of its own.
struct Apart {
    child: Child,
    inode: u64,
    _listeners: Vec<TcpListener>,
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start() -> Result<Child> {
    // It says a byte when it is there.
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", "echo; exec sleep 600"]);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut out = child.stdout.take().context("a pipe")?;
    std::io::Read::read_exact(&mut out, &mut [0])?;
    Ok(child)
}

/// What lists them.
struct Lister {
    _loaded: Loaded,
    iterators: Vec<BpfIterator>,
    machine: NetworkNamespaces,
    visitor: Visitor,
}

fn attached(object: &Path) -> Result<Loaded> {
    let bytes = std::fs::read(object)?;
    let parsed = Object::parse(&bytes)?;
    let mut loaded = Loader::new(&bytes, &parsed, LoadOptions::default()).load()?;
    loaded.attach()?;
    Ok(loaded)
}

impl Lister {
    fn new(object: &Path) -> Result<Self> {
        let loaded = attached(object)?;
        let mut iterators = Vec::new();
        for program in ["tcp_sockets", "udp_sockets"] {
            iterators.push(loaded.iterator(program)?.context(program)?);
        }
        Ok(Self {
            _loaded: loaded,
            iterators,
            machine: NetworkNamespaces::new(Path::new("/"), ig_containers::cgroup_namespace()),
            visitor: Visitor::start()?,
        })
    }

    /// Those that the bench made.
    fn namespaces(&self, of: &[Apart]) -> Result<Vec<NetworkNamespace>> {
        let made: BTreeSet<u64> = of.iter().map(|apart| apart.inode).collect();
        let mut all = self.machine.list(None)?;
        all.retain(|namespace| made.contains(&namespace.inode()));
        Ok(all)
    }

    /// Microseconds in which a socket filter is open in one namespace more, finding the namespaces included.
    fn open(&self, filter: &SocketFilter, of: &[Apart]) -> Result<f64> {
        let mut sockets: Vec<OpenFilter> = Vec::with_capacity(of.len());
        let before = Instant::now();
        for namespace in self.namespaces(of)? {
            let open = self.machine.open(&namespace)?.context("it is there")?;
            sockets.push(filter.open_in(&open, &self.visitor)?);
        }
        let time = per(before, of.len());
        ensure!(sockets.len() == of.len(), "all are open");
        // The kernel waits for all CPUs with each, and for all of them at once.
        std::thread::scope(|scope| {
            for socket in sockets {
                scope.spawn(move || drop(socket));
            }
        });
        Ok(time)
    }

    /// Microseconds of one namespace, what is done once for all of them included.
    fn time(&self, of: &[Apart]) -> Result<f64> {
        let mut buffer = vec![0; 64 << 10];
        let mut bytes = 0;
        let before = Instant::now();
        for namespace in self.namespaces(of)? {
            let open = self.machine.open(&namespace)?.context("it is there")?;
            for iterator in &self.iterators {
                let mut walk = iterator.open_in(&open, &self.visitor)?;
                loop {
                    match walk.read(&mut buffer)? {
                        0 => break,
                        some => bytes += some,
                    }
                }
            }
        }
        let time = per(before, of.len());
        let sockets = bytes / ENTRY;
        ensure!(
            sockets == SOCKETS * of.len(),
            "{sockets} sockets in {} namespaces",
            of.len()
        );
        Ok(time)
    }
}

fn per(before: Instant, namespaces: usize) -> f64 {
    before.elapsed().as_nanos() as f64 / 1e3 / namespaces as f64
}

/// The same from the tables of each process's namespace; nobody parses them.
fn tables(of: &[Apart]) -> Result<f64> {
    let before = Instant::now();
    for apart in of {
        for table in ["tcp", "tcp6", "udp", "udp6"] {
            let path = format!("/proc/{}/net/{table}", apart.child.id());
            std::hint::black_box(std::fs::read(path)?);
        }
    }
    Ok(per(before, of.len()))
}

/// The same by `ss`, run in each.
fn ss(of: &[Apart]) -> Result<f64> {
    let before = Instant::now();
    for apart in of {
        let pid = apart.child.id().to_string();
        let out = Command::new("nsenter")
            .args(["-n", "-t", &pid, "ss", "-tuanH"])
            .output()?;
        let lines = out.stdout.split(|byte| *byte == b'\n').count();
        if lines <= SOCKETS {
            bail!("ss saw {lines} sockets");
        }
    }
    Ok(per(before, of.len()))
}

pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let source = "example-gadgets/snapshot_socket/program.bpf.c";
    let lister = Lister::new(&setup.object(source, "snapshot_socket.bpf.o", &[])?)?;
    let mut all = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        let child = start()?;
        let inode = std::fs::metadata(format!("/proc/{}/ns/net", child.id()))?.ino();
        all.push(Apart {
            child,
            inode,
            _listeners: Vec::new(),
        });
    }
    for namespace in lister.namespaces(&all)? {
        let open = lister.machine.open(&namespace)?.context("it is there")?;
        let listeners = lister.visitor.inside(&open, || {
            (0..SOCKETS)
                .map(|_| TcpListener::bind("0.0.0.0:0"))
                .collect()
        })?;
        let of = all.iter_mut().find(|a| a.inode == namespace.inode());
        of.context("it was made here")?._listeners = listeners;
    }
    let source = "tests/gadgets/packets/program.bpf.c";
    let packets = attached(&setup.object(source, "packets.bpf.o", &[])?)?;
    let filters = packets.socket_filters()?;
    let filter = filters.first().context("a socket filter")?;
    let (mut open_few, mut open_many) = (vec![], vec![]);
    let few = all.get(..FEW).context("enough of them")?;
    let (mut with_few, mut with_many, mut read, mut run) = (vec![], vec![], vec![], vec![]);
    for _ in 0..setup.rounds() {
        with_few.push(lister.time(few)?);
        with_many.push(lister.time(&all)?);
        read.push(tables(&all)?);
        run.push(ss(few)?);
        open_few.push(lister.open(filter, few)?);
        open_many.push(lister.open(filter, &all)?);
    }
    let many = median(&with_many);
    Ok(vec![
        Figure::ratio(
            "namespaces.flat",
            "us",
            many,
            "a namespace of 10, in place of 100",
            median(&with_few),
            1.1,
        ),
        Figure::ratio(
            "namespaces.tables",
            "us",
            many,
            "reading /proc/PID/net/{tcp,tcp6,udp,udp6}",
            median(&read),
            1.0,
        ),
        Figure::ratio(
            "namespaces.ss",
            "us",
            many,
            "nsenter and ss -tuan",
            median(&run),
            0.5,
        ),
        Figure::ratio(
            "namespaces.filters",
            "us",
            median(&open_many),
            "a filter opened in a namespace of 10, in place of 100",
            median(&open_few),
            1.1,
        ),
    ])
}
