//! What a run has for each gadget: its plan, then its programs and guest, then its rings and its ledgers.

use super::Outcome;
use super::live::{Drained, Live, SourceRing};
use super::now;
use super::once::{self, Once};
use crate::assembly::{self, GuestParts, PipelineParts, identities};
use crate::containers::Containers;
use crate::filters::Filters;
use crate::guest::Say;
use crate::iterators::{self, Iterators};
use crate::ledger::{LeftOut, ProgramRuns, RATE, RecordLedger, Summary};
use crate::options::{GuestLimits, OutputOptions, Place, RunError};
use crate::owners::{NoOwners, Owners, SharedOwners, TapedOwners};
use crate::plan::Plan;
use crate::questions::KernelMaps;
use crate::record::{RecordOptions, Recorder, Tap};
use crate::recording;
use crate::selection::Selection;
use crate::stop::Reason;
use ig_bundle::Bundle;
use ig_bundle::manifest::ResolvedSource;
use ig_kernel::{LoadError, LoadOptions, Loaded, Loader, Ring, Waiter};
use ig_object::Object;
use ig_records::recording::KERNEL_SYMBOLS;
use ig_sandbox::Program;
use ig_table::output::{Output, ShownTable, WhenFull};
use ig_table::redact::Redactor;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Token of the stop request among what the waiter watches.
const STOP: u64 = 0;

/// What is asked of a gadget, beside its bundle.
pub(super) struct Asked {
    /// What it is called where several run side by side.
    pub name: Option<String>,
    pub params: Vec<(String, String)>,
    pub ring_size: Option<u64>,
    pub record: Option<RecordOptions>,
    pub limits: GuestLimits,
    pub output: OutputOptions,
}

/// A gadget of which it is known what it is going to do, and nothing is made yet.
pub(super) struct Planned<'a> {
    name: Option<String>,
    bundle: &'a Bundle,
    object: &'a Object<'a>,
    say: Say,
    plan: Plan,
    redactors: Vec<Redactor>,
    /// What the kernel is told beside the plan: sizes, and whose records.
    load: LoadOptions,
    limits: GuestLimits,
    output: OutputOptions,
    record: Option<RecordOptions>,
    recorder: Option<Recorder>,
}

/// What of a gadget takes long to make.
pub(super) struct Made {
    program: Option<Program>,
    loaded: Loaded,
}

/// A gadget that is complete.
pub(super) struct Ready<'a> {
    pub name: Option<String>,
    bundle: &'a Bundle,
    say: Say,
    sources: Vec<ResolvedSource>,
    loaded: Loaded,
    filters: Option<Filters>,
    live: Live,
}

/// A gadget that is over, and detached.
pub(super) struct Over<'a> {
    name: Option<String>,
    bundle: &'a Bundle,
    say: Say,
    sources: Vec<ResolvedSource>,
    loaded: Loaded,
    drained: Drained,
    duration: Duration,
}

impl<'a> Planned<'a> {
    pub fn new(
        bundle: &'a Bundle,
        object: &'a Object<'a>,
        asked: Asked,
        once: &Once,
    ) -> Result<Self, RunError> {
        let Asked {
            name,
            params,
            ring_size,
            record,
            limits,
            output,
        } = asked;
        let plan = Plan::new(
            bundle,
            object,
            &params,
            &once.target,
            once.has_command,
            &output,
            &once.words,
        )?;
        let redactors = assembly::redactors(&plan.tables, &output)?;
        let mut load = LoadOptions {
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
            let maps = plan.sources.iter().filter_map(ResolvedSource::ring);
            load.ring_sizes = maps.map(|map| (map.to_owned(), size)).collect();
        }
        let say = match name.clone() {
            None => once.say.clone(),
            Some(name) => {
                let say = once.say.clone();
                Arc::new(move |text: &str| say(&format!("{name}: {text}")))
            }
        };
        Ok(Self {
            name,
            bundle,
            object,
            say,
            plan,
            redactors,
            load,
            limits,
            output,
            record,
            recorder: None,
        })
    }

