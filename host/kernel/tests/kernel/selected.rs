//! Gadgets that see selected cgroups only, and what one container may write.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use ig_kernel::cgroups::{
    CgroupEvent, CgroupFilter, CgroupWatcher, Controller, Entry, Hierarchy, State, WatchError,
    WatchOptions,
};
use ig_kernel::clock::boot_ns;
use ig_kernel::{LoadError, LoadOptions, Loaded, MAX_RATE_VARIABLE, Ring};
use ig_object::Object;

use crate::cgroups::{CROWD, Cgroup, spawn, until};
use crate::objects::{STARTING, load, long, object, word};

const KILL: u32 = 1;
const EXEC: u32 = 2;
const FORK: u32 = 3;

/// A record of `selected.bpf.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    cgroup: u64,
    pid: u32,
    which: u32,
}

struct Gadget {
    loaded: Loaded,
    ring: Ring,
}

impl Gadget {
    fn new(bytes: &[u8], options: LoadOptions) -> Self {
        let _starting = STARTING.read();
        let mut loaded = load(bytes, options).unwrap();
        loaded.attach().unwrap();
        let ring = loaded.ring("events").unwrap();
        Self { loaded, ring }
    }

    /// What was written since the last time, of these cgroups. The watcher lets newcomers of others pass as well.
    fn seen(&mut self, cgroups: &[u64]) -> Vec<Seen> {
        let limits = self.ring.limits();
        let mut seen = Vec::new();
        while let Some(span) = self.ring.span(limits).unwrap() {
            for record in span.span() {
                let one = Seen {
                    cgroup: long(record.payload, 0),
                    pid: word(record.payload, 8),
                    which: word(record.payload, 12),
                };
                if cgroups.contains(&one.cgroup) {
                    seen.push(one);
                }
            }
        }
        self.ring.publish();
        seen
    }
}

fn narrowed(filter: &CgroupFilter) -> LoadOptions {
    LoadOptions {
        cgroups: Some(filter.clone()),
        ..LoadOptions::default()
    }
}

fn with(mut options: LoadOptions, variable: &str, value: &[u8]) -> LoadOptions {
    options.variables.insert(variable.into(), value.to_vec());
    options
}

