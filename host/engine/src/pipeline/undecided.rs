//! Records of cgroups that nobody knows yet are kept back while their owner is found out, and those that the user did not
//! ask for are left out.

use super::{Now, Pipeline, TooManyTraps};
use crate::hold::{Cause, Fate, Held, Hold, HoldLimits, Left, Sifted};
use crate::identity::{Identity, ROOT, RecordIdentity};
use crate::ledger::{UNDECIDED, UNSELECTED};
use ig_containers::{Found, Owner, Reader, Selected, Selectors, Verdict};

/// Knows which records have to wait, and keeps them; and which are left out.
pub(crate) struct Undecided {
    hold: Hold,
    reader: Reader,
    /// Whether all was handled that the kernel told of cgroups.
    settled: Box<dyn Fn() -> bool + Send>,
    /// By source: where its records say whose they are.
    identities: Vec<Option<RecordIdentity>>,
    rule: Rule,
}

/// What decides about a record.
#[derive(Clone, Copy, Debug)]
struct Rule {
    /// Only those that the reader has selected.
    selects: bool,
    /// Records name cgroups of the directory; else their mount namespace alone tells whose they are.
    by_cgroup: bool,
    /// What is nobody's in particular is selected, too.
    host: bool,
}

impl Undecided {
    /// `reader` has the verdicts of `selectors`. `by_cgroup`: the cgroups of records are those of
    /// the reader.
    pub fn new(
        reader: Reader,
        settled: impl Fn() -> bool + Send + 'static,
        identities: Vec<Option<RecordIdentity>>,
        selectors: &Selectors,
        by_cgroup: bool,
    ) -> Self {
        let rule = Rule {
            selects: !selectors.is_empty(),
            by_cgroup,
            host: selectors.decide(&Owner::default()) == Verdict::Yes,
        };
        Self {
            hold: Hold::new(HoldLimits::default(), rule.selects),
            reader,
            settled: Box::new(settled),
            identities,
            rule,
        }
    }

    /// Records that were delivered before it was known whose they are.
    pub fn delivered(&self) -> u64 {
        self.hold.undecided()
    }

    /// How long records waited; None: none did.
    pub fn held(&self) -> Option<Held> {
        self.hold.held()
    }

    /// Takes up what became known. True: every cgroup that a record in hand can be of is known and decided.
    fn refresh(&mut self) -> bool {
        // In this order: what was handled before the first is told to the second, and what that had become by then is seen by
        // the third.
        let settled = (self.settled)() && self.reader.settled();
        self.reader.refresh();
        settled
    }

    /// Hands on what waits no more.
    fn release(
        &mut self,
        quiet: bool,
        everything: bool,
        now: Now,
        pipeline: &mut Pipeline,
    ) -> Result<(), TooManyTraps> {
        let Self {
            hold, reader, rule, ..
        } = self;
        let mut result = Ok(());
        let fate = |identity: &Identity| fate(reader, *rule, identity, quiet, now);
        hold.release(now.boot, everything, fate, |source, left| {
            let delivered = pipeline.deliver_left(source, &left, 0, now);
            if delivered.is_err() {
                result = delivered;
            }
        });
        result
    }
}

/// What becomes of a record, by what it says of whose it is. `quiet`: nobody will hear of a cgroup that is not known now.
fn fate(reader: &Reader, rule: Rule, identity: &Identity, quiet: bool, now: Now) -> Fate {
    if !rule.selects {
        return match reader.by_cgroup(identity.cgroup) {
            _ if identity.cgroup == 0 => Fate::Pass,
            Found::Owner(_) => Fate::Pass,
            Found::Pending => Fate::Wait,
            // News of it may be on the way; when all is handled, nobody ever heard of it.
            Found::Unknown if quiet => Fate::Pass,
            Found::Unknown => Fate::Wait,
        };
    }
    let host = match rule.host {
        true => Fate::Pass,
        false => Fate::LeaveOut(Cause::Unselected),
    };
    // As the join has it.
    let selected = match (identity.cgroup, identity.mount_namespace) {
        (cgroup, _) if cgroup > ROOT && rule.by_cgroup => reader.selected(cgroup),
        (_, 0) => return host,
        (_, namespace) => {
            let at = identity.time.unwrap_or(now.boot);
            match reader.selected_by_mount_namespace(namespace, at) {
                // A container's may just come to be known.
                Selected::Unknown if !rule.by_cgroup && !quiet => Selected::Unknown,
                Selected::Unknown => return host,
                selected => selected,
            }
        }
    };
    match selected {
        Selected::Yes(_) => Fate::Pass,
        Selected::No(_) => Fate::LeaveOut(Cause::Unselected),
        Selected::Unknown if quiet => Fate::LeaveOut(Cause::Undecided),
        Selected::Pending | Selected::Unknown => Fate::Wait,
    }
}