    /// Narrows the gadget to whose records are asked for.
    pub fn select(&mut self, selection: &Selection) -> Result<(), RunError> {
        let names = self.plan.sources.iter().map(|s| s.name.as_str());
        let sources = names.zip(identities(&self.plan.sources));
        let rings = self.plan.sources.iter().filter_map(ResolvedSource::ring);
        selection.apply(self.object, sources, rings, &mut self.load)
    }

    /// Its tables as the output at `index` of those that gadgets share shows them; none if its rows do not go there.
    pub fn shown_in(&self, index: usize) -> Vec<ShownTable> {
        let goes = |place: &Place| matches!(place, Place::Shared(i) if *i == index);
        if self.output.sinks().any(|sink| goes(&sink.place)) {
            assembly::shown(&self.plan.tables, self.plan.default, self.name.as_deref())
        } else {
            Vec::new()
        }
    }

    /// Says whose an error is, where there are several gadgets.
    pub fn blame(&self) -> impl Fn(RunError) -> RunError + use<> {
        let name = self.name.clone();
        move |error| match &name {
            Some(name) => error.of_gadget(name),
            None => error,
        }
    }

    /// Begins the recording, if one is asked for.
    pub fn record(&mut self, once: &Once) -> Result<(), RunError> {
        let Some(record) = self.record.take() else {
            return Ok(());
        };
        let header = recording::header(
            self.bundle,
            &self.plan,
            &self.limits,
            &once.people,
            once.words.zone(),
            now(),
        );
        let recorder = Recorder::start(record, header).map_err(RunError::Host)?;
        if recording::needs_kernel_symbols(&self.plan)
            && let Ok(functions) = once::kernel_symbols().and_then(recording::functions)
        {
            recorder.tap().answer(KERNEL_SYMBOLS, &[], &functions);
        }
        self.recorder = Some(recorder);
        Ok(())
    }

    /// A column or the guest asks whose records are.
    pub fn asks_whose(&self) -> bool {
        let asked = self.plan.tables.iter().any(|table| !table.join.is_empty());
        asked || self.bundle.manifest.guest.asks_about_containers()
    }

    /// The guest's machine code, and the programs in the kernel. None waits for the other.
    /// It has it alone: what it will write to can be used by one thread at a time.
    pub fn make(&mut self, once: &Once) -> Result<Made, RunError> {
        let (program, loaded) =
            assembly::compile_beside(self.bundle, once.cache.clone(), &self.say, || self.load());
        let loaded = loaded?;
        Ok(Made {
            program: program?,
            loaded,
        })
    }

    fn load(&self) -> Result<Loaded, RunError> {
        Loader::new(&self.bundle.object, self.object, self.load.clone())
            .load()
            .map_err(|e| {
                let cure = match e {
                    LoadError::Kernel(_) => "; `ig doctor` says what this machine lacks",
                    _ => "",
                };
                RunError::Kernel(format!("{e}{cure}"))
            })
    }

    /// Puts everything together and makes the guest's first call. `follow`: the process that is traced.
    pub fn join(
        self,
        made: Made,
        once: &Once,
        containers: Option<&Containers>,
        follow: Option<u32>,
        shared: &[Arc<Output>],
    ) -> Result<Ready<'a>, RunError> {
        let Self {
            name,
            bundle,
            object: _,
            say,
            plan,
            redactors,
            load: _,
            limits,
            output,
            record: _,
            recorder,
        } = self;
        let Made {
            program,
            mut loaded,
        } = made;
        let (waiter, rings) = rings(&mut loaded, &plan.sources, once)?;
        if let Some(pid) = follow {
            loaded
                .follow(pid)
                .map_err(|e| RunError::Usage(e.to_string()))?;
        }

