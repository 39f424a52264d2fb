//! What selected containers cost those that are not: a call that a gadget leaves out by its cgroup, against one that it
//! leaves out as Inspektor Gadget does; the same against no gadget and against no filter. And what the set costs who makes cgroups.
//!
//! The traced process is in a cgroup of its own, on a CPU of its own, and calls getppid. 1,000 others are selected.

use crate::figures::{Figure, median};
use crate::process::{Setup, Storm};
use anyhow::{Context as _, Result, bail};
use ig_kernel::cgroups::{CgroupFilter, CgroupWatcher, WatchOptions};
use ig_kernel::{LoadOptions, Loaded, Loader, MAX_RATE_VARIABLE, Update, Waiter, Wake};
use ig_object::Object;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Others that are selected.
const SELECTED: u64 = 1_000;
/// A set as full as a large node would make it in one go.
const AT_ONCE: u64 = 10_000;

/// A cgroup that goes at the end.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let root = mounts.lines().find_map(|line| {
            let (front, back) = line.split_once(" - ")?;
            let place = front.split(' ').nth(4)?;
            back.starts_with("cgroup2 ").then(|| PathBuf::from(place))
        });
        let root = root.context("no cgroup v2 is mounted")?;
        let cgroup = Self(root.join(format!("ig-bench-{}", std::process::id())));
        std::fs::create_dir(&cgroup.0)?;
        Ok(cgroup)
    }

    fn id(&self) -> Result<u64> {
        Ok(self.0.metadata()?.ino())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process may be on its way out.
        for _ in 0..1000 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Nanoseconds of one call while `loaded` looks on, and reads its ring if it writes.
fn call(setup: &Setup, cgroup: &Cgroup, count: u64, loaded: Option<Loaded>) -> Result<f64> {
    let storm =
        Storm::start(Command::new(setup.program("ring")).args(["storm", &count.to_string()]))?;
    std::fs::write(cgroup.0.join("cgroup.procs"), storm.tid().to_string())?;
    let Some(mut loaded) = loaded else {
        return storm.run();
    };
    loaded.attach()?;
    let mut ring = loaded.ring("records")?;
    let mut waiter = Waiter::new()?;
    let index = waiter.add_ring(&ring)?;
    let stopper = waiter.stopper();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || -> Result<()> {
            let limits = ring.limits();
            loop {
                while let Some(span) = ring.span(limits)? {
                    let (count, length, more) = (span.records, span.bytes.len(), span.more);
                    ring.publish();
                    waiter.saw(index, count, length);
                    if !more && waiter.nap(None)? == Some(Wake::Stop) {
                        return Ok(());
                    }
                }
                if waiter.wait(None)? == Wake::Stop {
                    return Ok(());
                }
            }
        });
        let call = storm.run();
        stopper.stop();
        match reader.join() {
            Ok(read) => read?,
            Err(_) => bail!("the reader panicked"),
        }
        call
    })
}

fn load(object: &Path, options: LoadOptions) -> Result<Loaded> {
    let bytes = std::fs::read(object)?;
    let parsed = Object::parse(&bytes)?;
    Ok(Loader::new(&bytes, &parsed, options).load()?)
}

/// Nanoseconds of making and removing a cgroup.
fn make(cgroup: &Cgroup, count: u32) -> Result<f64> {
    let inner = cgroup.0.join("inner");
    let before = Instant::now();
    for _ in 0..count {
        std::fs::create_dir(&inner)?;
        std::fs::remove_dir(&inner)?;
    }
    Ok(before.elapsed().as_nanos() as f64 / f64::from(count))
}

/// The same while cgroups are watched.
fn make_watched(cgroup: &Cgroup, count: u32, filter: Option<&CgroupFilter>) -> Result<f64> {
    let mut watcher = CgroupWatcher::start(&WatchOptions {
        filter: filter.cloned(),
        ..WatchOptions::default()
    })?;
    let stopper = watcher.stopper();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || -> Result<()> {
            while watcher.wait(None)? != Wake::Stop {
                watcher.drain(|_| {})?;
            }
            Ok(())
        });
        let made = make(cgroup, count);
        stopper.stop();
        match reader.join() {
            Ok(read) => read?,
            Err(_) => bail!("the reader panicked"),
        }
        made
    })
}

