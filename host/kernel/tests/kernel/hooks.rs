//! Loading, attaching, and what is left behind.

use std::io::Read as _;
use std::process::{Command, Stdio};

use ig_kernel::{FollowError, LoadError, LoadOptions, Ring, Step};

use crate::objects::{STARTING, load, object, only_me, tid, word};

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn ig_kernel_probed(value: u64) -> u64 {
    std::hint::black_box(value) + 1
}

unsafe extern "C" {
    fn a64l(text: *const libc::c_char) -> libc::c_long;
    fn l64a(number: libc::c_long) -> *mut libc::c_char;
}

fn getpgid(pid: u32) {
    // SAFETY: takes a number.
    unsafe { libc::syscall(libc::SYS_getpgid, pid) };
}

/// A call that fails: there is no path.
fn execve() {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: the kernel answers EFAULT.
    unsafe { libc::syscall(libc::SYS_execve, none, none, none) };
}

fn hooks_object() -> Vec<u8> {
    let program = std::fs::read_link("/proc/self/exe").unwrap();
    object(
        "hooks",
        &[&format!("-DTEST_PROGRAM=\"{}\"", program.display())],
    )
}

/// The records that are there now, payloads only.
pub fn drain(ring: &mut Ring) -> Vec<Vec<u8>> {
    let limits = ring.limits();
    let mut records = Vec::new();
    while let Some(span) = ring.span(limits).unwrap() {
        records.extend(span.span().iter().map(|record| record.payload.to_vec()));
    }
    records
}

fn hooks_options() -> LoadOptions {
    let mut options = only_me();
    options.variables.insert(
        "syscall_nr".into(),
        (libc::SYS_getpgid as u32).to_ne_bytes().to_vec(),
    );
    options
}

#[test]
fn every_kind_of_hook_delivers() {
    let bytes = hooks_object();
    let _no_forks = STARTING.read();
    let mut loaded = load(&bytes, hooks_options()).unwrap();
    let mut ring = loaded.ring("events").unwrap();
    assert_eq!(ring.size(), 4 << 20, "a small ring gets the default size");
    getpgid(1); // nothing is attached yet
    loaded.attach().unwrap();
    assert_eq!(loaded.left_out(), []);
    getpgid(1);
    // SAFETY: a C string.
    unsafe { a64l(c"abc".as_ptr()) };
    assert_eq!(ig_kernel_probed(41), 42);
    loaded.detach();
    getpgid(1);

    let records = drain(&mut ring);
    let mut seen: Vec<(u32, u32, u64)> = records
        .iter()
        .map(|record| {
            (
                word(record, 0),
                word(record, 4),
                crate::objects::long(record, 8),
            )
        })
        .collect();
    seen.sort_unstable();
    let (tid, nr) = (tid(), libc::SYS_getpgid as u64);
    assert_eq!(
        seen,
        [
            (1, tid, 1),
            (2, tid, nr),
            (3, tid, nr),
            (4, tid, 0),
            (5, tid, 0),
            (6, tid, 0)
        ]
    );
    let ledger = loaded.ledger("events").unwrap().unwrap();
    assert_eq!((ledger.attempted, ledger.not_reserved), (6, 0));
    let hooks: Vec<_> = loaded.programs().map(|(_, hook)| hook).collect();
    assert_eq!(
        &hooks[..3],
        [
            "tracepoint/syscalls/sys_enter_getpgid",
            "raw_tp/sys_enter",
            "tp_btf/sys_enter"
        ]
    );
}

#[test]
fn nothing_is_left_after_drop() {
    let alive = |id: u32| {
        let attr = [u64::from(id), 0, 0, 0];
        // SAFETY: BPF_PROG_GET_FD_BY_ID (13) reads these bytes only.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                13,
                attr.as_ptr(),
                std::mem::size_of_val(&attr),
            )
        };
        if fd >= 0 {
            // SAFETY: just made, and used by nobody.
            unsafe { libc::close(fd as i32) };
        }
        fd >= 0
    };
    let mut loaded = load(&hooks_object(), hooks_options()).unwrap();
    loaded.attach().unwrap();
    let stats = loaded.stats().unwrap();
    assert_eq!(stats.len(), 6);
    assert!(
        stats
            .iter()
            .all(|stats| alive(stats.id) && stats.recursion_misses == 0)
    );
    let mut ring = loaded.ring("events").unwrap();
    getpgid(1);
    drop(loaded);
    // Programs are freed after a grace period.
    for _ in 0..500 {
        if !stats.iter().any(|stats| alive(stats.id)) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(!stats.iter().any(|stats| alive(stats.id)));
    assert_eq!(drain(&mut ring).len(), 3, "a ring outlives its programs");
}

