//! From a span of records to rows in the writers' queues: guest, decoder, ledgers. Knows nothing of where spans come
//! from.

mod undecided;
mod watched;

pub(crate) use self::undecided::Undecided;
use self::watched::Watched;
use crate::early::{Early, Left};
use crate::guest::{Emitted, GuestHost, Say, Staged};
use crate::hold::Held;
use crate::join::{Join, Origin};
use crate::ledger::{FILTER, GuestSummary, RecordLedger, RowLedger};
use crate::owners::SharedOwners;
use crate::plan::PlannedTable;
use crate::record::Tap;
use crate::sink::Sink;
use crate::timers::Timers;
use arrow_array::ArrayRef;
use ig_records::decode::Picked;
use ig_records::recording::{Call, Overdue};
use ig_sandbox::{Guest, Trap, TrapKind, Verdict};
use ig_table::Rows;
use ig_table::frames::Mode;
use ig_table::output::{LossReason, OutputLedger, Outputs};
use ig_table::redact::Redactor;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A reader that takes nothing for this long when the run is over is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of records that the rows of one call may be decoded from, counted for each column, unless the span itself is
/// larger: a guest may name a record for many rows, and name it in many emits.
const MOST_DECODED: u64 = 64 << 20;

/// What a commit hands on, by table.
enum Ready {
    Rows(usize, Rows),
    FrameEnd(usize),
}

/// The guest, one instance after the other.
pub(crate) struct Instance {
    guest: Guest<GuestHost>,
    /// It trapped for the last time.
    over: bool,
    since: Instant,
    max_traps: u32,
    pub summary: GuestSummary,
}

/// When a call happens: both clocks in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    /// CLOCK_BOOTTIME.
    pub boot: u64,
    /// What to add for CLOCK_REALTIME.
    pub wall_offset: i64,
}

impl Now {
    fn clocks(self) -> (u64, u64) {
        (self.boot, self.boot.saturating_add_signed(self.wall_offset))
    }
}

/// The guest trapped for the last time.
#[derive(Debug)]
pub(crate) struct TooManyTraps;

/// Everything behind the rings.
pub(crate) struct Pipeline {
    sinks: Vec<Sink>,
    outputs: Outputs,
    /// Outputs of which it was said that they failed.
    told: BTreeSet<String>,
    /// What the gadget is called where several run side by side.
    name: Option<String>,
    /// When frames end that no guest ends.
    frame_clock: Timers,
    /// Nanoseconds between these ends.
    interval: Option<u64>,
    records: Vec<RecordLedger>,
    instance: Option<Instance>,
    early: Early,
    watched: Watched,
    /// Says whose rows are.
    join: Join,
    /// Keeps records back whose owner is being found out.
    undecided: Option<Undecided>,
    /// Gets a copy of everything that comes in.
    tap: Option<Tap>,
    /// The timers that waited when the present call began; for the tap.
    overdue: Vec<Overdue>,
    say: Say,
}

impl Instance {
    /// A guest that is about to get its `init`.
    pub fn new(guest: Guest<GuestHost>, max_traps: u32) -> Self {
        Self {
            guest,
            over: false,
            since: Instant::now(),
            max_traps,
            summary: GuestSummary::default(),
        }
    }
}

impl Pipeline {
    pub fn new(
        tables: Vec<(PlannedTable, Redactor)>,
        outputs: Outputs,
        sources: usize,
        instance: Option<Instance>,
        interval: Option<u64>,
        tap: Option<Tap>,
        say: Say,
    ) -> Self {
        let sinks = tables
            .into_iter()
            .map(|(plan, redactor)| Sink::new(plan, redactor))
            .collect();
        Self {
            sinks,
            outputs,
            told: BTreeSet::new(),
            name: None,
            frame_clock: Timers::default(),
            interval,
            records: vec![RecordLedger::default(); sources],
            instance,
            early: Early::default(),
            watched: Watched::default(),
            undecided: None,
            join: Join::new(None),
            tap,
            overdue: Vec::new(),
            say,
        }
    }

    /// With somebody who says whose rows are.
    pub fn with_owners(self, owners: Option<SharedOwners>) -> Self {
        let join = Join::new(owners);
        Self { join, ..self }
    }

    /// With the name by which an output knows it that several gadgets share.
    pub fn with_name(self, name: Option<String>) -> Self {
        Self { name, ..self }
    }

