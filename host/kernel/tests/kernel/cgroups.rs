//! Cgroups of our own, made and removed; those of others are counted and never looked at.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use ig_kernel::cgroups::{
    CgroupEvent, CgroupWatcher, Controller, Entered, Hierarchy, Made, WatchOptions,
};
use ig_kernel::clock::boot_ns;
use ig_kernel::{Stopper, Wake};

use crate::objects::STARTING;

/// Held alone by who makes so many cgroups that a ring of anybody's has no room for them.
pub static CROWD: RwLock<()> = RwLock::new(());

/// The first mount of a file system of this type, with this word among its options.
fn mount(kind: &str, option: &str) -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let fits =
            back.next() == Some(kind) && back.next_back()?.split(',').any(|word| word == option);
        fits.then(|| PathBuf::from(front.split(' ').nth(4).unwrap()))
    })
}

/// A cgroup whose name nobody else has. It goes with all that is below.
pub struct Cgroup(pub PathBuf);

impl Cgroup {
    pub fn new(root: &Path) -> Self {
        let cgroup = Self::name(root);
        std::fs::create_dir(&cgroup.0).unwrap();
        cgroup
    }

    /// Not made yet.
    fn name(root: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ig-test-{}-{}-{number}", std::process::id(), boot_ns());
        Self(root.join(name))
    }

    pub fn v2() -> PathBuf {
        mount("cgroup2", "rw").expect("a cgroup v2 that is mounted")
    }

    /// As the kernel tells it.
    fn path(&self) -> String {
        format!("/{}", self.0.file_name().unwrap().to_str().unwrap())
    }

    pub fn id(&self) -> u64 {
        self.0.metadata().unwrap().ino()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        fn remove(folder: &Path) {
            for entry in folder.read_dir().into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            // The last process may be on its way out.
            for _ in 0..2000 {
                match std::fs::remove_dir(folder) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    _ => return,
                }
            }
        }
        remove(&self.0);
    }
}

pub fn spawn(command: &mut Command) -> Child {
    let _starting = STARTING.write();
    command.spawn().unwrap()
}

fn run(program: &str, args: &[&str]) -> u32 {
    let mut child = spawn(Command::new(program).args(args));
    assert!(child.wait().unwrap().success());
    child.id()
}

fn start(options: &WatchOptions) -> CgroupWatcher {
    let _starting = STARTING.read();
    CgroupWatcher::start(options).unwrap()
}

