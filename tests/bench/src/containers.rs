//! What it takes to know whose a record is: the look-ups of a run's reader against a map behind a lock, the start with
//! many cgroups, the memory of what is known.

use crate::figures::{Figure, median};
use crate::process::Setup;
use anyhow::{Context as _, Result, bail};
use ig_containers::{
    Decision, Directory, Facts, Found, Options, Reader, Runtime, Selected, Selector, Selectors,
    Service,
};
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, RwLock};
use std::time::Instant;

/// Containers that are known.
const CONTAINERS: u64 = 10_000;
/// Containers that are renamed in a round.
const RENAMED: u64 = 200;
/// The first cgroup's id and the first mount namespace's number.
const FIRST: u64 = 5_000;
const FIRST_NAMESPACE: u64 = 4_026_532_000;

/// Set in a process of its own, which says what the containers take of its memory: what other benches left behind would
/// be used again here.
const MEMORY: &str = "IG_BENCH_CONTAINERS_MEMORY";

/// In such a process: says it, and is done.
pub fn memory_child() -> Option<ExitCode> {
    std::env::var_os(MEMORY)?;
    let measured = || -> Result<f64> {
        let before = resident()?;
        let directory = full();
        // The copy is what a run has.
        let reader = directory.reader();
        let bytes = resident()? - before;
        black_box((directory, reader));
        Ok(bytes / CONTAINERS as f64)
    };
    Some(match measured() {
        Ok(bytes) => {
            println!("{bytes}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: {error:?}");
            ExitCode::FAILURE
        }
    })
}

/// Bytes of a container that is known, with a run's copy.
fn memory() -> Result<f64> {
    let said = Command::new(std::env::current_exe()?)
        .env(MEMORY, "1")
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(said.stdout)?;
    let bytes = text.trim().parse();
    bytes.with_context(|| format!("the process that measures memory: {}", said.status))
}

pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let bytes = memory()?;
    let directory = full();
    let mut reader = directory.reader();
    reader.refresh();
    let locked: HashMap<u64, u32> = (0..CONTAINERS).map(|i| (FIRST + i, i as u32)).collect();
    let locked = RwLock::new(locked);
    // In the order in which records come: any.
    let ids: Vec<u64> = (0..1 << 14).map(|i: u64| i * 7_919 % CONTAINERS).collect();
    let rounds = if setup.quick { 5 } else { 31 };
    let (mut hit, mut miss, mut namespace, mut map) = (vec![], vec![], vec![], vec![]);
    let selectors = Arc::new(Selectors::parse([(Selector::Container, "*-7*")])?);
    let selecting = directory.reader_selecting(Arc::clone(&selectors));
    let mut chooser = directory.chooser(selectors);
    let mut told = 0_u64;
    chooser.changes(|_, _, _| told += 1);
    let (mut selected, mut change) = (vec![], vec![]);
    for round in 0..rounds {
        hit.push(each(&ids, |id| reader.by_cgroup(FIRST + id)));
        map.push(each(&ids, |id| {
            let map = locked.read();
            map.map_or(None, |map| map.get(&(FIRST + id)).copied())
        }));
        selected.push(each(&ids, |id| selecting.selected(FIRST + id)));
        let start = Instant::now();
        for i in 0..RENAMED {
            directory.learn(Facts {
                id: format!("{:064x}", i * 31),
                name: Some(format!("renamed-{}", 7 + round % 2)),
                ..Facts::default()
            });
            chooser.changes(|_, _, _| told += 1);
        }
        change.push(start.elapsed().as_secs_f64() * 1e6 / RENAMED as f64);
        miss.push(each(&ids, |id| reader.by_cgroup(FIRST + CONTAINERS + id)));
        namespace.push(each(&ids, |id| {
            reader.by_mount_namespace(FIRST_NAMESPACE + id, 1_000)
        }));
    }
    let found = ids.iter().all(|id| {
        let cgroup = reader.by_cgroup(FIRST + id);
        cgroup == reader.by_mount_namespace(FIRST_NAMESPACE + id, 1_000)
            && matches!(cgroup, Found::Owner(_))
    });
    let wanted = ids
        .iter()
        .filter(|id| matches!(selecting.selected(FIRST + **id), Selected::Yes(_)));
    if wanted.count() == 0 || told <= CONTAINERS + RENAMED {
        bail!("nobody was selected, or no change was told");
    }
    if !found || reader.by_cgroup(FIRST + CONTAINERS) != Found::Unknown {
        bail!("a look-up found the wrong owner");
    }
    let map = median(&map);
    let against = "HashMap<u64, u32> behind a RwLock";
    let mut figures = vec![
        Figure::ratio("containers.hit", "ns", median(&hit), against, map, 1.0),
        Figure::ratio(
            "containers.selected",
            "ns",
            median(&selected),
            against,
            map,
            1.0,
        ),
        Figure::most("containers.chosen", "us", median(&change), 100.0),
        Figure::most("containers.miss", "ns", median(&miss), 100.0),
        Figure::most(
            "containers.mount-namespace",
            "ns",
            median(&namespace),
            100.0,
        ),
        Figure::most("containers.memory", "KiB", bytes / 1024.0, 4.0),
    ];
    // What a start costs for itself, with no cgroup at all, should not be what is measured.
    figures.push(start(if setup.quick { 2_500 } else { CONTAINERS })?);
    Ok(figures)
}