    /// The guest's first call. What it emits is committed. The error is for the user: there is nothing to fall back to.
    pub fn init(&mut self, now: Now) -> Result<(), String> {
        let result = self.begin(now);
        self.record(now, Call::Init);
        result
    }

    fn begin(&mut self, now: Now) -> Result<(), String> {
        self.join.refresh();
        if let Some(interval) = self.interval {
            self.frame_clock.start(now.boot, interval, true)?;
        }
        let Some(guest) = self.guest() else {
            return Ok(());
        };
        guest.host_mut().begin(now.clocks(), None);
        match guest.init() {
            Ok(Ok(())) => self.commit(None, now),
            Ok(Err(said)) => Err(format!("init: {said}")),
            Err(trap) => Err(with_backtrace(&trap)),
        }
    }

    /// Hands a span of a source over, as it is. `records` of it are not discarded.
    pub fn deliver_now(
        &mut self,
        source: usize,
        span: &[u8],
        records: u32,
        discarded: u32,
        now: Now,
    ) -> Result<(), TooManyTraps> {
        self.join.refresh();
        // The last look before the call: what the guest may be answered it was told.
        let told = self.tell_of_containers(now);
        self.note_overdue(now);
        let result = self.account(source, span, records, discarded, now);
        let source = u16::try_from(source).unwrap_or(u16::MAX);
        self.record(now, Call::Process { source, span });
        told.and(result)
    }

    /// Iterators have come to their end: what came from this source since the last time is a frame. A recording has an empty
    /// span in its place.
    pub fn end_pass(&mut self, source: usize, now: Now) -> Result<(), TooManyTraps> {
        self.deliver_now(source, &[], 0, 0, now)
    }

    /// Ends the frames that are filled by a source of iterators; nothing for any other.
    fn end_frames_of(&mut self, source: usize) {
        for sink in &mut self.sinks {
            if sink.plan.walked == Some(source) {
                sink.end_frame(&self.outputs, &self.say);
            }
        }
    }

    fn account(
        &mut self,
        source: usize,
        span: &[u8],
        records: u32,
        discarded: u32,
        now: Now,
    ) -> Result<(), TooManyTraps> {
        if let Some(ledger) = self.records.get_mut(source) {
            ledger.discarded_by_program += u64::from(discarded);
        }
        if span.is_empty() {
            self.end_frames_of(source);
        }
        if records == 0 {
            return Ok(());
        }
        let mut early = std::mem::take(&mut self.early);
        let result = self.decide(source, span, records, &mut early, now);
        // It goes back with its memory.
        self.early = early;
        result
    }

    fn decide(
        &mut self,
        source: usize,
        span: &[u8],
        records: u32,
        early: &mut Early,
        now: Now,
    ) -> Result<(), TooManyTraps> {
        let over = self.instance.as_ref().is_some_and(|i| i.over);
        let of_source =
            |sink: &&Sink| sink.plan.source == Some(source) && sink.plan.early.is_some();
        let (span, records) = match self.sinks.iter().find(of_source).filter(|_| !over) {
            None => (span, records),
            Some(sink) => match early.narrow(&sink.plan, span, now.wall_offset) {
                Ok(Left::All) => (span, records),
                Ok(Left::Some(kept, left)) => {
                    self.exclude(source, FILTER, records.saturating_sub(left));
                    if left == 0 {
                        return Ok(());
                    }
                    (kept, left)
                }
                // The ring's consumer has checked the framing, so there is nothing here that could be wrong.
                Err(what) => {
                    (self.say)(&format!("a span can't be filtered: {what}"));
                    (span, records)
                }
            },
        };
        let outcome = match self.guest() {
            Some(guest) => {
                guest.host_mut().begin(now.clocks(), Some((source, span)));
                let number = u16::try_from(source).unwrap_or(u16::MAX);
                guest.process(number, span).and_then(|verdict| {
                    check(verdict, records)?;
                    self.commit(Some((source, span)), now)
                        .map_err(|what| Trap::broken("process", &what))?;
                    Ok(verdict)
                })
            }
            // Taken after the last trap: no guest is left to decide.
            None if over => {
                if let Some(ledger) = self.records.get_mut(source) {
                    ledger.undecided_at_exit += u64::from(records);
                }
                return Ok(());
            }
            None => {
                // The ring's consumer has checked the framing, so there is nothing here that could be wrong.
                match self.decode_all(source, span, now) {
                    Ok(()) => Ok(Verdict {
                        accepted: records,
                        ..Verdict::default()
                    }),
                    Err(what) => {
                        (self.say)(&format!("a span can't be decoded: {what}"));
                        Ok(Verdict {
                            malformed: records,
                            ..Verdict::default()
                        })
                    }
                }
            }
        };
        let n = u64::from(records);
        match (outcome, self.records.get_mut(source)) {
            (Ok(verdict), Some(ledger)) => {
                ledger.accepted += u64::from(verdict.accepted);
                ledger.dropped_by_guest += u64::from(verdict.dropped);
                ledger.malformed += u64::from(verdict.malformed);
                Ok(())
            }
            (Err(trap), Some(ledger)) => {
                if trap.kind == TrapKind::Deadline {
                    ledger.lost_to_deadline += n;
                } else {
                    ledger.lost_to_trap += n;
                }
                self.trapped(&trap, now)
            }
            (_, None) => Ok(()),
        }
    }

