//! The two ledgers of a run. A guest is N:M, so records and rows are counted apart; each sum is exact.

pub use crate::hold::Held;
use ig_table::output::TableLedger;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Why a record was excluded: `--filter`.
pub(crate) const FILTER: &str = "filter";
/// Its owner is none of those that the user asked for.
pub(crate) const UNSELECTED: &str = "selection";
/// Its container had written as many in that second as `--max-rate` allows.
pub(crate) const RATE: &str = "rate";
/// Why a record was excluded that might have been wanted: it was not known in time whose it is.
pub(crate) const UNDECIDED: &str = "undecided";

/// What became of every record that the programs of one source tried to hand over.
///
/// `attempted = not_reserved + discarded_by_program + accepted + dropped_by_guest + malformed + lost_to_trap
/// + lost_to_deadline + excluded_before_guest + undecided_at_exit`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordLedger {
    /// Records that the programs tried to reserve, counted in the kernel by the header's macro.
    /// None: the object reserves without that macro, so nobody knows.
    pub attempted: Option<u64>,
    /// Of these, the ones for which the ring had no room or could not be locked. None: not known.
    pub not_reserved: Option<u64>,
    /// Reserved, then thrown away by the program itself.
    pub discarded_by_program: u64,
    /// Taken by the guest, or decoded where there is none.
    pub accepted: u64,
    /// Left out by the guest on purpose.
    pub dropped_by_guest: u64,
    /// Not understood by the guest.
    pub malformed: u64,
    /// In a span whose call trapped.
    pub lost_to_trap: u64,
    /// In a span whose call ran out of its time.
    pub lost_to_deadline: u64,
    /// Decided against before the guest, by cause: `filter` (`--filter`), `selection` (not of the containers that the user
    /// asked for), `undecided` (it was not known in time whether they are), `rate` (`--max-rate`).
    pub excluded_before_guest: BTreeMap<String, u64>,
    /// Still in the ring when the run ended.
    pub undecided_at_exit: u64,
}

impl RecordLedger {
    /// Everything that is accounted for.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        let Self {
            attempted: _,
            not_reserved,
            discarded_by_program,
            accepted,
            dropped_by_guest,
            malformed,
            lost_to_trap,
            lost_to_deadline,
            excluded_before_guest,
            undecided_at_exit,
        } = self;
        not_reserved.unwrap_or(0)
            + discarded_by_program
            + accepted
            + dropped_by_guest
            + malformed
            + lost_to_trap
            + lost_to_deadline
            + excluded_before_guest.values().sum::<u64>()
            + undecided_at_exit
    }

    /// Records that somebody wanted and nobody saw, or may have wanted.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.not_reserved.unwrap_or(0)
            + self.lost_to_trap
            + self.lost_to_deadline
            + self.excluded_before_guest.get(UNDECIDED).unwrap_or(&0)
            + self.undecided_at_exit
    }

    /// Counts records that were decided against before the guest.
    pub(crate) fn exclude(&mut self, cause: &str, records: u64) {
        match self.excluded_before_guest.get_mut(cause) {
            Some(count) => *count += records,
            None => drop(self.excluded_before_guest.insert(cause.to_owned(), records)),
        }
    }
}

/// What became of every row of one table: `emitted = filtered + beyond_limit + written + lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowLedger {
    /// Rows committed by the guest, or made by the decoder where there is none.
    pub emitted: u64,
    /// Rows that the user did not ask for.
    pub filtered: u64,
    /// Rows beyond the user's limit.
    pub beyond_limit: u64,
    /// Rows whose bytes were handed over whole.
    pub written: u64,
    /// Rows lost on the way out, by reason.
    pub lost: BTreeMap<String, u64>,
    /// What became of the same rows in the outputs that show the table beside the first that does, by the output's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, OutputRows>,
}

/// What became of rows in one more output; the sum is that of the first one, `written + lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutputRows {
    /// Rows that are in it.
    pub written: u64,
    /// Rows lost on the way, by reason.
    pub lost: BTreeMap<String, u64>,
}

impl From<&TableLedger> for OutputRows {
    fn from(ledger: &TableLedger) -> Self {
        let lost = ledger.lost.iter();
        Self {
            written: ledger.written,
            lost: lost
                .map(|(reason, n)| (reason.as_str().to_owned(), *n))
                .collect(),
        }
    }
}

impl RowLedger {
    /// Everything that is accounted for.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.filtered + self.beyond_limit + self.written + self.lost.values().sum::<u64>()
    }

    /// Whether rows were lost, in any output.
    fn any_lost(&self) -> bool {
        let others = self.outputs.values().map(|output| &output.lost);
        std::iter::once(&self.lost)
            .chain(others)
            .any(|lost| lost.values().any(|n| *n > 0))
    }
}

/// A program that was left out because this kernel can't run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The program's name in the object.
    pub program: String,
    /// Why.
    pub reason: String,
}

/// How often the kernel skipped one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramRuns {
    /// The program's name in the object.
    pub program: String,
    /// Runs that the kernel skipped because the program was running on that CPU already.
    pub recursion_misses: u64,
}

