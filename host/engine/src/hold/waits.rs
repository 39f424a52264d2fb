//! How long records waited.

use serde::Serialize;

/// Steps in each power of two: what is said is at most a quarter too long.
const STEPS: usize = 4;
/// Powers of two, from a microsecond on.
const POWERS: usize = 24;

/// How long records waited for it to be known whose they are, from when the first of their cgroup was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Records that waited.
    pub records: u64,
    /// Half of them waited no longer, in nanoseconds; a quarter more at most.
    pub p50_ns: u64,
    /// 99 of 100 of them waited no longer, in nanoseconds; a quarter more at most.
    pub p99_ns: u64,
    /// The longest wait, in nanoseconds.
    pub longest_ns: u64,
}

/// Counts waits by their length.
#[derive(Clone, Debug)]
pub(super) struct Waits {
    counts: [u64; POWERS * STEPS],
    records: u64,
    longest: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            counts: [0; POWERS * STEPS],
            records: 0,
            longest: 0,
        }
    }
}

impl Waits {
    /// So many records have waited so many nanoseconds.
    pub fn add(&mut self, records: u64, ns: u64) {
        self.records += records;
        self.longest = self.longest.max(ns);
        if let Some(count) = self.counts.get_mut(place(ns)) {
            *count += records;
        }
    }

    /// None: none has waited.
    pub fn held(&self) -> Option<Held> {
        (self.records > 0).then(|| Held {
            records: self.records,
            p50_ns: self.quantile(50),
            p99_ns: self.quantile(99),
            longest_ns: self.longest,
        })
    }

    /// So many of a hundred waited no longer.
    fn quantile(&self, of_hundred: u64) -> u64 {
        let wanted = self.records.saturating_mul(of_hundred).div_ceil(100);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return end(place).min(self.longest);
            }
        }
        self.longest
    }
}

fn place(ns: u64) -> usize {
    let us = (ns / 1000).max(1);
    let power = us.ilog2() as usize;
    let step = ((us - (1 << power)) * STEPS as u64) >> power;
    (power * STEPS + step as usize).min(POWERS * STEPS - 1)
}

/// The longest wait that is counted there, in nanoseconds.
fn end(place: usize) -> u64 {
    let (power, step) = (place / STEPS, place % STEPS);
    1000 * (((STEPS + step + 1) as u64) << power).div_ceil(STEPS as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_waits_and_nearly_all_of_them() {
        let mut waits = Waits::default();
        assert_eq!(waits.held(), None);
        for ms in 1..=100 {
            waits.add(10, ms * 1_000_000);
        }
        let held = waits.held().unwrap();
        assert_eq!((held.records, held.longest_ns), (1000, 100_000_000));
        assert!((50_000_000..63_000_000).contains(&held.p50_ns), "{held:?}");
        assert!(
            (99_000_000..=100_000_000).contains(&held.p99_ns),
            "{held:?}"
        );
    }

    #[test]
    fn every_wait_is_counted_where_it_belongs() {
        for ns in [0, 1, 999, 1000, 1999, 2000, 12_345_678, 1 << 33, 1 << 60] {
            let at = place(ns);
            assert!(at < POWERS * STEPS, "{ns}");
            assert!(ns <= end(at) || at == POWERS * STEPS - 1, "{ns}");
        }
    }
}