/// Drains until `handle` has said that it is enough.
pub fn until(watcher: &mut CgroupWatcher, mut handle: impl FnMut(CgroupEvent<'_>) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    let mut enough = false;
    loop {
        watcher.drain(|event| enough |= handle(event)).unwrap();
        if enough {
            return;
        }
        let wake = watcher.wait(Some(end)).unwrap();
        assert_ne!(wake, Wake::Deadline, "what is waited for does not come");
    }
}

/// As [`Made`], with what it borrows.
#[derive(Debug)]
struct Seen {
    made: Made<'static>,
    path: Vec<u8>,
    comm: Vec<u8>,
    args: Option<Vec<u8>>,
}

impl Seen {
    fn new(made: Made<'_>) -> Self {
        let maker = ig_kernel::cgroups::Maker {
            comm: b"",
            args: None,
            ..made.maker
        };
        Self {
            path: made.path.to_vec(),
            comm: made.maker.comm.to_vec(),
            args: made.maker.args.map(<[u8]>::to_vec),
            made: Made {
                path: b"",
                maker,
                ..made
            },
        }
    }
}

/// Gives what was told of cgroups whose path begins so, up to the removal of the one that is so called: those that were
/// made, and the numbers of those that were removed.
fn told(watcher: &mut CgroupWatcher, prefix: &str) -> (Vec<Seen>, Vec<u64>) {
    let (mut seen, mut removed, mut last) = (Vec::<Seen>::new(), Vec::new(), None);
    until(watcher, |event| {
        match event {
            CgroupEvent::Made(made) if made.path.starts_with(prefix.as_bytes()) => {
                if made.path == prefix.as_bytes() {
                    last = Some(made.cgroup);
                }
                seen.push(Seen::new(made));
            }
            CgroupEvent::Removed(gone) if seen.iter().any(|s| s.made.cgroup == gone.cgroup) => {
                removed.push(gone.cgroup);
                return last == Some(gone.cgroup);
            }
            _ => {}
        }
        false
    });
    (seen, removed)
}

fn mntns_of(process: &str) -> u32 {
    let link = std::fs::read_link(format!("/proc/{process}/ns/mnt")).unwrap();
    let text = link.to_str().unwrap();
    text[5..text.len() - 1].parse().unwrap()
}

#[test]
fn a_cgroup_is_told_with_its_maker_and_until_it_is_removed() {
    let _no_crowd = CROWD.read();
    let root = Cgroup::v2();
    let mut watcher = start(&WatchOptions::default());
    let before = boot_ns();
    let cgroup = Cgroup::name(&root);
    let name = cgroup.0.to_str().unwrap().to_owned();
    let inner = format!("{name}/inner");
    let pid = run("mkdir", &[&name]);
    let inner_pid = run("mkdir", &[&inner]);
    let ids = [cgroup.id(), Path::new(&inner).metadata().unwrap().ino()];
    let prefix = cgroup.path();
    drop(cgroup);

    let (seen, removed) = told(&mut watcher, &prefix);
    assert_eq!(seen.len(), 2, "{seen:?}");
    let above = root.metadata().unwrap().ino();
    let level = seen[0].made.level;
    for (index, (path, argument, pid)) in [
        (prefix.clone(), &name, pid),
        (format!("{prefix}/inner"), &inner, inner_pid),
    ]
    .into_iter()
    .enumerate()
    {
        let Seen { made, .. } = &seen[index];
        assert_eq!(seen[index].path, path.as_bytes());
        assert_eq!(made.cgroup, ids[index]);
        assert_eq!(made.parent, [above, ids[0]][index]);
        assert_eq!(made.level, level + index as u32);
        assert!(made.boot_ns > before && made.boot_ns < boot_ns());
        assert!(!made.path_cut && !made.maker.args_cut);
        assert_eq!(
            (made.maker.pid, made.maker.parent),
            (pid, std::process::id())
        );
        assert_eq!(made.maker.mntns, mntns_of("self"));
        assert_eq!(seen[index].comm, b"mkdir");
        let args = format!("mkdir\0{argument}\0").into_bytes();
        assert_eq!(seen[index].args, Some(args));
    }
    assert_eq!(level, 1);
    assert!(seen[0].made.boot_ns < seen[1].made.boot_ns);
    // The harness is in a cgroup, too, of which the kernel has the number.
    assert_eq!(seen[0].made.maker.cgroup, seen[1].made.maker.cgroup);
    assert_ne!(seen[0].made.maker.cgroup, 0);
    assert_eq!(removed, [ids[1], ids[0]]);
    assert_eq!(watcher.lost(), 0);
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let _no_crowd = CROWD.read();
    let root = Cgroup::v2();
    let mut watcher = start(&WatchOptions::default());
    let cgroup = Cgroup::name(&root);
    let mut folders = vec![cgroup.0.to_str().unwrap().to_owned()];
    for level in 0..6 {
        folders.push(format!("{}/{level}{}", folders[level], "x".repeat(199)));
    }
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    run("mkdir", &folders);
    let prefix = cgroup.path();
    drop(cgroup);
    let (seen, _) = told(&mut watcher, &prefix);
    assert_eq!(seen.len(), 7);
    let args = format!("mkdir\0{}", folders.join("\0")).into_bytes();
    let path = &folders[6].as_bytes()[root.as_os_str().len()..];
    for (seen, level) in seen.iter().zip(1u32..) {
        assert_eq!(seen.made.level, level);
        let whole = prefix.len() + 201 * (level as usize - 1);
        assert_eq!(seen.path, path[..whole.min(1023)]);
        assert_eq!(seen.made.path_cut, whole > 1023);
        assert!(seen.made.maker.args_cut);
        assert!(seen.args.as_deref() == Some(&args[..1024]));
    }
    assert!(seen[6].made.path_cut);
}

#[test]
fn other_hierarchies_are_not_told() {
    let _no_crowd = CROWD.read();
    let Some((_, v1)) = v1() else {
        return; // this machine has v2 alone
    };
    let mut watcher = start(&WatchOptions::default());
    let other = Cgroup::new(&v1);
    let cgroup = Cgroup::new(&Cgroup::v2());
    let (other_path, prefix) = (other.path(), cgroup.path());
    drop((other, cgroup));
    until(&mut watcher, |event| match event {
        CgroupEvent::Made(made) => {
            assert_ne!(made.path, other_path.as_bytes());
            made.path == prefix.as_bytes()
        }
        _ => false,
    });
}

/// A hierarchy of v1 that is mounted, and where.
fn v1() -> Option<(Hierarchy, PathBuf)> {
    let cgroups = std::fs::read_to_string("/proc/cgroups").unwrap();
    [("memory", Controller::Memory), ("pids", Controller::Pids)]
        .into_iter()
        .find_map(|(name, controller)| {
            let line = cgroups
                .lines()
                .find(|line| line.split('\t').next() == Some(name))?;
            let number = line.split('\t').nth(1)?.parse().ok()?;
            let place = mount("cgroup", name).filter(|_| number != 0)?;
            Some((Hierarchy::V1 { number, controller }, place))
        })
}

/// Runs a shell in the cgroup, which becomes one in a mount namespace of its own, which starts further programs; gives
/// what was told of the cgroup's first program, and of the shell its number and its namespace.
fn entered(watcher: &mut CgroupWatcher, cgroup: &Cgroup) -> (Vec<Entered>, u32, u32, Option<u64>) {
    let script = "echo $$ > $0/cgroup.procs; \
                  exec unshare --mount sh -c 'true; readlink /proc/self/ns/mnt; read line; true'";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(&cgroup.0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = spawn(&mut command);
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let mntns = mntns_of(&child.id().to_string());
    assert_eq!(line.trim_end(), format!("mnt:[{mntns}]"));
    let id = unique(child.id());
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    let number = cgroup.id();
    std::fs::remove_dir(&cgroup.0).unwrap();
    let mut seen = Vec::new();
    let mut emptied = Vec::new();
    until(watcher, |event| match event {
        CgroupEvent::Entered(entered) if entered.cgroup == number => {
            seen.push(entered);
            false
        }
        CgroupEvent::Emptied(one) if one.cgroup == number => {
            emptied.push(one.boot_ns);
            false
        }
        CgroupEvent::Removed(removed) if removed.cgroup == number => {
            assert!(emptied.iter().all(|at| *at <= removed.boot_ns));
            true
        }
        _ => false,
    });
    let after_all = seen
        .iter()
        .all(|entered| emptied.iter().all(|at| *at > entered.boot_ns));
    assert!(emptied.len() == 1 && after_all, "{emptied:?} {seen:?}");
    (seen, child.id(), mntns, id)
}

/// The number of a process's mount namespace that no other one has, if this kernel tells it (6.11).
fn unique(pid: u32) -> Option<u64> {
    // _IOR(0xb7, 5, __u64) of include/uapi/linux/nsfs.h
    const NS_GET_MNTNS_ID: libc::Ioctl = 0x8008_b705_u32 as libc::Ioctl;
    let file = std::fs::File::open(format!("/proc/{pid}/ns/mnt")).unwrap();
    let mut id = 0u64;
    // SAFETY: id lives through the call, which writes eight bytes.
    (unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_MNTNS_ID, &raw mut id) } == 0).then_some(id)
}

