//! Records whose container nobody knows yet wait here for a moment.
//!
//! A container's first records come milliseconds after its cgroup, often before the files that name it were read. So records
//! of a cgroup that is not decided are taken out of their span, and come back as spans of their own once it is, in
//! the order of their arrival over all sources. Whoever is not decided in time does not wait again: where containers
//! are selected its records are left out and counted, else they are delivered, as undecided.

mod waits;

pub use self::waits::Held;
use self::waits::Waits;
use crate::identity::{Identity, ROOT};
use ig_records::span::{HEADER, Span};
use std::collections::{HashMap, HashSet, VecDeque};

/// How much waits, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HoldLimits {
    /// Nanoseconds after the first record of a cgroup.
    pub time: u64,
    /// Bytes of records.
    pub bytes: usize,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self {
            time: 500_000_000,
            bytes: 16 << 20,
        }
    }
}

/// What is to become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is delivered.
    Pass,
    /// It is not decided yet.
    Wait,
    /// It is left out.
    LeaveOut(Cause),
}

/// Why a record is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The user did not ask for its owner.
    Unselected,
    /// Nobody knew in time whether the user asked for its owner.
    Undecided,
}

/// Cgroups that did not become known in time; when they are more, they may wait once more.
const MOST_GIVEN_UP: usize = 1 << 14;

/// Emptied batches that are kept for their memory.
const MOST_SPARE: usize = 64;

/// In the key of a mount namespace, whose number may be a cgroup's id.
const NAMESPACE: u64 = 1 << 63;

/// Records that wait.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    limits: HoldLimits,
    /// Whoever is not decided in time is left out, not delivered.
    strict: bool,
    /// In the order of arrival.
    batches: VecDeque<Batch>,
    /// Empty ones, with their memory.
    spare: Vec<Batch>,
    /// By [`key`], while some of its records wait.
    waiting: HashMap<u64, Waiting>,
    given_up: HashSet<u64>,
    bytes: usize,
    /// What is left of the present span.
    kept: Vec<u8>,
    /// The span that is being released.
    out: Vec<u8>,
    /// Records that were delivered undecided.
    undecided: u64,
    waits: Waits,
}

/// The records that were taken out of one span.
#[derive(Debug, Default)]
struct Batch {
    source: usize,
    span: Vec<u8>,
    /// Of each record.
    keys: Vec<u64>,
}

/// A cgroup, or a mount namespace, some of whose records wait.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// When the first came.
    since: u64,
    /// What it says.
    first: Identity,
    records: u64,
    /// In a release: what becomes of its records.
    fate: Fate,
}

/// What is left of a span.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sifted<'a> {
    /// Everything.
    All,
    /// These.
    Some(Left<'a>),
    /// Nothing was taken: there is no room for what has to wait.
    Full,
}

/// A part of a span.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left<'a> {
    /// With the discarded records of the span.
    pub span: &'a [u8],
    /// Records in it that are not discarded.
    pub records: u32,
    /// Records that are left out.
    pub left_out: LeftOut,
}

/// Records that are left out, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub unselected: u32,
    pub undecided: u32,
}

impl LeftOut {
    fn count(&mut self, cause: Cause) {
        match cause {
            Cause::Unselected => self.unselected += 1,
            Cause::Undecided => self.undecided += 1,
        }
    }

    fn any(self) -> bool {
        self.unselected > 0 || self.undecided > 0
    }
}

/// By what a record waits; None: it says nothing of whose it is.
#[inline]
fn key(identity: &Identity) -> Option<u64> {
    match (identity.cgroup, identity.mount_namespace) {
        (0, 0) => None,
        (cgroup, namespace) if cgroup <= ROOT && namespace != 0 => Some(NAMESPACE | namespace),
        (cgroup, _) => Some(cgroup),
    }
}

