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
    pub fn next_due(&self) -> Option<u64> {
        self.timers.iter().map(|t| t.due).min()
    }

    /// Takes one timer that is due at `now`: its id and the periods that passed since its last call.
    pub fn take_due(&mut self, now: u64) -> Option<(u32, u32)> {
        let at = self
            .timers
            .iter()
            .enumerate()
            .filter(|(_, t)| t.due <= now)
            .min_by_key(|(_, t)| t.due)?
            .0;
        let timer = self.timers.get_mut(at)?;
        let id = timer.id;
        match timer.period {
            None => {
                self.timers.swap_remove(at);
                Some((id, 1))
            }
            Some(period) => {
                let passed = (now - timer.due) / period + 1;
                timer.due = timer.due.saturating_add(passed.saturating_mul(period));
                Some((id, u32::try_from(passed).unwrap_or(u32::MAX)))
            }
        }
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
