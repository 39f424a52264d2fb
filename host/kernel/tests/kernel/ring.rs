//! The ring under load, and waiting for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ig_kernel::{LoadOptions, Loaded, Ring, SpanLimits, Update, Waiter, Wake, pace};

use crate::objects::{load, long, object, only_me, tid};

pub fn attached(payload: usize, options: LoadOptions, ring: u32) -> (Loaded, Ring) {
    attached_as(&[], payload, options, ring)
}

fn attached_as(
    definitions: &[&str],
    payload: usize,
    mut options: LoadOptions,
    ring: u32,
) -> (Loaded, Ring) {
    let padding = format!("-DPADDING={}", payload - 8);
    let definitions = [definitions, &[padding.as_str()]].concat();
    options.ring_sizes.insert("events".into(), ring);
    let mut loaded = load(&object("storm", &definitions), options).unwrap();
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
                let more = span.more;
                waiter.saw(index, span.records, span.bytes.len());
                ring.publish();
                if !more && !stopped {
                    stopped = waiter.nap(None).unwrap() == Some(Wake::Stop);
                    if stopped {
                        loaded.detach();
                    }
                }
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

/// Writes the reader's word, then gives it and the programs' one.
fn wakeup(loaded: &Loaded, at: Option<u64>) -> (u64, u64) {
    let map = loaded.map("events_wakeup").unwrap();
    let key = 0u32.to_ne_bytes();
    let value = map.lookup(&key).unwrap().unwrap();
    let (old, done) = (long(&value, 0), long(&value, 8));
    let Some(at) = at else { return (old, done) };
    let value = [at.to_ne_bytes(), done.to_ne_bytes()].concat();
    assert!(map.update(&key, &value, Update::Any).unwrap());
    (at, done)
}

#[test]
fn a_consumer_that_naps_is_woken_once_and_not_before_it_wants_to() {
    let (loaded, mut ring) = attached(120, only_me(), 1 << 20);
    let mut waiter = Waiter::new().unwrap();
    waiter.add_ring(&ring).unwrap();
    let limits = ring.limits();
    let soon = || Some(Instant::now() + Duration::from_millis(2));
    let long_after = || Some(Instant::now() + Duration::from_secs(60));
    getppid(1);
    assert_eq!(ring.span(limits).unwrap().unwrap().records, 1);
    // The wake-up of the first record; from now on the ring was not seen empty.
    waiter.wait(None).unwrap();
    getppid(10);
    assert_eq!(waiter.wait(soon()).unwrap(), Wake::Deadline);
    assert_eq!(ring.span(limits).unwrap().unwrap().records, 10);
    ring.publish();

    // Eleven of 128 bytes so far, headers included.
    let at = 100 * 128;
    wakeup(&loaded, Some(at));
    getppid(88);
    assert_eq!(waiter.wait(soon()).unwrap(), Wake::Deadline);
    assert_eq!(wakeup(&loaded, None), (at, 0));
    getppid(1);
    assert_eq!(waiter.wait(long_after()).unwrap(), Wake::Rings);
    assert_eq!(wakeup(&loaded, None), (at, at));
    getppid(50);
    assert_eq!(waiter.wait(soon()).unwrap(), Wake::Deadline, "once");

    while ring.span(limits).unwrap().is_some() {}
    wakeup(&loaded, Some(0));
    getppid(1);
    let woken = waiter.wait(long_after()).unwrap();
    assert_eq!(woken, Wake::Rings, "awake as ever");
}

#[test]
fn a_ring_that_fills_ends_a_nap() {
    const RECORDS: u64 = (1 << 20) * 3 / 4 / 128;
    let (start, started) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let caller = std::thread::spawn(move || {
        start.send(tid()).unwrap();
        while wait.recv().is_ok() {
            getppid(RECORDS);
        }
    });
    let mut options = LoadOptions::default();
    let thread = started.recv().unwrap();
    options
        .variables
        .insert("gadget_filter_tid".into(), thread.to_ne_bytes().to_vec());
    let (loaded, mut ring) = attached(120, options, 1 << 20);
    let mut waiter = Waiter::new().unwrap();
    let index = waiter.add_ring(&ring).unwrap();
    let limits = ring.limits();
    let mut seen = 0;
    let mut shortest = Duration::MAX;
    for round in 0..20 {
        go.send(()).unwrap();
        // The first one fills the ring while nobody naps.
        if round > 0 {
            let before = Instant::now();
            let mut early = 0;
            let napped = loop {
                while waiter.nap(None).unwrap().is_none() {
                    // So many, and so small, that it naps for as long as it ever does.
                    waiter.saw(index, 1_000_000, 0);
                }
                let napped = before.elapsed();
                if ring.backlog() >= 1 << 19 || napped >= pace::LONGEST_NAP {
                    break napped;
                }
                // The kernel wakes some time after the record: what was for the last round may come now.
                early += 1;
                assert!(early < 3, "it is woken below half of the ring");
            };
            shortest = shortest.min(napped);
            let (at, _) = wakeup(&loaded, None);
            assert_eq!(at, 0, "it does not ask while it is awake");
        }
        while seen < (round + 1) * RECORDS {
            match ring.span(limits).unwrap() {
                Some(span) => seen += u64::from(span.records),
                None => std::thread::yield_now(),
            }
        }
        ring.publish();
        // It was seen empty, maybe, and woke us meanwhile.
        assert_eq!(waiter.wait(Some(Instant::now())).unwrap(), Wake::Deadline);
    }
    assert_ne!(wakeup(&loaded, None).1, 0);
    // By the clock not one of them would have ended early, however busy the machine is.
    assert!(shortest < pace::LONGEST_NAP / 2, "{shortest:?}");

    // More than half is in the ring already: nobody would end such a nap, so there is none.
    go.send(()).unwrap();
    while ring.backlog() < RECORDS * 128 {
        std::thread::yield_now();
    }
    let (_, done) = wakeup(&loaded, None);
    waiter.saw(index, 1_000_000, 0);
    assert_eq!(waiter.nap(None).unwrap(), Some(Wake::Rings));
    assert_eq!(wakeup(&loaded, None), (0, done));
    drop(go);
    caller.join().unwrap();
}

#[test]
fn a_lone_record_wakes_the_sleeper() {
    lone_records(&[]);
    // Another program's ring is in an epoll set of its own.
    lone_records(&["-DFOREIGN"]);
}

fn lone_records(definitions: &[&str]) {
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
    let (loaded, mut ring) = attached_as(definitions, 128, options, 1 << 20);
    assert_eq!(loaded.has_map("events_wakeup"), definitions.is_empty());
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
