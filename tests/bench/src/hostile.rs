//! What a well-behaved guest gets done while another of the same engine tries to hurt.
//!
//! The guest is `row`, fed with spans as in the bench `guest`, its rows copied and decoded as the program does. On
//! another thread runs one hostile guest after the other, those of the sandbox's own suite: each as in a run of the
//! program, loaded from the cache and started again until it has trapped three times, and the next as soon as it is
//! over. For `hostile.compile` it is the compiler's bombs. They take turns with a thread that only spins, so that what
//! any busy neighbour costs on the machine at hand is in both.
//!
//! What else runs on the machine, and a clock that speeds up or slows down, change a turn by more than the goal leaves. So
//! turns are compared in rounds only: one beside the spinning thread, two beside hostile guests, one beside the spinning
//! thread. A drift over the round is in both halves. The ratio is the median of those of the rounds, each of which counts
//! all that its turns took; nothing is left out of a turn.

// The suite's own, as they are there; whatever goes wrong in making them must end the bench.
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a table that two programs use"
)]
#[path = "../../../host/sandbox/tests/hostile/bombs.rs"]
mod bombs;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a table that two programs use"
)]
#[path = "../../../host/sandbox/tests/hostile/cases.rs"]
mod cases;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a table that two programs use"
)]
#[path = "../../../host/sandbox/src/tests/guests.rs"]
mod guests;

use crate::figures::{Figure, median};
use crate::guest::{self, Side};
use crate::host::Staging;
use crate::process::Setup;
use anyhow::{Context as _, Result, bail};
use cases::{Case, During};
use ig_bundle::{Arch, Bundle};
use ig_sandbox::{CompileLimits, Compiler, Grants, Limits, Sandbox, SandboxOptions, StartError};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Figures, and the beginnings of the names of their cases.
const GROUPS: [(&str, &[&str]); 5] = [
    ("hostile.time", &["loop", "bulk", "call"]),
    ("hostile.memory", &["memory", "table", "stack"]),
    (
        "hostile.calls",
        &["log", "emit", "frame", "wanted", "timer", "clock", "param"],
    ),
    (
        "hostile.data",
        &[
            "giant", "list", "nested", "verdict", "text", "error", "result", "realloc", "map",
            "host",
        ],
    ),
    ("hostile.traps", &["trap", "fault"]),
];

/// Spans of one turn: some 50 ms.
const SPANS: usize = 1_500;
/// Rounds of four turns.
const QUICK: usize = 7;
const FULL: usize = 25;
const AGAINST: &str = "the same beside a thread that spins";

/// As many as the program allows.
const TRAPS: usize = 3;

/// Records a second: of CPU time of the thread, and of the clock.
type Rates = (f64, f64);

fn cpu() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}

fn measure(host: &guest::Host, good: &mut dyn Side, spans: &[Vec<u8>]) -> Result<Rates> {
    let mut staged = Vec::new();
    let mut records = 0;
    let (begin, before) = (Instant::now(), cpu()?);
    for span in spans.iter().cycle().take(SPANS) {
        let verdict = good.process(black_box(span), &mut staged)?;
        for rows in staged.drain(..) {
            black_box(host.columns(rows, span)?);
        }
        records += verdict.accepted + verdict.dropped;
    }
    let records = f64::from(records);
    Ok((
        records / (cpu()? - before).as_secs_f64(),
        records / begin.elapsed().as_secs_f64(),
    ))
}