        let Plan {
            sources,
            tables,
            default,
            interval,
            walk_interval,
            guest_params,
            grants,
            ..
        } = plan;
        let tap = recorder.as_ref().map(Recorder::tap);
        let owners = owners(containers, bundle.manifest.guest.watch, tap.clone());
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
                    debug: once.verbose,
                })
            }
        };
        let iterators = Iterators::new(&sources, &iterators::filled(&tables), walk_interval, &say);
        let is_shared = matches!(output.main.place, Place::Shared(_));
        let parts = PipelineParts {
            bundle,
            tables,
            default,
            interval,
            sources: sources.len(),
            output,
            redactors,
            words: &once.words,
            when_full: WhenFull::Lose,
            name: name.clone(),
            shared,
            tap,
            owners: containers.is_some().then_some(owners),
            say: say.clone(),
        };
        let mut pipeline = parts.join(guest)?;
        if let Some(undecided) = containers.and_then(|c| c.undecided(identities(&sources))) {
            pipeline.hold_undecided(undecided);
        }
        pipeline.init(now()).map_err(RunError::Init)?;
        Ok(Ready {
            name,
            bundle,
            say,
            sources,
            loaded,
            filters: None,
            live: Live {
                waiter,
                rings,
                iterators,
                pipeline,
                recorder,
                stop: once.stop.clone(),
                deadline: None,
                shared: is_shared,
            },
        })
    }
}

/// The rings of all sources, and what waits for them and for the end.
fn rings(
    loaded: &mut Loaded,
    sources: &[ResolvedSource],
    once: &Once,
) -> Result<(Waiter, Vec<SourceRing>), RunError> {
    let mut rings = Vec::with_capacity(sources.len());
    let mut waiter = Waiter::new().map_err(|e| RunError::Host(e.to_string()))?;
    waiter
        .add(&*once.stop, STOP)
        .map_err(|e| RunError::Host(e.to_string()))?;
    for (source, of) in sources.iter().enumerate() {
        let Some(map) = of.ring() else {
            continue;
        };
        let ring = loaded
            .ring(map)
            .map_err(|e| RunError::Kernel(e.to_string()))?;
        let index = waiter
            .add_ring(&ring)
            .map_err(|e| RunError::Host(e.to_string()))?;
        rings.push(SourceRing {
            source,
            map: map.to_owned(),
            index,
            ring,
        });
    }
    Ok((waiter, rings))
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

impl<'a> Ready<'a> {
    /// It has sources that are read from beginning to end.
    pub fn iterates(&self) -> bool {
        !self.live.iterators.is_empty()
    }

    /// Packets of all network namespaces are shown to it.
    pub fn filters_packets(&self) -> bool {
        self.loaded.has_socket_filters()
    }

    /// From here on it sees what happens. `containers`: who knows which are asked for.
    pub fn attach(&mut self, containers: Option<&Containers>) -> Result<(), RunError> {
        let attached = self.loaded.attach();
        attached.map_err(|e| RunError::Kernel(e.to_string()))?;
        for left in self.loaded.left_out() {
            (self.say)(&format!(
                "program {} ({}) left out: {}",
                left.program, left.hook, left.reason
            ));
        }
        let filters = Filters::open(&self.loaded, containers, &self.say);
        self.filters = filters.map_err(RunError::Kernel)?;
        let iterators = &mut self.live.iterators;
        if iterators.is_empty() {
            return Ok(());
        }
        let asked = containers.and_then(Containers::asked);
        iterators
            .attach(&self.loaded, Containers::network_namespaces(), asked)
            .map_err(RunError::Kernel)
    }

    /// Serves until it is over, detaches, and takes what is left. `start`: when everything was attached.
    pub fn serve(self, start: Instant, timeout: Option<Duration>) -> Over<'a> {
        let Self {
            name,
            bundle,
            say,
            sources,
            mut loaded,
            filters,
            mut live,
        } = self;
        live.deadline = timeout.and_then(|t| start.checked_add(t));
        let served = live.serve();
        loaded.detach();
        let drained = served.drain(&loaded);
        // They see nothing any more, and closing them takes a moment.
        drop(filters);
        let over = Over {
            name,
            bundle,
            say,
            sources,
            loaded,
            drained,
            duration: start.elapsed(),
        };
        over.tell_early();
        over
    }
}