    /// Counts records that were kept from the guest.
    fn exclude(&mut self, source: usize, cause: &str, records: u32) {
        if let Some(ledger) = self.records.get_mut(source).filter(|_| records > 0) {
            ledger.exclude(cause, u64::from(records));
        }
    }

    /// Calls every timer that is due, one after the other until `over`: the guest may take its time for each.
    pub fn tick(&mut self, now: Now, over: impl Fn() -> bool) -> Result<(), TooManyTraps> {
        self.note_overdue(now);
        let result = self.tick_without(&[], now, over);
        if !self.overdue.is_empty() {
            self.note_left(now);
            self.record(now, Call::Tick);
        }
        result
    }

    /// The same, but not those that are held.
    pub fn tick_without(
        &mut self,
        held: &[Overdue],
        now: Now,
        over: impl Fn() -> bool,
    ) -> Result<(), TooManyTraps> {
        self.join.refresh();
        while let Some(guest) = self.guest().filter(|_| !over()) {
            let timers = &mut guest.host_mut().timers;
            let Some((timer, due)) = timers.take_due_of(now.boot, free(held)) else {
                break;
            };
            guest.host_mut().begin(now.clocks(), None);
            let result = guest.tick(timer, due);
            self.ended("tick", result, now)?;
        }
        let frames = self.frame_clock.take_due_of(now.boot, free_frames(held));
        if frames.is_some() {
            self.end_gathered(|plan, _| plan.walked.is_none() && plan.mode == Mode::Interval);
        }
        Ok(())
    }

    /// When the next timer is due, in boot nanoseconds.
    pub fn next_timer(&self) -> Option<u64> {
        self.next_timer_without(&[])
    }

    /// When the next timer is due of those that are not held, in boot nanoseconds.
    pub fn next_timer_without(&self, held: &[Overdue]) -> Option<u64> {
        let instance = self.instance.as_ref().filter(|i| !i.over);
        let guest = instance.and_then(|i| i.guest.host().timers.next_due_of(free(held)));
        let frames = self.frame_clock.next_due_of(free_frames(held));
        guest.into_iter().chain(frames).min()
    }

    /// Remembers which timers wait while the call is made that begins now.
    fn note_overdue(&mut self, now: Now) {
        self.overdue.clear();
        if self.tap.is_none() {
            return;
        }
        let overdue = |(timer, due, periods)| Overdue {
            timer,
            due,
            periods,
        };
        if let Some(instance) = self.instance.as_ref().filter(|i| !i.over) {
            let timers = instance.guest.host().timers.overdue(now.boot);
            self.overdue.extend(timers.map(overdue));
        }
        let frames = self.frame_clock.overdue(now.boot);
        let frames = frames.map(|(_, due, periods)| (FRAME_CLOCK, due, periods));
        self.overdue.extend(frames.map(overdue));
    }

    /// Marks those that waited and were not called after all, because the run was over.
    fn note_left(&mut self, now: Now) {
        let Some(instance) = self.instance.as_ref() else {
            return;
        };
        for (timer, due, _) in instance.guest.host().timers.overdue(now.boot) {
            let same = |noted: &&mut Overdue| (noted.timer, noted.due) == (timer, due);
            if let Some(noted) = self.overdue.iter_mut().find(same) {
                noted.periods = 0;
            }
        }
    }

    fn record(&mut self, now: Now, call: Call<'_>) {
        if let Some(tap) = &self.tap {
            tap.call(now, &self.overdue, call);
        }
    }

