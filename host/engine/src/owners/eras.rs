//! Who had a mount namespace when, as a recording tells it.
//!
//! The kernel gives the number of a mount namespace to another one at once, so a question about one has a time, that of a
//! record: nearly as many questions as records. A recording holds only what changes the answers: from a time on, up to the
//! time of another answer, the namespace was this owner's. Who records keeps the same list as who replays, and adds what that
//! list would answer wrongly.

use std::collections::BTreeMap;

/// The owners of one mount namespace.
#[derive(Debug, Default)]
pub(crate) struct Eras {
    /// Since when: whose. Before the first it was not known whose.
    since: BTreeMap<u64, u32>,
}

impl Eras {
    /// Whose it was at a time.
    pub fn at(&self, time: u64) -> u32 {
        let before = self.since.range(..=time).next_back();
        before.map_or(0, |(_, owner)| *owner)
    }

    /// From this time on, up to the next that is known, it was this one's. Whether this is more than there was.
    pub fn add(&mut self, time: u64, owner: u32) -> bool {
        self.since.insert(time, owner).is_none()
    }
}

/// What was recorded of one mount namespace.
#[derive(Debug, Default)]
pub(crate) struct RecordedEras {
    eras: Eras,
    /// Times that were asked for in this call: who replays has all of the call's answers when it begins.
    asked: Vec<u64>,
}

impl RecordedEras {
    /// Takes an answer that was given; `record` gets what the recording must hold for it.
    pub fn answered(&mut self, time: u64, owner: u32, mut record: impl FnMut(u64, u32)) {
        let Self { eras, asked } = self;
        let first = eras.since.is_empty();
        if first || eras.at(time) != owner {
            // What was asked of a later time in this call must go on having the answer that it had.
            let next = eras.since.range(time.saturating_add(1)..).next();
            let next = next.map_or(u64::MAX, |(next, _)| *next);
            let later = asked
                .iter()
                .copied()
                .filter(|at| (time < *at) && (*at < next));
            if let Some(later) = later.min() {
                let then = eras.at(later);
                eras.add(later, then);
                record(later, then);
            }
            eras.add(time, owner);
            record(time, owner);
        }
        asked.push(time);
    }

    /// Whether nothing was asked in this call yet.
    pub fn is_unasked(&self) -> bool {
        self.asked.is_empty()
    }

    /// The call is over.
    pub fn next_call(&mut self) {
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lasts_until_the_next() {
        let mut eras = Eras::default();
        assert_eq!(eras.at(5), 0);
        assert!(eras.add(10, 7));
        assert!(eras.add(20, 8));
        assert_eq!(
            [9, 10, 19, 20, u64::MAX].map(|at| eras.at(at)),
            [0, 7, 7, 8, 8]
        );
        assert!(!eras.add(20, 0));
        assert_eq!(eras.at(25), 0);
    }

    #[test]
    fn only_what_changes_answers_is_recorded() {
        let mut recorded = RecordedEras::default();
        let mut lines = Vec::new();
        for time in 100..1100 {
            recorded.answered(time, 7, |at, owner| lines.push((at, owner)));
            recorded.next_call();
        }
        assert_eq!(lines, [(100, 7)]);
    }

    /// Whatever is answered in whatever order: who replays, and knows the answers of a call when it begins, gives the same.
    #[test]
    fn a_replay_answers_as_the_run_did() {
        let mut state = 1_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..2_000 {
            let mut recorded = RecordedEras::default();
            let mut replayed = Eras::default();
            for _ in 0..random(8) {
                // In one call a question has one answer.
                let truth: Vec<u32> = (0..12).map(|_| random(3)).collect();
                let asked: Vec<u32> = (0..random(12)).map(|_| random(12)).collect();
                let mut lines = Vec::new();
                for time in &asked {
                    recorded.answered(u64::from(*time), truth[*time as usize], |at, owner| {
                        lines.push((at, owner));
                    });
                }
                recorded.next_call();
                for (at, owner) in lines {
                    replayed.add(at, owner);
                }
                for time in asked {
                    assert_eq!(replayed.at(u64::from(time)), truth[time as usize]);
                }
            }
        }
    }
}