impl Hold {
    /// `strict`: whoever is not decided in time is left out.
    pub fn new(limits: HoldLimits, strict: bool) -> Self {
        Self {
            limits,
            strict,
            ..Self::default()
        }
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether records of a source wait.
    pub fn holds(&self, source: usize) -> bool {
        self.batches.iter().any(|batch| batch.source == source)
    }

    /// Records that were delivered before it was known whose they are.
    pub fn undecided(&self) -> u64 {
        self.undecided
    }

    /// How long records waited; None: none did.
    pub fn held(&self) -> Option<Held> {
        self.waits.held()
    }

    /// What becomes of records that have waited in vain.
    fn late(&self) -> Fate {
        match self.strict {
            true => Fate::LeaveOut(Cause::Undecided),
            false => Fate::Pass,
        }
    }

    /// Takes the records out of a span that have to wait or are left out, as `fate` decides by what they say. Whoever is decided
    /// since some of its records wait has to be released before, or it would overtake them.
    pub fn sift(
        &mut self,
        source: usize,
        span: &[u8],
        now: u64,
        identity_of: impl Fn(&[u8]) -> Identity,
        mut fate: impl FnMut(&Identity) -> Fate,
    ) -> Sifted<'_> {
        let late = self.late();
        let mut batch: Option<Batch> = None;
        let mut left_out = LeftOut::default();
        let mut whole = true;
        let mut records = 0;
        // Records come in runs of one cgroup.
        let mut last = None;
        for record in Span(span).iter() {
            let at = record.offset as usize;
            let end = at + HEADER + record.payload.len().next_multiple_of(8);
            let raw = span.get(at..end).unwrap_or_default();
            if record.discarded {
                if !whole {
                    self.kept.extend_from_slice(raw);
                }
                continue;
            }
            let identity = identity_of(record.payload);
            let key = key(&identity);
            let fate = match (key, last) {
                (Some(key), Some((of, fate))) if of == key && key & NAMESPACE == 0 => fate,
                _ => {
                    let mut fate = fate(&identity);
                    if fate == Fate::Wait && key.is_none_or(|key| self.given_up.contains(&key)) {
                        fate = late;
                    }
                    last = key.map(|key| (key, fate));
                    fate
                }
            };
            let room = self.limits.bytes.saturating_sub(self.bytes);
            if fate == Fate::Wait && batch.is_none() && span.len() > room {
                return Sifted::Full;
            }
            if fate != Fate::Pass && whole {
                whole = false;
                self.kept.clear();
                let before = span.get(..at).unwrap_or_default();
                self.kept.extend_from_slice(before);
            }
            match (fate, key) {
                (Fate::Wait, Some(key)) => {
                    let batch = batch.get_or_insert_with(|| {
                        let batch = self.spare.pop().unwrap_or_default();
                        Batch { source, ..batch }
                    });
                    batch.span.extend_from_slice(raw);
                    batch.keys.push(key);
                    self.bytes += raw.len();
                    let waiting = self.waiting.entry(key).or_insert(Waiting {
                        since: now,
                        first: identity,
                        records: 0,
                        fate: Fate::Wait,
                    });
                    waiting.records += 1;
                }
                (Fate::LeaveOut(cause), _) => left_out.count(cause),
                (Fate::Pass | Fate::Wait, _) => {
                    records += 1;
                    if !whole {
                        self.kept.extend_from_slice(raw);
                    }
                }
            }
        }
        self.batches.extend(batch);
        if whole {
            return Sifted::All;
        }
        Sifted::Some(Left {
            span: &self.kept,
            records,
            left_out,
        })
    }

