//! One run on the kernel, from a bundle to its summary.

use crate::assembly::{self, GuestParts, PipelineParts, identities};
use crate::command::{CommandError, Ended, Held, Running};
use crate::containers::Containers;
use crate::guest::Say;
use crate::ledger::{LeftOut, ProgramRuns, RecordLedger, Summary};
use crate::options::{RunError, RunOptions};
use crate::owners::{NoOwners, Owners, SharedOwners, TapedOwners};
use crate::pipeline::{Now, Pipeline, TooManyTraps};
use crate::plan::Plan;
use crate::questions::KernelMaps;
use crate::record::{Recorder, Tap};
use crate::recording;
use crate::stop::{Reason, Stop};
use ig_bundle::Bundle;
use ig_bundle::manifest::ResolvedSource;
use ig_kernel::host;
use ig_kernel::{LoadOptions, Loaded, Loader, Ring, Waiter, clock};
use ig_object::Object;
use ig_records::recording::KERNEL_SYMBOLS;
use ig_table::kallsyms::WithKernelSymbols;
use ig_table::kinds::words::Words;
use ig_table::names::Passwd;
use ig_table::output::WhenFull;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Both ledgers and more.
    pub summary: Summary,
    /// Why.
    pub reason: Reason,
    /// Rows could not be written, and why.
    pub write_error: Option<String>,
    /// How the command ended, if there was one.
    pub command: Option<Result<Ended, CommandError>>,
}

/// Token of the stop request among what the waiter watches.
const STOP: u64 = 0;
/// After detaching, a record that is being written is waited for this long.
const BUSY_GRACE: Duration = Duration::from_millis(100);
/// While records wait for it to be known whose they are, it is asked this often.
const DECISION: Duration = Duration::from_millis(1);
/// How long a guest that watches containers waits to be told of them where no record comes.
const TOLD: Duration = Duration::from_millis(100);
/// A command that got the same Ctrl-C is given this long to end by itself.
const COMMAND_GRACE: Duration = Duration::from_millis(200);

