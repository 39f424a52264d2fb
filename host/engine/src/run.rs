//! One run on the kernel, from its bundles to their summaries.

mod gadget;
mod live;
mod once;

use self::gadget::{Asked, Over, Planned, Ready};
use self::once::Once;
use crate::assembly;
use crate::command::{CommandError, Ended, Held};
use crate::containers::{ContainerOptions, Containers};
use crate::ledger::Summary;
use crate::options::{GadgetOptions, RunError, RunOptions, SinkOptions};
use crate::pipeline::Now;
use crate::selection::Selection;
use crate::stop::Reason;
use ig_bundle::Bundle;
use ig_kernel::{clock, memory};
use ig_table::output::{Output, WhenFull};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// How a gadget ended.
#[derive(Debug)]
pub struct Outcome {
    /// What it was called in this run.
    pub name: String,
    /// Both ledgers and more.
    pub summary: Summary,
    /// Why.
    pub reason: Reason,
    /// Rows could not be written, and why.
    pub write_error: Option<String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// By gadget, as they were given.
    pub gadgets: Vec<Outcome>,
    /// How the command ended, if there was one.
    pub command: Option<Result<Ended, CommandError>>,
}

impl RunEnd {
    /// The summary as one JSON object: that of the only gadget, or `{"gadgets": {NAME: ...}}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        if let [only] = self.gadgets.as_slice() {
            return only.summary.to_json();
        }
        let gadgets = self.gadgets.iter().map(|g| (g.name.as_str(), &g.summary));
        let gadgets: BTreeMap<&str, &Summary> = gadgets.collect();
        let mut text = serde_json::to_string_pretty(&BTreeMap::from([("gadgets", gadgets)]))
            .unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
        text.push('\n');
        text
    }
}

impl fmt::Display for RunEnd {
    /// The summary; of several gadgets each under its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.gadgets.as_slice() {
            return only.summary.fmt(f);
        }
        for gadget in &self.gadgets {
            writeln!(f, "{}, ended by {}:", gadget.name, gadget.summary.ended_by)?;
            for line in gadget.summary.to_string().lines() {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}

/// A command that got the same Ctrl-C is given this long to end by itself.
const COMMAND_GRACE: Duration = Duration::from_millis(200);

/// Runs gadgets side by side until something ends them. One that ends by itself leaves the others running; they share
/// the command, the request to end, who finds out whose records are, and outputs; each has its own rings, guest and
/// ledgers.
///
/// # Errors
/// Everything that keeps one of them from starting; nothing stays attached then, and no command runs. Once they run, what
/// goes wrong is in the outcomes.
pub fn run(options: RunOptions) -> Result<RunEnd, RunError> {
    let RunOptions {
        gadgets,
        shared,
        target,
        selectors,
        max_rate,
        command,
        timeout,
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
    let (bundles, asked) = apart(gadgets)?;
    let objects = bundles.iter().map(Bundle::object);
    let objects = objects
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| RunError::Refused(e.to_string()))?;
    let mut planned = Vec::with_capacity(asked.len());
    for ((bundle, object), asked) in bundles.iter().zip(&objects).zip(asked) {
        let name = asked.name.clone();
        let gadget = Planned::new(bundle, object, asked, &once);
        planned.push(gadget.map_err(|e| match name {
            Some(name) => e.of_gadget(&name),
            None => e,
        })?);
    }
    for sink in &shared {
        can_be_shared(sink)?;
    }
    once.check_host()?;
    let selection = Selection::new(Arc::new(selectors), max_rate)?;
    for gadget in &mut planned {
        let blame = gadget.blame();
        gadget.select(&selection).map_err(blame)?;
    }
    for gadget in &mut planned {
        let blame = gadget.blame();
        gadget.record(&once).map_err(blame)?;
    }
    // First of all: its mark in the kernel must precede its first instruction.
    let held = command
        .map(|spec| Held::start(spec, once.stop.clone()))
        .transpose()?;
    let follow = held.as_ref().map(Held::pid).or(once.target.pid);
    let mut ready = make(planned, shared, containers, &selection, follow, &once)?;
    // While it is waited, nobody reads the ring of what is attached. Who reads once asks once; a stream has the names in the
    // rows behind.
    if let Some(containers) = &ready.containers
        && ready.gadgets.iter().any(Ready::iterates)
    {
        containers.wait_for_runtimes(&once.say);
    }
    // For the same reason those that open a filter in each namespace go first.
    for first in [true, false] {
        let gadgets = ready.gadgets.iter_mut();
        for gadget in gadgets.filter(|gadget| gadget.filters_packets() == first) {
            let attached = gadget.attach(ready.containers.as_ref());
            attached.map_err(|e| match &gadget.name {
                Some(name) => e.of_gadget(name),
                None => e,
            })?;
        }
    }
    let start = Instant::now();
    let running = held.map(Held::release);
    memory::give_back();

    let over = serve(ready.gadgets, start, timeout)?;
    let grace = if once.stop.reason() == Some(Reason::Signal) {
        COMMAND_GRACE
    } else {
        Duration::ZERO
    };
    let command = running.map(|r| r.finish(grace));
    // Nobody pushes any more, so outputs can end that several share.
    let gadgets = over.into_iter().map(Over::finish);
    Ok(RunEnd {
        gadgets: gadgets.collect::<Result<_, _>>()?,
        command,
    })
}

/// Bundles, and what is asked of each. Where there are several, each has a name of its own.
fn apart(gadgets: Vec<GadgetOptions>) -> Result<(Vec<Bundle>, Vec<Asked>), RunError> {
    let several = gadgets.len() > 1;
    let mut names = BTreeSet::new();
    let (mut bundles, mut asked) = (Vec::new(), Vec::new());
    for gadget in gadgets {
        let GadgetOptions {
            name,
            bundle,
            params,
            ring_size,
            record,
            limits,
            output,
        } = gadget;
        let name = name.unwrap_or_else(|| bundle.manifest.name.clone());
        if several && !names.insert(name.clone()) {
            return Err(RunError::Usage(format!(
                "{name} is there twice, and nobody could tell whose rows are whose; run one `ig` for each, or give them two names in a file of gadgets"
            )));
        }
        bundles.push(bundle);
        asked.push(Asked {
            name: several.then_some(name),
            params,
            ring_size,
            record,
            limits,
            output,
        });
    }
    Ok((bundles, asked))
}

fn can_be_shared(sink: &SinkOptions) -> Result<(), RunError> {
    if sink.format.names_gadgets() {
        return Ok(());
    }
    Err(RunError::Usage(format!(
        "-o {0}: {0} has the columns of one table, and several gadgets would go there; give each a file of its own by the \
         word {{gadget}} in its name, -o {0}=rows-{{gadget}}.{0}, or take columns, json, jsonpretty or yaml",
        sink.format
    )))
}

/// Gadgets that are complete, and what they share.
struct Complete<'a> {
    gadgets: Vec<Ready<'a>>,
    /// Finds out for as long as it is there.
    containers: Option<Containers>,
}

