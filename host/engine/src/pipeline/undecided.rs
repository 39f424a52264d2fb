//! Records of cgroups that nobody knows yet are kept back while their owner is found out.

use super::{Now, Pipeline, TooManyTraps};
use crate::hold::{Hold, HoldLimits, Sifted};
use crate::identity::RecordIdentity;
use ig_containers::{Found, Reader};

/// Knows which records have to wait, and keeps them.
pub(crate) struct Undecided {
    hold: Hold,
    reader: Reader,
    /// Whether all was handled that the kernel told of cgroups.
    settled: Box<dyn Fn() -> bool + Send>,
    /// By source: where its records say whose they are.
    identities: Vec<Option<RecordIdentity>>,
}

impl Undecided {
    pub fn new(
        reader: Reader,
        settled: impl Fn() -> bool + Send + 'static,
        identities: Vec<Option<RecordIdentity>>,
    ) -> Self {
        Self {
            hold: Hold::new(HoldLimits::default()),
            reader,
            settled: Box::new(settled),
            identities,
        }
    }

    /// Records that were delivered before it was known whose they are.
    pub fn delivered(&self) -> u64 {
        self.hold.undecided()
    }

    /// Takes up what became known. True: every cgroup that a record in hand can be of is known and decided.
    fn refresh(&mut self) -> bool {
        // In this order: what was handled before the first is seen by the second.
        let settled = (self.settled)();
        self.reader.refresh();
        settled && self.reader.settled()
    }

    /// Hands on what waits no more.
    fn release(
        &mut self,
        quiet: bool,
        everything: bool,
        now: Now,
        pipeline: &mut Pipeline,
    ) -> Result<(), TooManyTraps> {
        let Self { hold, reader, .. } = self;
        let mut result = Ok(());
        hold.release(
            now.boot,
            everything,
            |cgroup| is_open(reader, cgroup, quiet),
            |source, span, records| {
                let delivered = pipeline.deliver_now(source, span, records, 0, now);
                if delivered.is_err() {
                    result = delivered;
                }
            },
        );
        result
    }
}

/// Whether it is still being found out whose a cgroup is.
fn is_open(reader: &Reader, cgroup: u64, quiet: bool) -> bool {
    match reader.by_cgroup(cgroup) {
        Found::Owner(_) => false,
        Found::Pending => true,
        // News of it may be on the way; when all is handled, nobody ever heard of it.
        Found::Unknown => !quiet,
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
        let identity = undecided.identities.get(source).copied().flatten();
        let Some(identity) = identity.filter(|_| !(quiet && undecided.hold.is_empty())) else {
            return self.deliver_now(source, span, records, discarded, now);
        };
        let released = undecided.release(quiet, false, now, self);
        let cgroup_of = |payload: &[u8]| Some(identity.read(payload).cgroup).filter(|c| *c != 0);
        let Undecided { hold, reader, .. } = &mut *undecided;
        let open = |cgroup| is_open(reader, cgroup, quiet);
        let result = match hold.sift(source, span, now.boot, cgroup_of, open) {
            Sifted::All => self.deliver_now(source, span, records, discarded, now),
            Sifted::Some(kept, left) => self.deliver_now(source, kept, left, discarded, now),
            Sifted::Full => {
                // Those that have waited longest go first, and do not wait again.
                let released = undecided.release(quiet, true, now, self);
                let Undecided { hold, reader, .. } = undecided;
                let open = |cgroup| is_open(reader, cgroup, quiet);
                let result = match hold.sift(source, span, now.boot, cgroup_of, open) {
                    // A span that is larger than all that may wait is not held.
                    Sifted::All | Sifted::Full => {
                        self.deliver_now(source, span, records, discarded, now)
                    }
                    Sifted::Some(kept, left) => {
                        self.deliver_now(source, kept, left, discarded, now)
                    }
                };
                released.and(result)
            }
        };
        released.and(result)
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

    /// Whether records wait.
    pub fn holds(&self) -> bool {
        let undecided = self.undecided.as_ref();
        undecided.is_some_and(|undecided| !undecided.hold.is_empty())
    }
}
