//! trace_open from the kernel to JSON lines, against C on libbpf with the same eBPF source that prints the same fields.

use crate::figures::{Figure, median};
use crate::process::{Setup, Storm, cpu_ns, end};
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Who turns opens into lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tracer {
    Ig,
    /// libbpf as everybody writes it: a wake-up whenever the reader had caught up.
    Default,
    /// libbpf with an object built to wake rarely, and a reader that looks every 20 ms.
    Batch,
}

/// One storm under one tracer.
struct Run {
    /// CPU time of the tracer, nanoseconds.
    cpu: f64,
    rows: f64,
    /// Nanoseconds that one call took the traced thread.
    call: f64,
}

impl Run {
    fn cpu_per_row(&self) -> f64 {
        self.cpu / self.rows.max(1.0) / 1000.0
    }
}

fn trace(setup: &Setup, tracer: Tracer, rate: u64, count: u64) -> Result<Run> {
    let storm = Storm::new(setup, rate, count)?;
    let tid = storm.tid().to_string();
    let summary = setup.built.path().join("summary.json");
    let mut command = match tracer {
        Tracer::Ig => {
            let mut c = Command::new(&setup.ig);
            c.arg("run").arg(setup.bundle("trace_open")).args([
                "--tid",
                &tid,
                "-o",
                "json",
                "--summary",
            ]);
            c.arg(format!("json:{}", summary.display()));
            c
        }
        Tracer::Default | Tracer::Batch => {
            let (object, how) = if tracer == Tracer::Default {
                ("default.bpf.o", "poll")
            } else {
                ("batch.bpf.o", "batch")
            };
            let mut c = Command::new(setup.program("trace_open"));
            c.arg(setup.program(object)).args([&tid, how]);
            c
        }
    };
    // A file on disk would measure the disk.
    let null = File::options().write(true).open("/dev/null")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(null)
        .stderr(Stdio::piped())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(600));
    let before = cpu_ns(child.id())?;
    let call = storm.run()?;
    std::thread::sleep(Duration::from_millis(150));
    let cpu = cpu_ns(child.id())? - before;
    end(&mut child)?;
    let mut said = String::new();
    child
        .stderr
        .take()
        .context("its errors")?
        .read_to_string(&mut said)?;
    let rows = match tracer {
        Tracer::Ig => {
            let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(&summary)?)?;
            summary["rows"]["open"]["written"]
                .as_f64()
                .with_context(|| format!("no rows; it said {said}"))?
        }
        _ => said
            .trim()
            .parse()
            .with_context(|| format!("no rows; it said {said}"))?,
    };
    Ok(Run { cpu, rows, call })
}

/// Runs of each tracer, taking turns.
fn turns(setup: &Setup, tracers: &[Tracer], rate: u64, count: u64) -> Result<Vec<Vec<Run>>> {
    let mut runs: Vec<Vec<Run>> = tracers.iter().map(|_| Vec::new()).collect();
    for _ in 0..setup.rounds() {
        for (tracer, runs) in tracers.iter().zip(&mut runs) {
            runs.push(trace(setup, *tracer, rate, count)?);
        }
    }
    Ok(runs)
}

fn of(runs: &[Run], what: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(what).collect::<Vec<_>>())
}

/// The highest rate of a ladder at which less than one of a thousand is lost.
fn lossless(setup: &Setup, tracer: Tracer) -> Result<f64> {
    let mut best = 0.0;
    for rate in [
        200_000u64, 400_000, 600_000, 800_000, 1_000_000, 1_200_000, 1_500_000, 0,
    ] {
        let count = if setup.quick { 200_000 } else { 2_000_000 };
        let run = trace(setup, tracer, rate, count)?;
        if run.rows < count as f64 * 0.999 {
            break;
        }
        best = 1e3 / run.call;
    }
    Ok(best)
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let all = [Tracer::Ig, Tracer::Default, Tracer::Batch];
    let mut figures = Vec::new();
    let scale = if setup.quick { 10 } else { 1 };
    for (rate, count, default, batch) in [
        (
            20_000,
            60_000 / scale,
            "end-to-end.cpu-20k.default",
            "end-to-end.cpu-20k.batch",
        ),
        (
            200_000,
            400_000 / scale,
            "end-to-end.cpu-200k.default",
            "end-to-end.cpu-200k.batch",
        ),
    ] {
        let runs = turns(setup, &all, rate, count)?;
        if let [ig, d, b] = runs.as_slice() {
            let ours = of(ig, Run::cpu_per_row);
            figures.push(Figure::ratio(
                default,
                "us/row",
                ours,
                "libbpf, default wake-ups",
                of(d, Run::cpu_per_row),
                0.2,
            ));
            figures.push(Figure::ratio(
                batch,
                "us/row",
                ours,
                "libbpf, batched wake-ups",
                of(b, Run::cpu_per_row),
                0.9,
            ));
        }
    }
    let runs = turns(setup, &[Tracer::Ig, Tracer::Batch], 0, 2_000_000 / scale)?;
    if let [ig, b] = runs.as_slice() {
        let rate = |r: &Run| 1e3 / r.call;
        figures.push(
            Figure::ratio(
                "end-to-end.traced-thread",
                "M/s",
                of(ig, rate),
                "libbpf, batched wake-ups",
                of(b, rate),
                0.9,
            )
            .at_least(),
        );
        figures.push(Figure::ratio(
            "end-to-end.cpu-flat-out.batch",
            "us/row",
            of(ig, Run::cpu_per_row),
            "libbpf, batched wake-ups",
            of(b, Run::cpu_per_row),
            0.9,
        ));
    }
    let best = |tracer| lossless(setup, tracer);
    figures.push(
        Figure::ratio(
            "end-to-end.lossless",
            "M/s",
            best(Tracer::Ig)?,
            "libbpf, batched wake-ups",
            best(Tracer::Batch)?,
            0.9,
        )
        .at_least(),
    );
    Ok(figures)
}