/// One run of a hostile guest, as short as the program makes it, or shorter when told to stop.
fn attack(sandbox: &Sandbox, case: &Case, stop: &AtomicBool) -> Result<()> {
    let host = Staging {
        quiet: true,
        ..Staging::default()
    };
    let limits = Limits {
        // so that a turn's end is near
        cpu_to_start_or_stop: Limits::default().cpu_per_call,
        ..Limits::default()
    };
    let program = sandbox.load(&case.component)?;
    let mut guest = match program.instantiate(host, limits, Grants::ALL) {
        Ok(guest) => guest,
        Err(StartError::Trap(_)) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    for trap in 1..=TRAPS {
        let trapped = match case.during {
            During::Instantiate => bail!("{} was made", case.name),
            During::Init => guest.init().is_err(),
            During::Process => guest.process(0, b"12345678").is_err(),
            During::Tick => guest.tick(1, 1).is_err(),
            During::Added => guest.added(&[1]).is_err(),
            During::Removed => guest.removed(&[1]).is_err(),
            During::Stop => guest.stop().is_err(),
        };
        if !trapped {
            bail!("{} did nothing", case.name);
        }
        if trap == TRAPS || stop.load(Ordering::Relaxed) {
            break;
        }
        guest.restart()?;
    }
    Ok(())
}

/// What another thread does until it is told to stop.
type Neighbour<'a> = &'a (dyn Fn(&AtomicBool) -> Result<()> + Sync);

/// Of each round what was done beside `attacks` and beside a thread that spins.
fn rounds(
    host: &guest::Host,
    good: &mut dyn Side,
    spans: &[Vec<u8>],
    rounds: usize,
    attacks: Neighbour<'_>,
) -> Result<Vec<Round>> {
    let mut beside = |neighbour: Neighbour<'_>| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| neighbour(&stop));
            let rates = measure(host, good, spans);
            stop.store(true, Ordering::Relaxed);
            match other.join() {
                Ok(ended) => ended.and(rates),
                Err(_) => bail!("the other thread panicked"),
            }
        })
    };
    let spins = |stop: &AtomicBool| {
        while !stop.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        Ok(())
    };
    // Two turns of one length: their rate is the harmonic mean.
    let both = |a: f64, b: f64| 2.0 / (1.0 / a + 1.0 / b) / 1e6;
    let both = |a: Rates, b: Rates| (both(a.0, b.0), both(a.1, b.1));
    let mut all = Vec::new();
    for _ in 0..rounds {
        let first = beside(&spins)?;
        let ours = both(beside(attacks)?, beside(attacks)?);
        let base = both(first, beside(&spins)?);
        all.push(Round { ours, base });
    }
    Ok(all)
}

/// The rates of a round, in millions.
struct Round {
    ours: Rates,
    base: Rates,
}

/// The median of the rounds' ratios, as what that would be of the median baseline.
fn figure(name: &'static str, rounds: &[Round], of: fn(&Rates) -> f64) -> Figure {
    let ratios: Vec<f64> = rounds.iter().map(|r| of(&r.ours) / of(&r.base)).collect();
    let bases: Vec<f64> = rounds.iter().map(|r| of(&r.base)).collect();
    let base = median(&bases);
    Figure::ratio(name, "M/s", median(&ratios) * base, AGAINST, base, 0.95).at_least()
}

/// A figure for each group, and one by the clock over all of them.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let bundle = Bundle::open(&setup.bundle("row"), Arch::host())?;
    let host = guest::Host::new(&bundle)?;
    let sandbox = Sandbox::new(SandboxOptions {
        cache: Some(setup.built.path().join("cache")),
        ..SandboxOptions::default()
    })?;
    let program = sandbox.load(bundle.component.as_deref().context("no guest")?)?;
    let grants = Grants {
        params: true,
        ..Grants::default()
    };
    let mut good = program.instantiate(host.staging(true), Limits::default(), grants)?;
    if let Err(error) = good.init()? {
        bail!("the guest's init: {error}");
    }
    let spans = guest::spans()?;
    let mut figures = Vec::new();
    let mut all_rounds = Vec::new();
    let mut add = |name, rounds: Vec<Round>| {
        figures.push(figure(name, &rounds, |rates| rates.0));
        all_rounds.extend(rounds);
    };
    let count = if setup.quick { QUICK } else { FULL };
    let all = cases::all();
    for (name, beginnings) in GROUPS {
        let cases: Vec<&Case> = all
            .iter()
            .filter(|case| beginnings.iter().any(|b| case.name.starts_with(b)))
            .collect();
        let next = AtomicUsize::new(0);
        let attacks = |stop: &AtomicBool| {
            while !stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed) % cases.len().max(1);
                attack(&sandbox, cases.get(at).context("no case")?, stop)?;
            }
            Ok(())
        };
        add(name, rounds(&host, &mut good, &spans, count, &attacks)?);
    }
    // The limits grow with the component, and a turn's end is to be near.
    let bombs = bombs::all().into_iter().map(|bomb| (bomb.component)());
    let bombs: Vec<Vec<u8>> = bombs.filter(|bomb| bomb.len() < 1 << 20).collect();
    let compiling = Sandbox::new(SandboxOptions {
        compiler: Compiler::Child(CompileLimits {
            cpu: Duration::from_secs(1),
            memory: 32 << 20,
            ..CompileLimits::default()
        }),
        ..SandboxOptions::default()
    })?;
    let next = AtomicUsize::new(0);
    let attacks = |stop: &AtomicBool| {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed) % bombs.len().max(1);
            if compiling.load(bombs.get(at).context("no bomb")?).is_ok() {
                bail!("a bomb is a guest");
            }
        }
        Ok(())
    };
    add(
        "hostile.compile",
        rounds(&host, &mut good, &spans, count, &attacks)?,
    );
    figures.push(figure("hostile.elapsed", &all_rounds, |rates| rates.1));
    Ok(figures)
}
