//! What loading and consuming cost on this machine. Measures and asserts nothing: run it in release mode with
//! `--ignored --nocapture`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::cgroups::Cgroup;
use crate::objects::{object, only_me};
use crate::ring::{attached, getppid};
use ig_kernel::cgroups::{CgroupWatcher, WatchOptions};
use ig_kernel::{LoadOptions, Loader, Ring, Wake};
use ig_object::Object;

fn cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: time lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// Walks over everything, with a copy of each span or without; gives records and time.
fn walk(ring: &mut Ring, copy: bool) -> (u32, Duration) {
    let limits = ring.limits();
    let mut scratch = vec![0; 1 << 16];
    let (start, mut records) = (cpu(), 0);
    while let Some(span) = ring.span(limits).unwrap() {
        records += span.records;
        if copy {
            scratch[..span.bytes.len()].copy_from_slice(span.bytes);
            black_box(&scratch);
        }
        ring.publish();
    }
    (records, cpu() - start)
}

#[test]
#[ignore = "measures"]
fn costs() {
    let bytes = object("follow", &[]);
    let parsed = Object::parse(&bytes).unwrap();
    let mut options = LoadOptions::default();
    options
        .variables
        .insert("gadget_filter_followed".into(), vec![1]);
    for _ in 0..3 {
        let start = Instant::now();
        let mut loaded = Loader::new(&bytes, &parsed, options.clone())
            .load()
            .unwrap();
        let load = start.elapsed();
        let start = Instant::now();
        loaded.attach().unwrap();
        println!("load {load:?}, attach {:?}", start.elapsed());
    }
    for payload in [32, 120, 500] {
        let (loaded, mut ring) = attached(payload, only_me(), 32 << 20);
        for copy in [false, true, false, true] {
            getppid(50_000);
            let (records, time) = walk(&mut ring, copy);
            println!(
                "{payload} bytes, copied {copy}: {:.1} ns a record of {records}",
                time.as_secs_f64() * 1e9 / f64::from(records)
            );
        }
        drop(loaded);
    }
}

/// What starting a program and making a cgroup take with the watcher and without, by turns, and what the kernel says
/// that the watcher's programs take.
#[test]
#[ignore = "measures"]
fn watching_cgroups_costs() {
    const BPF_ENABLE_STATS: libc::c_int = 32;
    const EXECS: u32 = 1000;
    const CGROUPS: u32 = 2000;
    let cgroup = Cgroup::new(&Cgroup::v2());
    let measure = |what: &str| {
        let before = Instant::now();
        for _ in 0..EXECS {
            let _ = std::process::Command::new("/bin/true").status().unwrap();
        }
        let exec = before.elapsed() / EXECS;
        let before = Instant::now();
        for number in 0..CGROUPS {
            let inner = cgroup.0.join(number.to_string());
            std::fs::create_dir(&inner).unwrap();
            std::fs::remove_dir(&inner).unwrap();
        }
        println!(
            "{what}: exec {exec:?}, mkdir and rmdir {:?}",
            before.elapsed() / CGROUPS
        );
    };
    for _ in 0..5 {
        measure("without");
        let before = Instant::now();
        let mut watcher = CgroupWatcher::start(&WatchOptions::default()).unwrap();
        let started = before.elapsed();
        let stopper = watcher.stopper();
        let consumer = std::thread::spawn(move || {
            while watcher.wait(None).unwrap() != Wake::Stop {
                watcher.drain(|event| _ = black_box(event)).unwrap();
            }
            (cpu(), watcher)
        });
        measure("with   ");
        let attr = [0u32; 3];
        // SAFETY: attr lives through the call, which is told its size.
        let stats = unsafe { libc::syscall(libc::SYS_bpf, BPF_ENABLE_STATS, attr.as_ptr(), 4) };
        measure("counted");
        // SAFETY: it was just made, for us alone.
        unsafe { libc::close(stats as libc::c_int) };
        stopper.stop();
        let (used, watcher) = consumer.join().unwrap();
        println!(
            "started in {started:?}, consumer used {used:?}, lost {}",
            watcher.lost()
        );
        for program in watcher.stats().unwrap() {
            let each = program.run_time_ns / program.run_count.max(1);
            println!(
                "  {}: {} runs of {each} ns",
                program.program, program.run_count
            );
        }
    }
}