#[test]
fn a_ring_has_one_consumer() {
    let mut loaded = load(&hooks_object(), hooks_options()).unwrap();
    let _ring = loaded.ring("events").unwrap();
    assert!(
        loaded
            .ring("events")
            .unwrap_err()
            .to_string()
            .contains("being read already")
    );
    assert!(
        loaded
            .ring("event")
            .unwrap_err()
            .to_string()
            .contains("no map \"event\"")
    );
    assert!(
        loaded
            .ring("events_ledger")
            .unwrap_err()
            .to_string()
            .contains("not a ring buffer")
    );
    assert_eq!(loaded.ledger("nothing").unwrap(), None);
}

fn refused(loading: &[&str]) -> LoadOptions {
    let all = [
        "sound",
        "careless",
        "no_tracepoint",
        "no_btf_tracepoint",
        "no_raw_tracepoint",
        "no_function",
        "no_file",
    ];
    let exclude = all
        .iter()
        .filter(|name| !loading.contains(name))
        .map(|name| (*name).to_owned())
        .collect();
    LoadOptions {
        exclude,
        ..LoadOptions::default()
    }
}

#[test]
fn the_verifier_is_quoted() {
    let bytes = object("refused", &[]);
    let error = load(&bytes, refused(&["sound", "careless"])).unwrap_err();
    let LoadError::Program(error) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (error.program.as_str(), error.hook.as_str(), error.step),
        ("careless", "raw_tp/sys_exit", Step::Load)
    );
    assert!(
        error
            .verifier
            .iter()
            .any(|line| line.contains("invalid mem access 'map_value_or_null'")),
        "{error}"
    );
    assert!(
        error
            .verifier
            .iter()
            .any(|line| line.starts_with(';') && line.contains("return *value")),
        "{error}"
    );
    assert!(error.cause.contains("verifier refused"), "{error}");
}

