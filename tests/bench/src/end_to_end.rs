//! trace_open from the kernel to JSON lines, against C on libbpf with the same eBPF source that prints the same fields,
//! and against bpftrace.

use crate::figures::{Figure, median};
use crate::process::{Setup, Storm, cpu_ns, end, root, settled};
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
    Bpftrace,
}

impl Tracer {
    fn words(self) -> &'static str {
        match self {
            Self::Ig => "ig",
            Self::Default => "libbpf, default wake-ups",
            Self::Batch => "libbpf, batched wake-ups",
            Self::Bpftrace => "bpftrace",
        }
    }
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

    /// Millions of calls a second.
    fn rate(&self) -> f64 {
        1e3 / self.call
    }

    /// Less than one of a thousand is missing.
    fn lossless(&self, count: u64) -> bool {
        self.rows >= count as f64 * 0.999
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
        Tracer::Bpftrace => {
            let mut c = Command::new("bpftrace");
            c.arg(root().join("tests/bench/baseline/open.bt")).arg(&tid);
            c
        }
    };
    // A file on disk would measure the disk.
    let null = File::options().write(true).open("/dev/null")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(null)
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", tracer.words()))?;
    settled(&mut child)?;
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
        Tracer::Default | Tracer::Batch => said
            .trim()
            .parse()
            .with_context(|| format!("no rows; it said {said}"))?,
        // It does not count them. As if none were lost: that can only make its rows look cheaper.
        Tracer::Bpftrace => count as f64,
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
    for (tracer, runs) in tracers.iter().zip(&runs) {
        let fewest = runs.iter().map(|r| r.rows).fold(f64::INFINITY, f64::min);
        if fewest < count as f64 {
            eprintln!(
                "bench: end-to-end: {} gave {fewest} of {count} rows in its worst run",
                tracer.words()
            );
        }
    }
    Ok(runs)
}

fn of(runs: &[Run], what: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(what).collect::<Vec<_>>())
}

/// Figures at a paced rate: our CPU per row against each of these.
fn paced(
    setup: &Setup,
    rate: u64,
    count: u64,
    against: &[(&'static str, Tracer, f64)],
) -> Result<Vec<Figure>> {
    let others = against.iter().map(|(_, tracer, _)| *tracer);
    let all: Vec<_> = std::iter::once(Tracer::Ig).chain(others).collect();
    let runs = turns(setup, &all, rate, count)?;
    let (us, them) = runs.split_first().context("no runs")?;
    let ours = of(us, Run::cpu_per_row);
    let figures = against
        .iter()
        .zip(them)
        .map(|((name, tracer, goal), runs)| {
            let theirs = of(runs, Run::cpu_per_row);
            Figure::ratio(name, "us/row", ours, tracer.words(), theirs, *goal)
        });
    Ok(figures.collect())
}

/// The highest rate, in millions a second, at which less than one of a thousand is lost. Most of these runs, as fast as
/// the traced thread goes, may have been so; else downwards from there, a tenth less a step, each tried three times,
/// because one hiccup of the machine is nobody's limit.
fn lossless(setup: &Setup, tracer: Tracer, flat_out: &[Run], count: u64) -> Result<f64> {
    let good = flat_out.iter().filter(|run| run.lossless(count)).count();
    let most = of(flat_out, Run::rate);
    if good * 2 > flat_out.len() {
        return Ok(most);
    }
    for step in 1..20 {
        let rate = (most * 1e6 * 0.9_f64.powi(step)) as u64;
        for _ in 0..3 {
            let run = trace(setup, tracer, rate, count)?;
            if run.lossless(count) {
                return Ok(run.rate());
            }
        }
    }
    Ok(0.0)
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    use Tracer::{Batch, Bpftrace, Default, Ig};
    // The quick form has fewer and somewhat shorter storms, but none so short that what happens at its begin and end
    // (the first records wake everybody, the last ones wait for the end of a nap) is more than a few hundredths of it.
    let pick = |quick: u64, full: u64| if setup.quick { quick } else { full };
    let mut figures = paced(
        setup,
        20_000,
        pick(40_000, 100_000),
        &[
            ("end-to-end.cpu-20k.default", Default, 0.2),
            ("end-to-end.cpu-20k.batch", Batch, 0.9),
            ("end-to-end.cpu-20k.bpftrace", Bpftrace, 0.1),
        ],
    )?;
    if !setup.quick {
        figures.extend(paced(
            setup,
            50_000,
            150_000,
            &[("end-to-end.cpu-50k.bpftrace", Bpftrace, 0.1)],
        )?);
    }
    figures.extend(paced(
        setup,
        200_000,
        pick(300_000, 400_000),
        &[
            ("end-to-end.cpu-200k.default", Default, 0.2),
            ("end-to-end.cpu-200k.batch", Batch, 0.9),
        ],
    )?);
    let count = pick(500_000, 2_000_000);
    let runs = turns(setup, &[Ig, Batch], 0, count)?;
    if let [ig, b] = runs.as_slice() {
        figures.push(
            Figure::ratio(
                "end-to-end.traced-thread",
                "M/s",
                of(ig, Run::rate),
                Batch.words(),
                of(b, Run::rate),
                0.9,
            )
            .at_least(),
        );
        figures.push(Figure::ratio(
            "end-to-end.cpu-flat-out.batch",
            "us/row",
            of(ig, Run::cpu_per_row),
            Batch.words(),
            of(b, Run::cpu_per_row),
            0.9,
        ));
        figures.push(
            Figure::ratio(
                "end-to-end.lossless",
                "M/s",
                lossless(setup, Ig, ig, count)?,
                Batch.words(),
                lossless(setup, Batch, b, count)?,
                0.9,
            )
            .at_least(),
        );
    }
    Ok(figures)
}