fn the_first_program_is_told_once(options: &WatchOptions, root: &Path) {
    let mut watcher = start(options);
    let (before, cgroup) = (boot_ns(), Cgroup::new(root));
    let (seen, pid, mntns, id) = entered(&mut watcher, &cgroup);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].pid, seen[0].mntns), (pid, mntns));
    assert_ne!(mntns, mntns_of("self"));
    assert!(seen[0].boot_ns > before && seen[0].boot_ns < boot_ns());
    if id.is_some() {
        assert_eq!(seen[0].mntns_id, id);
    }
}

#[test]
fn the_first_program_outside_of_the_maker_s_mount_namespace_is_told_once() {
    let _no_crowd = CROWD.read();
    the_first_program_is_told_once(&WatchOptions::default(), &Cgroup::v2());
}

#[test]
fn a_hierarchy_of_v1_is_watched_alike() {
    let _no_crowd = CROWD.read();
    let Some((hierarchy, place)) = v1() else {
        return; // this machine has v2 alone
    };
    let options = WatchOptions {
        hierarchy,
        ..WatchOptions::default()
    };
    the_first_program_is_told_once(&options, &place);
    let mut watcher = start(&options);
    let (cgroup, other) = (Cgroup::new(&place), Cgroup::new(&Cgroup::v2()));
    let (id, prefix, other_path) = (cgroup.id(), cgroup.path(), other.path());
    drop((other, cgroup));
    let (seen, removed) = told(&mut watcher, &prefix);
    assert_eq!((seen[0].made.cgroup, &*removed), (id, &[id][..]));
    assert!(!seen.iter().any(|seen| seen.path == other_path.as_bytes()));
}

