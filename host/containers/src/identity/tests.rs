//! Machines that are folders: cgroups, processes and files as they would be there.

use super::*;
use crate::directory::Found;
use crate::files::Patience;
use crate::owner::Kind;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

const A: &str = "aaaa1d2c3b4a59687706f5e4d3c2b1a0998877665544332211ffeeddccbbaa00";
const B: &str = "bbbb1d2c3b4a59687706f5e4d3c2b1a0998877665544332211ffeeddccbbaa00";
const HOSTS: u64 = 100;

struct Machine {
    folder: tempfile::TempDir,
    identity: Identity,
}

impl Machine {
    fn new() -> Self {
        Self::seen_as(std::process::id())
    }

    /// One whose `/proc` has this number for the process of the test.
    fn seen_as(own: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("cgroup")).unwrap();
        std::fs::create_dir_all(folder.path().join("host/proc")).unwrap();
        symlink(own.to_string(), folder.path().join("host/proc/self")).unwrap();
        process(folder.path(), 1, 0, "/init.scope", HOSTS, "init");
        let identity = identity(folder.path());
        Self { folder, identity }
    }

    fn cgroup(&self, path: &str) -> u64 {
        let path = self
            .folder
            .path()
            .join("cgroup")
            .join(path.trim_start_matches('/'));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::metadata(path).unwrap().ino()
    }

    fn remove(&self, path: &str) {
        let path = self
            .folder
            .path()
            .join("cgroup")
            .join(path.trim_start_matches('/'));
        std::fs::remove_dir_all(path).unwrap();
    }

    fn file(&self, path: &str, text: &str) {
        let path = self
            .folder
            .path()
            .join("host")
            .join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A process; the words of its command line are parted by spaces.
    fn process(&self, pid: u32, parent: u32, cgroup: &str, namespace: u64, line: &str) {
        process(self.folder.path(), pid, parent, cgroup, namespace, line);
        let list = self
            .folder
            .path()
            .join("cgroup")
            .join(cgroup.trim_start_matches('/'));
        std::fs::create_dir_all(&list).unwrap();
        let list = list.join("cgroup.procs");
        let before = std::fs::read_to_string(&list).unwrap_or_default();
        std::fs::write(list, format!("{before}{pid}\n")).unwrap();
    }

    fn cwd(&self, pid: u32, path: &str) {
        let link = self.folder.path().join(format!("host/proc/{pid}/cwd"));
        symlink(path, link).unwrap();
    }

    fn made(&mut self, path: &str, maker: Maker) -> u64 {
        self.made_at(5, path, maker)
    }

    fn made_at(&mut self, at: u64, path: &str, maker: Maker) -> u64 {
        let parent = self.cgroup(cgroup_path::above(path));
        let cgroup = self.cgroup(path);
        self.identity.directory.made(cgroup, Some(parent));
        self.identity.told(Event::Made {
            at,
            cgroup,
            parent,
            path: path.as_bytes().to_vec(),
            truncated: false,
            maker,
        });
        cgroup
    }

    fn scan(&mut self) {
        self.identity.scan(true, &mut |_| true);
    }

    fn owner(&self, cgroup: u64) -> Arc<Owner> {
        let owner = self.identity.directory.owner_of(cgroup);
        owner.unwrap_or_else(|| panic!("{cgroup} is pending")).1
    }

    /// Kind, and the container's or unit's name.
    fn who(&self, cgroup: u64) -> (Kind, String) {
        let owner = self.owner(cgroup);
        let name = owner.facts.name.clone().or(owner.unit.clone());
        (owner.kind, name.unwrap_or_default())
    }
}

fn identity(folder: &Path) -> Identity {
    let options = Options {
        runtimes: Vec::new(),
        host_root: folder.join("host"),
        ..Options::default()
    };
    let runtimes = Runtimes::start(&options, Box::new(|_| {})).unwrap();
    let hierarchy = Hierarchy::at(&folder.join("cgroup"));
    let directory = Arc::new(Directory::default());
    Identity::new(&options, hierarchy, directory, Arc::new(runtimes)).unwrap()
}