/// What the guest did beside rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GuestSummary {
    /// Calls that ended in a trap, deadline included.
    pub traps: u32,
    /// Times that a new instance replaced a trapped one; its state from before is gone.
    pub restarts: u32,
    /// Nanoseconds of state that restarts threw away, summed over the instances.
    pub state_lost_ns: u64,
    /// Log lines that the rate limit suppressed.
    pub log_lines_suppressed: u64,
    /// What the last trap said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_trap: Option<String>,
}

/// All that a run has to say about itself; printed at its end, and written as JSON on request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The gadget's name.
    pub gadget: String,
    /// The gadget's version.
    pub version: String,
    /// Why the run ended: `signal`, `timeout`, `command`, `traps`, `reader`, `snapshot`, `recording` or `error`.
    pub ended_by: String,
    /// What failed in the middle, and fails the run; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Nanoseconds from the first attached program to the end.
    pub duration_ns: u64,
    /// One ledger a source, by name.
    pub records: BTreeMap<String, RecordLedger>,
    /// By source, how often an iterator could not be read to its end, in one network namespace where it is over sockets; how
    /// many records that would have been nobody knows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, u64>,
    /// One ledger a table, by name.
    pub rows: BTreeMap<String, RowLedger>,
    /// The guest; absent where the bundle has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestSummary>,
    /// Programs with skipped runs.
    pub programs: Vec<ProgramRuns>,
    /// Optional programs that are not part of this run.
    pub left_out: Vec<LeftOut>,
    /// Nanoseconds that the writer waited for whoever reads the output.
    pub output_blocked_ns: u64,
    /// Records that were handed over before it was known whose they are: their owner was not found out in time.
    #[serde(skip_serializing_if = "is_none")]
    pub owner_undecided: u64,
    /// How long records waited for that to be known; absent: none had to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Events that programs which sum up in the kernel did not count, because it was not decided yet whether their container
    /// was asked for.
    #[serde(skip_serializing_if = "is_none")]
    pub uncounted: u64,
    /// Of a replay: the guest's questions to which the recording has no answer, by what was asked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unanswered: BTreeMap<String, u64>,
    /// The recording that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingSummary>,
}

/// For what is left out when nothing was counted.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A recording that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordingSummary {
    /// The file.
    pub path: String,
    /// Calls in it.
    pub calls: u64,
    /// Records in it.
    pub records: u64,
    /// Answers to the guest's questions in it.
    pub answers: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl fmt::Display for RecordingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            calls,
            records,
            answers: _,
            bytes,
        } = self;
        write!(
            f,
            "recording {path}: {records} records in {calls} calls, {bytes} bytes"
        )?;
        if *records > 0 {
            write!(f, ", {:.1} a record", *bytes as f64 / *records as f64)?;
        }
        Ok(())
    }
}

impl Summary {
    /// As one JSON object, with a newline at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
        text.push('\n');
        text
    }

    /// Anything lost, on either side. An unknown count is a loss: nobody can rule it out.
    #[must_use]
    pub fn any_loss(&self) -> bool {
        self.records
            .values()
            .any(|l| l.lost() > 0 || l.attempted.is_none())
            || !self.unread.is_empty()
            || self.rows.values().any(RowLedger::any_lost)
            || self.programs.iter().any(|p| p.recursion_misses > 0)
    }
}