/// Runs a gadget until something ends it.
///
/// # Errors
/// Everything that keeps it from starting; nothing stays attached then. Once it runs, what goes wrong is in the
/// outcome.
pub fn run(options: RunOptions) -> Result<Outcome, RunError> {
    let RunOptions {
        bundle,
        params,
        target,
        command,
        timeout,
        ring_size,
        record,
        limits,
        output,
        containers,
        cache,
        verbose,
        stop,
        say,
    } = options;
    let object = bundle
        .object()
        .map_err(|e| RunError::Refused(e.to_string()))?;
    let people = Arc::new(Passwd::of_host().unwrap_or_default());
    let words = Words::of_host(Arc::new(WithKernelSymbols::new(
        people.clone(),
        Box::new(kernel_symbols),
    )));
    let plan = Plan::new(
        &bundle,
        &object,
        &params,
        &target,
        command.is_some(),
        &output,
        &words,
    )?;
    let redactors = assembly::redactors(&plan.tables, &output)?;
    let missing = host::check(host::Needs::default());
    if !missing.is_empty() {
        return Err(RunError::Missing(missing));
    }
    let recorder = record
        .map(|record| {
            let header = recording::header(&bundle, &plan, &limits, &people, words.zone(), now());
            Recorder::start(record, header).map_err(RunError::Host)
        })
        .transpose()?;
    if let Some(recorder) = &recorder
        && recording::needs_kernel_symbols(&plan)
        && let Ok(functions) = kernel_symbols().and_then(recording::functions)
    {
        recorder.tap().answer(KERNEL_SYMBOLS, &[], &functions);
    }
    // First of all: its mark in the kernel must precede its first instruction.
    let held = command
        .map(|spec| Held::start(spec, stop.clone()))
        .transpose()?;

    // None waits for another: the guest's machine code, the kernel's verifier, a look at whose the machine's cgroups are.
    let asked = plan.tables.iter().any(|table| !table.join.is_empty());
    let asks = bundle.manifest.guest.asks_about_containers();
    let (containers, (program, loaded)) = std::thread::scope(|scope| {
        let containers =
            (asked || asks).then(|| scope.spawn(|| Containers::start(containers, true, &say)));
        let parts = assembly::compile_beside(&bundle, cache, &say, || {
            load(&bundle.object, &object, &plan, ring_size)
        });
        (containers.map(ScopedJoinHandle::join), parts)
    });
    let containers = match containers {
        Some(Ok(Ok(containers))) => Some(containers),
        Some(Ok(Err(e))) => {
            say(&format!("whose records are is not known: {e}"));
            None
        }
        Some(Err(_)) | None => None,
    };
    let mut loaded = loaded?;
    let program = program?;

    let mut rings = Vec::with_capacity(plan.sources.len());
    let mut waiter = Waiter::new().map_err(|e| RunError::Host(e.to_string()))?;
    waiter
        .add(&*stop, STOP)
        .map_err(|e| RunError::Host(e.to_string()))?;
    for source in &plan.sources {
        let ring = loaded
            .ring(&source.map)
            .map_err(|e| RunError::Kernel(e.to_string()))?;
        let index = waiter
            .add_ring(&ring)
            .map_err(|e| RunError::Host(e.to_string()))?;
        rings.push((index, ring));
    }
    if let Some(pid) = held.as_ref().map(Held::pid).or(target.pid) {
        loaded
            .follow(pid)
            .map_err(|e| RunError::Usage(e.to_string()))?;
    }

    let Plan {
        sources,
        tables,
        default,
        interval,
        guest_params,
        grants,
        ..
    } = plan;
    let tap = recorder.as_ref().map(Recorder::tap);
    let owners = owners(
        containers.as_ref(),
        bundle.manifest.guest.watch,
        tap.clone(),
    );
    let guest = match program {
        None => None,
        Some(program) => {
            let maps = grants.iter().map(|(name, _)| loaded.map(name));
            let maps = maps
                .collect::<Result<_, _>>()
                .map_err(|e| RunError::Kernel(e.to_string()))?;
            Some(GuestParts {
                program,
                limits,
                params: guest_params,
                grants,
                maps: Box::new(KernelMaps {
                    maps,
                    tap: tap.clone(),
                }),
                owners: owners.clone(),
                identities: identities(&sources),
                debug: verbose,
            })
        }
    };
    let parts = PipelineParts {
        bundle: &bundle,
        tables,
        default,
        interval,
        sources: sources.len(),
        output,
        redactors,
        words: &words,
        when_full: WhenFull::Lose,
        tap,
        owners: containers.is_some().then_some(owners),
        say: say.clone(),
    };
    let mut pipeline = parts.join(guest)?;
    let undecided = containers.as_ref();
    if let Some(undecided) = undecided.and_then(|c| c.undecided(identities(&sources))) {
        pipeline.hold_undecided(undecided);
    }
    pipeline.init(now()).map_err(RunError::Init)?;

    loaded
        .attach()
        .map_err(|e| RunError::Kernel(e.to_string()))?;
    for left in loaded.left_out() {
        say(&format!(
            "program {} ({}) left out: {}",
            left.program, left.hook, left.reason
        ));
    }
    let start = Instant::now();
    let running = held.map(Held::release);
    let live = Live {
        waiter,
        rings,
        pipeline,
        recorder,
        stop: stop.clone(),
        deadline: timeout.and_then(|t| start.checked_add(t)),
    };
    let ended = live.serve();
    finish(ended, loaded, running, &bundle, &sources, start, &say)
}

/// Who knows whose records are. The answers are recorded where there is a recording.
fn owners(containers: Option<&Containers>, watches: bool, tap: Option<Tap>) -> SharedOwners {
    let owners: Box<dyn Owners> = match containers {
        Some(containers) => Box::new(containers.owners(watches)),
        None => Box::new(NoOwners),
    };
    SharedOwners::new(match tap {
        Some(tap) => Box::new(TapedOwners::new(owners, tap)),
        None => owners,
    })
}

/// What takes long to read is read when a column needs it.
fn kernel_symbols() -> io::Result<Box<dyn BufRead>> {
    let file = File::open("/proc/kallsyms")?;
    Ok(Box::new(BufReader::with_capacity(64 << 10, file)))
}

fn now() -> Now {
    Now {
        boot: clock::boot_ns(),
        wall_offset: clock::wall_offset(),
    }
}

fn load(
    bytes: &[u8],
    object: &Object<'_>,
    plan: &Plan,
    ring_size: Option<u64>,
) -> Result<Loaded, RunError> {
    let mut options = LoadOptions {
        variables: plan.variables.clone(),
        exclude: plan.exclude.clone(),
        optional: plan.optional.clone(),
        ..LoadOptions::default()
    };
    if let Some(size) = ring_size {
        let size = u32::try_from(size).map_err(|_| {
            RunError::Usage(format!(
                "--ring-size: {size} bytes are more than a ring buffer can have"
            ))
        })?;
        options.ring_sizes = plan.sources.iter().map(|s| (s.map.clone(), size)).collect();
    }
    Loader::new(bytes, object, options)
        .load()
        .map_err(|e| RunError::Kernel(e.to_string()))
}