    /// The guest's last call, and the end of the frames that the host gathers.
    pub fn stop(&mut self, now: Now) -> Result<(), TooManyTraps> {
        self.note_overdue(now);
        // A live view without a new row stays what it is.
        self.end_gathered(|plan, empty| plan.mode == Mode::Final || !empty);
        let result = match self.guest() {
            Some(guest) => {
                guest.host_mut().begin(now.clocks(), None);
                let result = guest.stop();
                self.ended("stop", result, now)
            }
            None => Ok(()),
        };
        self.record(now, Call::Stop);
        result
    }

    /// Records of a source that were taken from its ring, discarded ones included.
    pub fn seen(&self, source: usize) -> u64 {
        self.records.get(source).map_or(0, RecordLedger::accounted)
    }

    /// The main output's reader went away for good.
    pub fn closed(&self) -> bool {
        self.outputs.closed()
    }

    /// Only snapshots were asked for, and each of them is complete.
    pub fn complete(&self) -> bool {
        let mut shown = self.sinks.iter().filter(|s| s.plan.shown).peekable();
        shown.peek().is_some() && shown.all(Sink::is_complete)
    }

    /// Says once of each output beside the main one that it failed: the run goes on without it.
    pub fn tell_failed(&mut self) {
        for (name, error) in self.outputs.failed() {
            if self.told.insert(name.to_owned()) {
                (self.say)(&format!("no more rows go to {name}: {error}"));
            }
        }
    }

    /// Ends the outputs and gives the ledgers: of sources and tables in their order.
    pub fn finish(self) -> Finished {
        let Self {
            sinks,
            outputs,
            told: _,
            name: gadget,
            frame_clock: _,
            interval: _,
            records,
            instance,
            early: _,
            watched: _,
            undecided,
            join: _,
            tap: _,
            overdue: _,
            say: _,
        } = self;
        let (main, others) = outputs.finish(Some(PATIENCE));
        let ends: Vec<(String, OutputLedger)> = std::iter::once((String::new(), main))
            .chain(others)
            .collect();
        let mut blocked_ns = 0;
        let mut write_error = None;
        for (name, end) in &ends {
            blocked_ns += end.blocked_ns;
            // A reader that went away has seen what it wanted.
            if let Some(error) = &end.error
                && !end.lost_to(LossReason::ClosedPipe)
            {
                let tables: Vec<&str> = end.tables.iter().map(|t| t.table.as_str()).collect();
                let to = if name.is_empty() { "" } else { " to " };
                write_error.get_or_insert_with(|| {
                    format!(
                        "rows of {}{to}{name} could not be written: {error}",
                        tables.join(", ")
                    )
                });
            }
        }
        let rows = sinks.into_iter();
        let rows = rows
            .map(|sink| sink.account(&ends, gadget.as_deref()))
            .collect();
        let guest = instance.map(|i| {
            let mut summary = i.summary;
            summary.log_lines_suppressed = i.guest.host().log_suppressed;
            summary
        });
        Finished {
            records,
            rows,
            guest,
            blocked_ns,
            write_error,
            held: undecided.as_ref().and_then(Undecided::held),
            undecided: undecided.map_or(0, |undecided| undecided.delivered()),
        }
    }

    fn guest(&mut self) -> Option<&mut Guest<GuestHost>> {
        self.instance
            .as_mut()
            .filter(|i| !i.over)
            .map(|i| &mut i.guest)
    }

    /// After a call outside of `process`.
    fn ended(
        &mut self,
        during: &str,
        result: Result<(), Trap>,
        now: Now,
    ) -> Result<(), TooManyTraps> {
        let result = result.and_then(|()| {
            self.commit(None, now)
                .map_err(|what| Trap::broken(during, &what))
        });
        match result {
            Ok(()) => Ok(()),
            Err(trap) => self.trapped(&trap, now),
        }
    }

