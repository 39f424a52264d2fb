//! One run on the kernel, from a bundle to its summary.

mod gadget;
mod live;
mod once;

use self::gadget::{End, Planned};
use self::once::Once;
use crate::command::{CommandError, Ended, Held};
use crate::ledger::Summary;
use crate::options::{GuestLimits, OutputOptions, RunError, RunOptions};
use crate::pipeline::Now;
use crate::record::RecordOptions;
use crate::selection::Selection;
use crate::stop::Reason;
use ig_kernel::{clock, memory};
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

/// What is asked of one gadget.
struct GadgetOptions {
    params: Vec<(String, String)>,
    ring_size: Option<u64>,
    record: Option<RecordOptions>,
    limits: GuestLimits,
    output: OutputOptions,
}

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
        selectors,
        max_rate,
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
    let (people, words) = once::words();
    let once = Once {
        people,
        words,
        target,
        has_command: command.is_some(),
        cache,
        verbose,
        stop,
        say,
    };
    let object = bundle
        .object()
        .map_err(|e| RunError::Refused(e.to_string()))?;
    let options = GadgetOptions {
        params,
        ring_size,
        record,
        limits,
        output,
    };
    let mut planned = Planned::new(&bundle, &object, options, &once)?;
    once.check_host()?;
    let selection = Selection::new(Arc::new(selectors), max_rate)?;
    planned.select(&selection)?;
    planned.record(&once)?;
    // First of all: its mark in the kernel must precede its first instruction.
    let held = command
        .map(|spec| Held::start(spec, once.stop.clone()))
        .transpose()?;

    // None waits for another: the guest's machine code, the kernel's verifier, a look at whose the machine's cgroups are.
    let (containers, made) = std::thread::scope(|scope| {
        let asks = planned.asks_whose() || selection.asks_whose();
        let containers = asks.then(|| scope.spawn(|| once.find_owners(containers, &selection)));
        let made = planned.make(&once);
        let containers = containers.and_then(|thread| ScopedJoinHandle::join(thread).ok());
        (containers.transpose(), made)
    });
    let containers = containers?.flatten();
    let follow = held.as_ref().map(Held::pid).or(once.target.pid);
    let mut ready = planned.join(made?, &once, containers.as_ref(), follow)?;
    ready.attach(&once, containers.as_ref())?;
    let start = Instant::now();
    let running = held.map(Held::release);
    memory::give_back();

    let over = ready.serve(start, timeout);
    let reason = over.reason();
    let grace = if reason == Reason::Signal {
        COMMAND_GRACE
    } else {
        Duration::ZERO
    };
    let command = running.map(|r| r.finish(grace));
    let End {
        summary,
        write_error,
    } = over.finish(&once)?;
    Ok(Outcome {
        summary,
        reason,
        write_error,
        command,
    })
}

fn now() -> Now {
    Now {
        boot: clock::boot_ns(),
        wall_offset: clock::wall_offset(),
    }
}
