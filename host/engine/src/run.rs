//! One run, from a bundle to its summary.

use crate::command::{CommandError, Ended, Held, Running};
use crate::guest::{Grant, GuestHost, GuestTable, Say};
use crate::ledger::{LeftOut, ProgramRuns, RecordLedger, Summary};
use crate::options::{OutputOptions, Place, RunError, RunOptions, SinkOptions};
use crate::pipeline::{Instance, Now, Pipeline, TooManyTraps};
use crate::plan::{Plan, PlannedTable};
use crate::stop::{Reason, Stop};
use ig_bundle::Bundle;
use ig_bundle::manifest::ResolvedSource;
use ig_kernel::host;
use ig_kernel::{LoadOptions, Loaded, Loader, Ring, Waiter, clock};
use ig_object::Object;
use ig_sandbox::{CacheUse, Grants, Limits, Sandbox, SandboxOptions};
use ig_table::Table;
use ig_table::columns::TerminalOptions;
use ig_table::kallsyms::WithKernelSymbols;
use ig_table::kinds::words::Words;
use ig_table::names::{Names, NoNames, Passwd};
use ig_table::output::{Output, Outputs, QueueLimits, ShownTable};
use ig_table::redact::Redactor;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, mpsc};
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
/// A command that got the same Ctrl-C is given this long to end by itself.
const COMMAND_GRACE: Duration = Duration::from_millis(200);
/// When compiling the guest takes longer than this, the user is told what is going on.
const PATIENCE: Duration = Duration::from_secs(1);

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
        limits,
        output,
        cache,
        verbose,
        stop,
        say,
    } = options;
    let object = bundle
        .object()
        .map_err(|e| RunError::Refused(e.to_string()))?;
    let words = Words::of_host(names());
    let plan = Plan::new(
        &bundle,
        &object,
        &params,
        &target,
        command.is_some(),
        &output,
        &words,
    )?;
    let shown: Vec<&Table> = plan
        .tables
        .iter()
        .filter(|table| table.shown)
        .map(|table| &*table.table)
        .collect();
    let mut redactors = Redactor::of_tables(&shown, &output.redact)
        .map_err(|e| RunError::Usage(e.to_string()))?
        .into_iter();
    let missing = host::check(host::Needs::default());
    if !missing.is_empty() {
        return Err(RunError::Missing(missing));
    }
    // First of all: its mark in the kernel must precede its first instruction.
    let held = command
        .map(|spec| Held::start(spec, stop.clone()))
        .transpose()?;

    // Neither waits for the other: the guest's machine code and the kernel's verifier.
    let (guest, loaded) = std::thread::scope(|scope| {
        let (ready, compiling) = mpsc::channel();
        let began = Instant::now();
        let kept = cache.is_some();
        let program = bundle.component.as_deref().map(|component| {
            scope.spawn(move || {
                let sandbox = Sandbox::new(SandboxOptions {
                    cache,
                    ..SandboxOptions::default()
                })?;
                let program = sandbox.load(component);
                // Nobody may be waiting any more.
                let _ = ready.send(());
                program
            })
        });
        let loaded = load(&bundle.object, &object, &plan, ring_size);
        let patience = PATIENCE.saturating_sub(began.elapsed());
        if program.is_some() && lasts(&compiling, patience) {
            say(if kept {
                "compiling the guest, once: what comes of it is kept for later runs"
            } else {
                "compiling the guest"
            });
        }
        (program.map(std::thread::ScopedJoinHandle::join), loaded)
    });
    let mut loaded = loaded?;
    let program = match guest {
        None => None,
        Some(Ok(Ok(program))) => Some(program),
        Some(Ok(Err(e))) => return Err(RunError::Refused(format!("the guest: {e}"))),
        Some(Err(_)) => {
            return Err(RunError::Host(
                "the thread that loads the guest ended early".to_owned(),
            ));
        }
    };

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
    let instance = match &program {
        None => None,
        Some(program) => {
            if let CacheUse::Unusable(problem) = program.cache() {
                say(&format!("the compiled guest is not kept: {problem}"));
            }
            let guest_tables = tables
                .iter()
                .map(|t| GuestTable {
                    name: t.table.name.clone(),
                    has_frames: t.mode.has_frames(),
                    columns: t.guest.clone(),
                    wanted: t.wanted.clone(),
                })
                .collect();
            let staging = usize::try_from(limits.staging).unwrap_or(usize::MAX);
            let mut host = GuestHost::new(
                &bundle.manifest.name,
                guest_tables,
                guest_params,
                staging,
                say.clone(),
            );
            host.debug = verbose;
            for (name, access) in grants {
                let map = loaded
                    .map(&name)
                    .map_err(|e| RunError::Kernel(e.to_string()))?;
                host.grants.push(Grant { name, access, map });
            }
            let grants = Grants {
                params: host.params.iter().any(Option::is_some),
                clock: bundle.manifest.guest.clock,
                maps: !host.grants.is_empty(),
                timers: bundle.manifest.guest.timers,
            };
            let defaults = Limits::default();
            let limits_of_guest = Limits {
                cpu_per_call: limits.cpu_per_call,
                cpu_to_start_or_stop: defaults.cpu_to_start_or_stop.max(limits.cpu_per_call),
                memory: usize::try_from(limits.memory).unwrap_or(usize::MAX),
                host_calls: limits.host_calls,
                hostcall_fuel: staging.saturating_mul(2),
                ..defaults
            };
            let guest = program
                .instantiate(host, limits_of_guest, grants)
                .map_err(|e| RunError::Refused(format!("the guest: {e}")))?;
            Some(Instance::new(guest, limits.max_traps))
        }
    };

    let OutputOptions {
        main,
        others,
        redact: _,
        table: _,
        fields: _,
        filter: _,
        sort: _,
        max_rows: _,
        interval: _,
    } = output;
    let outputs = outputs(main, others, &tables, default, &words)?;
    let tables = tables
        .into_iter()
        .map(|table| {
            let redactor = if table.shown { redactors.next() } else { None };
            (table, redactor.unwrap_or_default())
        })
        .collect();
    let mut pipeline = Pipeline::new(
        tables,
        outputs,
        sources.len(),
        instance,
        interval,
        say.clone(),
    );
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
        stop: stop.clone(),
        deadline: timeout.and_then(|t| start.checked_add(t)),
    };
    let ended = live.serve();
    finish(ended, loaded, running, &bundle, &sources, start, &say)
}

