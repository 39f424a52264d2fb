//! What loading and consuming cost on this machine. Measures and asserts nothing: run it in release mode with
//! `--ignored --nocapture`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::objects::{object, only_me};
use crate::ring::{attached, getppid};
use ig_kernel::{LoadOptions, Loader, Ring};
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
