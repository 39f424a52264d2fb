//! A recording in place of the kernel: the same calls at the same times, with no rights and no look at this machine.
//!
//! **Time** is virtual: that of the recorded calls. A timer that waited when a recorded call was made waits for its recorded
//! turn here too, so that an unchanged guest sees what it saw. Every other timer is one that the guest did not have then; it is
//! called at the moment at which it is due, before the first call behind that.

use crate::assembly::{self, GuestParts, PipelineParts, identities};
use crate::guest::Say;
use crate::ledger::Summary;
use crate::options::{GuestLimits, OutputOptions, RunError, Target};
use crate::owners::{LiveOwners, RecordedOwners, SharedOwners};
use crate::pipeline::{Now, Pipeline, TooManyTraps};
use crate::plan::Plan;
use crate::questions::{Answers, RecordedMaps};
use crate::recording::{self, Recording};
use crate::run::Outcome;
use crate::stop::{Reason, Stop};
use ig_bundle::Bundle;
use ig_bundle::manifest::{ParamTarget, ResolvedSource};
use ig_containers::Directory;
use ig_records::recording::{
    Call, Entry, Header, MAP_ANSWER, Moment, OWNER_FIELD, OWNER_OF_ADDRESS, OWNER_OF_CGROUP,
    OWNER_OF_ID, OWNER_OF_MOUNT_NAMESPACE, Overdue, Reader,
};
use ig_records::span::Span;
use ig_table::output::WhenFull;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// The most calls of timers between two recorded calls; what is due beyond comes together with the next call.
const MOST_TICKS: u32 = 1_000_000;

/// All that a replay needs to know.
pub struct ReplayOptions {
    /// The gadget, for the architecture of the recording.
    pub bundle: Bundle,
    /// What to replay.
    pub recording: Recording,
    /// Values of its parameters by name, in place of the recorded ones; a later one replaces an earlier.
    pub params: Vec<(String, String)>,
    /// What the guest may use; [`Recording::limits`] has what it could then.
    pub limits: GuestLimits,
    /// Where rows go. Nothing is lost to a slow reader: it is waited for.
    pub output: OutputOptions,
    /// Who says whose records are; None: nobody knows.
    pub directory: Option<Arc<Directory>>,
    /// Folder for compiled guests.
    pub cache: Option<PathBuf>,
    /// Also say what is only for a gadget's author.
    pub verbose: bool,
    /// Ends the replay from outside.
    pub stop: Arc<Stop>,
    /// Says a word to the user.
    pub say: Say,
}

