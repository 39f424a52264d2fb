//! The machine's own cgroups, and a container of runc. As root alone; what is made here is removed again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use ig_containers::{
    Chooser, Ender, Event, Found, Handle, Kind, Options, Owner, Runtime, Selector, Selectors,
    Service, Verdict,
};
use ig_tests::runtimes::{Containerd, Docker, Pods};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Where version 2 is mounted, if cgroups can be made there.
fn cgroups() -> Option<PathBuf> {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let mount = mounts
        .into_iter()
        .find(|mount| mount.join("cgroup.controllers").exists())?;
    let root = std::fs::metadata("/proc/self").ok()?.uid() == 0;
    if !root {
        eprintln!("skipped: only root makes cgroups");
    }
    root.then_some(mount)
}

/// A cgroup that is removed with what is below it, processes and all.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).expect("root makes cgroups");
        Self(path)
    }

    fn id(&self) -> u64 {
        id(&self.0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let end = Instant::now() + LIMIT;
        while std::fs::remove_dir(&self.0).is_err() && self.0.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A process that is ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn id(path: &Path) -> u64 {
    std::fs::metadata(path).expect("a cgroup").ino()
}

fn service(watched: bool) -> Service {
    let options = Options {
        runtimes: Vec::new(),
        watched,
        ..Options::default()
    };
    Service::start(options).expect("cgroups are mounted")
}

/// Whose a cgroup is, once that holds.
fn until(service: &Service, cgroup: u64, holds: impl Fn(&Owner) -> bool) -> (Handle, Arc<Owner>) {
    let end = Instant::now() + LIMIT;
    loop {
        let found = service.directory().owner_of(cgroup);
        match found {
            Some((handle, owner)) if holds(&owner) => return (handle, owner),
            found => assert!(Instant::now() < end, "still {found:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn units_are_found_when_they_come_and_when_they_go() {
    let Some(mount) = cgroups() else { return };
    let slice = format!("igtest{}.slice", std::process::id());
    let slice = Cgroup::new(mount.join(slice));
    let before = Cgroup::new(slice.0.join("before.service"));
    let below = Cgroup::new(before.0.join("worker"));
    let service = service(false);
    let mut reader = service.directory().reader();
    // Decided before it has started.
    let (handle, owner) = service.directory().owner_of(before.id()).expect("decided");
    assert_eq!(
        (owner.kind, owner.unit.as_deref()),
        (Kind::Unit, Some("before.service"))
    );
    assert_eq!(reader.by_cgroup(below.id()), Found::Owner(handle));
    assert_eq!(reader.by_cgroup(slice.id()), Found::Owner(Handle::HOST));
    let after = Cgroup::new(slice.0.join("after.service"));
    let id = after.id();
    let (handle, owner) = until(&service, id, |owner| owner.kind == Kind::Unit);
    assert_eq!(owner.unit.as_deref(), Some("after.service"));
    drop(after);
    let end = Instant::now() + LIMIT;
    while service.directory().is_live(handle) {
        assert!(Instant::now() < end, "it is gone, and nobody noticed");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Its last records are still its.
    reader.refresh();
    assert_eq!(reader.by_cgroup(id), Found::Owner(handle));
}

#[test]
fn a_new_cgroup_is_known_as_soon_as_it_is_told() {
    let Some(mount) = cgroups() else { return };
    let service = service(true);
    let mut reader = service.directory().reader();
    let slice = Cgroup::new(mount.join(format!("igtold{}.slice", std::process::id())));
    let unit = Cgroup::new(slice.0.join("told.service"));
    let (parent, cgroup) = (slice.id(), unit.id());
    assert_eq!(reader.by_cgroup(cgroup), Found::Unknown);
    for (cgroup, above, path) in [(parent, id(&mount), &slice.0), (cgroup, parent, &unit.0)] {
        let path = path
            .strip_prefix(&mount)
            .expect("below")
            .to_str()
            .expect("text");
        service.tell(Event::Made {
            at: 1,
            cgroup,
            parent: above,
            path: format!("/{path}").into_bytes(),
            truncated: false,
            maker: ig_containers::Maker::default(),
        });
        reader.refresh();
        assert_ne!(reader.by_cgroup(cgroup), Found::Unknown);
    }
    let (_, owner) = until(&service, cgroup, |_| true);
    assert_eq!(owner.unit.as_deref(), Some("told.service"));
}

/// A bundle of runc's that sleeps; none if the machine lacks what it takes.
fn bundle(folder: &Path, id: &str) -> Option<()> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let runc = Command::new("runc")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let (Some(busybox), Ok(_)) = (busybox, runc) else {
        eprintln!("skipped: runc and busybox are not installed");
        return None;
    };
    std::fs::create_dir_all(folder.join("rootfs/bin")).ok()?;
    std::fs::create_dir_all(folder.join("rootfs/proc")).ok()?;
    std::fs::copy(busybox, folder.join("rootfs/bin/busybox")).ok()?;
    let config = format!(
        r#"{{"ociVersion":"1.0.2","process":{{"user":{{"uid":0,"gid":0}},"args":["/bin/busybox","sleep","600"],"cwd":"/"}},
        "root":{{"path":"rootfs"}},"hostname":"c","annotations":{{"made.by":"a test"}},
        "mounts":[{{"destination":"/proc","type":"proc","source":"proc"}}],
        "linux":{{"cgroupsPath":"/{id}","namespaces":[{{"type":"pid"}},{{"type":"mount"}},{{"type":"uts"}},{{"type":"network"}}]}}}}"#
    );
    std::fs::write(folder.join("config.json"), config).ok()
}

/// A container of runc, removed in the end.
struct Container {
    root: PathBuf,
    id: String,
    _runtime: Process,
}

impl Drop for Container {
    fn drop(&mut self) {
        let delete = Command::new("runc")
            .arg("--root")
            .arg(&self.root)
            .args(["delete", "--force", &self.id])
            .stderr(Stdio::null())
            .status();
        drop(delete);
    }
}

fn container(folder: &Path, id: &str) -> Option<Container> {
    bundle(folder, id)?;
    let root = folder.join("state");
    let runtime = Command::new("runc")
        .arg("--root")
        .arg(&root)
        .args(["run", id])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    Some(Container {
        root,
        id: id.to_owned(),
        _runtime: Process(runtime.expect("runc starts")),
    })
}

/// A container that nobody but runc knows of, with a root of its own: found by the runtime that is the parent of its first
/// process.
#[test]
fn a_container_of_runc_alone_is_found_with_its_process_and_mount_namespace() {
    let Some(mount) = cgroups() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("igrunc{}", std::process::id());
    let service = service(false);
    let Some(container) = container(folder.path(), &name) else {
        return;
    };
    let path = mount.join(&name);
    let end = Instant::now() + LIMIT;
    while !path.exists() {
        assert!(Instant::now() < end, "runc made no cgroup");
        std::thread::sleep(Duration::from_millis(5));
    }
    let cgroup = id(&path);
    let known = |owner: &Owner| owner.is_container() && owner.facts.pid.is_some();
    let (handle, owner) = until(&service, cgroup, known);
    let facts = &owner.facts;
    assert_eq!(
        (facts.id.as_str(), facts.runtime),
        (name.as_str(), Some(Runtime::Runc))
    );
    assert_eq!(
        facts
            .labels
            .as_ref()
            .map(|labels| labels["made.by"].as_str()),
        Some("a test")
    );
    assert_eq!(facts.host_network, Some(false));
    let pid = facts.pid.expect("known");
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
    assert!(line.starts_with(b"/bin/busybox\0sleep"));
    let link = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).expect("it runs");
    let namespace = link
        .to_str()
        .and_then(|link| link.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok());
    let namespace = namespace.expect("a number");
    assert_eq!(
        service.directory().mount_namespace_now(namespace),
        Some(handle)
    );
    // A later service finds it at once, as it found it before.
    let second = self::service(true);
    let (_, again) = second.directory().owner_of(cgroup).expect("decided");
    assert_eq!(again.facts.id, name);
    // Nothing is pending any more when it is known whose the mount namespace of a first program is.
    for fake in 1..=50 {
        second.tell(Event::FirstExec {
            at: 1,
            cgroup,
            mount_ns: fake,
            mount_ns_id: Some(fake),
            pid,
        });
        while second.directory().pending() > 0 {
            assert!(Instant::now() < end, "it stays pending");
            std::thread::yield_now();
        }
        let its = second.directory().mount_namespace_now(fake);
        assert!(its.is_some(), "{fake} is not known, and nothing is pending");
    }
    drop(container);
    let end = Instant::now() + LIMIT;
    while service.directory().is_live(handle) {
        assert!(Instant::now() < end, "it is gone, and nobody noticed");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(service.directory().mount_namespace_now(namespace), None);
}

/// What a chooser told, in order: cgroup, outermost cgroup of its container, verdict.
type Told = Vec<(u64, u64, Option<Verdict>)>;

/// Writes down what a chooser tells, until it is ended.
fn listen(mut chooser: Chooser, told: Arc<Mutex<Told>>) -> Ender {
    let ender = chooser.ender();
    std::thread::spawn(move || {
        while chooser.wait(None) {
            let mut told = told.lock().unwrap();
            chooser.changes(|cgroup, owner, verdict| told.push((cgroup, owner, verdict)));
        }
    });
    ender
}

#[test]
fn pods_are_chosen_by_labels_that_only_the_api_knows_and_none_is_refused_before() {
    if cgroups().is_none() {
        return;
    }
    let containerd = Containerd::start();
    let mut pods = Pods::of(&containerd);
    let mut sleeper = |name: &str, app: &str| {
        let sandbox = pods.sandbox("shop", name, &[("app", app)]);
        pods.container(&sandbox, ("shop", name), "server", &["sleep", "3600"])
    };
    let before = [sleeper("web-0", "web"), sleeper("db-0", "db")];
    let mut options = Options {
        runtimes: vec![Runtime::Containerd],
        ..Options::default()
    };
    options.sockets.containerd = Some(containerd.socket());
    let service = Service::start(options).expect("cgroups are mounted");
    let words = Arc::new(Mutex::new(Vec::new()));
    let selectors = Selectors::parse([(Selector::PodLabels, "app in (web, shop)")]).unwrap();
    let ender = listen(
        service.directory().chooser(Arc::new(selectors)),
        Arc::clone(&words),
    );
    let later = [sleeper("web-1", "web"), sleeper("db-1", "db")];
    let decided = |id: &str, wanted: Verdict| {
        let end = Instant::now() + LIMIT;
        loop {
            let known = service.directory().by_id(id);
            let cgroup = known.and_then(|handle| {
                let words = words.lock().unwrap();
                let of = |cgroup: u64| service.directory().owner_of(cgroup);
                let own = |told: &&(u64, u64, _)| of(told.1).is_some_and(|(own, _)| own == handle);
                words.iter().find(own).map(|told| told.1)
            });
            let words = words.lock().unwrap();
            let of = words.iter().filter(|told| Some(told.0) == cgroup);
            let verdicts: Vec<Option<Verdict>> = of.map(|told| told.2).collect();
            if verdicts.last() == Some(&Some(wanted)) {
                return verdicts;
            }
            drop(words);
            assert!(Instant::now() < end, "{id}: {verdicts:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    for (ids, at_once) in [(&before, true), (&later, false)] {
        for (id, wanted, other) in [
            (&ids[0], Verdict::Yes, Verdict::No),
            (&ids[1], Verdict::No, Verdict::Yes),
        ] {
            let verdicts = decided(id, wanted);
            // A look at all cgroups, for want of events, may come too early for the files that name a container.
            let refused = at_once && verdicts.contains(&Some(other));
            assert!(!refused, "{verdicts:?}");
        }
    }
    ender.end();
}

#[test]
fn a_runtime_that_is_lost_and_back_is_said_in_a_sentence_each() {
    if cgroups().is_none() {
        return;
    }
    let mut docker = Docker::start();
    let mut options = Options {
        runtimes: vec![Runtime::Docker],
        ..Options::default()
    };
    options.sockets.docker = Some(docker.socket());
    let service = Service::start(options).expect("cgroups are mounted");
    let said = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&said);
    service.on_outage(move |sentence| own.lock().unwrap().push(sentence.to_owned()));
    assert!(service.ready(LIMIT));
    let wait = |count: usize| {
        let end = Instant::now() + LIMIT;
        while said.lock().unwrap().len() < count {
            assert!(Instant::now() < end, "{:?}", said.lock());
            std::thread::sleep(Duration::from_millis(20));
        }
        said.lock().unwrap().clone()
    };
    docker.kill_daemon();
    let words = wait(1);
    assert!(words[0].starts_with("docker does not answer any more ("));
    docker.start_daemon();
    assert_eq!(wait(2)[1..], ["docker answers again"]);
}
