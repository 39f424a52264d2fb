//! The ring under load, and waiting for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ig_kernel::{LoadOptions, Loaded, Ring, SpanLimits, Waiter, Wake};

use crate::objects::{load, long, object, only_me, tid};

fn storm_object(payload: usize) -> Vec<u8> {
    object("storm", &[&format!("-DPADDING={}", payload - 8)])
}

pub fn attached(payload: usize, mut options: LoadOptions, ring: u32) -> (Loaded, Ring) {
    options.ring_sizes.insert("events".into(), ring);
    let mut loaded = load(&storm_object(payload), options).unwrap();
    loaded.attach().unwrap();
    let ring = loaded.ring("events").unwrap();
    (loaded, ring)
}

pub fn getppid(times: u64) {
    for _ in 0..times {
        // SAFETY: takes nothing.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
}

/// Numbers of the records in a span, which must be whole.
fn numbers(bytes: &[u8], into: &mut Vec<u64>) {
    let span = ig_records::span::Span(bytes);
    span.check().unwrap();
    into.extend(
        span.iter()
            .filter(|record| !record.discarded)
            .map(|record| long(record.payload, 0)),
    );
}

#[test]
fn what_finds_no_room_is_counted_and_the_rest_is_seen() {
    // 4096 bytes hold 4095 / 40 = 102 records of 32 bytes: the kernel leaves one byte free.
    let (loaded, mut ring) = attached(32, only_me(), 1);
    assert_eq!(
        (ring.size(), ring.limits()),
        (
            4096,
            SpanLimits {
                bytes: 1024,
                records: 1024
            }
        )
    );
    let mut seen = Vec::new();
    for round in 0..5u64 {
        getppid(150);
        assert_eq!(ring.backlog(), 102 * 40);
        let limits = ring.limits();
        while let Some(span) = ring.span(limits).unwrap() {
            assert!(span.bytes.len() <= 1024 && span.records == 25 || span.records == 2);
            numbers(span.bytes, &mut seen);
        }
        assert_eq!(seen.len() as u64, (round + 1) * 102);
    }
    // 5 * 102 * 40 bytes are 4.98 rings: the wrap-arounds were contiguous, numbers and framing were checked.
    let expected: Vec<u64> = (0..5)
        .flat_map(|round| (0..102).map(move |record| round * 150 + record))
        .collect();
    assert_eq!(seen, expected);
    let ledger = loaded.ledger("events").unwrap().unwrap();
    assert_eq!((ledger.attempted, ledger.not_reserved), (750, 240));
}

#[test]
fn discarded_records_are_counted_and_a_span_never_splits_a_record() {
    let mut options = only_me();
    options
        .variables
        .insert("drop_every".into(), 3u64.to_ne_bytes().to_vec());
    let (loaded, mut ring) = attached(200, options, 65536);
    let (mut seen, mut records, mut discarded) = (Vec::new(), 0, 0);
    for _ in 0..30 {
        getppid(100);
        // Less than a record: one at a time.
        while let Some(span) = ring
            .span(SpanLimits {
                bytes: 10,
                records: 5,
            })
            .unwrap()
        {
            assert_eq!((span.bytes.len(), span.records), (208, 1));
            records += u64::from(span.records);
            discarded += u64::from(span.discarded);
            numbers(span.bytes, &mut seen);
            ring.publish();
        }
    }
    assert_eq!((records, discarded), (3000, 1000));
    assert_eq!(
        seen,
        (0..3000)
            .filter(|number| number % 3 != 2)
            .collect::<Vec<_>>()
    );
    assert_eq!(loaded.ledger("events").unwrap().unwrap().attempted, 3000);
}

/// Runs a storm of `calls` in a thread of its own while this thread consumes; gives the sum of what was seen.
fn storm(ring_size: u32, calls: u64) -> (u64, u64) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // In here, so that a failed assertion ends the other threads, too.
        let (start, started) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let done = &done;
        scope.spawn(move || {
            start.send(tid()).unwrap();
            wait.recv().unwrap();
            getppid(calls);
            done.store(true, Ordering::Release);
        });
        let mut options = LoadOptions::default();
        let thread = started.recv().unwrap();
        options
            .variables
            .insert("gadget_filter_tid".into(), thread.to_ne_bytes().to_vec());
        let (mut loaded, mut ring) = attached(128, options, ring_size);
        let mut waiter = Waiter::new().unwrap();
        let index = waiter.add_ring(&ring).unwrap();
        let stopper = waiter.stopper();
        scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
            stopper.stop();
        });
        go.send(()).unwrap();
        let limits = ring.limits();
        let (mut seen, mut last, mut all) = (0u64, None, Vec::new());
        let mut stopped = false;
        loop {
            while let Some(span) = ring.span(limits).unwrap() {
                all.clear();
                numbers(span.bytes, &mut all);
                assert_eq!(all.len(), span.records as usize);
                for number in &all {
                    assert!(
                        last.is_none_or(|last| last < *number),
                        "in order, and none twice"
                    );
                    last = Some(*number);
                }
                seen += u64::from(span.records);
                waiter.saw(index, span.records, span.bytes.len());
            }
            if stopped {
                break;
            }
            stopped = waiter.wait(None).unwrap() == Wake::Stop;
            if stopped {
                loaded.detach();
            }
        }
        assert_eq!(ring.backlog(), 0);
        let ledger = loaded.ledger("events").unwrap().unwrap();
        assert_eq!(ledger.attempted, calls);
        assert_eq!(
            seen + ledger.not_reserved,
            calls,
            "every record is seen or counted"
        );
        (seen, ledger.not_reserved)
    })
}