/// Replays a recording to its end.
///
/// # Errors
/// Everything that keeps it from starting, and a recording that turns out to be broken on the way.
pub fn replay(options: ReplayOptions) -> Result<Outcome, RunError> {
    let ReplayOptions {
        bundle,
        recording,
        params,
        limits,
        output,
        directory,
        cache,
        verbose,
        stop,
        say,
    } = options;
    let name = recording.name().to_owned();
    let architecture = recording.architecture()?;
    if architecture != bundle.architecture {
        return Err(RunError::Recording(format!(
            "{name}: recorded on {architecture}, and the bundle was opened for {}",
            bundle.architecture
        )));
    }
    let object = bundle
        .object()
        .map_err(|e| RunError::Refused(e.to_string()))?;
    let words = recording.words()?;
    let params = effective(&bundle, recording.header(), params)?;
    let plan = Plan::new(
        &bundle,
        &object,
        &params,
        &Target::default(),
        false,
        &output,
        &words,
    )?;
    let sources = sources(&name, recording.header(), &plan.sources, &say)?;
    tell_switched_off(&plan, &say);
    if verbose && recording.header().gadget.bundle != bundle.digest {
        say("the recording was made with another build of the gadget");
    }

    let redactors = assembly::redactors(&plan.tables, &output)?;
    let answers = Answers::default();
    let Plan {
        sources: planned,
        tables,
        default,
        interval,
        guest_params,
        grants,
        ..
    } = plan;
    let owners = SharedOwners::new(Box::new(RecordedOwners::new(answers.clone())));
    let joined = match directory {
        Some(directory) => {
            let live = LiveOwners::new(directory.reader(), true, false);
            Some(SharedOwners::new(Box::new(live)))
        }
        None => recording.header().owners.then(|| owners.clone()),
    };
    let (program, ()) = assembly::compile_beside(&bundle, cache, &say, || ());
    let guest = program?.map(|program| GuestParts {
        program,
        limits,
        params: guest_params,
        maps: Box::new(RecordedMaps {
            names: grants.iter().map(|(name, _)| name.clone()).collect(),
            answers: answers.clone(),
        }),
        grants,
        owners: owners.clone(),
        identities: identities(&planned),
        debug: verbose,
    });
    let parts = PipelineParts {
        bundle: &bundle,
        tables,
        default,
        interval,
        sources: planned.len(),
        output,
        redactors,
        words: &words,
        when_full: WhenFull::WaitUnless(stop.requested()),
        name: None,
        shared: &[],
        tap: None,
        owners: joined,
        say: say.clone(),
    };
    let wrong = |e: &dyn std::fmt::Display| RunError::Recording(format!("{name}: {e}"));
    let began = recording.header().began;
    let mut replay = Replay {
        pipeline: parts.join(guest)?,
        answers,
        sources,
        now: Now {
            boot: began.boot_ns,
            wall_offset: began.wall_offset_ns,
        },
        begun: false,
        stopped: false,
    };
    let mut reader = recording.reader().map_err(|e| wrong(&e))?;
    let reason = match replay.serve(&mut reader, &stop) {
        Ok(reason) => reason,
        Err(End::Traps) => Reason::Traps,
        Err(End::Init(what)) => return Err(RunError::Init(what)),
        Err(End::Broken(what)) => return Err(wrong(&what)),
    };
    let mut finished = replay.pipeline.finish();
    let mut summary = Summary {
        gadget: bundle.manifest.name.clone(),
        version: bundle.manifest.version.clone(),
        ended_by: reason.as_str().to_owned(),
        rows: finished.rows.into_iter().collect(),
        guest: finished.guest,
        output_blocked_ns: finished.blocked_ns,
        unanswered: replay.answers.lock().unanswered.clone(),
        ..Summary::default()
    };
    let names = planned.iter().map(|source| source.name.clone());
    summary.records = names.zip(finished.records.drain(..)).collect();
    if let Some(footer) = reader.footer() {
        recording::recount(footer, &mut summary);
    }
    Ok(Outcome {
        name: bundle.manifest.name.clone(),
        summary,
        reason,
        write_error: finished.write_error,
    })
}