    /// What the call staged becomes rows, all of it or nothing.
    fn commit(&mut self, span: Option<(usize, &[u8])>, now: Now) -> Result<(), String> {
        let Some(guest) = self.guest() else {
            return Ok(());
        };
        let mut staged = std::mem::take(&mut guest.host_mut().staged);
        let mut complete = Vec::with_capacity(staged.len());
        let mut decoded = 0;
        let mut left_out = false;
        for emitted in staged.drain(..) {
            let s = match emitted {
                Emitted::Rows(s) => s,
                Emitted::FrameEnd(table) => {
                    complete.push(Ready::FrameEnd(table));
                    continue;
                }
            };
            let Some(sink) = self.sinks.get(s.table) else {
                continue;
            };
            let table = s.table;
            let (rows, full) = rows(&sink.plan, s, span, now, &mut decoded, &mut self.join)?;
            left_out |= full;
            complete.push(Ready::Rows(table, rows));
        }
        // The list goes back with its memory.
        if let Some(guest) = self.guest() {
            guest.host_mut().staged = staged;
        }
        self.tell_left_out(left_out);
        for ready in complete {
            match ready {
                Ready::Rows(table, rows) => self.push(table, rows),
                Ready::FrameEnd(table) => self.end_frame(table),
            }
        }
        // What the guest did not end ends with its call.
        for table in 0..self.sinks.len() {
            let sink = self.sinks.get(table);
            if sink
                .filter(|s| s.plan.walked.is_none())
                .and_then(|s| s.frames.as_ref())
                .is_some_and(|f| !f.is_empty())
            {
                self.end_frame(table);
            }
        }
        Ok(())
    }

    /// A row a record, where no guest says otherwise.
    fn decode_all(&mut self, source: usize, span: &[u8], now: Now) -> Result<(), String> {
        let picked = Picked::all(span).map_err(|e| e.to_string())?;
        for table in 0..self.sinks.len() {
            let Some(sink) = self
                .sinks
                .get(table)
                .filter(|s| s.plan.source == Some(source))
            else {
                continue;
            };
            let mut columns = decoded(&sink.plan, vec![None; sink.plan.wanted.len()], &picked)?;
            let origin = Origin {
                source,
                picked: &picked,
            };
            let full = self
                .join
                .add(&sink.plan, &mut columns, Some(origin), picked.len(), now);
            let rows = Rows {
                table: sink.plan.table.clone(),
                columns,
                len: picked.len(),
                wall_offset: now.wall_offset,
                frame: 0,
            };
            self.tell_left_out(full);
            self.push(table, rows);
        }
        Ok(())
    }

    /// Says once that texts of owners are left out.
    fn tell_left_out(&mut self, left_out: bool) {
        if left_out && !std::mem::replace(&mut self.join.told_full, true) {
            (self.say)(
                "labels and the like that would be more than 64 MiB in one batch of rows are left out",
            );
        }
    }

    fn push(&mut self, table: usize, rows: Rows) {
        if let Some(sink) = self.sinks.get_mut(table) {
            sink.push(rows, &self.outputs, &self.say);
        }
    }

    /// Ends frames that the host gathers: those of which `which` says so, by their table and whether they are empty.
    fn end_gathered(&mut self, which: impl Fn(&PlannedTable, bool) -> bool) {
        for sink in self.sinks.iter_mut().filter(|sink| sink.plan.gathered) {
            let frames = sink.frames.as_ref();
            if frames.is_some_and(|frames| which(&sink.plan, frames.is_empty())) {
                sink.end_frame(&self.outputs, &self.say);
            }
        }
    }

    fn end_frame(&mut self, table: usize) {
        if let Some(sink) = self.sinks.get_mut(table) {
            sink.end_frame(&self.outputs, &self.say);
        }
    }