fn process(folder: &Path, pid: u32, parent: u32, cgroup: &str, namespace: u64, line: &str) {
    let own = folder.join(format!("host/proc/{pid}"));
    std::fs::create_dir_all(own.join("ns")).unwrap();
    symlink(format!("mnt:[{namespace}]"), own.join("ns/mnt")).unwrap();
    let numbers = "0 ".repeat(17);
    let stat = format!(
        "{pid} (a) b) S {parent} {numbers}{} 0\n",
        u64::from(pid) * 100
    );
    std::fs::write(own.join("stat"), stat).unwrap();
    std::fs::write(own.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
    std::fs::write(own.join("status"), format!("NSpid:\t{pid}\n")).unwrap();
    std::fs::write(own.join("cmdline"), argv(line)).unwrap();
}

fn argv(line: &str) -> Vec<u8> {
    let words = line.split(' ').map(str::as_bytes);
    words.flat_map(|word| [word, b"\0"].concat()).collect()
}

/// The runtime as the kernel describes it.
fn maker(pid: u32, ppid: u32, line: &str) -> Maker {
    Maker {
        pid,
        ppid,
        comm: b"runc".to_vec(),
        mount_ns: HOSTS,
        argv: argv(line),
        ..Maker::default()
    }
}

fn bundle(path: &str) -> String {
    format!(r#"{{"linux":{{"cgroupsPath":"{path}"}},"annotations":{{"l":"1"}}}}"#)
}

const TASKS: &str = "/run/containerd/io.containerd.runtime.v2.task";

#[test]
fn what_is_there_is_found_with_all_kinds_of_owners() {
    let mut machine = Machine::new();
    let service = machine.cgroup("/system.slice/foo.service");
    let inner = machine.cgroup("/system.slice/foo.service/system.slice/nginx.service");
    let session = machine.cgroup("/user.slice/user-1000.slice/session-3.scope");
    let nested = machine.cgroup("/payload/system.slice/bar.service");
    let slice = machine.cgroup("/system.slice");
    // A shim that says which bundle it stands for; the store is not a usual one.
    let docker = machine.cgroup(&format!("/docker/{A}"));
    let below = machine.cgroup(&format!("/docker/{A}/init.scope"));
    machine.file(
        &format!(
            "/x/{}/moby/{A}/config.json",
            "io.containerd.runtime.v2.task"
        ),
        &bundle(&format!("/docker/{A}")),
    );
    machine.process(
        20,
        1,
        "/",
        HOSTS,
        &format!("/usr/bin/containerd-shim-runc-v2 -namespace moby -id {A} -address s"),
    );
    machine.cwd(20, &format!("/x/io.containerd.runtime.v2.task/moby/{A}"));
    machine.process(21, 20, &format!("/docker/{A}"), 7, "sleep");
    // A bundle where containerd usually has them.
    let ctr = machine.cgroup(&format!("/default/{B}"));
    machine.file(
        &format!("{TASKS}/default/{B}/config.json"),
        &bundle(&format!("/default/{B}")),
    );
    // runc's state alone, and crun's.
    let runc = machine.cgroup("/some/where");
    machine.file("/run/runc/r1/state.json", r#"{"id":"r1","init_process_pid":30,"init_process_start":3000,"created":"2026-11-23T19:20:35Z","cgroup_paths":{"":"/sys/fs/cgroup/some/where"}}"#);
    machine.process(30, 1, "/some/where", 8, "sleep");
    let crun = machine.cgroup("/c1");
    machine.file(
        "/run/crun/c1/status",
        r#"{"pid":99,"process-start-time":1,"cgroup-path":"/c1","bundle":"/b"}"#,
    );
    machine.file("/b/config.json", &bundle("/c1"));
    machine.process(31, 1, "/c1", 9, "sleep");
    // podman's monitor.
    let podman = machine.cgroup(&format!("/libpod_parent/libpod-{A}"));
    let conmon = machine.cgroup("/libpod_parent/conmon");
    machine.file(
        &format!("/g/overlay-containers/{A}/userdata/config.json"),
        &bundle(&format!("/libpod_parent/libpod-{A}")),
    );
    machine.process(
        40,
        1,
        "/libpod_parent/conmon",
        HOSTS,
        &format!("/usr/bin/conmon -c {A} -b /g/overlay-containers/{A}/userdata -n web"),
    );
    machine.process(41, 40, &format!("/libpod_parent/libpod-{A}"), 10, "sleep");
    machine.scan();
    let unit = |name: &str| (Kind::Unit, name.to_owned());
    let container = |name: &str| (Kind::Container, name.to_owned());
    assert_eq!(machine.who(service), unit("foo.service"));
    assert_eq!(machine.who(inner), unit("foo.service"));
    assert_eq!(machine.who(nested), unit("bar.service"));
    assert_eq!(
        machine.who(session),
        (Kind::Session, "session-3.scope".to_owned())
    );
    assert_eq!(machine.who(slice).0, Kind::Host);
    assert_eq!(machine.who(conmon).0, Kind::Host);
    assert_eq!(machine.who(docker), container(A));
    assert_eq!(machine.who(below), container(A));
    assert_eq!(machine.owner(docker).facts.runtime, Some(Runtime::Docker));
    assert_eq!(machine.owner(docker).facts.pid, Some(21));
    assert_eq!(machine.who(ctr), container(B));
    assert_eq!(machine.owner(ctr).facts.labels.as_ref().unwrap()["l"], "1");
    assert_eq!(machine.who(runc), container("r1"));
    assert_eq!(machine.owner(runc).facts.pid, Some(30));
    assert!(machine.owner(runc).facts.started.is_some());
    assert_eq!(machine.who(crun), container("c1"));
    assert_eq!(machine.owner(crun).facts.runtime, Some(Runtime::Crun));
    assert_eq!(
        machine.owner(crun).facts.pid,
        Some(31),
        "not the number that is another's"
    );
    assert_eq!(machine.who(podman), container("web"));
    assert_eq!(machine.owner(podman).facts.runtime, Some(Runtime::Podman));
    // The mount namespaces of all that have processes; never the host's.
    let directory = &machine.identity.directory;
    for (namespace, cgroup) in [(7, docker), (8, runc), (9, crun), (10, podman)] {
        let owner = directory.owner_of(cgroup).map(|(handle, _)| handle);
        assert_eq!(directory.mount_namespace_now(namespace), owner);
    }
    assert_eq!(directory.mount_namespace_now(HOSTS), None);
    assert_eq!(directory.pending(), 0);
}

#[test]
fn who_makes_a_cgroup_decides() {
    let mut machine = Machine::new();
    machine.scan();
    let call = |bundle: &str, id: &str| {
        format!("runc --root /run/x create --bundle {bundle} --pid-file p {id}")
    };
    machine.file(
        &format!("{TASKS}/default/c1/config.json"),
        &bundle("/custom/place"),
    );
    let argv = call(&format!("{TASKS}/default/c1"), "c1");
    // The folders above are made by the same call, and are not the container.
    let above = machine.made("/custom", maker(50, 51, &argv));
    let own = machine.made("/custom/place", maker(50, 51, &argv));
    assert_eq!(machine.who(above).0, Kind::Host);
    assert_eq!(machine.who(own), (Kind::Container, "c1".to_owned()));
    assert_eq!(machine.owner(own).facts.runtime, Some(Runtime::Containerd));
    assert!(machine.owner(own).facts.started.is_some_and(|at| at > 0));
    // The files are gone: the name of the cgroup and of the parent have to do.
    machine.process(
        61,
        1,
        "/",
        HOSTS,
        &format!("containerd-shim-runc-v2 -namespace moby -id {A}"),
    );
    let late = machine.made(&format!("/docker/{A}"), maker(60, 61, &call("/gone", A)));
    assert_eq!(machine.who(late), (Kind::Container, A.to_owned()));
    assert_eq!(machine.owner(late).facts.runtime, Some(Runtime::Docker));
    // Without --bundle it is the working folder; a long command line is read again.
    machine.file("/home/b/config.json", &bundle("/r1"));
    machine.process(70, 1, "/", HOSTS, "runc run r1");
    machine.cwd(70, "/home/b");
    let cut = Maker {
        argv_truncated: true,
        ..maker(70, 1, "runc ru")
    };
    let run = machine.made("/r1", cut);
    assert_eq!(machine.who(run), (Kind::Container, "r1".to_owned()));
    // systemd makes it for the runtime.
    machine.file(
        &format!("{TASKS}/k8s.io/{B}/config.json"),
        &bundle(&format!("k.slice:cri-containerd:{B}")),
    );
    let scope = format!("cri-containerd-{B}.scope");
    let kubernetes = machine.made(&format!("/k.slice/{scope}"), maker(1, 0, "/sbin/init"));
    assert_eq!(machine.who(kubernetes), (Kind::Container, B.to_owned()));
    assert_eq!(
        machine.owner(kubernetes).unit.as_deref(),
        Some(scope.as_str())
    );
    // podman's split: the container is in the unit of who called podman.
    machine.file(
        &format!("/g/overlay-containers/{A}/userdata/config.json"),
        &bundle(&format!("/system.slice/p.service/libpod-payload-{A}")),
    );
    let unit = machine.made("/system.slice/p.service", maker(1, 0, "/sbin/init"));
    let argv = call(&format!("/g/overlay-containers/{A}/userdata"), A);
    let split = machine.made(
        &format!("/system.slice/p.service/libpod-payload-{A}"),
        maker(80, 81, &argv),
    );
    let runtime = machine.made(
        "/system.slice/p.service/runtime",
        maker(82, 83, "podman run"),
    );
    assert_eq!(machine.owner(split).facts.runtime, Some(Runtime::Podman));
    assert_eq!(machine.owner(split).unit.as_deref(), Some("p.service"));
    for cgroup in [unit, runtime] {
        assert_eq!(machine.who(cgroup), (Kind::Unit, "p.service".to_owned()));
    }
    assert_eq!(machine.identity.directory.pending(), 0);
}

#[test]
fn what_a_container_makes_is_its_own_wherever_it_is() {
    let mut machine = Machine::new();
    machine.scan();
    machine.file("/b/config.json", &bundle("/c1"));
    let own = machine.made("/c1", maker(50, 51, "runc create -b /b c1"));
    machine.identity.told(Event::FirstExec {
        at: 9,
        cgroup: own,
        mount_ns_id: None,
        mount_ns: 7,
        pid: 52,
    });
    assert_eq!(machine.owner(own).facts.pid, Some(52));
    let container = (Kind::Container, "c1".to_owned());
    // Below, at the root of the hierarchy, called like another's, with another's command line.
    machine.file(
        &format!("{TASKS}/moby/{A}/config.json"),
        &bundle(&format!("/docker/{A}")),
    );
    let inside = Maker {
        cgroup: own,
        mount_ns: 7,
        ..maker(52, 51, "sh")
    };
    let elsewhere = Maker {
        mount_ns: 7,
        ..maker(52, 51, "sh")
    };
    let forged = Maker {
        cgroup: own,
        ..maker(
            52,
            51,
            &format!("runc create --bundle {TASKS}/moby/{A} {A}"),
        )
    };
    for (path, maker) in [
        ("/c1/inner".to_owned(), inside.clone()),
        ("/inner".to_owned(), inside.clone()),
        ("/other".to_owned(), elsewhere),
        (format!("/docker/{A}"), forged),
        (format!("/c1/docker-{B}.scope"), inside.clone()),
        ("/system.slice/ssh.service".to_owned(), inside),
    ] {
        let cgroup = machine.made(&path, maker);
        assert_eq!(machine.who(cgroup), container, "{path}");
        // Its end is not the container's.
        machine.identity.told(Event::Removed { at: 10, cgroup });
        assert_eq!(machine.identity.directory.owners().len(), 1);
    }
    // An agent in a container makes a pod's folder; the host's runtime puts a container there that is its own.
    let agent = Maker {
        cgroup: own,
        ..maker(52, 51, "kubelet")
    };
    let pod = machine.made("/kubepods/pod1", agent);
    assert_eq!(machine.who(pod), container);
    machine.file(
        &format!("{TASKS}/k8s.io/{B}/config.json"),
        &bundle(&format!("/kubepods/pod1/{B}")),
    );
    let line = format!("runc create --bundle {TASKS}/k8s.io/{B} {B}");
    let inner = machine.made(&format!("/kubepods/pod1/{B}"), maker(60, 61, &line));
    assert_eq!(machine.who(inner), (Kind::Container, B.to_owned()));
}

#[test]
fn a_forged_path_or_command_line_takes_no_other_identity() {
    let mut machine = Machine::new();
    // Containers that are known to their runtimes and do not run: Docker's bundle is gone, podman's stays.
    machine.file(
        &format!("/var/lib/docker/containers/{A}/config.v2.json"),
        &format!(r#"{{"ID":"{A}","Name":"/web"}}"#),
    );
    machine.file(
        &format!("/var/lib/containers/storage/overlay-containers/{B}/userdata/config.json"),
        &bundle(&format!("/libpod_parent/libpod-{B}")),
    );
    let stopped = machine.cgroup(&format!("/docker/{A}"));
    let podman = machine.cgroup(&format!("/libpod_parent/libpod-{B}"));
    // One that runs, and its double.
    let id = A.replace('a', "c");
    machine.file(
        &format!("{TASKS}/moby/{id}/config.json"),
        &bundle(&format!("/docker/{id}")),
    );
    let real = machine.cgroup(&format!("/docker/{id}"));
    let double = machine.cgroup(&format!("/evil/docker/{id}"));
    // A scope of a unit that calls itself a container.
    let scope = machine.cgroup(&format!("/system.slice/mine.service/docker-{id}.scope"));
    // A process that only looks like a shim.
    let lookalike = machine.cgroup("/lookalike");
    machine.process(
        90,
        1,
        "/",
        HOSTS,
        &format!("containerd-shim-runc-v2 -namespace moby -id {id}"),
    );
    machine.cwd(90, &format!("{TASKS}/moby/{id}"));
    machine.process(91, 90, "/lookalike", 17, "sleep");
    machine.scan();
    assert_eq!(machine.who(real), (Kind::Container, id.clone()));
    assert_eq!(machine.who(scope), (Kind::Unit, "mine.service".to_owned()));
    for cgroup in [stopped, podman, double, lookalike] {
        assert_eq!(machine.who(cgroup).0, Kind::Host);
    }
    // A command line that names a bundle of another, which names another cgroup.
    let line = format!("runc create --bundle {TASKS}/moby/{id} {id}");
    let forged = machine.made(&format!("/mine/{id}"), maker(50, 51, &line));
    assert_eq!(machine.who(forged).0, Kind::Host);
    // A path that ends like the one that the bundle names.
    let forged = machine.made(&format!("/mine/docker/{id}"), maker(52, 51, "mkdir -p"));
    assert_eq!(machine.who(forged).0, Kind::Host);
    assert_eq!(
        machine
            .identity
            .directory
            .owners()
            .iter()
            .filter(|(_, owner)| owner.is_container())
            .count(),
        1
    );
}

#[test]
fn what_the_files_say_too_late_is_learned_then() {
    let mut machine = Machine::new();
    let (patience, held_up) = Patience::held_up();
    machine.identity.patience = patience;
    machine.file(
        "/bundles/web/config.json",
        r#"{"linux":{"cgroupsPath":"/web"},"annotations":{"app":"shop"}}"#,
    );
    let line = "runc create --bundle /bundles/web web";
    let web = machine.made("/web", maker(50, 51, line));
    machine.identity.catch_up();
    assert_eq!(machine.who(web), (Kind::Container, "web".to_owned()));
    assert_eq!(machine.owner(web).facts.labels, None);
    drop(held_up);
    while machine.owner(web).facts.labels.is_none() {
        machine.identity.catch_up();
        std::thread::yield_now();
    }
    assert_eq!(
        machine.owner(web).facts.labels.as_ref().unwrap()["app"],
        "shop"
    );
    assert!(machine.identity.late.is_empty());
}

#[test]
fn what_the_runtime_has_said_meanwhile_stands_when_the_files_say_it_too_late() {
    let mut machine = Machine::new();
    let (patience, held_up) = Patience::held_up();
    machine.identity.patience = patience;
    let folder = format!("{TASKS}/default/web");
    machine.file(
        &format!("{folder}/config.json"),
        r#"{"linux":{"cgroupsPath":"/web"},"annotations":{"app":"shop","nerdctl/name":"old"}}"#,
    );
    let line = format!("runc create --bundle {folder} web");
    let web = machine.made("/web", maker(50, 51, &line));
    machine.identity.said(Said::Changed(Facts {
        id: "web".to_owned(),
        name: Some("new".to_owned()),
        labels: Some(BTreeMap::new()),
        ..Facts::default()
    }));
    drop(held_up);
    while machine.owner(web).facts.runtime != Some(Runtime::Containerd) {
        machine.identity.catch_up();
        std::thread::yield_now();
    }
    let owner = machine.owner(web);
    assert_eq!(owner.facts.name.as_deref(), Some("new"));
    assert_eq!(owner.facts.labels, Some(BTreeMap::new()));
}

#[test]
fn a_container_that_was_found_too_late_is_one_then() {
    let mut machine = Machine::new();
    let (patience, held_up) = Patience::held_up();
    machine.identity.patience = patience;
    machine.file(
        &format!("{TASKS}/moby/{A}/config.json"),
        &bundle(&format!("/docker/{A}")),
    );
    let web = machine.made(&format!("/docker/{A}"), maker(50, 51, "systemd"));
    assert_eq!(machine.who(web).0, Kind::Host);
    drop(held_up);
    while machine.who(web).0 == Kind::Host {
        machine.identity.catch_up();
        std::thread::yield_now();
    }
    assert_eq!(machine.who(web), (Kind::Container, A.to_owned()));
}

#[test]
fn what_a_user_may_make_is_the_users() {
    let mut machine = Machine::new();
    let home = "/user.slice/user-1000.slice/user@1000.service";
    machine.cgroup(home);
    let folder = machine
        .folder
        .path()
        .join("cgroup")
        .join(home.trim_start_matches('/'));
    if std::os::unix::fs::chown(&folder, Some(1000), None).is_err() {
        // Only root can show this.
        return;
    }
    let path = format!("{home}/docker-{A}.scope");
    machine.file(
        &format!("{TASKS}/moby/{A}/config.json"),
        &bundle(&format!("user@1000.service:docker:{A}")),
    );
    let found = machine.cgroup(&path);
    machine.scan();
    let session = (Kind::Session, "user@1000.service".to_owned());
    assert_eq!(machine.who(found), session);
    let line = format!("runc create --bundle {TASKS}/moby/{A} {A}");
    let made = machine.made(&format!("{home}/{A}"), maker(50, 51, &line));
    assert_eq!(machine.who(made), session);
    let delegated = machine.made(&format!("{home}/nginx.service"), maker(50, 51, "sh"));
    assert_eq!(machine.who(delegated), session);
}

#[test]
fn a_scan_finds_what_events_did_not_say() {
    let mut machine = Machine::new();
    machine.scan();
    machine.file("/b/config.json", &bundle("/c1"));
    let own = machine.made("/c1", maker(50, 51, "runc create -b /b c1"));
    let handle = machine
        .identity
        .directory
        .owner_of(own)
        .map(|(handle, _)| handle);
    // One came, one went, one has too long a path; nobody said more.
    let new = machine.cgroup("/system.slice/new.service");
    let long = machine.cgroup("/system.slice/long.service");
    // Last: folders' numbers are used again, those of cgroups are not.
    machine.remove("/c1");
    machine.identity.directory.made(long, None);
    let next = machine.identity.told(Event::Made {
        at: 6,
        cgroup: long,
        parent: 1,
        path: b"/system.sl".to_vec(),
        truncated: true,
        maker: Maker::default(),
    });
    assert_eq!(next, Next::Scan);
    assert_eq!(machine.identity.told(Event::Lost { count: 3 }), Next::Scan);
    assert_eq!(machine.identity.directory.pending(), 1);
    machine.scan();
    assert_eq!(machine.who(new), (Kind::Unit, "new.service".to_owned()));
    assert_eq!(machine.who(long), (Kind::Unit, "long.service".to_owned()));
    // One look does not tell: the kernel tells of a cgroup before it shows it.
    let is_live =
        |machine: &Machine| handle.is_some_and(|handle| machine.identity.directory.is_live(handle));
    assert!(is_live(&machine) && machine.identity.is_unsure());
    std::thread::sleep(std::time::Duration::from_millis(60));
    machine.scan();
    assert!(!is_live(&machine));
    // Removed before anybody knew what it was: nobody waits for it.
    machine.identity.directory.made(77, None);
    machine.identity.told(Event::Removed { at: 9, cgroup: 77 });
    assert_eq!(machine.identity.directory.pending(), 0);
}

#[test]
fn what_happens_while_a_scan_goes_on_is_taken_in_and_not_undone() {
    let mut machine = Machine::new();
    let stays = machine.cgroup("/a.service");
    let goes = machine.cgroup("/b.service");
    machine.file("/bundles/web/config.json", &bundle("/web"));
    let news = [
        Event::Made {
            at: 5,
            cgroup: 77_777_777,
            parent: machine.cgroup("/"),
            path: b"/web".to_vec(),
            truncated: false,
            maker: maker(50, 51, "runc create --bundle /bundles/web web"),
        },
        Event::Removed {
            at: 6,
            cgroup: goes,
        },
    ];
    let mut news = Some(news);
    // All three were found, none was looked at.
    let mut calls = 0;
    machine.identity.scan(true, &mut |identity| {
        calls += 1;
        if calls == 4 {
            identity.directory.made(77_777_777, None);
            for event in news.take().unwrap() {
                assert_eq!(identity.told(event), Next::Nothing);
            }
            let (_, owner) = identity.directory.owner_of(77_777_777).unwrap();
            assert_eq!(owner.facts.id, "web", "in the middle of the scan");
        }
        true
    });
    assert_eq!(calls, 6);
    assert_eq!(machine.who(stays), (Kind::Unit, "a.service".to_owned()));
    let there = machine.identity.directory.cgroups();
    assert!(there.contains(&stays) && there.contains(&77_777_777));
    assert!(!there.contains(&goes), "it was removed");
    // A scan that is ended ends no cgroup that it did not come to.
    machine.identity.scan(true, &mut |_| false);
    machine.scan();
    assert!(machine.identity.directory.cgroups().contains(&stays));
}

#[test]
fn what_an_event_says_of_a_stray_while_a_scan_goes_on_stands() {
    let mut machine = Machine::new();
    machine.file("/bundles/web/config.json", &bundle("/web"));
    machine.file("/bundles/job/config.json", &bundle("/job"));
    let line = |id: &str| format!("runc create --bundle /bundles/{id} {id}");
    let web = machine.made("/web", maker(50, 51, &line("web")));
    machine.process(60, 1, "/web", 17, "sleep");
    machine.identity.told(Event::FirstExec {
        at: 6,
        cgroup: web,
        mount_ns: 17,
        mount_ns_id: None,
        pid: 60,
    });
    let job = machine.cgroup("/job");
    machine.cgroup("/job/below");
    machine.process(61, 1, "/job", 17, "sleep");
    let mut news = Some(Event::Made {
        at: 7,
        cgroup: job,
        parent: machine.cgroup("/"),
        path: b"/job".to_vec(),
        truncated: false,
        maker: maker(52, 51, &line("job")),
    });
    machine.identity.scan(true, &mut |identity| {
        // It was looked at, and is somewhere in the mount namespace of another.
        if identity.directory.owner_of(job).is_some()
            && let Some(event) = news.take()
        {
            identity.told(event);
        }
        true
    });
    assert!(news.is_none());
    assert_eq!(machine.who(job), (Kind::Container, "job".to_owned()));
}

#[test]
fn what_comes_too_late_for_a_scan_is_looked_at_again() {
    let mut machine = Machine::new();
    let early = machine.cgroup("/default/c1");
    machine.scan();
    assert_eq!(machine.who(early).0, Kind::Host);
    assert!(machine.identity.is_unsure());
    machine.file(
        "/run/containerd/runc/default/c1/state.json",
        r#"{"id":"c1","cgroup_paths":{"":"/sys/fs/cgroup/unified/default/c1"}}"#,
    );
    machine.scan();
    assert_eq!(machine.who(early), (Kind::Container, "c1".to_owned()));
    assert_eq!(
        machine.owner(early).facts.runtime,
        Some(Runtime::Containerd)
    );
    machine.scan();
    assert!(!machine.identity.is_unsure());
    // And its first program says it, too.
    let late = machine.cgroup("/x/c2");
    for _ in 0..3 {
        machine.scan();
    }
    assert_eq!(machine.who(late).0, Kind::Host);
    machine.file(&format!("{TASKS}/default/c2/config.json"), &bundle("/x/c2"));
    machine.process(
        20,
        1,
        "/",
        HOSTS,
        "containerd-shim-runc-v2 -namespace default -id c2",
    );
    machine.cwd(20, &format!("{TASKS}/default/c2"));
    machine.process(21, 20, "/x/c2", 7, "sleep");
    machine.identity.told(Event::FirstExec {
        at: 9,
        cgroup: late,
        mount_ns_id: None,
        mount_ns: 7,
        pid: 21,
    });
    assert_eq!(machine.who(late), (Kind::Container, "c2".to_owned()));
    assert!(machine.identity.directory.mount_namespace_now(7).is_some());
}

#[test]
fn a_scan_does_not_decide_what_an_event_will_say() {
    let mut machine = Machine::new();
    machine.scan();
    let path = format!("/default/{A}");
    let parent = machine.cgroup("/default");
    let early = machine.cgroup(&path);
    let directory = Arc::clone(&machine.identity.directory);
    directory.made(early, Some(parent));
    machine.identity.scan(false, &mut |_| true);
    assert_eq!(machine.who(parent).0, Kind::Host, "nobody told of it");
    assert!(directory.owner_of(early).is_none());
    machine.file("/b/config.json", &bundle(&path));
    machine.made(
        &path,
        maker(50, 51, &format!("runc create --bundle /b {A}")),
    );
    assert_eq!(machine.who(early).0, Kind::Container);
    // Unless the event was lost.
    let lost = machine.cgroup("/default/lost");
    directory.made(lost, Some(parent));
    machine.scan();
    assert_eq!(machine.who(lost).0, Kind::Host);
}

#[test]
fn mount_namespaces_are_a_containers_from_its_beginning_to_its_end() {
    let mut machine = Machine::new();
    machine.scan();
    for id in ["c1", "c2"] {
        machine.file(&format!("/{id}/config.json"), &bundle(&format!("/{id}")));
    }
    let first = machine.made_at(100, "/c1", maker(50, 51, "runc create -b /c1 c1"));
    machine.identity.told(Event::FirstExec {
        at: 120,
        cgroup: first,
        mount_ns_id: None,
        mount_ns: HOSTS,
        pid: 51,
    });
    machine.identity.told(Event::FirstExec {
        at: 130,
        cgroup: first,
        mount_ns_id: None,
        mount_ns: 7,
        pid: 52,
    });
    // The next one is made while the first still ends, and gets its number.
    let second = machine.made_at(180, "/c2", maker(60, 61, "runc create -b /c2 c2"));
    machine.identity.told(Event::Emptied {
        at: 200,
        cgroup: first,
    });
    machine.identity.told(Event::FirstExec {
        at: 210,
        cgroup: second,
        mount_ns_id: None,
        mount_ns: 7,
        pid: 62,
    });
    let reader = machine.identity.directory.reader();
    let at = |time| reader.by_mount_namespace(7, time);
    assert_eq!(at(99), Found::Unknown);
    for (time, cgroup) in [(100, first), (199, first), (200, second), (999, second)] {
        assert_eq!(at(time), reader.by_cgroup(cgroup), "{time}");
    }
    assert_eq!(reader.by_mount_namespace(HOSTS, 125), Found::Unknown);
}

#[test]
fn what_a_runtime_says_is_taken_for_the_container_that_it_means() {
    let mut machine = Machine::new();
    machine.scan();
    let facts = |id: &str, pid| Facts {
        id: id.to_owned(),
        runtime: Some(Runtime::Docker),
        name: Some("web".to_owned()),
        pid: Some(pid),
        ..Facts::default()
    };
    // Its cgroup was no container's for the disk; its first process says where it is.
    let path = format!("/mypods/{A}");
    let own = machine.cgroup(&path);
    machine.scan();
    machine.process(30, 1, &path, 7, "sleep");
    machine
        .identity
        .said(Said::Listed(Runtime::Docker, vec![facts(A, 30)]));
    assert_eq!(machine.who(own), (Kind::Container, "web".to_owned()));
    assert!(machine.identity.directory.mount_namespace_now(7).is_some());
    // A number that is another process's here.
    let other = machine.cgroup("/system.slice/private.service");
    machine.process(31, 1, "/system.slice/private.service", 8, "nginx");
    machine.scan();
    machine.identity.said(Said::Changed(facts(B, 31)));
    assert_eq!(
        machine.who(other),
        (Kind::Unit, "private.service".to_owned())
    );
    machine.identity.said(Said::Changed(facts(A, 31)));
    assert_eq!(machine.owner(own).facts.pid, Some(30));
    // Another runtime's container of the same id stays what it is.
    let mut podman = facts(A, 30);
    podman.runtime = Some(Runtime::Podman);
    podman.name = Some("other".to_owned());
    machine.identity.said(Said::Changed(podman));
    assert_eq!(machine.who(own).1, "web");
    // What is kept for a cgroup that never comes is thrown away with the next list.
    machine.identity.said(Said::Listed(Runtime::Docker, vec![]));
    machine.file(
        &format!("{TASKS}/moby/{B}/config.json"),
        &bundle(&format!("/docker/{B}")),
    );
    let late = machine.made(&format!("/docker/{B}"), maker(1, 0, "init"));
    assert_eq!(machine.who(late).1, B);
}

#[test]
fn numbers_of_other_pid_namespaces_are_translated_or_not_believed() {
    // In a container without the host's pid namespace the cgroups' own lists are of no use: the host's /proc serves.
    let mut machine = Machine::seen_as(u32::MAX);
    let own = machine.cgroup("/r1");
    machine.process(30, 1, "/r1", 7, "sleep");
    // A runtime in a pid namespace of its own calls its process 131, which here is another.
    let nested = machine.cgroup("/payload/r2");
    machine.process(131, 1, "/system.slice/other.service", 8, "nginx");
    machine.process(5130, 1, "/payload/r2", 9, "late");
    machine.process(5131, 1, "/payload/r2", 9, "sleep");
    let status = machine.folder.path().join("host/proc/5131/status");
    std::fs::write(status, "NSpid:\t5131\t131\t1\n").unwrap();
    for path in ["r1", "payload/r2"] {
        let list = machine
            .folder
            .path()
            .join("cgroup")
            .join(path)
            .join("cgroup.procs");
        std::fs::write(list, "0\n0\n").unwrap();
    }
    for (id, pid, path) in [("r1", 30, "/r1"), ("r2", 131, "/payload/r2")] {
        let start = pid * 100;
        machine.file(
            &format!("/run/runc/{id}/state.json"),
            &format!(
                r#"{{"id":"{id}","init_process_pid":{pid},"init_process_start":{start},"cgroup_paths":{{"":"/sys/fs/cgroup{path}"}}}}"#
            ),
        );
    }
    machine.scan();
    assert_eq!(machine.owner(own).facts.pid, Some(30));
    assert_eq!(machine.owner(nested).facts.pid, Some(5131));
    let directory = &machine.identity.directory;
    for (namespace, cgroup) in [(7, own), (9, nested)] {
        let owner = directory.owner_of(cgroup).map(|(handle, _)| handle);
        assert_eq!(directory.mount_namespace_now(namespace), owner);
    }
}