/// A process in a cgroup, that calls kill(2) when it is asked to.
struct Inside {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Inside {
    fn new(cgroup: &Cgroup) -> Self {
        let script = "while read n; do i=0; while [ $i -lt $n ]; do kill -0 $$; i=$((i+1)); done; echo; done";
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        std::fs::write(cgroup.0.join("cgroup.procs"), child.id().to_string()).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn kill(&mut self, times: u32) {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{times}").unwrap();
        self.output.read_line(&mut String::new()).unwrap();
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs `true` in a process that is made in the cgroup, and whose first call there is execve(2); gives its number.
fn born_in(cgroup: &Cgroup) -> u32 {
    /// `struct clone_args` of include/uapi/linux/sched.h
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        unused: [u64; 3],
        exit_signal: u64,
        stack_and_more: [u64; 5],
        cgroup: u64,
    }
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    let folder = std::fs::File::open(&cgroup.0).unwrap();
    let args = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: folder.as_raw_fd() as u64,
        ..CloneArgs::default()
    };
    let arguments = [c"true".as_ptr(), std::ptr::null()];
    let _starting = STARTING.write();
    // SAFETY: args lives through the call, which is told its size. Nothing but two system calls happens in the child,
    // whose memory is a copy; what it is given was made before.
    let pid = unsafe {
        let pid = libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>());
        if pid == 0 {
            libc::execv(c"/bin/true".as_ptr(), arguments.as_ptr());
            libc::_exit(127);
        }
        libc::pid_t::try_from(pid).unwrap()
    };
    let mut status = 0;
    // SAFETY: status lives through the call; the process is our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
    pid.cast_unsigned()
}

fn watcher(filter: &CgroupFilter) -> CgroupWatcher {
    let _starting = STARTING.read();
    CgroupWatcher::start(&WatchOptions {
        filter: Some(filter.clone()),
        ..WatchOptions::default()
    })
    .unwrap()
}

fn chosen(owner: u64) -> Option<Entry> {
    let state = State::Chosen;
    Some(Entry { state, owner })
}

fn pending(owner: u64) -> Option<Entry> {
    let state = State::Pending;
    Some(Entry { state, owner })
}

#[test]
fn chosen_and_pending_cgroups_pass_in_all_objects_that_share_the_set() {
    let filter = CgroupFilter::new().unwrap();
    let bytes = object("selected", &[]);
    assert!(CgroupFilter::narrows(&Object::parse(&bytes).unwrap()));
    let mut gadgets = [0, 1].map(|_| Gadget::new(&bytes, narrowed(&filter)));
    let cgroup = Cgroup::new(&Cgroup::v2());
    let id = cgroup.id();
    let mut inside = Inside::new(&cgroup);
    let pid = inside.pid();
    let mut passes = |gadgets: &mut [Gadget; 2]| {
        inside.kill(3);
        let counts = gadgets.each_mut().map(|gadget| gadget.seen(&[id]).len());
        assert_eq!(counts[0], counts[1]);
        counts[0]
    };
    assert_eq!((passes(&mut gadgets), filter.entry(id).unwrap()), (0, None));
    filter.choose(id, 7).unwrap();
    assert_eq!(
        (passes(&mut gadgets), filter.entry(id).unwrap()),
        (3, chosen(7))
    );
    filter.pending(id, 0).unwrap();
    assert_eq!(
        (passes(&mut gadgets), filter.entry(id).unwrap()),
        (3, pending(0))
    );
    filter.clone().remove(id).unwrap();
    filter.remove(id).unwrap();
    assert_eq!((passes(&mut gadgets), filter.entry(id).unwrap()), (0, None));
    // Another set is another set.
    let other = CgroupFilter::new().unwrap();
    assert_ne!(other, filter);
    other.choose(id, 0).unwrap();
    assert_eq!(passes(&mut gadgets), 0);

    // What is not narrowed sees all, though it shares the owners.
    let all = with(narrowed(&filter), "gadget_filter_by_cgroup", &[0]);
    let all = with(all, "wanted_pid", &pid.to_ne_bytes());
    let mut all = Gadget::new(&bytes, all);
    inside.kill(2);
    let expected = Seen {
        cgroup: id,
        pid,
        which: KILL,
    };
    assert_eq!(all.seen(&[id]), [expected; 2]);
}

#[test]
fn an_object_without_the_headers_map_is_loaded_as_it_is() {
    let bytes = object("bare", &[]);
    assert!(!CgroupFilter::narrows(&Object::parse(&bytes).unwrap()));
    let filter = CgroupFilter::new().unwrap();
    let loaded = load(&bytes, narrowed(&filter)).unwrap();
    assert!(!loaded.has_map("gadget_cgroups"));
}

/// The answers to all questions, as bits: see `selected.bpf.c`.
#[test]
fn each_question_of_the_headers_is_answered_by_the_cgroup() {
    let filter = CgroupFilter::new().unwrap();
    let bytes = object("selected", &[]);
    let cgroup = Cgroup::new(&Cgroup::v2());
    let id = cgroup.id();
    let mut inside = Inside::new(&cgroup);
    let ours = with(LoadOptions::default(), "verdicts", &[1]);
    let ours = with(ours, "wanted_pid", &inside.pid().to_ne_bytes());
    let mut verdict = |options: LoadOptions| {
        let mut gadget = Gadget::new(&bytes, options);
        inside.kill(1);
        let seen = gadget.seen(&[id]);
        assert_eq!(seen.len(), 1);
        seen[0].which
    };
    let narrow = LoadOptions {
        cgroups: Some(filter.clone()),
        ..ours.clone()
    };
    assert_eq!(verdict(ours.clone()), 0);
    // A mount namespace or a task that is not the current one's pass: the host decides.
    assert_eq!(verdict(narrow.clone()), 0b1_010_111);
    filter.pending(id, 0).unwrap();
    assert_eq!(verdict(narrow.clone()), 0);
    filter.choose(id, 0).unwrap();
    assert_eq!(verdict(narrow), 0);
    // The others' filters by gadget_should_discard_task(), too.
    let mut comm = *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (variables, expected) in [
        (
            vec![("gadget_filter_tid", 1u32.to_ne_bytes().to_vec())],
            0b10_011,
        ),
        (vec![("gadget_filter_by_uid", vec![1])], 0),
        (
            vec![
                ("gadget_filter_by_comm", vec![1]),
                ("gadget_filter_comm", comm.to_vec()),
            ],
            0,
        ),
        (
            vec![
                ("gadget_filter_by_uid", vec![1]),
                ("gadget_filter_uid", 1u32.to_ne_bytes().to_vec()),
            ],
            0b110_011,
        ),
        (
            vec![
                ("gadget_filter_by_gid", vec![1]),
                ("gadget_filter_gid", 1u32.to_ne_bytes().to_vec()),
            ],
            0b110_011,
        ),
        (
            {
                comm[0] = b'z';
                vec![
                    ("gadget_filter_by_comm", vec![1]),
                    ("gadget_filter_comm", comm.to_vec()),
                ]
            },
            0b110_011,
        ),
        (vec![("gadget_filter_followed", vec![1])], 0b110_011),
    ] {
        let mut options = ours.clone();
        for (name, value) in &variables {
            options = with(options, name, value);
        }
        assert_eq!(verdict(options), expected, "{variables:?}");
    }
}

#[test]
fn the_first_program_of_a_newcomer_passes_before_anybody_has_decided() {
    let _no_crowd = CROWD.read();
    let filter = CgroupFilter::new().unwrap();
    let mut watcher = watcher(&filter);
    let options = with(narrowed(&filter), "tasks", &[1]);
    let mut gadget = Gadget::new(&object("selected", &[]), options);
    let cgroup = Cgroup::new(&Cgroup::v2());
    let id = cgroup.id();
    assert_eq!(filter.entry(id).unwrap(), pending(0));
    let pid = born_in(&cgroup);
    let both = [FORK, EXEC].map(|which| Seen {
        cgroup: id,
        pid,
        which,
    });
    assert_eq!(gadget.seen(&[id]), both);

    // The host decides against it, then for it.
    let mut inside = Inside::new(&cgroup);
    filter.remove(id).unwrap();
    inside.kill(1);
    assert_eq!(gadget.seen(&[id]), []);
    filter.choose(id, 0).unwrap();
    inside.kill(1);
    assert_eq!(gadget.seen(&[id]).len(), 1);
    drop(inside);
    drop(gadget);

    // The end is the kernel's to tell; what the host chose too late goes with the event.
    drop(cgroup);
    assert_eq!(filter.entry(id).unwrap(), None);
    filter.choose(id, 0).unwrap();
    until(&mut watcher, |event| match event {
        CgroupEvent::Removed(gone) if gone.cgroup == id => {
            filter.choose(id, 0).unwrap();
            true
        }
        _ => false,
    });
    assert_eq!(filter.entry(id).unwrap(), None);
    assert_eq!(watcher.unmarked(), 0);
}

#[test]
fn what_is_made_below_belongs_to_whom_the_cgroup_above_does() {
    let _no_crowd = CROWD.read();
    let filter = CgroupFilter::new().unwrap();
    let root = Cgroup::new(&Cgroup::v2());
    let _watcher = watcher(&filter);
    let below = |above: &Cgroup| {
        let cgroup = Cgroup::new(&above.0);
        let id = cgroup.id();
        (cgroup, filter.entry(id).unwrap())
    };
    // Nobody asked for what is above, or asked for it later than it was there.
    let (outer, entry) = below(&root);
    assert_eq!(entry, pending(0));
    let (inner, entry) = below(&outer);
    assert_eq!(entry, pending(outer.id()));
    let (innermost, entry) = below(&inner);
    assert_eq!(entry, pending(outer.id()));
    filter.choose(innermost.id(), inner.id()).unwrap();
    assert_eq!(below(&innermost).1, pending(inner.id()));
    filter.choose(innermost.id(), 0).unwrap();
    assert_eq!(below(&innermost).1, pending(innermost.id()));
    filter.remove(innermost.id()).unwrap();
    assert_eq!(below(&innermost).1, pending(0));

    // A child is where its parent was, and is asked for before it runs.
    let options = with(narrowed(&filter), "tasks", &[1]);
    let mut gadget = Gadget::new(&object("selected", &[]), options);
    let mut command = Command::new("sh");
    let script = "echo $$ > $0/cgroup.procs; true & wait";
    let mut child = spawn(command.args(["-c", script]).arg(&inner.0));
    assert!(child.wait().unwrap().success());
    let forks = gadget.seen(&[inner.id()]);
    assert!(
        forks.len() == 1 && forks[0].which == FORK && forks[0].pid != child.id(),
        "{forks:?}"
    );
}

#[test]
fn newcomers_that_find_no_room_are_counted_and_do_not_pass() {
    let _no_crowd = CROWD.read();
    let filter = CgroupFilter::with_room_for(4).unwrap();
    let watcher = watcher(&filter);
    // No cgroup has such a number.
    let nobody = |number: u64| u64::MAX - number;
    let mut full = None;
    for number in 0..5 {
        full = filter.choose(nobody(number), 0).err();
    }
    let text = full.unwrap().to_string();
    assert_eq!(
        text,
        "the set of selected cgroups is full (4 cgroups): select fewer containers"
    );
    let before = watcher.unmarked();
    let cgroup = Cgroup::new(&Cgroup::v2());
    assert_eq!(filter.entry(cgroup.id()).unwrap(), None);
    assert!(watcher.unmarked() > before);
    // What is there can be changed.
    filter.pending(nobody(0), 0).unwrap();
    for number in 0..5 {
        filter.remove(nobody(number)).unwrap();
    }
    filter.choose(cgroup.id(), 0).unwrap();
}

#[test]
fn what_is_summed_up_in_the_kernel_waits_for_the_decision() {
    let filter = CgroupFilter::new().unwrap();
    let bytes = object("selected", &[]);
    let cgroup = Cgroup::new(&Cgroup::v2());
    let id = cgroup.id();
    let mut inside = Inside::new(&cgroup);
    let ours = with(narrowed(&filter), "wanted_pid", &inside.pid().to_ne_bytes());
    let gadget = Gadget::new(&bytes, ours.clone());
    let counts = |gadget: &Gadget| {
        let counted = gadget.loaded.map("counted").unwrap();
        let counted = counted.lookup(&0u32.to_ne_bytes()).unwrap().unwrap();
        (long(&counted, 0), gadget.loaded.uncounted().unwrap())
    };
    inside.kill(2);
    assert_eq!(counts(&gadget), (0, Some(0)));
    filter.pending(id, 0).unwrap();
    inside.kill(3);
    assert_eq!(counts(&gadget), (0, Some(3)));
    filter.choose(id, 0).unwrap();
    inside.kill(5);
    assert_eq!(counts(&gadget), (5, Some(3)));
    let gadget = Gadget::new(
        &bytes,
        LoadOptions {
            cgroups: None,
            ..ours
        },
    );
    inside.kill(7);
    assert_eq!(counts(&gadget), (7, Some(0)));
    let other = load(&object("follow", &[]), LoadOptions::default()).unwrap();
    assert_eq!(other.uncounted().unwrap(), None);
}

/// Asks for calls that all fall into one second, until that has worked; gives what `check` wants to know.
fn in_one_second(mut calls: impl FnMut()) {
    const SECOND: u64 = 1_000_000_000;
    for _ in 0..50 {
        let before = boot_ns() / SECOND;
        calls();
        if boot_ns() / SECOND == before {
            return;
        }
    }
    panic!("a machine that takes seconds for some hundred calls");
}

#[test]
fn one_container_writes_no_more_than_the_limit_and_the_rest_is_counted() {
    let filter = CgroupFilter::new().unwrap();
    let bytes = object("selected", &[]);
    let root = Cgroup::new(&Cgroup::v2());
    let (noisy, quiet) = (Cgroup::new(&root.0), Cgroup::new(&root.0));
    let nested = Cgroup::new(&noisy.0);
    let ids = [noisy.id(), quiet.id(), nested.id()];
    filter.choose(ids[0], 0).unwrap();
    filter.choose(ids[1], 0).unwrap();
    filter.choose(ids[2], ids[0]).unwrap();
    let mut inside = [&noisy, &quiet, &nested].map(Inside::new);
    for by_output in [0u8, 1] {
        let options = with(narrowed(&filter), MAX_RATE_VARIABLE, &100u64.to_ne_bytes());
        let options = with(options, "by_output", &[by_output]);
        let mut counts = [0; 3];
        let mut ledger = None;
        in_one_second(|| {
            let mut gadget = Gadget::new(&bytes, options.clone());
            // Each object has counters of its own.
            inside[0].kill(70);
            inside[1].kill(50);
            inside[2].kill(70);
            inside[0].kill(10);
            let seen = gadget.seen(&ids);
            counts = ids.map(|id| seen.iter().filter(|one| one.cgroup == id).count());
            ledger = gadget.loaded.ledger("events").unwrap();
        });
        assert_eq!(counts, [70, 50, 30]);
        let ledger = ledger.unwrap();
        assert_eq!(
            (ledger.attempted, ledger.not_reserved, ledger.excluded),
            (200, 0, 50)
        );
    }
    // Without the set, each cgroup is one of its own.
    let options = with(
        LoadOptions::default(),
        MAX_RATE_VARIABLE,
        &40u64.to_ne_bytes(),
    );
    let pid = inside[0].pid().to_ne_bytes();
    let options = with(options, "wanted_pid", &pid);
    let mut gadget = Gadget::new(&bytes, options.clone());
    let before = boot_ns() / 1_000_000_000;
    inside[0].kill(2000);
    let seconds = boot_ns() / 1_000_000_000 - before + 1;
    // Whatever the seconds: none has more.
    let seen = gadget.seen(&ids).len() as u64;
    let ledger = gadget.loaded.ledger("events").unwrap().unwrap();
    assert!(seen >= 40 && seen <= 40 * seconds, "{seen} in {seconds} s");
    assert_eq!(seen + ledger.excluded, 2000);
    assert_eq!(ledger.attempted, 2000);
    // Nobody's records have no limit.
    let mut gadget = Gadget::new(&bytes, with(options, "as_nobody", &[1]));
    inside[0].kill(100);
    assert_eq!(gadget.seen(&ids).len(), 100);
}

#[test]
fn many_cpus_at_once_write_no_more_than_the_limit() {
    let bytes = object("selected", &[]);
    let filter = CgroupFilter::new().unwrap();
    let cgroup = Cgroup::new(&Cgroup::v2());
    filter.choose(cgroup.id(), 0).unwrap();
    let mut inside = [0; 4].map(|_| Inside::new(&cgroup));
    in_one_second(|| {
        let options = with(narrowed(&filter), MAX_RATE_VARIABLE, &500u64.to_ne_bytes());
        let mut gadget = Gadget::new(&bytes, options);
        let before = boot_ns() / 1_000_000_000;
        std::thread::scope(|scope| {
            for one in &mut inside {
                scope.spawn(|| one.kill(400));
            }
        });
        let seen = gadget.seen(&[cgroup.id()]).len() as u64;
        let ledger = gadget.loaded.ledger("events").unwrap().unwrap();
        let seconds = boot_ns() / 1_000_000_000 - before + 1;
        assert!(seen <= 500 * seconds && seen > 400, "{seen}");
        assert_eq!(ledger.attempted, 1600);
        assert_eq!(seen + ledger.not_reserved + ledger.excluded, 1600);
    });
}

#[test]
fn programs_that_run_for_packets_are_not_limited() {
    let bytes = object("selected", &["-DPACKETS"]);
    let options = with(
        LoadOptions::default(),
        MAX_RATE_VARIABLE,
        &1u64.to_ne_bytes(),
    );
    let error = load(&bytes, options.clone()).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, LoadError::Variable { .. }) && text.contains("\"packets\" (xdp)"),
        "{text}"
    );
    // Without the program there is nothing against it.
    let mut without = options;
    without.exclude.insert("packets".into());
    load(&bytes, without).unwrap();
}