/// Nanoseconds of one change of the set, and microseconds of making it.
fn changes() -> Result<(f64, f64)> {
    let before = Instant::now();
    let filter = CgroupFilter::new()?;
    let made = before.elapsed().as_nanos() as f64 / 1e3;
    let before = Instant::now();
    for id in 0..AT_ONCE {
        filter.choose(u64::MAX - id, 0)?;
    }
    let change = before.elapsed().as_nanos() as f64 / AT_ONCE as f64;
    Ok((change, made))
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let source = "tests/bench/baseline/select.bpf.c";
    let ours = setup.object(source, "select.bpf.o", &[])?;
    let mntns = setup.object(source, "select-mntns.bpf.o", &["-DMNTNS"])?;
    let nothing = setup.object(source, "select-nothing.bpf.o", &["-DNOTHING"])?;
    let filter = CgroupFilter::new()?;
    for id in 0..SELECTED {
        filter.choose(u64::MAX - id, 0)?;
    }
    let cgroup = Cgroup::new()?;
    let id = cgroup.id()?;
    let count: u64 = if setup.quick { 500_000 } else { 1_000_000 };
    let narrowed = || LoadOptions {
        cgroups: Some(filter.clone()),
        ..LoadOptions::default()
    };
    let (mut none, mut empty, mut out, mut theirs) = (vec![], vec![], vec![], vec![]);
    let (mut written, mut limited) = (vec![], vec![]);
    let (mut unmarked, mut marked) = (vec![], vec![]);
    let (mut change, mut made) = (vec![], vec![]);
    let makes = if setup.quick { 1_000 } else { 3_000 };
    let far = u64::MAX.to_ne_bytes().to_vec();
    for _ in 0..setup.rounds() {
        let call = |loaded| call(setup, &cgroup, count, loaded);
        none.push(call(None)?);
        empty.push(call(Some(load(&nothing, LoadOptions::default())?))?);
        out.push(call(Some(load(&ours, narrowed())?))?);
        let loaded = load(&mntns, LoadOptions::default())?;
        let map = loaded.map("gadget_mntns_filter_map")?;
        for id in 0..SELECTED {
            map.update(&id.to_ne_bytes(), &[0; 4], Update::Any)?;
        }
        theirs.push(call(Some(loaded))?);
        // The traced process is wanted: the records are written and read.
        filter.choose(id, 0)?;
        written.push(call(Some(load(&ours, narrowed())?))?);
        let mut options = narrowed();
        options
            .variables
            .insert(MAX_RATE_VARIABLE.into(), far.clone());
        limited.push(call(Some(load(&ours, options)?))?);
        filter.remove(id)?;
        unmarked.push(make_watched(&cgroup, makes, None)?);
        marked.push(make_watched(&cgroup, makes, Some(&filter))?);
        let (each, whole) = changes()?;
        change.push(each);
        made.push(whole);
    }
    let none = median(&none);
    let added = |calls: &[f64]| median(calls) - none;
    let compare = |name, unit, value, against, baseline| Figure {
        goal: None,
        ..Figure::ratio(name, unit, value, against, baseline, 0.0)
    };
    Ok(vec![
        Figure::ratio(
            "select.left-out",
            "ns",
            added(&out),
            "added by gadget_mntns_filter_map, as Inspektor Gadget asks it",
            added(&theirs),
            1.0,
        ),
        compare(
            "select.left-out.nothing",
            "ns",
            added(&out),
            "added by a program that does nothing",
            added(&empty),
        ),
        Figure::ratio(
            "select.left-out.written",
            "ns",
            added(&out),
            "added by a record that is written and read",
            added(&written),
            0.75,
        ),
        compare(
            "select.left-out.call",
            "ns",
            median(&out),
            "the call without a gadget",
            none,
        ),
        compare(
            "select.limit",
            "ns",
            added(&limited),
            "added by a record without a limit",
            added(&written),
        ),
        Figure::ratio(
            "select.mkdir",
            "ns",
            median(&marked),
            "cgroups watched, none selected: mkdir and rmdir",
            median(&unmarked),
            1.1,
        ),
        Figure::most("select.change", "ns", median(&change), 5_000.0),
        Figure::most("select.set", "us", median(&made), 50_000.0),
    ])
}
