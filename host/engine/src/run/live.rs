//! A gadget while it is attached, and what is left when it no longer is.

use super::now;
use crate::iterators::{IterateError, Iterators};
use crate::pipeline::{Pipeline, TooManyTraps};
use crate::record::Recorder;
use crate::stop::{Reason, Stop};
use ig_kernel::{Loaded, Ring, Waiter, clock};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After detaching, a record that is being written is waited for this long.
const BUSY_GRACE: Duration = Duration::from_millis(100);
/// While records wait for it to be known whose they are, it is asked this often.
const DECISION: Duration = Duration::from_millis(1);
/// How long a guest that watches containers waits to be told of them where no record comes.
const TOLD: Duration = Duration::from_millis(100);

/// A gadget while its programs are attached.
pub(super) struct Live {
    pub waiter: Waiter,
    pub rings: Vec<SourceRing>,
    pub iterators: Iterators,
    pub pipeline: Pipeline,
    pub recorder: Option<Recorder>,
    pub stop: Arc<Stop>,
    pub deadline: Option<Instant>,
    /// Its main output is that of other gadgets, too: if that takes no more, the run is over.
    pub shared: bool,
}

/// A ring buffer from which the records of a source come.
pub(super) struct SourceRing {
    /// The source's index.
    pub source: usize,
    /// As the object calls it.
    pub map: String,
    /// Its index in the waiter.
    pub index: usize,
    pub ring: Ring,
}

/// A gadget whose programs are about to be detached.
pub(super) struct Served {
    live: Live,
    /// Why it ended, if nobody asked for the end of the run.
    by_itself: Option<Reason>,
    /// The guest trapped for the last time: nobody takes what is still in the rings.
    traps: bool,
    /// The kernel, or what it handed over, failed in the middle.
    failure: Option<String>,
}

impl Live {
    /// Serves until somebody asks for the end, or it ends by itself.
    pub fn serve(mut self) -> Served {
        let mut by_itself = None;
        let failure = loop {
            if self.stop.reason().is_some() {
                break None;
            }
            if self.deadline.is_some_and(|d| Instant::now() >= d) {
                by_itself = Some(Reason::Timeout);
                break None;
            }
            let round = match self.round() {
                Ok(round) => round,
                Err(End::Traps) => {
                    by_itself = Some(Reason::Traps);
                    break None;
                }
                Err(End::Failure(what)) => break Some(what),
            };
            if self.pipeline.closed() {
                by_itself = Some(Reason::Reader);
                if self.shared {
                    self.stop.request(Reason::Reader);
                }
                break None;
            }
            let read = self.rings.is_empty() && self.iterators.over();
            if self.pipeline.complete() || read && self.pipeline.next_timer().is_none() {
                by_itself = Some(Reason::Snapshot);
                break None;
            }
            if self.recorder.as_ref().is_some_and(Recorder::failed) {
                by_itself = Some(Reason::Recording);
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
            by_itself,
            traps: by_itself == Some(Reason::Traps),
            failure,
        }
    }

    /// One span of each ring, and the timers that are due; containers that came and went, even where there is no span.
    fn round(&mut self) -> Result<Round, End> {
        let mut round = self.spans()?;
        if self.iterators.round(&mut self.pipeline, now)? {
            round = Round::Behind;
        }
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
        for of in &mut self.rings {
            let SourceRing {
                source,
                index,
                ring,
                map: _,
            } = of;
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
                .deliver(*source, span.bytes, kept, span.discarded, now());
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
        [timer, known, told, self.iterators.next(), self.deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes what the programs left, until everything that they counted is there or the grace is over. No timer fires any
    /// more: one that takes longer than its period would fire without end.
    fn drain(&mut self, loaded: &Loaded) -> Result<(), End> {
        let end = Instant::now() + BUSY_GRACE;
        let (mut traps, mut failure) = (Ok(()), None);
        loop {
            loop {
                match self.spans() {
                    Ok(Round::Idle) => break,
                    Ok(_) => {}
                    // The guest is over; what is left is taken and counted all the same.
                    Err(End::Traps) => traps = Err(End::Traps),
                    // What came before it is delivered all the same.
                    Err(End::Failure(what)) => {
                        failure = Some(what);
                        break;
                    }
                }
            }
            let taken = self.rings.iter().all(|of| match loaded.ledger(&of.map) {
                Ok(Some(l)) => {
                    let kept = l.attempted.saturating_sub(l.not_reserved);
                    self.pipeline.seen(of.source) >= kept.saturating_sub(l.excluded)
                }
                _ => of.ring.backlog() == 0,
            });
            let complete = failure.is_some() || taken && !self.pipeline.holds();
            if complete || Instant::now() >= end {
                // Nobody can wait any more.
                let released = self.pipeline.release_undecided(true, now());
                let released = traps.and(released.map_err(|TooManyTraps| End::Traps));
                return failure.map_or(released, |what| Err(End::Failure(what)));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A gadget of which nothing more comes.
pub(super) struct Drained {
    pub live: Live,
    pub reason: Reason,
    /// What failed in the middle, if that is the reason.
    pub failure: Option<String>,
}

impl Served {
    /// Takes what the programs left, and the guest's last word. They are detached.
    pub fn drain(self, loaded: &Loaded) -> Drained {
        let Self {
            mut live,
            by_itself,
            mut traps,
            mut failure,
        } = self;
        match live.drain(loaded) {
            Ok(()) => {}
            Err(End::Traps) => traps = true,
            // The first one counts.
            Err(End::Failure(what)) => drop(failure.get_or_insert(what)),
        }
        if !traps && live.pipeline.stop(now()).is_err() {
            traps = true;
        }
        let asked = || live.stop.reason().unwrap_or(Reason::Signal);
        let mut reason = by_itself.unwrap_or_else(asked);
        if traps {
            reason = Reason::Traps;
        }
        if failure.is_some() {
            reason = Reason::Error;
        }
        Drained {
            live,
            reason,
            failure,
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

impl From<IterateError> for End {
    fn from(error: IterateError) -> Self {
        match error {
            IterateError::Traps => Self::Traps,
            IterateError::Failure(what) => Self::Failure(what),
        }
    }
}