    /// Gives back, as parts of spans with their source, what waits no more: who is decided, who has waited long enough, or
    /// everything if that is to be so.
    pub fn release(
        &mut self,
        now: u64,
        everything: bool,
        mut fate: impl FnMut(&Identity) -> Fate,
        mut deliver: impl FnMut(usize, Left<'_>),
    ) {
        let late = self.late();
        let mut any = false;
        for (key, waiting) in &mut self.waiting {
            waiting.fate = fate(&waiting.first);
            let over = everything || now.saturating_sub(waiting.since) >= self.limits.time;
            if waiting.fate == Fate::Wait && over {
                waiting.fate = late;
                if !self.strict {
                    self.undecided += waiting.records;
                }
                if self.given_up.len() >= MOST_GIVEN_UP {
                    self.given_up.clear();
                }
                self.given_up.insert(*key);
            }
            if waiting.fate != Fate::Wait {
                any = true;
                let waited = now.saturating_sub(waiting.since);
                self.waits.add(waiting.records, waited);
            }
        }
        if !any {
            return;
        }
        for _ in 0..self.batches.len() {
            let Some(mut batch) = self.batches.pop_front() else {
                break;
            };
            let source = batch.source;
            let before = batch.span.len();
            let (records, left_out) = self.take(&mut batch);
            self.bytes = self.bytes.saturating_sub(before - batch.span.len());
            if batch.keys.is_empty() {
                self.spare.push(batch);
            } else {
                self.batches.push_back(batch);
            }
            if records > 0 || left_out.any() {
                let left = Left {
                    span: &self.out,
                    records,
                    left_out,
                };
                deliver(source, left);
            }
        }
        self.waiting.retain(|_, waiting| waiting.fate == Fate::Wait);
        // What a storm needed is not kept for ever.
        self.spare.truncate(MOST_SPARE);
    }

    /// Takes the records that do not wait any more out of a batch: to `out`, or they are left out.
    fn take(&mut self, batch: &mut Batch) -> (u32, LeftOut) {
        self.out.clear();
        let mut left_out = LeftOut::default();
        let waiting = &self.waiting;
        let fate_of = |key: &u64| waiting.get(key).map_or(Fate::Pass, |w| w.fate);
        if batch.keys.iter().all(|key| fate_of(key) == Fate::Wait) {
            return (0, left_out);
        }
        let mut records = 0;
        let (mut at, mut stays) = (0, 0);
        let (span, out) = (&mut batch.span, &mut self.out);
        batch.keys.retain(|key| {
            let record = Span(span.get(at..).unwrap_or_default()).iter().next();
            // Each was walked over when it came.
            let length = record.map_or(0, |r| HEADER + r.payload.len().next_multiple_of(8));
            let end = at + length;
            let fate = fate_of(key);
            match fate {
                Fate::Pass => {
                    out.extend_from_slice(span.get(at..end).unwrap_or_default());
                    records += 1;
                }
                Fate::Wait => {
                    span.copy_within(at..end, stays);
                    stays += length;
                }
                Fate::LeaveOut(cause) => left_out.count(cause),
            }
            at = end;
            fate == Fate::Wait
        });
        span.truncate(stays);
        (records, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ig_records::span;

    fn spans(records: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (cgroup, number) in records {
            let parts = [&cgroup.to_le_bytes()[..], &number.to_le_bytes()];
            span::push(&mut bytes, &parts).unwrap();
        }
        bytes
    }

    fn identity_of(payload: &[u8]) -> Identity {
        let cgroup = payload.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        Identity {
            cgroup,
            ..Identity::default()
        }
    }

    fn numbers(span: &[u8]) -> Vec<u64> {
        let number = |r: span::Record<'_>| u64::from_le_bytes(r.payload[8..].try_into().unwrap());
        Span(span).iter().map(number).collect()
    }

    struct Bench {
        hold: Hold,
        open: HashSet<u64>,
        unselected: HashSet<u64>,
        delivered: Vec<(usize, Vec<u64>)>,
        left_out: LeftOut,
    }

    fn fate(open: &HashSet<u64>, unselected: &HashSet<u64>) -> impl Fn(&Identity) -> Fate {
        move |identity| match identity.cgroup {
            c if open.contains(&c) => Fate::Wait,
            c if unselected.contains(&c) => Fate::LeaveOut(Cause::Unselected),
            _ => Fate::Pass,
        }
    }

    impl Bench {
        fn new(open: &[u64]) -> Self {
            Self::strict(open, false)
        }

        fn strict(open: &[u64], strict: bool) -> Self {
            let limits = HoldLimits {
                time: 100,
                bytes: 1000,
            };
            Self {
                hold: Hold::new(limits, strict),
                open: open.iter().copied().collect(),
                unselected: HashSet::new(),
                delivered: Vec::new(),
                left_out: LeftOut::default(),
            }
        }

        fn deliver(&mut self, source: usize, records: &[(u64, u64)], now: u64) -> bool {
            self.release(now, false);
            let span = spans(records);
            let fate = fate(&self.open, &self.unselected);
            match self.hold.sift(source, &span, now, identity_of, fate) {
                Sifted::All => self.delivered.push((source, numbers(&span))),
                Sifted::Some(left) => {
                    assert_eq!(numbers(left.span).len(), left.records as usize);
                    if left.records > 0 {
                        self.delivered.push((source, numbers(left.span)));
                    }
                    self.left_out.unselected += left.left_out.unselected;
                    self.left_out.undecided += left.left_out.undecided;
                }
                Sifted::Full => return false,
            }
            true
        }

        fn release(&mut self, now: u64, everything: bool) {
            let (out, left_out) = (&mut self.delivered, &mut self.left_out);
            let fate = fate(&self.open, &self.unselected);
            self.hold.release(now, everything, fate, |source, left| {
                let n = u64::from(left.records);
                assert_eq!(Span(left.span).check().unwrap().records, n);
                if n > 0 {
                    out.push((source, numbers(left.span)));
                }
                left_out.unselected += left.left_out.unselected;
                left_out.undecided += left.left_out.undecided;
            });
        }
    }

    #[test]
    fn who_is_selected_is_delivered_and_all_others_are_counted() {
        let mut bench = Bench::strict(&[7, 8, 9], true);
        bench.unselected.insert(2);
        bench.deliver(
            0,
            &[(1, 1), (2, 2), (7, 3), (8, 4), (2, 5), (1, 6), (9, 7)],
            0,
        );
        assert_eq!(bench.delivered, [(0, vec![1, 6])]);
        assert_eq!(
            (bench.left_out.unselected, bench.left_out.undecided),
            (2, 0)
        );
        // One is selected, one is not, one is not known in time.
        bench.open.remove(&7);
        bench.open.remove(&8);
        bench.unselected.insert(8);
        bench.deliver(1, &[(7, 8), (8, 9), (9, 10)], 50);
        assert_eq!(bench.delivered[1..], [(0, vec![3]), (1, vec![8])]);
        assert_eq!(
            (bench.left_out.unselected, bench.left_out.undecided),
            (4, 0)
        );
        bench.release(100, false);
        assert_eq!(
            (bench.left_out.unselected, bench.left_out.undecided),
            (4, 2)
        );
        assert!(bench.hold.is_empty() && bench.hold.bytes == 0 && bench.hold.undecided() == 0);
        // It does not wait again, but it may be known later.
        bench.deliver(0, &[(9, 11)], 101);
        assert_eq!(bench.left_out.undecided, 3);
        bench.open.remove(&9);
        bench.deliver(0, &[(9, 12)], 102);
        assert_eq!(bench.delivered.last(), Some(&(0, vec![12])));
    }

    #[test]
    fn a_mount_namespace_waits_where_the_cgroup_says_nothing() {
        let mut hold = Hold::new(HoldLimits::default(), true);
        let of = |payload: &[u8]| Identity {
            cgroup: ROOT,
            mount_namespace: identity_of(payload).cgroup,
            time: Some(5),
        };
        let span = spans(&[(7, 1), (8, 2)]);
        let waits = |identity: &Identity| match identity.mount_namespace {
            7 => Fate::Wait,
            _ => Fate::Pass,
        };
        match hold.sift(0, &span, 0, of, waits) {
            Sifted::Some(left) => assert_eq!(numbers(left.span), [2]),
            other => panic!("{other:?}"),
        }
        let mut asked = None;
        let decided = |identity: &Identity| {
            asked = Some(*identity);
            Fate::Pass
        };
        let mut released = Vec::new();
        hold.release(1, false, decided, |_, left| released = numbers(left.span));
        assert_eq!(released, [1]);
        let asked = asked.unwrap();
        assert_eq!((asked.mount_namespace, asked.time), (7, Some(5)));
    }

    #[test]
    fn nothing_waits_while_all_is_known() {
        let mut bench = Bench::new(&[]);
        assert!(bench.deliver(0, &[(1, 1), (2, 2)], 0));
        assert_eq!(bench.delivered, [(0, vec![1, 2])]);
        assert!(bench.hold.is_empty());
    }

    #[test]
    fn what_is_open_waits_and_comes_back_in_order_over_all_sources() {
        let mut bench = Bench::new(&[7, 8]);
        bench.deliver(0, &[(1, 1), (7, 2), (8, 3), (1, 4), (7, 5)], 10);
        bench.deliver(1, &[(7, 6), (8, 7)], 20);
        bench.deliver(0, &[(7, 8)], 30);
        assert_eq!(bench.delivered, [(0, vec![1, 4])]);
        bench.delivered.clear();
        bench.open.remove(&7);
        bench.deliver(0, &[(7, 9), (8, 10)], 40);
        assert_eq!(
            bench.delivered,
            [(0, vec![2, 5]), (1, vec![6]), (0, vec![8]), (0, vec![9])]
        );
        bench.delivered.clear();
        bench.open.remove(&8);
        bench.release(50, false);
        assert_eq!(bench.delivered, [(0, vec![3]), (1, vec![7]), (0, vec![10])]);
        assert!(bench.hold.is_empty() && bench.hold.bytes == 0 && bench.hold.undecided() == 0);
    }

    #[test]
    fn who_is_not_known_in_time_is_delivered_and_does_not_wait_again() {
        let mut bench = Bench::new(&[7, 8]);
        bench.deliver(0, &[(7, 1)], 0);
        bench.deliver(0, &[(7, 2), (8, 3)], 90);
        bench.release(99, false);
        assert!(bench.delivered.is_empty());
        bench.release(100, false);
        assert_eq!(bench.delivered, [(0, vec![1]), (0, vec![2])]);
        assert_eq!(bench.hold.undecided(), 2);
        bench.deliver(0, &[(7, 4)], 101);
        assert_eq!(bench.delivered.last(), Some(&(0, vec![4])));
        bench.release(102, true);
        assert_eq!(bench.delivered.last(), Some(&(0, vec![3])));
        assert_eq!((bench.hold.undecided(), bench.hold.bytes), (3, 0));
    }

    #[test]
    fn what_waits_is_bounded_and_nothing_is_lost_or_overtaken() {
        let mut bench = Bench::new(&[7]);
        let mut numbers = 0..;
        let mut full = 0;
        for _ in 0..100 {
            let records: Vec<(u64, u64)> = numbers.by_ref().take(5).map(|n| (7, n)).collect();
            if !bench.deliver(0, &records, 0) {
                full += 1;
                bench.release(0, true);
                assert!(bench.deliver(0, &records, 0));
            }
            assert!(bench.hold.bytes <= 1000);
        }
        bench.release(0, true);
        assert_eq!(full, 1, "it does not wait again");
        let all: Vec<u64> = bench.delivered.into_iter().flat_map(|(_, n)| n).collect();
        assert_eq!(all, (0..500).collect::<Vec<u64>>());
    }

    #[test]
    fn discarded_records_stay_in_their_span() {
        let mut bench = Bench::new(&[7]);
        let mut span = spans(&[(7, 1), (7, 2), (1, 3)]);
        // The second is discarded.
        span[24 + 3] |= (span::DISCARD >> 24) as u8;
        let fate = fate(&bench.open, &bench.unselected);
        match bench.hold.sift(0, &span, 0, identity_of, fate) {
            Sifted::Some(left) if left.records == 1 => assert_eq!(numbers(left.span), [2, 3]),
            other => panic!("{other:?}"),
        }
        // One without the field is let through.
        let mut short = Vec::new();
        span::push(&mut short, &[b"abc"]).unwrap();
        assert_eq!(
            bench.hold.sift(0, &short, 0, identity_of, |_| Fate::Wait),
            Sifted::All
        );
    }
}