#[test]
fn a_storm_is_accounted_for_exactly() {
    let (seen, _) = storm(4 << 20, 300_000);
    assert!(seen > 0);
    // A ring that is too small for naps loses, and says how many.
    let (seen, lost) = storm(4096, 100_000);
    assert!(seen > 0 && lost > 0, "{seen} seen, {lost} lost");
}

#[test]
fn a_lone_record_wakes_the_sleeper() {
    let (start, started) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let caller = std::thread::spawn(move || {
        start.send(tid()).unwrap();
        while wait.recv().is_ok() {
            getppid(1);
        }
    });
    let mut options = LoadOptions::default();
    let thread = started.recv().unwrap();
    options
        .variables
        .insert("gadget_filter_tid".into(), thread.to_ne_bytes().to_vec());
    let (_loaded, mut ring) = attached(128, options, 1 << 20);
    let mut waiter = Waiter::new().unwrap();
    waiter.add_ring(&ring).unwrap();
    let limits = ring.limits();
    assert!(ring.span(limits).unwrap().is_none());
    for number in 0..20 {
        go.send(()).unwrap();
        // No deadline: if the wake-up got lost, this would never return.
        while ring.backlog() == 0 {
            assert_eq!(waiter.wait(None).unwrap(), Wake::Rings);
        }
        let mut seen = Vec::new();
        while let Some(span) = ring.span(limits).unwrap() {
            numbers(span.bytes, &mut seen);
        }
        if seen.is_empty() {
            // It was still being written: its end wakes us again.
            assert_eq!(waiter.wait(None).unwrap(), Wake::Rings);
            numbers(ring.span(limits).unwrap().unwrap().bytes, &mut seen);
            assert!(ring.span(limits).unwrap().is_none());
        }
        assert_eq!(seen, [number]);
    }
    drop(go);
    caller.join().unwrap();
}

#[test]
fn waits_end_for_deadlines_descriptors_and_the_stop() {
    let mut waiter = Waiter::new().unwrap();
    assert_eq!(waiter.wait(Some(Instant::now())).unwrap(), Wake::Deadline);
    let before = Instant::now();
    let deadline = before + Duration::from_millis(3);
    while waiter.wait(Some(deadline)).unwrap() != Wake::Deadline {}
    assert!(Instant::now() >= deadline);

    let (readable, mut writable) = std::io::pipe().unwrap();
    waiter.add(&readable, 7).unwrap();
    assert!(waiter.add(&readable, u64::MAX).is_err());
    std::io::Write::write_all(&mut writable, b"x").unwrap();
    assert_eq!(waiter.wait(None).unwrap(), Wake::Ready(7));
    assert_eq!(
        waiter.wait(None).unwrap(),
        Wake::Ready(7),
        "as long as it is readable"
    );

    let stopper = waiter.stopper();
    let thread = std::thread::spawn(move || stopper.stop());
    while waiter.wait(None).unwrap() != Wake::Stop {}
    thread.join().unwrap();
    assert_eq!(waiter.wait(None).unwrap(), Wake::Stop, "for good");
}
