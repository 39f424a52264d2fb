//! The ring's consumer against libbpf's `ring_buffer__poll` loop: the same eBPF object, the same storm in a process of its
//! own, each consumer pinned to the same CPU.
//!
//! Ours copies each span once and naps as the program does; libbpf's callback only counts.
#![expect(
    unsafe_code,
    reason = "a thread's CPU clock and its CPU; each place proves why"
)]

use crate::figures::{Figure, median};
use crate::process::{Setup, Storm};
use anyhow::{Context as _, Result, bail};
use ig_kernel::{LoadOptions, Loader, Stopper, Waiter, Wake};
use ig_object::Object;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// What one storm under one consumer gave.
struct Run {
    records: f64,
    /// Nanoseconds of the consumer's thread.
    cpu: f64,
    /// Nanoseconds that one call took the traced thread.
    call: f64,
}

/// CPU time of the calling thread, in nanoseconds.
fn thread_cpu() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours, which the call fills.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Keeps the calling thread on one CPU, the one that `ring.c` takes for libbpf's loop.
fn pin() {
    // SAFETY: a cpu_set_t is plain bits, all of which may be zero; 0 means the calling thread, which the call may bind.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// Our consumer, until it is stopped: records and CPU time. Says when it is attached.
fn consume(object: &Path, tid: u32, ready: &mpsc::Sender<Stopper>) -> Result<(f64, f64)> {
    pin();
    let bytes = std::fs::read(object)?;
    let parsed = Object::parse(&bytes)?;
    let mut options = LoadOptions::default();
    options
        .variables
        .insert("traced_tid".into(), tid.to_ne_bytes().to_vec());
    let mut loaded = Loader::new(&bytes, &parsed, options).load()?;
    loaded.attach()?;
    let mut ring = loaded.ring("records")?;
    let mut waiter = Waiter::new()?;
    let index = waiter.add_ring(&ring)?;
    let limits = ring.limits();
    let mut memory = vec![0u8; limits.bytes];
    let mut records = 0.0;
    ready.send(waiter.stopper())?;
    let begin = thread_cpu();
    let mut stopped = false;
    loop {
        while let Some(span) = ring.span(limits)? {
            if let Some(room) = memory.get_mut(..span.bytes.len()) {
                room.copy_from_slice(span.bytes);
            }
            let (count, length, more) = (span.records, span.bytes.len(), span.more);
            black_box(&mut memory);
            ring.publish();
            waiter.saw(index, count, length);
            records += f64::from(count);
            if !more && !stopped {
                stopped = waiter.nap(None)? == Some(Wake::Stop);
            }
        }
        if stopped {
            break;
        }
        stopped = waiter.wait(None)? == Wake::Stop;
    }
    Ok((records, thread_cpu() - begin))
}

fn storm(setup: &Setup, count: u64) -> Result<Storm> {
    Storm::start(Command::new(setup.program("ring")).args(["storm", &count.to_string()]))
}

fn ours(setup: &Setup, object: &Path, count: u64) -> Result<Run> {
    let storm = storm(setup, count)?;
    let tid = storm.tid();
    let (ready, wait) = mpsc::channel();
    std::thread::scope(|scope| {
        let consumer = scope.spawn(move || {
            let ready = ready; // dropped at the end, so that an error does not leave the other side waiting
            consume(object, tid, &ready)
        });
        let stopper = wait.recv();
        let call = if stopper.is_ok() {
            storm.run()
        } else {
            storm.stop().map(|_| 0.0)
        };
        std::thread::sleep(Duration::from_millis(50));
        if let Ok(stopper) = stopper {
            stopper.stop();
        }
        let Ok(consumed) = consumer.join() else {
            bail!("the consumer panicked")
        };
        let (records, cpu) = consumed?;
        Ok(Run {
            records,
            cpu,
            call: call?,
        })
    })
}

fn libbpf(setup: &Setup, object: &Path, count: u64) -> Result<Run> {
    let storm = storm(setup, count)?;
    let tid = storm.tid().to_string();
    let reader = Storm::start(
        Command::new(setup.program("ring"))
            .arg("poll")
            .arg(object)
            .arg(tid),
    )?;
    let call = storm.run();
    std::thread::sleep(Duration::from_millis(50));
    let said = reader.stop()?;
    let (records, cpu) = said
        .trim()
        .split_once(' ')
        .with_context(|| format!("the reader said {said:?}"))?;
    Ok(Run {
        records: records.parse()?,
        cpu: cpu.parse()?,
        call: call?,
    })
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let object = setup.object("tests/bench/baseline/ring.bpf.c", "ring.bpf.o", &[])?;
    let count: u64 = if setup.quick { 1_000_000 } else { 2_000_000 };
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..setup.rounds() {
        us.push(ours(setup, &object, count)?);
        them.push(libbpf(setup, &object, count)?);
    }
    for (who, runs) in [("ours", &us), ("libbpf", &them)] {
        let fewest = runs.iter().map(|r| r.records).fold(f64::INFINITY, f64::min);
        if fewest < count as f64 {
            eprintln!(
                "bench: ring: {who} saw {fewest} of {count} records in its worst run; the ring was full"
            );
        }
    }
    let of =
        |runs: &[Run], what: fn(&Run) -> f64| median(&runs.iter().map(what).collect::<Vec<_>>());
    let cpu = |r: &Run| r.cpu / r.records.max(1.0);
    let call = |r: &Run| r.call;
    let against = "libbpf, ring_buffer__poll";
    Ok(vec![
        Figure::ratio(
            "ring.consumer",
            "ns/rec",
            of(&us, cpu),
            against,
            of(&them, cpu),
            0.5,
        ),
        Figure::ratio(
            "ring.traced-call",
            "ns",
            of(&us, call),
            against,
            of(&them, call),
            0.75,
        ),
    ])
}