/// Makes everything that takes long, each beside the others, and puts it together.
fn make<'a>(
    mut planned: Vec<Planned<'a>>,
    shared: Vec<SinkOptions>,
    containers: ContainerOptions,
    selection: &Selection,
    follow: Option<u32>,
    once: &Once,
) -> Result<Complete<'a>, RunError> {
    let asks_whose = selection.asks_whose() || planned.iter().any(Planned::asks_whose);
    // None waits for another: the guests' machine code, the kernel's verifier, a look at whose the machine's cgroups are.
    let (containers, made) = std::thread::scope(|scope| {
        let containers =
            asks_whose.then(|| scope.spawn(|| once.find_owners(containers, selection)));
        let mut made = Vec::with_capacity(planned.len());
        if let [gadget] = planned.as_mut_slice() {
            made.push(gadget.make(once));
        } else {
            let threads: Vec<_> = planned
                .iter_mut()
                .map(|gadget| scope.spawn(move || gadget.make(once)))
                .collect();
            let ended = || Err(RunError::Host("a thread that loads ended early".to_owned()));
            made.extend(
                threads
                    .into_iter()
                    .map(|t| t.join().unwrap_or_else(|_| ended())),
            );
        }
        let containers = containers.and_then(|thread| ScopedJoinHandle::join(thread).ok());
        (containers.transpose(), made)
    });
    let containers = containers?.flatten();
    let mut outputs: Vec<Arc<Output>> = Vec::with_capacity(shared.len());
    for (index, sink) in shared.into_iter().enumerate() {
        let tables = planned.iter().flat_map(|gadget| gadget.shown_in(index));
        let tables = tables.collect();
        outputs.push(assembly::start(
            sink,
            tables,
            &once.words,
            &WhenFull::Lose,
            &[],
        )?);
    }
    let mut gadgets = Vec::with_capacity(planned.len());
    for (gadget, made) in planned.into_iter().zip(made) {
        let blame = gadget.blame();
        let ready =
            made.and_then(|made| gadget.join(made, once, containers.as_ref(), follow, &outputs));
        gadgets.push(ready.map_err(blame)?);
    }
    Ok(Complete {
        gadgets,
        containers,
    })
}

/// One gadget on this thread, several on a thread each, until all are over.
fn serve(
    mut gadgets: Vec<Ready<'_>>,
    start: Instant,
    timeout: Option<Duration>,
) -> Result<Vec<Over<'_>>, RunError> {
    if gadgets.len() <= 1 {
        let one = gadgets.pop();
        return Ok(one
            .map(|gadget| gadget.serve(start, timeout))
            .into_iter()
            .collect());
    }
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(gadgets.len());
        for gadget in gadgets {
            // The kernel keeps 15 bytes of a thread's name.
            let name = gadget.name.clone().unwrap_or_default();
            let thread = std::thread::Builder::new().name(name.chars().take(15).collect());
            let thread = thread.spawn_scoped(scope, move || gadget.serve(start, timeout));
            threads.push(thread.map_err(|e| RunError::Host(format!("can't start a thread: {e}"))));
        }
        let ended = || RunError::Host("the thread of a gadget ended early".to_owned());
        let over = threads
            .into_iter()
            .map(|thread| thread.and_then(|thread| thread.join().map_err(|_| ended())));
        over.collect()
    })
}

fn now() -> Now {
    Now {
        boot: clock::boot_ns(),
        wall_offset: clock::wall_offset(),
    }
}