/// The recorded values of the parameters that there still are, and what the user sets of those that are the guest's.
fn effective(
    bundle: &Bundle,
    header: &Header,
    set: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, RunError> {
    let params = &bundle.manifest.params;
    let recorded = header.params.iter();
    let mut effective: Vec<_> = recorded
        .filter(|recorded| params.iter().any(|p| p.name == recorded.name))
        .map(|recorded| (recorded.name.clone(), recorded.value.clone()))
        .collect();
    for (name, value) in set {
        let Some(param) = params.iter().find(|p| p.name == name) else {
            // The plan knows what to say.
            effective.push((name, value));
            continue;
        };
        let value = param
            .canonical(&value)
            .map_err(|e| RunError::Usage(e.to_string()))?;
        let then = header.params.iter().find(|p| p.name == name);
        if param.to == ParamTarget::Ebpf && then.is_none_or(|then| then.value != value) {
            return Err(RunError::Usage(format!(
                "--{name}: this parameter goes to the eBPF side, which does not run in a replay; {}",
                match then {
                    Some(then) => format!("when it was recorded it was {:?}", then.value),
                    None => "the recording does not have it".to_owned(),
                }
            )));
        }
        effective.push((name, value));
    }
    Ok(effective)
}

/// By the recording's index, the bundle's.
fn sources(
    name: &str,
    header: &Header,
    have: &[ResolvedSource],
    say: &Say,
) -> Result<Vec<usize>, RunError> {
    header
        .sources
        .iter()
        .map(|recorded| {
            let found = have.iter().position(|s| s.name == recorded.name);
            let Some((index, source)) = found.and_then(|i| Some((i, have.get(i)?))) else {
                let names: Vec<&str> = have.iter().map(|s| s.name.as_str()).collect();
                return Err(RunError::Recording(format!(
                    "{name}: records of source {:?}, which this gadget does not have; it has {}",
                    recorded.name,
                    names.join(", ")
                )));
            };
            if source.layout.size != recorded.size {
                say(&format!(
                    "source {}: struct {} has {} bytes, and {} when it was recorded: fields may be missing, or others",
                    source.name, source.layout.name, source.layout.size, recorded.size
                ));
            }
            Ok(index)
        })
        .collect()
}

/// Says which columns are wanted now whose cost was not paid then.
fn tell_switched_off(plan: &Plan, say: &Say) {
    let mut told = BTreeSet::new();
    for switched in &plan.switched {
        if let Some((param, value)) = plan.params.get(switched.param)
            && value == "false"
            && told.insert((&switched.table, &switched.column))
        {
            say(&format!(
                "column {} is empty: {param} was off when this was recorded",
                switched.column
            ));
        }
    }
}

/// Why a replay ends before its recording.
enum End {
    Traps,
    Init(String),
    Broken(String),
}

impl From<TooManyTraps> for End {
    fn from(TooManyTraps: TooManyTraps) -> Self {
        Self::Traps
    }
}

struct Replay {
    pipeline: Pipeline,
    answers: Answers,
    /// By the recording's index, the bundle's.
    sources: Vec<usize>,
    /// When the last call was.
    now: Now,
    begun: bool,
    stopped: bool,
}

impl Replay {
    fn serve(&mut self, reader: &mut Reader<Box<dyn Read>>, stop: &Stop) -> Result<Reason, End> {
        let broken = |e: &dyn std::fmt::Display| End::Broken(e.to_string());
        while let Some(entry) = reader.next().map_err(|e| broken(&e))? {
            match entry {
                Entry::Answer {
                    kind,
                    question,
                    answer,
                } => {
                    if matches!(
                        kind,
                        MAP_ANSWER
                            | OWNER_OF_ADDRESS
                            | OWNER_OF_CGROUP
                            | OWNER_OF_MOUNT_NAMESPACE
                            | OWNER_OF_ID
                            | OWNER_FIELD
                    ) {
                        let mut answers = self.answers.lock();
                        answers
                            .add(kind, question, answer)
                            .map_err(|e| broken(&e))?;
                    }
                }
                Entry::Call {
                    when,
                    overdue,
                    call,
                } => {
                    self.call(when, overdue, call, stop)?;
                    self.answers.lock().next_call();
                    if let Some(reason) = stop.reason() {
                        return Ok(reason);
                    }
                    if self.pipeline.closed() {
                        return Ok(Reason::Reader);
                    }
                    self.pipeline.tell_failed();
                }
            }
        }
        // Not in the recording of a gadget that had no guest, or whose guest trapped too often.
        self.begin(self.now)?;
        if !self.stopped {
            self.pipeline.stop(self.now)?;
        }
        Ok(Reason::Recording)
    }

    fn call(
        &mut self,
        when: Moment,
        overdue: &[Overdue],
        call: Call<'_>,
        stop: &Stop,
    ) -> Result<(), End> {
        let now = Now {
            boot: when.boot,
            wall_offset: when.wall_offset,
        };
        self.begin(if call == Call::Init { now } else { self.now })?;
        self.timers_until(now, overdue, stop)?;
        self.now = now;
        match call {
            Call::Init => {}
            Call::Process { source, span } => {
                let counts = Span(span).check().map_err(|e| End::Broken(e.to_string()))?;
                let discarded = u32::try_from(counts.discarded).unwrap_or(u32::MAX);
                let kept = counts.records - counts.discarded;
                let kept = u32::try_from(kept).unwrap_or(u32::MAX);
                if let Some(source) = self.sources.get(usize::from(source)) {
                    self.pipeline.deliver(*source, span, kept, discarded, now)?;
                }
            }
            Call::Tick => {
                // The run was over before these were called.
                let left = overdue.iter().filter(|timer| timer.periods == 0);
                let left: Vec<Overdue> = left.copied().collect();
                let over = || stop.reason().is_some();
                self.pipeline.tick_without(&left, now, over)?;
            }
            Call::Added(owners) => self.pipeline.added(owners, now)?,
            Call::Removed(owners) => self.pipeline.removed(owners, now)?,
            Call::Stop => {
                self.stopped = true;
                self.pipeline.stop(now)?;
            }
        }
        Ok(())
    }

    /// The guest's first call, once.
    fn begin(&mut self, now: Now) -> Result<(), End> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        self.pipeline.init(now).map_err(End::Init)
    }

    /// Calls the timers that are due by `now` at the moments at which they are, but not those that were known to wait.
    fn timers_until(&mut self, now: Now, waiting: &[Overdue], stop: &Stop) -> Result<(), End> {
        for _ in 0..MOST_TICKS {
            let due = self.pipeline.next_timer_without(waiting);
            let Some(boot) = due.filter(|due| *due <= now.boot && stop.reason().is_none()) else {
                break;
            };
            let wall_offset = self.now.wall_offset;
            let over = || stop.reason().is_some();
            self.pipeline
                .tick_without(waiting, Now { boot, wall_offset }, over)?;
        }
        Ok(())
    }
}