impl Pipeline {
    /// From now on records wait until it is known whose they are.
    pub fn hold_undecided(&mut self, undecided: Undecided) {
        self.undecided = Some(undecided);
    }

    /// Hands a span of a source over, without the records whose owner is being found out: they follow. `records` of it are
    /// not discarded.
    pub fn deliver(
        &mut self,
        source: usize,
        span: &[u8],
        records: u32,
        discarded: u32,
        now: Now,
    ) -> Result<(), TooManyTraps> {
        let Some(mut undecided) = self.undecided.take() else {
            return self.deliver_now(source, span, records, discarded, now);
        };
        let result = self.sift(&mut undecided, source, span, records, discarded, now);
        self.undecided = Some(undecided);
        result
    }

    fn sift(
        &mut self,
        undecided: &mut Undecided,
        source: usize,
        span: &[u8],
        records: u32,
        discarded: u32,
        now: Now,
    ) -> Result<(), TooManyTraps> {
        let quiet = undecided.refresh();
        let rule = undecided.rule;
        let idle = quiet && undecided.hold.is_empty() && !rule.selects;
        let identity = undecided.identities.get(source).copied().flatten();
        let Some(identity) = identity.filter(|_| !idle) else {
            return self.deliver_now(source, span, records, discarded, now);
        };
        let mut released = undecided.release(quiet, false, now, self);
        let identity_of = |payload: &[u8]| identity.read(payload);
        for again in [true, false] {
            let Undecided { hold, reader, .. } = &mut *undecided;
            let fate = |identity: &Identity| fate(reader, rule, identity, quiet, now);
            let result = match hold.sift(source, span, now.boot, identity_of, fate) {
                Sifted::Some(left) => self.deliver_left(source, &left, discarded, now),
                Sifted::Full if again => {
                    // Those that have waited longest go first, and do not wait again.
                    released = released.and(undecided.release(quiet, true, now, self));
                    continue;
                }
                // A span that is larger than all that may wait is not held.
                Sifted::Full if rule.selects => {
                    self.exclude(source, UNDECIDED, records);
                    match discarded {
                        0 => Ok(()),
                        _ => self.deliver_now(source, &[], 0, discarded, now),
                    }
                }
                Sifted::All | Sifted::Full => {
                    self.deliver_now(source, span, records, discarded, now)
                }
            };
            return released.and(result);
        }
        released
    }

    /// Hands on what is left of a span, and counts what is left out of it.
    fn deliver_left(
        &mut self,
        source: usize,
        left: &Left<'_>,
        discarded: u32,
        now: Now,
    ) -> Result<(), TooManyTraps> {
        self.exclude(source, UNSELECTED, left.left_out.unselected);
        self.exclude(source, UNDECIDED, left.left_out.undecided);
        if left.records == 0 && discarded == 0 {
            return Ok(());
        }
        self.deliver_now(source, left.span, left.records, discarded, now)
    }

    /// Hands on the records whose owner has become known or that have waited long enough; all of them, if nobody can wait any
    /// more.
    pub fn release_undecided(&mut self, everything: bool, now: Now) -> Result<(), TooManyTraps> {
        let Some(mut undecided) = self.undecided.take() else {
            return Ok(());
        };
        let mut result = Ok(());
        if !undecided.hold.is_empty() {
            let quiet = undecided.refresh();
            result = undecided.release(quiet, everything, now, self);
        }
        self.undecided = Some(undecided);
        result
    }

    /// Whether records of a source wait.
    pub fn holds_of(&self, source: usize) -> bool {
        let undecided = self.undecided.as_ref();
        undecided.is_some_and(|undecided| undecided.hold.holds(source))
    }

    /// Whether records wait.
    pub fn holds(&self) -> bool {
        let undecided = self.undecided.as_ref();
        undecided.is_some_and(|undecided| !undecided.hold.is_empty())
    }
}