#[test]
fn ledgers_of_older_headers_are_read() {
    let loaded = load(&object("selected", &[]), LoadOptions::default()).unwrap();
    let map = loaded.map("older_ledger").unwrap();
    let cpus = map.value_size() / 16;
    let values: Vec<u8> = (0..cpus as u64)
        .flat_map(|cpu| [10u64.to_ne_bytes(), cpu.to_ne_bytes()].concat())
        .collect();
    map.update(&0u32.to_ne_bytes(), &values, ig_kernel::Update::Any)
        .unwrap();
    let ledger = loaded.ledger("older").unwrap().unwrap();
    let cpus = cpus as u64;
    assert_eq!(
        (ledger.attempted, ledger.not_reserved, ledger.excluded),
        (10 * cpus, cpus * (cpus - 1) / 2, 0)
    );
}

#[test]
fn there_is_no_set_of_cgroups_of_v1() {
    let options = WatchOptions {
        hierarchy: Hierarchy::V1 {
            number: 4,
            controller: Controller::Memory,
        },
        filter: Some(CgroupFilter::with_room_for(1).unwrap()),
        ..WatchOptions::default()
    };
    let error = CgroupWatcher::start(&options).unwrap_err();
    assert!(matches!(error, WatchError::FilterOfV1), "{error}");
}

