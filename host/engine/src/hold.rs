//! Records whose container nobody knows yet wait here for a moment.
//!
//! A container's first records come milliseconds after its cgroup, often before the files that name it were read. So records
//! of a cgroup that is not decided are taken out of their span, and come back as spans of their own once it is, in
//! the order of their arrival over all sources. Whoever is not decided in time is delivered all the same, as undecided,
//! and does not wait again.

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

/// Cgroups that did not become known in time; when they are more, they may wait once more.
const MOST_GIVEN_UP: usize = 1 << 14;

/// Emptied batches that are kept for their memory.
const MOST_SPARE: usize = 64;

/// Records that wait.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    limits: HoldLimits,
    /// In the order of arrival.
    batches: VecDeque<Batch>,
    /// Empty ones, with their memory.
    spare: Vec<Batch>,
    /// By cgroup, while some of its records wait: when the first came, and how many there are.
    waiting: HashMap<u64, Waiting>,
    given_up: HashSet<u64>,
    bytes: usize,
    /// What is left of the present span.
    kept: Vec<u8>,
    /// The span that is being released.
    out: Vec<u8>,
    /// Records that were delivered undecided.
    undecided: u64,
}

/// The records that were taken out of one span.
#[derive(Debug, Default)]
struct Batch {
    source: usize,
    span: Vec<u8>,
    /// Of each record.
    cgroups: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: u64,
    records: u64,
    /// In a release: its records go.
    released: bool,
}

/// What is left of a span.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sifted<'a> {
    /// Everything.
    All,
    /// These, with the discarded ones of the span; so many records that are not discarded.
    Some(&'a [u8], u32),
    /// Nothing was taken: there is no room for what has to wait.
    Full,
}

impl Hold {
    pub fn new(limits: HoldLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Records that were delivered before it was known whose they are.
    pub fn undecided(&self) -> u64 {
        self.undecided
    }

    /// Takes the records out of a span whose cgroup (`cgroup_of`) is `open`: not decided. Whoever is decided since some of
    /// its records wait has to be released before, or it would overtake them.
    pub fn sift(
        &mut self,
        source: usize,
        span: &[u8],
        now: u64,
        cgroup_of: impl Fn(&[u8]) -> Option<u64>,
        mut open: impl FnMut(u64) -> bool,
    ) -> Sifted<'_> {
        let mut batch: Option<Batch> = None;
        let mut left = 0;
        // Records come in runs of one cgroup.
        let mut last = None;
        for record in Span(span).iter() {
            let at = record.offset as usize;
            let end = at + HEADER + record.payload.len().next_multiple_of(8);
            let raw = span.get(at..end).unwrap_or_default();
            let cgroup = cgroup_of(record.payload).filter(|_| !record.discarded);
            let held = cgroup.filter(|cgroup| match last {
                Some((of, open)) if of == *cgroup => open,
                _ => {
                    let open = !self.given_up.contains(cgroup) && open(*cgroup);
                    last = Some((*cgroup, open));
                    open
                }
            });
            match (held, &mut batch) {
                (None, None) => {}
                (None, Some(_)) => self.kept.extend_from_slice(raw),
                (Some(_), None) if self.bytes.saturating_add(span.len()) > self.limits.bytes => {
                    return Sifted::Full;
                }
                (Some(cgroup), batch) => {
                    let batch = batch.get_or_insert_with(|| {
                        self.kept.clear();
                        self.kept
                            .extend_from_slice(span.get(..at).unwrap_or_default());
                        let batch = self.spare.pop().unwrap_or_default();
                        Batch { source, ..batch }
                    });
                    batch.span.extend_from_slice(raw);
                    batch.cgroups.push(cgroup);
                    self.bytes += raw.len();
                    let waiting = self.waiting.entry(cgroup).or_insert(Waiting {
                        since: now,
                        records: 0,
                        released: false,
                    });
                    waiting.records += 1;
                }
            }
            left += u32::from(held.is_none() && !record.discarded);
        }
        match batch {
            None => Sifted::All,
            Some(batch) => {
                self.batches.push_back(batch);
                Sifted::Some(&self.kept, left)
            }
        }
    }