/// Nanoseconds of one look-up.
fn each<T>(ids: &[u64], look: impl Fn(u64) -> T) -> f64 {
    let start = Instant::now();
    for id in ids {
        black_box(look(black_box(*id)));
    }
    start.elapsed().as_nanos() as f64 / ids.len() as f64
}

/// A directory of many containers, as a large node's pods are.
fn full() -> Arc<Directory> {
    let directory = Arc::new(Directory::default());
    directory.made(1, None);
    directory.decide(1, "/", Decision::Host);
    for i in 0..CONTAINERS {
        let id = format!("{i:064x}");
        let label = |n: u32| (format!("app.kubernetes.io/label-{n}"), format!("value-{i}"));
        let facts = Facts {
            id: id.clone(),
            runtime: Some(Runtime::Containerd),
            name: Some(format!("container-{i}")),
            image: Some("registry.example/shop/web:1.2.3".to_owned()),
            image_id: Some(format!("sha256:{id}")),
            labels: Some((0..8).map(label).collect::<BTreeMap<_, _>>()),
            ..Facts::default()
        };
        let decision = Decision::Container {
            facts: Box::new(facts),
            unit: None,
        };
        directory.made(FIRST + i, Some(1));
        directory.decide(FIRST + i, &format!("/kubepods/pod{i}/{id}"), decision);
        directory.mount_namespace(FIRST_NAMESPACE + i, FIRST + i, 10);
    }
    directory
}

/// Memory of this process, in bytes.
fn resident() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/statm").context("reading /proc/self/statm")?;
    let pages: f64 = text
        .split(' ')
        .nth(1)
        .context("a second number in /proc/self/statm")?
        .parse()?;
    Ok(pages * 4096.0)
}

/// Cgroups of the machine, gone in the end.
struct Cgroups(PathBuf, u64);

impl Drop for Cgroups {
    fn drop(&mut self) {
        for i in 0..self.1 {
            std::fs::remove_dir(self.0.join(i.to_string())).ok();
        }
        std::fs::remove_dir(&self.0).ok();
    }
}

/// The start of a service with as many real cgroups, each with the state of a runtime and a bundle, against a walk over
/// the same folders that reads the same two files.
fn start(count: u64) -> Result<Figure> {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let mount = mounts
        .into_iter()
        .find(|mount| mount.join("cgroup.controllers").exists())
        .context("version 2 of cgroups is mounted nowhere")?;
    let name = format!("igbench{}", std::process::id());
    let cgroups = Cgroups(mount.join(&name), count);
    let host = tempfile::tempdir().context("a folder for states of containers")?;
    std::os::unix::fs::symlink("/proc", host.path().join("proc"))?;
    std::fs::create_dir(&cgroups.0).context("making a cgroup, which takes root")?;
    let (states, bundles) = (host.path().join("run/runc"), host.path().join("b"));
    for i in 0..count {
        std::fs::create_dir(cgroups.0.join(i.to_string())).context("making a cgroup")?;
        let (state, bundle) = (states.join(i.to_string()), bundles.join(i.to_string()));
        std::fs::create_dir_all(&state)?;
        std::fs::create_dir_all(&bundle)?;
        std::fs::write(
            state.join("state.json"),
            format!(
                r#"{{"id":"{i}","init_process_pid":0,"created":"2026-11-23T19:20:35Z","cgroup_paths":{{"":"/sys/fs/cgroup/unified/{name}/{i}"}},"config":{{"labels":["bundle=/b/{i}"]}}}}"#
            ),
        )?;
        std::fs::write(
            bundle.join("config.json"),
            format!(r#"{{"linux":{{"cgroupsPath":"/{name}/{i}"}},"annotations":{{"app":"{i}"}}}}"#),
        )?;
    }
    let walk = || -> Result<f64> {
        let begin = Instant::now();
        let mut bytes = 0;
        for entry in std::fs::read_dir(&cgroups.0)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                bytes += std::fs::read_dir(entry.path())?.count();
                bytes += std::fs::read(states.join(entry.file_name()).join("state.json"))?.len();
                bytes += std::fs::read(bundles.join(entry.file_name()).join("config.json"))?.len();
            }
        }
        black_box(bytes);
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    };
    let service = || -> Result<(f64, Service)> {
        let options = Options {
            runtimes: Vec::new(),
            host_root: host.path().to_owned(),
            watched: true,
            ..Options::default()
        };
        let begin = Instant::now();
        let service = Service::start(options)?;
        Ok((begin.elapsed().as_secs_f64() * 1e3, service))
    };
    // The first one of each finds nothing in the kernel's caches.
    walk()?;
    let (_, first) = service()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        theirs.push(walk()?);
        ours.push(service()?.0);
    }
    let reader: Reader = first.directory().reader();
    let known = |i: u64| {
        let meta = std::fs::metadata(cgroups.0.join(i.to_string()))?;
        let found = reader.by_cgroup(std::os::unix::fs::MetadataExt::ino(&meta));
        let Found::Owner(handle) = found else {
            bail!("nobody knows whose cgroup {i} is: {found:?}");
        };
        let owner = reader.owner(handle).context("an owner that is known")?;
        if owner.facts.id != i.to_string() {
            bail!("cgroup {i} is not {:?}'s", owner.facts.id);
        }
        Ok(())
    };
    (0..count).try_for_each(known)?;
    Ok(Figure::ratio(
        "containers.start",
        "ms",
        median(&ours),
        "reading the same folders and files",
        median(&theirs),
        10.0,
    ))
}