/// The part of the next test that is killed.
#[test]
#[ignore = "runs until it is killed"]
fn narrow_until_killed() {
    let filter = CgroupFilter::new().unwrap();
    let watcher = watcher(&filter);
    let gadget = Gadget::new(&object("selected", &[]), narrowed(&filter));
    let map = gadget.loaded.map("gadget_cgroups").unwrap();
    println!("\nnarrowed {}", map.max_entries());
    std::thread::sleep(Duration::from_secs(600));
    drop(watcher);
}

#[test]
fn after_kill_9_the_set_is_gone_and_no_mount_was_ever_seen() {
    let mounts = || {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        text.lines().filter(|line| line.contains(" - bpf ")).count()
    };
    let before = mounts();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "selected::narrow_until_killed";
    command.args(["--ignored", "--exact", "--nocapture", name]);
    let mut child = spawn(command.stdout(Stdio::piped()));
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("narrowed ") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0);
    }
    assert_eq!(line, "narrowed 1048576\n");
    let mut maps = BTreeSet::new();
    for file in std::fs::read_dir(format!("/proc/{}/fdinfo", child.id())).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        if text.lines().any(|line| line == "max_entries:\t1048576") {
            let id = text.lines().find_map(|line| line.strip_prefix("map_id:"));
            maps.insert(id.unwrap().trim().parse::<u32>().unwrap());
        }
    }
    // Ours, the watcher's and the gadget's are one; the ring of events has as many bytes.
    let sets = maps.iter().filter(|id| is_there(**id)).count();
    assert!(maps.len() == 2 && sets == 2, "{maps:?}");
    assert_eq!(mounts(), before);
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = output.read_to_string(&mut line);
    let end = Instant::now() + Duration::from_secs(30);
    // The kernel frees maps a little later.
    while maps.iter().any(|id| is_there(*id)) {
        assert!(Instant::now() < end, "{maps:?} are still there");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(mounts(), before);
}

/// Whether the kernel has a map of this number.
fn is_there(id: u32) -> bool {
    const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
    let attr = [id, 0, 0];
    // SAFETY: attr lives through the call, which is told its size.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_GET_FD_BY_ID, attr.as_ptr(), 12) };
    if fd >= 0 {
        // SAFETY: it was just made, for us alone.
        unsafe { libc::close(fd as libc::c_int) };
    }
    fd >= 0
}
