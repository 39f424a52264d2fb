//! Everything behind the rings, put together: the same for a run on the kernel and for a replay.

use crate::guest::{Grant, GuestHost, GuestTable, Say};
use crate::identity::RecordIdentity;
use crate::options::{GuestLimits, OutputOptions, Place, RunError, SinkOptions};
use crate::owners::{AskedOwners, SharedOwners};
use crate::pipeline::{Instance, Pipeline};
use crate::plan::PlannedTable;
use crate::questions::Maps;
use crate::record::Tap;
use ig_bundle::Bundle;
use ig_bundle::manifest::{Access, ResolvedSource};
use ig_sandbox::{CacheUse, Grants, Limits, Program, Sandbox, SandboxOptions};
use ig_table::Table;
use ig_table::columns::TerminalOptions;
use ig_table::kinds::words::Words;
use ig_table::output::{Output, Outputs, QueueLimits, ShownTable, WhenFull};
use ig_table::redact::Redactor;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// When compiling the guest takes longer than this, the user is told what is going on.
const PATIENCE: Duration = Duration::from_secs(1);

/// Gets the guest's machine code, from the cache or compiled, on a thread of its own while `work` is done on this one.
pub(crate) fn compile_beside<T>(
    bundle: &Bundle,
    cache: Option<PathBuf>,
    say: &Say,
    work: impl FnOnce() -> T,
) -> (Result<Option<Program>, RunError>, T) {
    std::thread::scope(|scope| {
        let (ready, compiling) = mpsc::channel();
        let began = Instant::now();
        let kept = cache.is_some();
        let program = bundle.component.as_deref().map(|component| {
            scope.spawn(move || {
                let program = compile(component, cache);
                // Nobody may be waiting any more.
                let _ = ready.send(());
                program
            })
        });
        let done = work();
        let patience = PATIENCE.saturating_sub(began.elapsed());
        if program.is_some() && lasts(&compiling, patience) {
            say(if kept {
                "compiling the guest, once: what comes of it is kept for later runs"
            } else {
                "compiling the guest"
            });
        }
        let program = match program.map(ScopedJoinHandle::join) {
            None => Ok(None),
            Some(Ok(program)) => program.map(Some),
            Some(Err(_)) => Err(RunError::Host(
                "the thread that loads the guest ended early".to_owned(),
            )),
        };
        (program, done)
    })
}

/// Whether what ends with a message, or without one when it fails, takes longer than `patience`.
fn lasts(end: &mpsc::Receiver<()>, patience: Duration) -> bool {
    end.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout)
}

fn compile(component: &[u8], cache: Option<PathBuf>) -> Result<Program, RunError> {
    let refused = |e: &dyn std::fmt::Display| RunError::Refused(format!("the guest: {e}"));
    let sandbox = Sandbox::new(SandboxOptions {
        cache,
        ..SandboxOptions::default()
    })
    .map_err(|e| refused(&e))?;
    sandbox.load(component).map_err(|e| refused(&e))
}

/// What takes secrets out of rows: one for each table that is shown, in their order.
pub(crate) fn redactors(
    tables: &[PlannedTable],
    output: &OutputOptions,
) -> Result<Vec<Redactor>, RunError> {
    let shown: Vec<&Table> = tables
        .iter()
        .filter(|table| table.shown)
        .map(|table| &*table.table)
        .collect();
    Redactor::of_tables(&shown, &output.redact).map_err(|e| RunError::Usage(e.to_string()))
}

/// A guest and what it may use.
pub(crate) struct GuestParts {
    pub program: Program,
    pub limits: GuestLimits,
    /// By index in the manifest; None: not for the guest.
    pub params: Vec<Option<String>>,
    /// The maps that it may use, and how.
    pub grants: Vec<(String, Vec<Access>)>,
    /// Who answers about these.
    pub maps: Box<dyn Maps>,
    /// Who knows whose records are.
    pub owners: SharedOwners,
    /// By source: where its records say whose they are.
    pub identities: Vec<Option<RecordIdentity>>,
    /// Show its debug messages.
    pub debug: bool,
}

/// By source: where its records say whose they are.
pub(crate) fn identities(sources: &[ResolvedSource]) -> Vec<Option<RecordIdentity>> {
    let sources = sources.iter();
    sources
        .map(|source| RecordIdentity::of(&source.layout))
        .collect()
}

impl GuestParts {
    fn instance(
        self,
        bundle: &Bundle,
        tables: &[PlannedTable],
        say: &Say,
    ) -> Result<Instance, RunError> {
        let Self {
            program,
            limits,
            params,
            grants,
            maps,
            owners,
            identities,
            debug,
        } = self;
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
        let granted = Grants {
            params: params.iter().any(Option::is_some),
            clock: bundle.manifest.guest.clock,
            maps: !grants.is_empty(),
            timers: bundle.manifest.guest.timers,
            containers: bundle.manifest.guest.asks_about_containers(),
        };
        let grants = grants
            .into_iter()
            .map(|(name, access)| Grant { name, access })
            .collect();
        let mut host = GuestHost::new(
            &bundle.manifest.name,
            guest_tables,
            params,
            grants,
            maps,
            staging,
            say.clone(),
        );
        if granted.containers {
            host.owners = AskedOwners::new(Box::new(owners), identities, staging);
        }
        host.debug = debug;
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
            .instantiate(host, limits_of_guest, granted)
            .map_err(|e| RunError::Refused(format!("the guest: {e}")))?;
        Ok(Instance::new(guest, limits.max_traps))
    }
}