/// Whether what ends with a message, or without one when it fails, takes longer than `patience`.
fn lasts(end: &mpsc::Receiver<()>, patience: Duration) -> bool {
    end.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout)
}

/// Starts the outputs. Files are opened here, before anything is attached.
fn outputs(
    main: SinkOptions,
    others: Vec<SinkOptions>,
    tables: &[PlannedTable],
    default: usize,
    words: &Words,
) -> Result<Outputs, RunError> {
    // What shows one table shows the first.
    let rest = tables.iter().enumerate();
    let rest = rest.filter(|(i, table)| *i != default && table.shown);
    let shown: Vec<ShownTable> = tables
        .get(default)
        .into_iter()
        .chain(rest.map(|(_, table)| table))
        .map(|table| ShownTable {
            table: table.table.clone(),
            selected: table.selected.clone(),
            frames: table.mode.has_frames(),
        })
        .collect();
    let start = |sink: SinkOptions| {
        let SinkOptions {
            name: _,
            format,
            place,
        } = sink;
        let mut options = ig_table::output::OutputOptions {
            format,
            tables: shown.clone(),
            words: words.clone(),
            terminal: TerminalOptions::default(),
            limits: QueueLimits::default(),
        };
        match place {
            Place::Writer(writer, terminal) => {
                options.terminal = terminal;
                Output::start(options, writer)
                    .map_err(|e| RunError::Host(format!("can't start the writer: {e}")))
            }
            Place::File(file) => {
                Output::to_file(options, file).map_err(|e| RunError::Host(e.to_string()))
            }
        }
    };
    let mut outputs = Outputs::new(start(main)?);
    for sink in others {
        outputs.add(sink.name.clone(), start(sink)?);
    }
    Ok(outputs)
}

/// Names of this host and its kernel. What takes long to read is read when a column needs it.
fn names() -> Arc<dyn Names> {
    let people: Arc<dyn Names> = match Passwd::of_host() {
        Ok(passwd) => Arc::new(passwd),
        Err(_) => Arc::new(NoNames),
    };
    let kernel = || {
        let file = File::open("/proc/kallsyms")?;
        Ok(Box::new(BufReader::with_capacity(64 << 10, file)) as Box<dyn BufRead>)
    };
    Arc::new(WithKernelSymbols::new(people, Box::new(kernel)))
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

    /// One span of each ring, and the timers that are due.
    fn round(&mut self) -> Result<Round, End> {
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
        if self
            .pipeline
            .next_timer()
            .is_some_and(|due| due <= clock::boot_ns())
        {
            self.pipeline
                .tick(now())
                .map_err(|TooManyTraps| End::Traps)?;
            round = round.max(Round::CaughtUp);
        }
        Ok(round)
    }

    fn wake_up(&self) -> Option<Instant> {
        let timer = self
            .pipeline
            .next_timer()
            .map(|due| Instant::now() + Duration::from_nanos(due.saturating_sub(clock::boot_ns())));
        match (timer, self.deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Takes what the programs left, until everything that they counted is there or the grace is over.
    fn drain(&mut self, loaded: &Loaded, sources: &[ResolvedSource]) -> Result<(), End> {
        let end = Instant::now() + BUSY_GRACE;
        let mut traps = Ok(());
        loop {
            loop {
                match self.round() {
                    Ok(Round::Idle) => break,
                    Ok(_) => {}
                    // The guest is over; what is left is taken and counted all the same.
                    Err(End::Traps) => traps = Err(End::Traps),
                    Err(failure) => return Err(failure),
                }
            }
            let complete = sources
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
            if complete || Instant::now() >= end {
                return traps;
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
        rings, pipeline, ..
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
        ..Summary::default()
    };
    for ((source, ledger), (_, ring)) in sources.iter().zip(&mut finished.records).zip(&rings) {
        count(&loaded, source, ledger, ring)?;
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
    Ok(Outcome {
        summary,
        reason,
        write_error: finished.write_error,
        command,
    })
}

/// What only the kernel knows of a source.
fn count(
    loaded: &Loaded,
    source: &ResolvedSource,
    ledger: &mut RecordLedger,
    ring: &Ring,
) -> Result<(), RunError> {
    let counted = loaded
        .ledger(&source.map)
        .map_err(|e| RunError::Kernel(e.to_string()))?;
    if let Some(l) = counted {
        ledger.attempted = Some(l.attempted);
        ledger.not_reserved = Some(l.not_reserved);
        // What is still in the ring lies behind a record that its program never finished. With an empty ring a
        // difference would be an error of ours, and must show.
        if ring.backlog() > 0 {
            ledger.undecided_at_exit += l.attempted.saturating_sub(ledger.accounted());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasts_is_worth_a_word() {
        let (ready, end) = mpsc::channel();
        assert!(lasts(&end, Duration::ZERO));
        ready.send(()).unwrap();
        assert!(!lasts(&end, Duration::ZERO));
        drop(ready);
        assert!(!lasts(&end, Duration::ZERO), "it failed");
    }
}