    /// A new instance takes over, or the run ends.
    fn trapped(&mut self, trap: &Trap, now: Now) -> Result<(), TooManyTraps> {
        let mut trap = trap.clone();
        loop {
            let say = self.say.clone();
            let Some(instance) = self.instance.as_mut() else {
                return Ok(());
            };
            instance.summary.traps += 1;
            instance.summary.last_trap = Some(trap.to_string());
            let lost = u64::try_from(instance.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            instance.summary.state_lost_ns = instance.summary.state_lost_ns.saturating_add(lost);
            instance.since = Instant::now();
            say(&format!(
                "the guest trapped ({} of {}): {}",
                instance.summary.traps,
                instance.max_traps,
                with_backtrace(&trap)
            ));
            let host = instance.guest.host_mut();
            host.timers.clear();
            host.begin(now.clocks(), None);
            if instance.summary.traps >= instance.max_traps {
                instance.over = true;
                return Err(TooManyTraps);
            }
            let again = instance
                .guest
                .restart()
                .and_then(|()| instance.guest.init());
            instance.summary.restarts += 1;
            trap = match again {
                Ok(Ok(())) => {
                    let begun = self.commit(None, now);
                    let begun = begun.map_err(|what| Trap::broken("init", &what));
                    match begun.and_then(|()| self.tell_all(now)) {
                        Ok(()) => return Ok(()),
                        Err(trap) => trap,
                    }
                }
                Ok(Err(said)) => {
                    say(&format!("the guest can't be started again: init: {said}"));
                    instance.over = true;
                    return Err(TooManyTraps);
                }
                Err(trap) => trap,
            };
        }
    }
}

/// The timers that are not held, by number and due time.
fn free(held: &[Overdue]) -> impl Fn(u32, u64) -> bool {
    move |timer, due| !held.iter().any(|h| (h.timer, h.due) == (timer, due))
}

/// What a recording calls the clock of the frames that the host ends; no timer of a guest has this number.
const FRAME_CLOCK: u32 = 0;

/// The same for the clock of the frames that the host ends.
fn free_frames(held: &[Overdue]) -> impl Fn(u32, u64) -> bool {
    move |_, due| free(held)(FRAME_CLOCK, due)
}

/// The trap's line, and below it where in the guest it was.
fn with_backtrace(trap: &Trap) -> String {
    let mut text = trap.to_string();
    for frame in &trap.backtrace {
        text.push_str("\n      at ");
        text.push_str(frame);
    }
    text
}

/// What a finished pipeline has to say.
pub(crate) struct Finished {
    pub records: Vec<RecordLedger>,
    pub rows: Vec<(String, RowLedger)>,
    pub guest: Option<GuestSummary>,
    pub blocked_ns: u64,
    /// Writing failed otherwise than by a reader that went away.
    pub write_error: Option<String>,
    /// Records that were handed over before it was known whose they are.
    pub undecided: u64,
    /// How long records waited for that; None: none did.
    pub held: Option<Held>,
}

/// The three numbers must be the records that were handed over.
fn check(verdict: Verdict, records: u32) -> Result<(), Trap> {
    let Verdict {
        accepted,
        dropped,
        malformed,
    } = verdict;
    let sum = u64::from(accepted) + u64::from(dropped) + u64::from(malformed);
    if sum == u64::from(records) {
        return Ok(());
    }
    Err(Trap::broken(
        "process",
        &format!(
            "the verdict says {accepted} accepted + {dropped} dropped + {malformed} malformed = {sum}, and {records} records were handed over"
        ),
    ))
}

/// Staged columns, those that the host decodes and those that it joins, together, and whether texts are left out. `read` is
/// what the rows before these were decoded from.
fn rows(
    plan: &PlannedTable,
    staged: Staged,
    span: Option<(usize, &[u8])>,
    now: Now,
    read: &mut u64,
    join: &mut Join,
) -> Result<(Rows, bool), String> {
    let Staged {
        table: _,
        rows,
        origin,
        mut columns,
    } = staged;
    let full;
    if let (false, Some((source, span))) = (origin.is_empty(), span) {
        let at = |what: &dyn std::fmt::Display| format!("table {}: {what}", plan.table.name);
        if plan.source.is_some_and(|s| s != source) {
            return Err(at(
                &"rows with an origin, but this source is not the table's",
            ));
        }
        let picked = Picked::origins(span, &origin).map_err(|e| at(&e))?;
        let times = plan.decoded.len() as u64;
        *read = read.saturating_add(picked.bytes().saturating_mul(times));
        if *read > MOST_DECODED.max((span.len() as u64).saturating_mul(times)) {
            return Err(at(&format!(
                "the rows of one call point at records of more than {} MiB together, each column counted",
                MOST_DECODED >> 20
            )));
        }
        columns = decoded(plan, columns, &picked)?;
        let origin = Origin {
            source,
            picked: &picked,
        };
        full = join.add(plan, &mut columns, Some(origin), rows, now);
    } else {
        full = join.add(plan, &mut columns, None, rows, now);
    }
    let rows = Rows {
        table: plan.table.clone(),
        columns,
        len: rows,
        wall_offset: now.wall_offset,
        frame: 0,
    };
    Ok((rows, full))
}

/// Adds the columns that the host decodes.
fn decoded(
    plan: &PlannedTable,
    mut columns: Vec<Option<ArrayRef>>,
    picked: &Picked<'_>,
) -> Result<Vec<Option<ArrayRef>>, String> {
    if let Some(decoder) = &plan.decoder {
        for (column, index) in &plan.decoded {
            let array = decoder
                .decode(*index, picked)
                .map_err(|e| format!("table {}: {e}", plan.table.name))?;
            if let Some(slot) = columns.get_mut(*column) {
                *slot = Some(array);
            }
        }
    }
    Ok(columns)
}
