//! What became of the records of a span.

/// What the gadget decided about one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "every record is accounted for"]
pub enum Outcome {
    /// Used, whether it became a row or not.
    Accepted,
    /// Left out on purpose, for example by a filter.
    Dropped,
    /// Not what the eBPF program should have written.
    Malformed,
}

/// How many records met which outcome; the host checks that the sum is what it handed over.
///
/// The layout is the contract's record `verdict`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// See [`Outcome::Accepted`].
    pub accepted: u32,
    /// See [`Outcome::Dropped`].
    pub dropped: u32,
    /// See [`Outcome::Malformed`].
    pub malformed: u32,
}

impl Verdict {
    /// Counts one record.
    #[inline(always)]
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Dropped => self.dropped += 1,
            Outcome::Malformed => self.malformed += 1,
        }
    }
}
