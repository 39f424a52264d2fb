//! One table of a run: its rows on their way to the outputs, and what became of each.

use crate::guest::Say;
use crate::ledger::{OutputRows, RowLedger};
use crate::plan::PlannedTable;
use ig_table::Rows;
use ig_table::filter::TakeError;
use ig_table::frames::{FrameLimits, Frames, Mode};
use ig_table::output::{OutputLedger, Outputs};
use ig_table::redact::Redactor;

/// A table with what becomes of its rows.
pub(crate) struct Sink {
    pub plan: PlannedTable,
    /// None: its rows are a stream, or nobody asked for them.
    pub frames: Option<Frames>,
    ledger: RowLedger,
    redactor: Redactor,
    /// It was said that a frame can hold no more.
    told_full: bool,
}

impl Sink {
    pub fn new(plan: PlannedTable, redactor: Redactor) -> Self {
        let limits = if plan.gathered {
            FrameLimits::default()
        } else {
            // What one call of a guest emits is bounded where it is staged.
            FrameLimits::NONE
        };
        let frames = (plan.shown && plan.mode.has_frames()).then(|| {
            let (table, sort) = (plan.table.clone(), plan.sort.clone());
            Frames::new(table, sort, plan.max_rows, limits)
        });
        Self {
            plan,
            frames,
            ledger: RowLedger::default(),
            redactor,
            told_full: false,
        }
    }

    /// Filters rows, and hands on what is left or keeps it until its frame ends.
    pub fn push(&mut self, rows: Rows, outputs: &Outputs, say: &Say) {
        let n = rows.len as u64;
        self.ledger.emitted += n;
        let rows = match filtered(&self.plan, rows) {
            Ok(rows) => rows,
            Err(e) => {
                self.lose("not filtered", n);
                return say(&format!("rows can't be filtered: {e}"));
            }
        };
        self.ledger.filtered += n - rows.len as u64;
        let n = rows.len as u64;
        match &mut self.frames {
            // What comes after a snapshot is none of it.
            Some(frames) if self.plan.mode == Mode::Snapshot && frames.ended() > 0 => {
                self.ledger.filtered += n;
            }
            Some(frames) => {
                let lost = frames.push(rows);
                if lost > 0 {
                    self.full(lost, say);
                }
            }
            None if self.plan.shown => outputs.push(self.redactor.apply(rows)),
            None => self.ledger.filtered += n,
        }
    }

    /// The rows since the last frame's end are sorted, cut, and handed on.
    pub fn end_frame(&mut self, outputs: &Outputs, say: &Say) {
        let Some(frames) = &mut self.frames else {
            return;
        };
        if self.plan.mode == Mode::Snapshot && frames.ended() > 0 {
            return;
        }
        let rows = frames.len();
        match frames.end() {
            Ok(frame) => {
                self.ledger.beyond_limit += frame.beyond_limit;
                outputs.push(self.redactor.apply(frame.rows));
            }
            Err(e) => {
                self.lose("frame not sorted", rows);
                say(&format!("a frame can't be sorted: {e}"));
            }
        }
    }

    /// A snapshot, and it is there.
    pub fn is_complete(&self) -> bool {
        let ended = self.frames.as_ref().map_or(0, Frames::ended);
        self.plan.mode == Mode::Snapshot && ended > 0
    }

    /// The table's name and what became of its rows, once the outputs have ended. The first output that shows the
    /// table has the terms of the ledger, the others have ledgers of their own. `gadget`: its name where several share
    /// outputs.
    pub fn account(
        self,
        ends: &[(String, OutputLedger)],
        gadget: Option<&str>,
    ) -> (String, RowLedger) {
        let Self {
            plan, mut ledger, ..
        } = self;
        let name = plan.table.name.clone();
        let shared = gadget.map(|gadget| format!("{gadget}.{name}"));
        let of = |end| {
            let own = OutputLedger::of(end, &name);
            own.or_else(|| OutputLedger::of(end, shared.as_deref()?))
        };
        let mut parts = ends
            .iter()
            .filter(|_| plan.shown)
            .filter_map(|(output, end)| Some((output, of(end)?)));
        if let Some((_, first)) = parts.next() {
            ledger.written += first.written;
            for (reason, n) in &first.lost {
                *ledger.lost.entry(reason.as_str().to_owned()).or_default() += *n;
            }
        }
        for (output, part) in parts {
            ledger
                .outputs
                .insert(output.clone(), OutputRows::from(part));
        }
        (name, ledger)
    }

    fn lose(&mut self, reason: &str, rows: u64) {
        *self.ledger.lost.entry(reason.to_owned()).or_default() += rows;
    }

    /// Counts rows that a frame can't hold, and says so once.
    fn full(&mut self, lost: u64, say: &Say) {
        self.lose("frame too large", lost);
        if !std::mem::replace(&mut self.told_full, true) {
            let FrameLimits { rows, bytes } = FrameLimits::default();
            say(&format!(
                "a frame of {} holds {rows} rows or {} MiB, and what is beyond is lost; --filter and --max-rows keep less, a shorter --interval ends frames earlier",
                self.plan.table.name,
                bytes >> 20
            ));
        }
    }
}

/// The rows that the user asked for.
pub(crate) fn filtered(plan: &PlannedTable, rows: Rows) -> Result<Rows, TakeError> {
    match &plan.filter {
        Some(filter) => {
            let mask = filter.apply(&rows);
            rows.filtered(&mask, |column| plan.outlives_filter(column))
        }
        None => Ok(rows),
    }
}