/// What a pipeline is made of beside its guest.
pub(crate) struct PipelineParts<'a> {
    pub bundle: &'a Bundle,
    pub tables: Vec<PlannedTable>,
    /// The index of the table that outputs show which can show but one.
    pub default: usize,
    /// Nanoseconds after which the host ends the frames that it gathers.
    pub interval: Option<u64>,
    pub sources: usize,
    pub output: OutputOptions,
    /// See [`redactors`].
    pub redactors: Vec<Redactor>,
    pub words: &'a Words,
    pub when_full: WhenFull,
    /// What it is called where several run side by side.
    pub name: Option<String>,
    /// The outputs that they share.
    pub shared: &'a [Arc<Output>],
    pub tap: Option<Tap>,
    /// Who says whose rows are; None: nobody knows.
    pub owners: Option<SharedOwners>,
    pub say: Say,
}

impl PipelineParts<'_> {
    /// Makes the guest's instance, opens the outputs, joins them.
    pub fn join(self, guest: Option<GuestParts>) -> Result<Pipeline, RunError> {
        let Self {
            bundle,
            tables,
            default,
            interval,
            sources,
            output,
            redactors,
            words,
            when_full,
            name,
            shared,
            tap,
            owners,
            say,
        } = self;
        let instance = guest
            .map(|guest| guest.instance(bundle, &tables, &say))
            .transpose()?;
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
        let shown = shown(&tables, default, None);
        let outputs = outputs(main, others, &shown, words, &when_full, shared)?;
        let mut redactors = redactors.into_iter();
        let tables = tables
            .into_iter()
            .map(|table| {
                let redactor = if table.shown { redactors.next() } else { None };
                (table, redactor.unwrap_or_default())
            })
            .collect();
        let pipeline = Pipeline::new(tables, outputs, sources, instance, interval, tap, say);
        Ok(pipeline.with_owners(owners).with_name(name))
    }
}

/// The tables that outputs show, with the gadget's name where an output shows those of several.
pub(crate) fn shown(
    tables: &[PlannedTable],
    default: usize,
    gadget: Option<&str>,
) -> Vec<ShownTable> {
    // What shows one table shows the first.
    let rest = tables.iter().enumerate();
    let rest = rest.filter(|(i, table)| *i != default && table.shown);
    tables
        .get(default)
        .into_iter()
        .chain(rest.map(|(_, table)| table))
        .map(|table| ShownTable {
            gadget: gadget.map(str::to_owned),
            table: table.table.clone(),
            selected: table.selected.clone(),
            frames: table.mode.has_frames(),
            quiet: table.quiet.clone(),
            names: table.names.clone(),
        })
        .collect()
}

/// Starts one output.
pub(crate) fn start(
    sink: SinkOptions,
    tables: Vec<ShownTable>,
    words: &Words,
    when_full: &WhenFull,
    shared: &[Arc<Output>],
) -> Result<Arc<Output>, RunError> {
    let SinkOptions {
        name,
        format,
        place,
    } = sink;
    let mut options = ig_table::output::OutputOptions {
        format,
        tables,
        words: words.clone(),
        terminal: TerminalOptions::default(),
        limits: QueueLimits::default(),
        when_full: when_full.clone(),
    };
    let output = match place {
        Place::Writer(writer, terminal) => {
            options.terminal = terminal;
            Output::start(options, writer)
                .map_err(|e| RunError::Host(format!("can't start the writer: {e}")))?
        }
        Place::File(file) => {
            Output::to_file(options, file).map_err(|e| RunError::Host(e.to_string()))?
        }
        Place::Shared(index) => {
            let output = shared.get(index).cloned();
            return output.ok_or_else(|| RunError::Host(format!("{name}: nobody shares it")));
        }
    };
    Ok(Arc::new(output))
}

/// Starts the outputs of one gadget. Files are opened here, before anything is attached.
pub(crate) fn outputs(
    main: SinkOptions,
    others: Vec<SinkOptions>,
    shown: &[ShownTable],
    words: &Words,
    when_full: &WhenFull,
    shared: &[Arc<Output>],
) -> Result<Outputs, RunError> {
    let start = |sink| start(sink, shown.to_vec(), words, when_full, shared);
    let mut outputs = Outputs::new(start(main)?);
    for sink in others {
        outputs.add(sink.name.clone(), start(sink)?);
    }
    Ok(outputs)
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