/// A run while its programs are attached.
struct Live {
    waiter: Waiter,
    /// By source: index in the waiter, and the ring.
    rings: Vec<(usize, Ring)>,
    pipeline: Pipeline,
    recorder: Option<Recorder>,
    stop: Arc<Stop>,
    deadline: Option<Instant>,
}

/// A run whose programs are about to be detached.
struct Served {
    live: Live,
    /// The guest trapped for the last time: nobody takes what is still in the rings.
    traps: bool,
    /// The kernel or the ring failed in the middle.
    failure: Option<String>,
}

impl Live {
    /// Serves until somebody asks for the end.
    fn serve(mut self) -> Served {
        let mut traps = false;
        let failure = loop {
            if self.stop.reason().is_some() {
                break None;
            }
            if self.deadline.is_some_and(|d| Instant::now() >= d) {
                self.stop.request(Reason::Timeout);
                break None;
            }
            let round = match self.round() {
                Ok(round) => round,
                Err(End::Traps) => {
                    traps = true;
                    self.stop.request(Reason::Traps);
                    break None;
                }
                Err(End::Failure(what)) => break Some(what),
            };
            if self.pipeline.closed() {
                self.stop.request(Reason::Reader);
                break None;
            }
            if self.pipeline.complete() {
                self.stop.request(Reason::Snapshot);
                break None;
            }
            if self.recorder.as_ref().is_some_and(Recorder::failed) {
                self.stop.request(Reason::Recording);
                break None;
            }
            if round == Round::Behind {
                continue;
            }
            self.pipeline.tell_failed();
            let wake_up = self.wake_up();
            let waited = if round == Round::CaughtUp {
                self.waiter.nap(wake_up).map(drop)
            } else {
                self.waiter.wait(wake_up).map(drop)
            };
            if let Err(e) = waited {
                break Some(e.to_string());
            }
        };
        Served {
            live: self,
            traps,
            failure,
        }
    }

    /// One span of each ring, and the timers that are due; containers that came and went, even where there is no span.
    fn round(&mut self) -> Result<Round, End> {
        let round = self.spans()?;
        if round == Round::Idle {
            self.pipeline
                .tell_of_containers(now())
                .map_err(|TooManyTraps| End::Traps)?;
        }
        let due = self.pipeline.next_timer();
        if due.is_none_or(|due| due > clock::boot_ns()) {
            return Ok(round);
        }
        let over = || {
            let late = self.deadline.is_some_and(|d| Instant::now() >= d);
            late || self.stop.reason().is_some()
        };
        self.pipeline
            .tick(now(), over)
            .map_err(|TooManyTraps| End::Traps)?;
        Ok(round.max(Round::CaughtUp))
    }

    /// One span of each ring, and records that waited until it was known whose they are.
    fn spans(&mut self) -> Result<Round, End> {
        let mut round = Round::Idle;
        for (source, (index, ring)) in self.rings.iter_mut().enumerate() {
            let limits = ring.limits();
            let Some(span) = ring.span(limits).map_err(|e| End::Failure(e.to_string()))? else {
                continue;
            };
            round = round.max(if span.more {
                Round::Behind
            } else {
                Round::CaughtUp
            });
            self.waiter.saw(*index, span.records, span.bytes.len());
            let kept = span.records - span.discarded;
            let result = self
                .pipeline
                .deliver(source, span.bytes, kept, span.discarded, now());
            // Whatever became of it, it is accounted for.
            ring.publish();
            result.map_err(|TooManyTraps| End::Traps)?;
        }
        self.pipeline
            .release_undecided(false, now())
            .map_err(|TooManyTraps| End::Traps)?;
        Ok(round)
    }

