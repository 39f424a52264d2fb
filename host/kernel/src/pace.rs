//! When to look into a ring again: pure arithmetic over a clock that the caller hands in.
//!
//! A consumer that is always caught up is woken for every record, and both sides then fight over the same cache
//! lines. One that stays a little behind is woken never. So: sleep until woken while little comes, and nap by the
//! clock while much comes. A storm that begins in a nap is not foreseen here: either the ring's programs end the nap, or
//! no nap is longer than the ring can stand.

use std::time::Duration;

/// From this rate on naps replace wake-ups, in records a second.
pub const BUSY_RATE: f64 = 1000.0;
/// Below this rate wake-ups replace naps again.
const IDLE_RATE: f64 = BUSY_RATE / 2.0;
/// No nap is longer: rows are at most this late. Each wake-up costs as much as hundreds of records, and nobody sees the
/// difference between this and nothing.
pub const LONGEST_NAP: Duration = Duration::from_millis(50);
/// A storm may begin during any nap. Where no program ends the nap then, half of the ring has to hold what comes until it
/// is over: in bytes a second, about what four threads' system calls make that share one ring. One makes 190 MB.
const SUDDEN_STORM: f64 = 400e6;
/// Shorter naps are not worth their system call; the kernel rounds them up by 50 us anyway.
const SHORTEST_NAP: Duration = Duration::from_micros(100);
/// Rates are measured over this long, so that two records in a row are no storm.
const WINDOW: Duration = Duration::from_millis(10);
/// So many records tell the rate sooner. Each of them was worth a wake-up until then.
const BURST: u64 = 32;

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
    longest: f64,
    window_start: Duration,
    records: u64,
    bytes: u64,
    /// In records and in bytes a second.
    record_rate: f64,
    byte_rate: f64,
    napping: bool,
}