/// A count with its name, left out when zero.
fn part(out: &mut Vec<String>, name: &str, n: u64) {
    if n > 0 {
        out.push(format!("{n} {name}"));
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, l) in &self.records {
            let mut parts = Vec::new();
            part(&mut parts, "accepted", l.accepted);
            part(&mut parts, "dropped by the guest", l.dropped_by_guest);
            part(&mut parts, "malformed", l.malformed);
            part(
                &mut parts,
                "discarded by the program",
                l.discarded_by_program,
            );
            part(
                &mut parts,
                "LOST: not reserved",
                l.not_reserved.unwrap_or(0),
            );
            part(&mut parts, "LOST to a trap", l.lost_to_trap);
            part(&mut parts, "LOST to a deadline", l.lost_to_deadline);
            for (cause, n) in &l.excluded_before_guest {
                let lost = if cause == UNDECIDED { "LOST, " } else { "" };
                part(&mut parts, &format!("{lost}excluded: {cause}"), *n);
            }
            part(&mut parts, "undecided at exit", l.undecided_at_exit);
            let attempted = match l.attempted {
                Some(n) => format!("{n} attempted"),
                None => "attempted: unknown; lost: unknown (the object counts no reservations)"
                    .to_owned(),
            };
            write!(f, "records {name}: {attempted}")?;
            if !parts.is_empty() {
                write!(f, " = {}", parts.join(" + "))?;
            }
            writeln!(f)?;
        }
        for (name, times) in &self.unread {
            writeln!(
                f,
                "records {name}: LOST: iterators could not be read {times} times"
            )?;
        }
        for (name, l) in &self.rows {
            let mut parts = Vec::new();
            part(&mut parts, "written", l.written);
            part(&mut parts, "filtered", l.filtered);
            part(&mut parts, "beyond the limit", l.beyond_limit);
            for (reason, n) in &l.lost {
                part(&mut parts, &format!("LOST: {reason}"), *n);
            }
            write!(f, "rows {name}: {} emitted", l.emitted)?;
            if !parts.is_empty() {
                write!(f, " = {}", parts.join(" + "))?;
            }
            writeln!(f)?;
            for (output, l) in &l.outputs {
                let mut parts = vec![format!("{} written", l.written)];
                for (reason, n) in &l.lost {
                    part(&mut parts, &format!("LOST: {reason}"), *n);
                }
                writeln!(f, "rows {name} to {output}: {}", parts.join(" + "))?;
            }
        }
        if let Some(g) = &self.guest {
            if g.traps > 0 {
                writeln!(
                    f,
                    "guest: {} traps, {} restarts, state of {:.1} s lost; last: {}",
                    g.traps,
                    g.restarts,
                    g.state_lost_ns as f64 / 1e9,
                    g.last_trap.as_deref().unwrap_or("")
                )?;
            }
            if g.log_lines_suppressed > 0 {
                writeln!(f, "guest: {} log lines suppressed", g.log_lines_suppressed)?;
            }
        }
        for p in &self.programs {
            if p.recursion_misses > 0 {
                writeln!(
                    f,
                    "program {}: {} runs skipped by the kernel",
                    p.program, p.recursion_misses
                )?;
            }
        }
        for p in &self.left_out {
            writeln!(f, "program {} left out: {}", p.program, p.reason)?;
        }
        if self.output_blocked_ns > 1_000_000 {
            writeln!(
                f,
                "output waited {:.1} s for its reader",
                self.output_blocked_ns as f64 / 1e9
            )?;
        }
        if self.owner_undecided > 0 {
            writeln!(
                f,
                "{} records were shown before it was known whose they are",
                self.owner_undecided
            )?;
        }
        if self.uncounted > 0 {
            writeln!(
                f,
                "{} events were not counted in the kernel: it was not known yet whether their container was asked for",
                self.uncounted
            )?;
        }
        for (question, n) in &self.unanswered {
            writeln!(f, "UNANSWERED by the recording: {question}: {n} times")?;
        }
        if let Some(recording) = &self.recording {
            writeln!(f, "{recording}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_counts_once() {
        let l = RecordLedger {
            attempted: Some(511),
            not_reserved: Some(1),
            discarded_by_program: 2,
            accepted: 4,
            dropped_by_guest: 8,
            malformed: 16,
            lost_to_trap: 32,
            lost_to_deadline: 64,
            excluded_before_guest: BTreeMap::from([("filter".to_owned(), 128)]),
            undecided_at_exit: 256,
        };
        assert_eq!(l.accounted(), 511);
        assert_eq!(l.lost(), 1 + 32 + 64 + 256);
        let r = RowLedger {
            emitted: 31,
            filtered: 1,
            beyond_limit: 2,
            written: 4,
            lost: BTreeMap::from([("slow reader".to_owned(), 8), ("closed".to_owned(), 16)]),
            // The same rows once more.
            outputs: BTreeMap::from([("csv=x".to_owned(), OutputRows::default())]),
        };
        assert_eq!(r.accounted(), 31);
    }

    #[test]
    fn a_loss_in_any_output_is_a_loss() {
        let mut s = Summary::default();
        let mut rows = RowLedger {
            emitted: 5,
            written: 5,
            ..RowLedger::default()
        };
        let mut csv = OutputRows {
            written: 5,
            lost: BTreeMap::new(),
        };
        rows.outputs.insert("csv=x".to_owned(), csv.clone());
        s.rows.insert("t".to_owned(), rows.clone());
        assert!(!s.any_loss());
        csv.written = 3;
        csv.lost.insert("no space".to_owned(), 2);
        rows.outputs.insert("csv=x".to_owned(), csv);
        s.rows.insert("t".to_owned(), rows);
        assert!(s.any_loss());
        assert_eq!(
            s.to_string(),
            "rows t: 5 emitted = 5 written\nrows t to csv=x: 3 written + 2 LOST: no space\n"
        );
    }

    #[test]
    fn an_unknown_count_is_a_loss() {
        let mut s = Summary::default();
        s.records.insert(
            "a".to_owned(),
            RecordLedger {
                attempted: Some(0),
                ..RecordLedger::default()
            },
        );
        assert!(!s.any_loss());
        s.records.insert("b".to_owned(), RecordLedger::default());
        assert!(s.any_loss());
        assert!(
            s.to_string()
                .contains("records b: attempted: unknown; lost: unknown"),
            "{s}"
        );
    }

    #[test]
    fn what_could_not_be_read_is_a_loss() {
        let unread = BTreeMap::from([("sockets".to_owned(), 2)]);
        let s = Summary {
            unread,
            ..Summary::default()
        };
        assert!(s.any_loss());
        let told = "records sockets: LOST: iterators could not be read 2 times\n";
        assert_eq!(s.to_string(), told);
        assert!(!Summary::default().to_json().contains("unread"));
    }
}
