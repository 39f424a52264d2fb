//! What the boundary costs: a span in the host's memory becomes bytes that the guest sees, against `memcpy` of the same
//! span. The guest does nothing but answer.

use crate::figures::{Figure, median};
use crate::host::Staging;
use crate::process::Setup;
use anyhow::{Context as _, Result, bail};
use ig_sandbox::{Grants, Guest, Limits, Sandbox, SandboxOptions, Verdict};
use std::hint::black_box;
use std::time::Instant;

/// A record as the ring frames it: a header of 8 bytes and the payload.
const RECORD: usize = 8 + 128;
/// Records of a span: as many as the host hands over at once under load (`SpanLimits::BYTES`, 64 KiB).
const RECORDS: usize = (64 << 10) / RECORD;
const SPAN: usize = RECORD * RECORDS;
/// Turns of each side, also in the quick form: this is cheap.
const TURNS: usize = 9;
/// What is walked over once when nothing is in a cache; more than most machines' last one.
const COLD: usize = 64 << 20;

/// The contract's smallest guest. `process` answers that it used 481 records; each call's list lies at 64 KiB.
const GUEST: &str = r#"
(component
  (type $types (instance
    (type $record (record (field "accepted" u32) (field "dropped" u32) (field "malformed" u32)))
    (export "verdict" (type (eq $record)))))
  (import "ig:gadget/types@0.1.0" (instance $t (type $types)))
  (alias export $t "verdict" (type $verdict))
  (core module $m
    (memory (export "memory") 4)
    (data (i32.const 32) "\e1\01\00\00")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "init") (result i32) (i32.const 16))
    (func (export "process") (param i32 i32 i32) (result i32) (i32.const 32))
    (func (export "stop")))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "realloc" (core func $realloc))
  (func $init (result (result (error string)))
    (canon lift (core func $i "init") (memory $memory) (realloc (func $realloc))))
  (func $process (param "source" u16) (param "records" (list u8)) (result $verdict)
    (canon lift (core func $i "process") (memory $memory) (realloc (func $realloc))))
  (func $stop (canon lift (core func $i "stop")))
  (instance $handler
    (export "verdict" (type $verdict))
    (export "init" (func $init)) (export "process" (func $process)) (export "stop" (func $stop)))
  (export "ig:gadget/handler@0.1.0" (instance $handler)))
"#;

fn guest() -> Result<Guest<Staging>> {
    let component = wat::parse_str(GUEST).context("the bench's guest")?;
    let program = Sandbox::new(SandboxOptions::default())?.load(&component)?;
    let mut guest =
        program.instantiate(Staging::default(), Limits::default(), Grants::default())?;
    if let Err(error) = guest.init()? {
        bail!("the guest's init: {error}");
    }
    Ok(guest)
}

/// Walks over the source `passes` times by spans: nanoseconds a record.
fn walk(source: &[u8], passes: usize, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    let mut records = 0;
    for _ in 0..passes {
        for span in source.chunks_exact(SPAN) {
            take(black_box(span))?;
            records += RECORDS;
        }
    }
    Ok(begin.elapsed().as_nanos() as f64 / records as f64)
}

/// Both sides, taking turns: nanoseconds a record of the sandbox and of memcpy.
fn compare(guest: &mut Guest<Staging>, source: &[u8], passes: usize) -> Result<(f64, f64)> {
    let mut memory = vec![0u8; SPAN];
    let mut copy = |span: &[u8]| {
        memory.copy_from_slice(span);
        black_box(&mut memory);
        Ok(())
    };
    let used = Verdict {
        accepted: RECORDS as u32,
        dropped: 0,
        malformed: 0,
    };
    let mut process = |span: &[u8]| {
        if guest.process(0, span)? != used {
            bail!("the guest answered something else");
        }
        Ok(())
    };
    // Page faults of the first touch are nobody's.
    walk(source, 1, &mut copy)?;
    walk(source, 1, &mut process)?;
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        them.push(walk(source, passes, &mut copy)?);
        us.push(walk(source, passes, &mut process)?);
    }
    Ok((median(&us), median(&them)))
}

/// What a call costs however little it hands over, in nanoseconds.
fn empty_call(guest: &mut Guest<Staging>) -> Result<f64> {
    let calls = 20_000;
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let begin = Instant::now();
        for _ in 0..calls {
            guest.process(0, black_box(&[]))?;
        }
        times.push(begin.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    Ok(median(&times))
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let mut guest = guest()?;
    let source = vec![0x5a_u8; COLD];
    let span = source.get(..SPAN).context("one span")?;
    let passes = if setup.quick { 10_000 } else { 40_000 };
    let (warm, warm_copy) = compare(&mut guest, span, passes)?;
    let (cold, cold_copy) = compare(&mut guest, &source, 1)?;
    let empty = empty_call(&mut guest)?;
    let against = "memcpy of the same span";
    Ok(vec![
        Figure::ratio("boundary.warm", "ns/rec", warm, against, warm_copy, 1.5),
        Figure::ratio("boundary.cold", "ns/rec", cold, against, cold_copy, 1.15),
        Figure {
            name: "boundary.empty-call",
            value: empty,
            unit: "ns",
            against: "".into(),
            baseline: None,
            goal: None,
            at_least: false,
        },
    ])
}