impl Pace {
    /// For a ring of `size` bytes, whose programs end a nap when half of it is full, or don't (`woken`); `now` is the
    /// time since any fixed moment.
    #[must_use]
    pub fn new(size: usize, woken: bool, now: Duration) -> Self {
        let enough = size as f64 / 2.0 / SUDDEN_STORM;
        let longest = LONGEST_NAP.as_secs_f64();
        Self {
            quarter: size as f64 / 4.0,
            longest: if woken { longest } else { enough.min(longest) },
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
        let window = if self.napping || self.records >= BURST {
            SHORTEST_NAP
        } else {
            WINDOW
        };
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
        let nap = Duration::from_secs_f64(fill.min(self.longest));
        if nap < SHORTEST_NAP {
            Next::Sleep
        } else {
            Next::Nap(nap)
        }
    }
}

/// What to do about several rings at once: nap only if a nap suits all that are busy, for as long as suits the
/// busiest and no ring minds, because a storm may begin in a quiet one, too.
pub fn together(paces: &mut [Pace], now: Duration) -> Next {
    let mut shortest = None;
    let mut beyond_naps = false;
    let mut longest = LONGEST_NAP;
    for pace in paces {
        longest = longest.min(Duration::from_secs_f64(pace.longest));
        match pace.next(now) {
            Next::Nap(nap) => {
                shortest = Some(shortest.map_or(nap, |other: Duration| other.min(nap)));
            }
            Next::Sleep => beyond_naps |= pace.napping,
        }
    }
    match shortest {
        Some(nap) if !beyond_naps => Next::Nap(nap.min(longest.max(SHORTEST_NAP))),
        _ => Next::Sleep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A second of `rate` records of `bytes` a second, looked at after each nap, or after each record while awake;
    /// gives what was said last and how many looks there were.
    fn run(pace: &mut Pace, from: Duration, rate: f64, bytes: usize) -> (Next, u32) {
        let (mut now, mut left, mut next, mut looks) = (from, 0.0, Next::Sleep, 0);
        while now < from + ms(1000) {
            let step = match next {
                Next::Nap(nap) => nap,
                Next::Sleep => Duration::from_secs_f64(1.0 / rate),
            };
            now += step;
            let came: f64 = step.as_secs_f64() * rate + left;
            left = came.fract();
            pace.saw(came as u32, came as usize * bytes);
            next = pace.next(now);
            looks += 1;
        }
        (next, looks)
    }

    #[test]
    fn few_records_are_slept_for() {
        let mut pace = Pace::new(MIB, true, ms(0));
        assert_eq!(pace.next(ms(0)), Next::Sleep);
        assert_eq!(run(&mut pace, ms(0), 500.0, 100).0, Next::Sleep);
        // Two records a microsecond apart after a long silence are no storm.
        pace.saw(1, 100);
        assert_eq!(pace.next(ms(60_000)), Next::Sleep);
        pace.saw(1, 100);
        assert_eq!(
            pace.next(ms(60_000) + Duration::from_micros(1)),
            Next::Sleep
        );
    }

    #[test]
    fn a_burst_is_known_before_the_window_is_over() {
        let mut pace = Pace::new(64 * MIB, true, ms(0));
        let mut now = ms(60_000);
        assert_eq!(pace.next(now), Next::Sleep);
        // 20,000 a second: 31 records are not enough to say so.
        for _ in 0..31 {
            now += Duration::from_micros(50);
            pace.saw(1, 100);
            assert_eq!(pace.next(now), Next::Sleep);
        }
        now += Duration::from_micros(50);
        pace.saw(1, 100);
        assert_eq!(pace.next(now), Next::Nap(LONGEST_NAP));
    }

    #[test]
    fn naps_that_nobody_ends_are_as_short_as_the_ring_needs_them() {
        // Half of 4 MiB at 400 MB/s.
        let mut alone = Pace::new(4 * MIB, false, ms(0));
        let (next, _) = run(&mut alone, ms(0), 2000.0, 100);
        let Next::Nap(nap) = next else {
            panic!("{next:?}")
        };
        assert!(nap > ms(5) && nap < ms(6), "{nap:?}");
        // A program would end it: however small the ring is, only what comes now counts.
        let mut woken = Pace::new(MIB, true, ms(0));
        let (next, _) = run(&mut woken, ms(0), 2000.0, 100);
        assert_eq!(next, Next::Nap(LONGEST_NAP));
        // A quiet ring may fill during the nap of another one.
        let quiet = Pace::new(4 * MIB, false, ms(0));
        assert_eq!(
            together(&mut [woken.clone(), quiet], ms(1000)),
            Next::Nap(nap)
        );
        let tiny = Pace::new(4096, false, ms(0));
        assert_eq!(
            together(&mut [woken, tiny], ms(1000)),
            Next::Nap(SHORTEST_NAP),
            "but it is not listened to"
        );
    }

    #[test]
    fn many_records_are_napped_for_and_silence_ends_it() {
        let mut pace = Pace::new(64 * MIB, true, ms(0));
        // 2,000 a second, and a ring that they don't fill: the longest nap, and 20 looks a second.
        let (next, looks) = run(&mut pace, ms(0), 2000.0, 100);
        assert_eq!(next, Next::Nap(LONGEST_NAP));
        assert!((20..=75).contains(&looks), "{looks}");
        // Halved each nap: soon below the threshold.
        let mut now = ms(1000);
        let mut naps = 0;
        while let Next::Nap(nap) = pace.next(now) {
            now += nap;
            naps += 1;
            assert!(naps < 5);
        }
        assert_eq!(pace.next(now + ms(1)), Next::Sleep);
    }

    #[test]
    fn naps_end_before_a_quarter_of_the_ring_is_full() {
        let mut pace = Pace::new(4 * MIB, true, ms(0));
        // 128 MiB a second fill 1 MiB in 7.8 ms.
        let (next, _) = run(&mut pace, ms(0), 1024.0 * 1024.0, 128);
        let Next::Nap(nap) = next else {
            panic!("{next:?}")
        };
        assert!(nap > ms(7) && nap < ms(8), "{nap:?}");
        // Four times as much at once: the very next nap is a quarter.
        pace.saw(0, 4 * MIB);
        let Next::Nap(nap) = pace.next(pace.window_start + Duration::from_micros(7_800)) else {
            panic!()
        };
        assert!(nap < ms(2), "{nap:?}");
        // A ring so small that a nap would overfill it is listened to.
        let mut pace = Pace::new(4096, true, ms(0));
        assert_eq!(run(&mut pace, ms(0), 1e6, 128).0, Next::Sleep);
    }

    #[test]
    fn the_busiest_ring_decides() {
        let quiet = Pace::new(MIB, true, ms(0));
        let (mut busy, mut busier, mut tiny) = (
            Pace::new(64 * MIB, true, ms(0)),
            Pace::new(4 * MIB, true, ms(0)),
            Pace::new(4096, true, ms(0)),
        );
        run(&mut busy, ms(0), 2000.0, 100);
        run(&mut busier, ms(0), 1024.0 * 1024.0, 128);
        run(&mut tiny, ms(0), 1e6, 128);
        let now = ms(1000);
        assert_eq!(together(&mut [], now), Next::Sleep);
        assert_eq!(together(&mut [quiet.clone()], now), Next::Sleep);
        assert_eq!(
            together(&mut [quiet.clone(), busy.clone()], now),
            Next::Nap(LONGEST_NAP)
        );
        let Next::Nap(nap) = together(&mut [busy.clone(), busier, quiet], now) else {
            panic!()
        };
        assert!(nap < ms(8), "{nap:?}");
        assert_eq!(together(&mut [busy, tiny], now), Next::Sleep);
    }
}
