//! A guest's timers: due times in boot nanoseconds, coalesced when late.

/// Most timers that one guest may hold at a time.
pub const MAX_TIMERS: usize = 64;
/// Shortest period or delay, in nanoseconds: a guest is no busy loop.
pub const MIN_NS: u64 = 1_000_000;

#[derive(Debug)]
struct Timer {
    id: u32,
    due: u64,
    /// None: fires once.
    period: Option<u64>,
}

impl Timer {
    /// Periods that are over at `now`, at which it is due.
    fn passed(&self, now: u64) -> u32 {
        let over = now.saturating_sub(self.due);
        let periods = self.period.map_or(1, |period| over / period + 1);
        u32::try_from(periods).unwrap_or(u32::MAX)
    }
}

/// The timers of one guest.
#[derive(Debug, Default)]
pub struct Timers {
    timers: Vec<Timer>,
    last_id: u32,
}

impl Timers {
    /// Starts a timer `ns` after `now`, again every `ns` when `every`. The error is for the guest.
    pub fn start(&mut self, now: u64, ns: u64, every: bool) -> Result<u32, String> {
        if ns < MIN_NS {
            return Err(format!(
                "a timer of {ns} ns is too short; the shortest is {MIN_NS} ns"
            ));
        }
        if self.timers.len() >= MAX_TIMERS {
            return Err(format!("{MAX_TIMERS} timers are running; cancel one first"));
        }
        // An id comes back only after four thousand million timers, and never while it runs.
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if self.last_id != 0 && self.timers.iter().all(|t| t.id != self.last_id) {
                break;
            }
        }
        self.timers.push(Timer {
            id: self.last_id,
            due: now.saturating_add(ns),
            period: every.then_some(ns),
        });
        Ok(self.last_id)
    }

    /// Stops a timer; one that is unknown or over is no error.
    pub fn cancel(&mut self, id: u32) {
        self.timers.retain(|t| t.id != id);
    }

    /// Stops all of them: their guest is gone.
    pub fn clear(&mut self) {
        self.timers.clear();
    }

    /// When the next one is due, in boot nanoseconds.
    #[cfg(test)]
    pub fn next_due(&self) -> Option<u64> {
        self.next_due_of(|_, _| true)
    }

    /// When the next one is due of those for which `which` holds, by number and due time.
    pub fn next_due_of(&self, which: impl Fn(u32, u64) -> bool) -> Option<u64> {
        let timers = self.timers.iter().filter(|t| which(t.id, t.due));
        timers.map(|t| t.due).min()
    }

    /// Those that are due at `now`: number, due time, and the periods that passed since the last call.
    pub fn overdue(&self, now: u64) -> impl Iterator<Item = (u32, u64, u32)> {
        let due = self.timers.iter().filter(move |t| t.due <= now);
        due.map(move |t| (t.id, t.due, t.passed(now)))
    }

    /// Takes one timer that is due at `now`: its id and the periods that passed since its last call.
    #[cfg(test)]
    pub fn take_due(&mut self, now: u64) -> Option<(u32, u32)> {
        self.take_due_of(now, |_, _| true)
    }

    /// Takes one timer that is due at `now` of those for which `which` holds, by number and due time: its number and the
    /// periods that passed since its last call.
    pub fn take_due_of(
        &mut self,
        now: u64,
        which: impl Fn(u32, u64) -> bool,
    ) -> Option<(u32, u32)> {
        let at = self
            .timers
            .iter()
            .enumerate()
            .filter(|(_, t)| t.due <= now && which(t.id, t.due))
            .min_by_key(|(_, t)| t.due)?
            .0;
        let timer = self.timers.get_mut(at)?;
        let (id, passed) = (timer.id, timer.passed(now));
        match timer.period {
            None => drop(self.timers.swap_remove(at)),
            Some(period) => {
                let periods = (now - timer.due) / period + 1;
                timer.due = timer.due.saturating_add(periods.saturating_mul(period));
            }
        }
        Some((id, passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_periods_coalesce_and_keep_their_phase() {
        let mut t = Timers::default();
        let id = t.start(0, 10 * MIN_NS, true).unwrap();
        assert_eq!(t.take_due(9 * MIN_NS), None);
        assert_eq!(t.take_due(35 * MIN_NS), Some((id, 3)));
        assert_eq!(t.take_due(35 * MIN_NS), None);
        assert_eq!(t.next_due(), Some(40 * MIN_NS));
    }

    #[test]
    fn some_can_be_held_back() {
        let mut t = Timers::default();
        let a = t.start(0, 10 * MIN_NS, true).unwrap();
        let b = t.start(0, 20 * MIN_NS, false).unwrap();
        let now = 35 * MIN_NS;
        let overdue: Vec<_> = t.overdue(now).collect();
        assert_eq!(overdue, [(a, 10 * MIN_NS, 3), (b, 20 * MIN_NS, 1)]);
        let not_a = |id, due| (id, due) != (a, 10 * MIN_NS);
        assert_eq!(t.next_due_of(not_a), Some(20 * MIN_NS));
        assert_eq!(t.take_due_of(now, not_a), Some((b, 1)));
        assert_eq!(t.take_due_of(now, not_a), None);
        assert_eq!(t.take_due_of(now, |_, _| true), Some((a, 3)));
    }

    #[test]
    fn once_is_once_and_cancel_is_final() {
        let mut t = Timers::default();
        let a = t.start(0, MIN_NS, false).unwrap();
        let b = t.start(0, 2 * MIN_NS, false).unwrap();
        t.cancel(b);
        assert_eq!(t.take_due(u64::MAX), Some((a, 1)));
        assert_eq!(t.take_due(u64::MAX), None);
    }

    #[test]
    fn limits_are_told_to_the_guest() {
        let mut t = Timers::default();
        assert!(
            t.start(0, MIN_NS - 1, true)
                .unwrap_err()
                .contains("too short")
        );
        for _ in 0..MAX_TIMERS {
            t.start(0, MIN_NS, true).unwrap();
        }
        assert!(t.start(0, MIN_NS, true).unwrap_err().contains("cancel one"));
    }
}