    /// Gives back, as spans with their source and number of records, what waits no more: whose cgroup is not `open`, and
    /// who has waited long enough, or everything if that is to be so.
    pub fn release(
        &mut self,
        now: u64,
        everything: bool,
        mut open: impl FnMut(u64) -> bool,
        mut deliver: impl FnMut(usize, &[u8], u32),
    ) {
        let mut any = false;
        for (cgroup, waiting) in &mut self.waiting {
            let late = everything || now.saturating_sub(waiting.since) >= self.limits.time;
            let decided = !open(*cgroup);
            waiting.released = decided || late;
            any |= waiting.released;
            if late && !decided {
                self.undecided += waiting.records;
                if self.given_up.len() >= MOST_GIVEN_UP {
                    self.given_up.clear();
                }
                self.given_up.insert(*cgroup);
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
            let records = self.take(&mut batch);
            if batch.cgroups.is_empty() {
                self.spare.push(batch);
            } else {
                self.batches.push_back(batch);
            }
            if records > 0 {
                self.bytes = self.bytes.saturating_sub(self.out.len());
                deliver(source, &self.out, records);
            }
        }
        self.waiting.retain(|_, waiting| !waiting.released);
        // What a storm needed is not kept for ever.
        self.spare.truncate(MOST_SPARE);
    }

    /// Moves the records of a batch that are released to `out`; gives their number.
    fn take(&mut self, batch: &mut Batch) -> u32 {
        self.out.clear();
        let waiting = &self.waiting;
        let released = |cgroup: &u64| waiting.get(cgroup).is_none_or(|w| w.released);
        if !batch.cgroups.iter().any(released) {
            return 0;
        }
        let mut records = 0;
        let (mut at, mut stays) = (0, 0);
        let (span, out) = (&mut batch.span, &mut self.out);
        batch.cgroups.retain(|cgroup| {
            let record = Span(span.get(at..).unwrap_or_default()).iter().next();
            // Each was walked over when it came.
            let length = record.map_or(0, |r| HEADER + r.payload.len().next_multiple_of(8));
            let end = at + length;
            let goes = released(cgroup);
            if goes {
                out.extend_from_slice(span.get(at..end).unwrap_or_default());
                records += 1;
            } else {
                span.copy_within(at..end, stays);
                stays += length;
            }
            at = end;
            !goes
        });
        span.truncate(stays);
        records
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

    fn cgroup_of(payload: &[u8]) -> Option<u64> {
        let bytes = payload.get(..8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn numbers(span: &[u8]) -> Vec<u64> {
        let number = |r: span::Record<'_>| u64::from_le_bytes(r.payload[8..].try_into().unwrap());
        Span(span).iter().map(number).collect()
    }

    struct Bench {
        hold: Hold,
        open: HashSet<u64>,
        delivered: Vec<(usize, Vec<u64>)>,
    }

    impl Bench {
        fn new(open: &[u64]) -> Self {
            Self {
                hold: Hold::new(HoldLimits {
                    time: 100,
                    bytes: 1000,
                }),
                open: open.iter().copied().collect(),
                delivered: Vec::new(),
            }
        }

        fn deliver(&mut self, source: usize, records: &[(u64, u64)], now: u64) -> bool {
            self.release(now, false);
            let span = spans(records);
            let (open, hold) = (&self.open, &mut self.hold);
            match hold.sift(source, &span, now, cgroup_of, |c| open.contains(&c)) {
                Sifted::All => self.delivered.push((source, numbers(&span))),
                Sifted::Some(kept, n) => {
                    assert_eq!(numbers(kept).len(), n as usize);
                    if n > 0 {
                        self.delivered.push((source, numbers(kept)));
                    }
                }
                Sifted::Full => return false,
            }
            true
        }

        fn release(&mut self, now: u64, everything: bool) {
            let (open, out) = (&self.open, &mut self.delivered);
            self.hold.release(
                now,
                everything,
                |c| open.contains(&c),
                |source, span, n| {
                    assert_eq!(Span(span).check().unwrap().records, u64::from(n));
                    out.push((source, numbers(span)));
                },
            );
        }
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
        match bench.hold.sift(0, &span, 0, cgroup_of, |c| c == 7) {
            Sifted::Some(kept, 1) => assert_eq!(numbers(kept), [2, 3]),
            other => panic!("{other:?}"),
        }
        // One without the field is let through.
        let mut short = Vec::new();
        span::push(&mut short, &[b"abc"]).unwrap();
        assert_eq!(
            bench.hold.sift(0, &short, 0, cgroup_of, |_| true),
            Sifted::All
        );
    }
}