    fn wake_up(&self) -> Option<Instant> {
        let timer = self
            .pipeline
            .next_timer()
            .map(|due| Instant::now() + Duration::from_nanos(due.saturating_sub(clock::boot_ns())));
        // Nobody wakes this thread when it becomes known whose a record is.
        let known = self.pipeline.holds().then(|| Instant::now() + DECISION);
        let told = self.pipeline.watches().then(|| Instant::now() + TOLD);
        [timer, known, told, self.deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes what the programs left, until everything that they counted is there or the grace is over. No timer fires any
    /// more: one that takes longer than its period would fire without end.
    fn drain(&mut self, loaded: &Loaded, sources: &[ResolvedSource]) -> Result<(), End> {
        let end = Instant::now() + BUSY_GRACE;
        let mut traps = Ok(());
        loop {
            loop {
                match self.spans() {
                    Ok(Round::Idle) => break,
                    Ok(_) => {}
                    // The guest is over; what is left is taken and counted all the same.
                    Err(End::Traps) => traps = Err(End::Traps),
                    Err(failure) => return Err(failure),
                }
            }
            let taken = sources
                .iter()
                .enumerate()
                .all(|(i, s)| match loaded.ledger(&s.map) {
                    Ok(Some(l)) => {
                        self.pipeline.seen(i) >= l.attempted.saturating_sub(l.not_reserved)
                    }
                    _ => self
                        .rings
                        .get(i)
                        .is_none_or(|(_, ring)| ring.backlog() == 0),
                });
            let complete = taken && !self.pipeline.holds();
            if complete || Instant::now() >= end {
                // Nobody can wait any more.
                let released = self.pipeline.release_undecided(true, now());
                return traps.and(released.map_err(|TooManyTraps| End::Traps));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a look into every ring found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    /// Nothing in any of them.
    Idle,
    /// Something, and nothing behind it.
    CaughtUp,
    /// More than one span in one of them.
    Behind,
}

/// Why serving can't go on.
enum End {
    Traps,
    Failure(String),
}

/// Detach, drain, the guest's last word, counters, summary: in this order.
fn finish(
    served: Served,
    mut loaded: Loaded,
    running: Option<Running>,
    bundle: &Bundle,
    sources: &[ResolvedSource],
    start: Instant,
    say: &Say,
) -> Result<Outcome, RunError> {
    let Served {
        mut live,
        mut traps,
        mut failure,
    } = served;
    loaded.detach();
    if failure.is_none() {
        match live.drain(&loaded, sources) {
            Ok(()) => {}
            Err(End::Traps) => traps = true,
            Err(End::Failure(what)) => failure = Some(what),
        }
    }
    if !traps && live.pipeline.stop(now()).is_err() {
        traps = true;
    }
    let duration_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut reason = live.stop.reason().unwrap_or(Reason::Signal);
    if traps {
        reason = Reason::Traps;
    }
    let grace = if reason == Reason::Signal {
        COMMAND_GRACE
    } else {
        Duration::ZERO
    };
    let command = running.map(|r| r.finish(grace));

    let Live {
        rings,
        pipeline,
        recorder,
        ..
    } = live;
    let mut finished = pipeline.finish();
    let mut summary = Summary {
        gadget: bundle.manifest.name.clone(),
        version: bundle.manifest.version.clone(),
        ended_by: reason.as_str().to_owned(),
        duration_ns,
        rows: finished.rows.into_iter().collect(),
        guest: finished.guest,
        output_blocked_ns: finished.blocked_ns,
        owner_undecided: finished.undecided,
        ..Summary::default()
    };
    let mut left = BTreeMap::new();
    for ((source, ledger), (_, ring)) in sources.iter().zip(&mut finished.records).zip(&rings) {
        left.insert(source.name.clone(), count(&loaded, source, ledger, ring)?);
        summary.records.insert(source.name.clone(), ledger.clone());
    }
    let stats = loaded
        .stats()
        .map_err(|e| RunError::Kernel(e.to_string()))?;
    summary.programs = stats
        .into_iter()
        .map(|s| ProgramRuns {
            program: s.program,
            recursion_misses: s.recursion_misses,
        })
        .collect();
    summary.left_out = loaded
        .left_out()
        .iter()
        .map(|l| LeftOut {
            program: l.program.clone(),
            reason: l.reason.clone(),
        })
        .collect();
    if let Some(what) = failure {
        say(&format!("the run ended early: {what}"));
        summary.ended_by = "error".to_owned();
    }
    let mut write_error = finished.write_error;
    if let Some(recorder) = recorder {
        match recorder.finish(recording::footer(&summary, &left)) {
            Ok((path, written)) => {
                summary.recording = Some(recording::made(&path, written));
            }
            Err(what) => write_error = Some(what),
        }
    }
    Ok(Outcome {
        summary,
        reason,
        write_error,
        command,
    })
}

/// What only the kernel knows of a source. Gives the records that were never taken out of its ring.
fn count(
    loaded: &Loaded,
    source: &ResolvedSource,
    ledger: &mut RecordLedger,
    ring: &Ring,
) -> Result<u64, RunError> {
    let mut left = 0;
    let counted = loaded
        .ledger(&source.map)
        .map_err(|e| RunError::Kernel(e.to_string()))?;
    if let Some(l) = counted {
        ledger.attempted = Some(l.attempted);
        ledger.not_reserved = Some(l.not_reserved);
        // What is still in the ring lies behind a record that its program never finished. With an empty ring a
        // difference would be an error of ours, and must show.
        if ring.backlog() > 0 {
            left = l.attempted.saturating_sub(ledger.accounted());
            ledger.undecided_at_exit += left;
        }
    }
    Ok(left)
}
