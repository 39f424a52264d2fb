//! When to look into a ring again: pure arithmetic over a clock that the caller hands in.
//!
//! A consumer that is always caught up is woken for every record, and both sides then fight over the same cache
//! lines. One that stays a little behind is woken never. So: sleep until woken while little comes, and nap by the
//! clock while much comes.

use std::time::Duration;

/// From this rate on naps replace wake-ups, in records a second.
pub const BUSY_RATE: f64 = 1000.0;
/// Below this rate wake-ups replace naps again.
const IDLE_RATE: f64 = BUSY_RATE / 2.0;
/// No nap is longer: rows are at most this late.
pub const LONGEST_NAP: Duration = Duration::from_millis(10);
/// Shorter naps are not worth their system call; the kernel rounds them up by 50 us anyway.
const SHORTEST_NAP: Duration = Duration::from_micros(100);
/// Rates are measured over at least this long, so that two records in a row are no storm.
const WINDOW: Duration = Duration::from_millis(10);

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Sleep until the ring wakes us.
    Sleep,
    /// Don't listen to the ring for this long.
    Nap(Duration),
}

/// The pace of one ring.
#[derive(Clone, Debug)]
pub struct Pace {
    quarter: f64,
    window_start: Duration,
    records: u64,
    bytes: u64,
    /// In records and in bytes a second.
    record_rate: f64,
    byte_rate: f64,
    napping: bool,
}

impl Pace {
    /// For a ring of `size` bytes; `now` is the time since any fixed moment.
    #[must_use]
    pub fn new(size: usize, now: Duration) -> Self {
        Self {
            quarter: size as f64 / 4.0,
            window_start: now,
            records: 0,
            bytes: 0,
            record_rate: 0.0,
            byte_rate: 0.0,
            napping: false,
        }
    }

    /// A span was taken.
    #[inline]
    pub fn saw(&mut self, records: u32, bytes: usize) {
        self.records += u64::from(records);
        self.bytes += bytes as u64;
    }

    /// What to do now that the ring is empty.
    pub fn next(&mut self, now: Duration) -> Next {
        let elapsed = now.saturating_sub(self.window_start);
        // While napping each nap is a measurement; a shorter look would be noise.
        let window = if self.napping { SHORTEST_NAP } else { WINDOW };
        if elapsed >= window {
            let seconds = elapsed.as_secs_f64();
            let (records, bytes) = (self.records as f64 / seconds, self.bytes as f64 / seconds);
            if self.napping {
                // Up at once, down by halves: no nap may be too long for the storm that is on.
                self.record_rate = records.max((self.record_rate + records) / 2.0);
                self.byte_rate = bytes.max((self.byte_rate + bytes) / 2.0);
            } else {
                (self.record_rate, self.byte_rate) = (records, bytes);
            }
            (self.window_start, self.records, self.bytes) = (now, 0, 0);
            self.napping = self.record_rate >= if self.napping { IDLE_RATE } else { BUSY_RATE };
        }
        if !self.napping {
            return Next::Sleep;
        }
        let fill = self.quarter / self.byte_rate.max(1.0);
        let nap = Duration::from_secs_f64(fill.min(LONGEST_NAP.as_secs_f64()));
        if nap < SHORTEST_NAP {
            Next::Sleep
        } else {
            Next::Nap(nap)
        }
    }
}

/// What to do about several rings at once: nap only if a nap suits all that are busy, for as long as suits the
/// busiest. A quiet ring's lone record then waits for the nap's end, at most [`LONGEST_NAP`].
pub fn together(paces: &mut [Pace], now: Duration) -> Next {
    let mut shortest = None;
    let mut beyond_naps = false;
    for pace in paces {
        match pace.next(now) {
            Next::Nap(nap) => {
                shortest = Some(shortest.map_or(nap, |other: Duration| other.min(nap)))
            }
            Next::Sleep => beyond_naps |= pace.napping,
        }
    }
    match shortest {
        Some(nap) if !beyond_naps => Next::Nap(nap),
        _ => Next::Sleep,
    }
}