#[test]
fn what_finds_no_room_is_counted_and_leads_to_a_look_at_everything() {
    let _alone = CROWD.write();
    const CGROUPS: u64 = 10_000;
    let root = Cgroup::v2();
    let mut watcher = start(&WatchOptions {
        ring_bytes: 65536,
        ..WatchOptions::default()
    });
    let settled = watcher.settled();
    let mut first = Vec::new();
    until(&mut watcher, |event| {
        if let CgroupEvent::Rescan { lost } = event {
            first.push(lost);
        }
        first.len() == 2
    });
    // At the start, and once more for what was not shown yet.
    assert_eq!(first, [0, 0]);
    let cgroup = Cgroup::new(&root);
    for number in 0..CGROUPS - 1 {
        std::fs::create_dir(cgroup.0.join(number.to_string())).unwrap();
    }
    assert!(!settled.settled());
    let (mut seen, mut lost, mut there) = (0, 0, 0);
    let prefix = cgroup.path();
    until(&mut watcher, |event| {
        match event {
            CgroupEvent::Made(made) if made.path.starts_with(prefix.as_bytes()) => seen += 1,
            CgroupEvent::Rescan { lost: more } => {
                assert!(!settled.settled(), "as long as it is not done");
                lost += more;
                there = 1 + cgroup.0.metadata().unwrap().nlink() - 2;
            }
            _ => {}
        }
        lost > 0
    });
    assert!(seen > 0 && lost > 0 && seen < CGROUPS);
    // Others may have made some meanwhile.
    assert!(seen + lost >= CGROUPS, "{seen} seen, {lost} lost");
    assert_eq!(watcher.lost(), lost);
    assert_eq!(there, CGROUPS, "the look at everything finds all");
    until_settled(&mut watcher);
    drop(cgroup);
}

/// Drains until nothing is under way.
fn until_settled(watcher: &mut CgroupWatcher) {
    let settled = watcher.settled();
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        watcher.drain(|_| {}).unwrap();
        if settled.settled() {
            return;
        }
        assert_ne!(watcher.wait(Some(end)).unwrap(), Wake::Deadline);
    }
}

#[test]
fn settled_means_that_the_making_of_the_cgroup_was_handled() {
    let _no_crowd = CROWD.read();
    const ROUNDS: usize = 3000;
    let mut watcher = start(&WatchOptions::default());
    let settled = watcher.settled();
    assert!(!settled.settled(), "nothing was looked at yet");
    watcher
        .drain(|event| assert!(!settled.settled(), "{event:?} is not handled yet"))
        .unwrap();
    assert!(!settled.settled(), "a second look is due");
    until_settled(&mut watcher);

    let cgroup = Cgroup::new(&Cgroup::v2());
    let inner = cgroup.0.join("inner");
    let handled = Mutex::new(BTreeSet::new());
    let stopper = watcher.stopper();
    let (mut yes, mut no) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                watcher
                    .drain(|event| {
                        if let CgroupEvent::Made(made) = event {
                            handled.lock().unwrap().insert(made.cgroup);
                        }
                    })
                    .unwrap();
                if watcher.wait(None).unwrap() == Wake::Stop {
                    break;
                }
            }
        });
        // Also when an assertion below fails.
        let _stop = StopAtEnd(stopper);
        for round in 0..ROUNDS {
            std::fs::create_dir(&inner).unwrap();
            let id = inner.metadata().unwrap().ino();
            loop {
                if settled.settled() {
                    assert!(handled.lock().unwrap().contains(&id), "round {round}");
                    yes += 1;
                    break;
                }
                no += 1;
                std::hint::spin_loop();
            }
            std::fs::remove_dir(&inner).unwrap();
        }
    });
    assert_eq!(yes, ROUNDS);
    assert!(no > 0, "it is not always settled");
}

struct StopAtEnd(Stopper);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The part of the next test that is killed.
#[test]
#[ignore = "runs until it is killed"]
fn watch_until_killed() {
    let mut watcher = start(&WatchOptions::default());
    println!("\nwatching");
    while watcher.wait(None).unwrap() != Wake::Stop {
        watcher.drain(|_| {}).unwrap();
    }
}

#[test]
fn after_kill_9_the_watcher_is_gone() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "cgroups::watch_until_killed";
    command.args(["--ignored", "--exact", "--nocapture", name]);
    let mut child = spawn(command.stdout(Stdio::piped()));
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line.trim() != "watching" {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0);
    }
    let mut programs = BTreeSet::new();
    for file in std::fs::read_dir(format!("/proc/{}/fdinfo", child.id())).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines() {
            if let Some(id) = line.strip_prefix("prog_id:") {
                programs.insert(id.trim().parse::<u32>().unwrap());
            }
        }
    }
    assert_eq!(programs.len(), 4);
    assert!(programs.iter().all(|id| is_loaded(*id)));
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = output.read_to_string(&mut line);
    let end = Instant::now() + Duration::from_secs(30);
    // The kernel frees programs a little later.
    while programs.iter().any(|id| is_loaded(*id)) {
        assert!(Instant::now() < end, "{programs:?} are still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the kernel has a program of this number.
fn is_loaded(id: u32) -> bool {
    const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
    let attr = [id, 0, 0];
    // SAFETY: attr lives through the call, which is told its size.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_GET_FD_BY_ID, attr.as_ptr(), 12) };
    if fd >= 0 {
        // SAFETY: it was just made, for us alone.
        unsafe { libc::close(fd as libc::c_int) };
    }
    fd >= 0
}