impl Over<'_> {
    /// Says that it is over, where others may go on.
    fn tell_early(&self) {
        let why = match self.drained.reason {
            Reason::Traps => "its guest trapped too often",
            Reason::Snapshot => "its snapshot is complete",
            Reason::Reader => "its output takes no more",
            Reason::Recording => "its recording can't be written",
            Reason::Error => self.drained.failure.as_deref().unwrap_or("an error"),
            Reason::Signal | Reason::Timeout | Reason::Command => return,
        };
        if self.name.is_some() && self.drained.live.stop.reason().is_none() {
            (self.say)(&format!("it has ended: {why}"));
        }
    }

    /// Ends the outputs and the recording, and reads the counters. Nobody may push to an output that it shares any more.
    pub fn finish(self) -> Result<Outcome, RunError> {
        let Self {
            name,
            bundle,
            say: _,
            sources,
            loaded,
            drained,
            duration,
        } = self;
        let Drained {
            live,
            reason,
            failure,
        } = drained;
        let Live {
            rings,
            iterators,
            pipeline,
            recorder,
            ..
        } = live;
        let mut finished = pipeline.finish();
        let mut summary = Summary {
            gadget: bundle.manifest.name.clone(),
            version: bundle.manifest.version.clone(),
            ended_by: reason.as_str().to_owned(),
            failure: failure
                .map(|what| format!("the run ended early: {what}"))
                .or_else(|| missed(&iterators)),
            unread: iterators
                .unread()
                .map(|(source, unread)| (source.to_owned(), unread.count))
                .collect(),
            duration_ns: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
            rows: finished.rows.into_iter().collect(),
            guest: finished.guest,
            output_blocked_ns: finished.blocked_ns,
            owner_undecided: finished.undecided,
            held: finished.held,
            ..Summary::default()
        };
        let mut left = BTreeMap::new();
        for (i, (source, ledger)) in sources.iter().zip(&mut finished.records).enumerate() {
            let rest = match rings.iter().find(|ring| ring.source == i) {
                Some(of) => count(&loaded, &of.map, ledger, &of.ring)?,
                None => {
                    // The kernel waits for who reads iterators: nothing is lost on the way.
                    ledger.attempted = iterators.written(i);
                    ledger.not_reserved = ledger.attempted.map(|_| 0);
                    0
                }
            };
            left.insert(source.name.clone(), rest);
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
        let uncounted = loaded
            .uncounted()
            .map_err(|e| RunError::Kernel(e.to_string()))?;
        summary.uncounted = uncounted.unwrap_or(0);
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
            name: name.unwrap_or_else(|| bundle.manifest.name.clone()),
            summary,
            reason,
            write_error,
        })
    }
}

/// Says what iterators could not read.
fn missed(iterators: &Iterators) -> Option<String> {
    let sources = iterators.unread().map(|(source, unread)| {
        format!(
            "source {source} is not complete, {} times something could not be read, the first time {}",
            unread.count, unread.first
        )
    });
    let sources: Vec<String> = sources.collect();
    (!sources.is_empty()).then(|| sources.join("; "))
}

/// What only the kernel knows of a source. Gives the records that were never taken out of its ring.
fn count(
    loaded: &Loaded,
    map: &str,
    ledger: &mut RecordLedger,
    ring: &Ring,
) -> Result<u64, RunError> {
    let mut left = 0;
    let counted = loaded
        .ledger(map)
        .map_err(|e| RunError::Kernel(e.to_string()))?;
    if let Some(l) = counted {
        ledger.attempted = Some(l.attempted);
        ledger.not_reserved = Some(l.not_reserved);
        if l.excluded > 0 {
            ledger.exclude(RATE, l.excluded);
        }
        // What is still in the ring lies behind a record that its program never finished. With an empty ring a
        // difference would be an error of ours, and must show.
        if ring.backlog() > 0 {
            left = l.attempted.saturating_sub(ledger.accounted());
            ledger.undecided_at_exit += left;
        }
    }
    Ok(left)
}