#[test]
fn optional_programs_are_left_out_with_a_reason() {
    let bytes = object("refused", &[]);
    let cases = [
        (
            "careless",
            "invalid mem access 'map_value_or_null'",
            Step::Load,
        ),
        (
            "no_btf_tracepoint",
            "no tracepoint \"no_such_tracepoint\"",
            Step::Load,
        ),
        (
            "no_tracepoint",
            "no tracepoint syscalls/sys_enter_no_such_call",
            Step::Attach,
        ),
        (
            "no_raw_tracepoint",
            "no tracepoint \"no_such_raw\"",
            Step::Attach,
        ),
        (
            "no_function",
            "libc has no symbol \"ig_no_such_function\"",
            Step::Attach,
        ),
        ("no_file", "/no/such/file", Step::Attach),
    ];
    let names: Vec<&str> = cases
        .iter()
        .map(|(name, ..)| *name)
        .chain(["sound"])
        .collect();
    let mut options = refused(&names);
    options.optional = cases.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let mut loaded = load(&bytes, options).unwrap();
    loaded.attach().unwrap();
    assert_eq!(
        loaded.programs().collect::<Vec<_>>(),
        [("sound", "raw_tp/sys_enter".to_owned())]
    );
    assert_eq!(loaded.left_out().len(), cases.len());
    for (name, reason, _) in cases {
        let left = loaded
            .left_out()
            .iter()
            .find(|left| left.program == name)
            .unwrap();
        assert!(left.reason.contains(reason), "{left:?}");
    }
    // The same programs are errors when they are not optional.
    for (name, reason, step) in cases {
        let error = match load(&bytes, refused(&[name])) {
            Ok(mut loaded) => loaded.attach().unwrap_err(),
            Err(error) => error,
        };
        let LoadError::Program(error) = error else {
            panic!("{error}")
        };
        assert_eq!((error.program.as_str(), error.step), (name, step));
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn options_must_fit_the_object() {
    let bytes = object("refused", &[]);
    let fails = |change: fn(&mut LoadOptions)| {
        let mut options = refused(&["sound"]);
        change(&mut options);
        load(&bytes, options).unwrap_err().to_string()
    };
    let error = fails(|options| _ = options.variables.insert("wanted".into(), vec![1, 0]));
    assert_eq!(
        error,
        "cannot set the eBPF variable \"wanted\": it has 4 bytes, the value 2"
    );
    let error = fails(|options| _ = options.variables.insert("written".into(), vec![0; 4]));
    assert_eq!(
        error,
        "cannot set the eBPF variable \"written\": it is not const volatile"
    );
    let error = fails(|options| _ = options.variables.insert("unknown".into(), vec![0; 4]));
    assert!(error.contains("none of that name"), "{error}");
    let error = fails(|options| _ = options.ring_sizes.insert("numbers".into(), 1 << 20));
    assert_eq!(
        error,
        "cannot size the map \"numbers\": it is not a ring buffer"
    );
    let error = fails(|options| _ = options.optional.insert("soundd".into()));
    assert!(
        error.contains("no program \"soundd\"") && error.contains("sound, careless"),
        "{error}"
    );
    let mut options = refused(&["sound"]);
    options.max_entries.insert("numbers".into(), 5);
    assert_eq!(
        load(&bytes, options)
            .unwrap()
            .map("numbers")
            .unwrap()
            .max_entries(),
        5
    );
}

#[test]
fn a_followed_process_and_its_children_are_seen_and_no_other() {
    let bytes = object("follow", &[]);
    let mut options = LoadOptions::default();
    options
        .variables
        .insert("gadget_filter_followed".into(), vec![1]);
    let mut loaded = load(&bytes, options).unwrap();
    loaded.attach().unwrap();
    assert_eq!(
        loaded.programs().next().unwrap().0,
        "gadget_follow_fork",
        "the fork follower comes first"
    );
    let mut ring = loaded.ring("events").unwrap();
    // A shell that waits for a line, then starts a shell that starts a program.
    let script = "read line; /bin/sh -c '/bin/true; exit 0'; exit 3";
    let starting = STARTING.write();
    let mut child = Command::new("/bin/sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    drop(starting);
    loaded.follow(child.id()).unwrap();
    execve();
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let me = std::process::id();
    let pids: Vec<u32> = drain(&mut ring)
        .iter()
        .map(|record| word(record, 0))
        .collect();
    assert_eq!(pids.len(), 2, "the child's child and its child: {pids:?}");
    assert!(pids[0] != pids[1] && !pids.contains(&me) && !pids.contains(&child.id()));

    // This process with all its threads: a thread that was there before is marked, too.
    let (start, started) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        start.send(tid()).unwrap();
        wait.recv().unwrap();
        execve();
    });
    let thread_id = started.recv().unwrap();
    loaded.follow(me).unwrap();
    execve();
    go.send(()).unwrap();
    thread.join().unwrap();
    let seen: Vec<(u32, u32)> = drain(&mut ring)
        .iter()
        .map(|record| (word(record, 0), word(record, 4)))
        .collect();
    assert!(
        seen.contains(&(me, tid())) && seen.contains(&(me, thread_id)),
        "{seen:?}"
    );
    assert!(matches!(
        loaded.follow(u32::MAX / 2),
        Err(FollowError::NoSuchProcess { .. } | FollowError::System { .. })
    ));

    // Without the variable the follower is not loaded.
    let loaded = load(&bytes, LoadOptions::default()).unwrap();
    assert_eq!(
        loaded.programs().map(|(name, _)| name).collect::<Vec<_>>(),
        ["on_call"]
    );
    let error = load(&object("refused", &[]), refused(&["sound"]))
        .unwrap()
        .follow(me);
    assert!(matches!(error, Ok(()) | Err(FollowError::Unsupported)));
}

#[test]
fn tracefs_is_not_mounted_for_anybody() {
    let mut before = String::new();
    std::fs::File::open("/proc/self/mountinfo")
        .unwrap()
        .read_to_string(&mut before)
        .unwrap();
    let mut loaded = load(&hooks_object(), hooks_options()).unwrap();
    loaded.attach().unwrap();
    assert_eq!(
        std::fs::read_to_string("/proc/self/mountinfo").unwrap(),
        before
    );
}

#[test]
fn programs_call_each_other_through_maps_that_the_source_fills() {
    let mut options = only_me();
    options.exclude.insert("empty".into()); // its slot stays empty, and the call falls through
    let mut loaded = load(&object("calls", &[]), options).unwrap();
    loaded.attach().unwrap();
    let mut ring = loaded.ring("events").unwrap();
    // SAFETY: gives a buffer of its own, which nobody else uses.
    unsafe { l64a(7) };
    loaded.detach();
    let seen: Vec<u64> = drain(&mut ring)
        .iter()
        .map(|record| crate::objects::long(record, 0))
        .collect();
    assert_eq!(seen, [1, 2]);
}
