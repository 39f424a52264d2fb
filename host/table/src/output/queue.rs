//! The bounded queue between those who make rows and the thread that writes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{LossReason, OutputLedger, QueueLimits, ShownTable, TableLedger, WhenFull};
use crate::schema::{Rows, Table};

/// After this many rows in one go the thread naps instead of sleeping, so that whoever pushes need
/// not wake it: a wake-up costs the pusher microseconds, which only a single row is worth.
const BUSY_ROWS: usize = 64;

/// How often whoever waits for a reader looks whether it still should.
const LOOK: Duration = Duration::from_millis(100);

/// How long such a nap is: what it adds to the time until a row is seen, under load alone.
const NAP: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Queue {
    limits: QueueLimits,
    when_full: WhenFull,
    /// The tables that are shown.
    tables: Vec<Arc<Table>>,
    /// Frames without rows are something to see.
    pictures: bool,
    state: Mutex<State>,
    /// The writer waits here.
    work: Condvar,
    /// Whoever pushes waits here for room.
    room: Condvar,
    /// Whoever finishes waits here.
    progress: Condvar,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    rows: usize,
    bytes: usize,
    writer: Sleep,
    /// Rows taken since the writer last had nothing to do.
    taken: usize,
    /// No more rows will come.
    ending: bool,
    /// Nobody asks what became of the rows: the run did not come about, or ended badly.
    dropped: bool,
    /// The thread writes no more.
    done: bool,
    /// Somebody waits for room.
    pushing: bool,
    /// Why rows that come now are lost.
    failed: Option<LossReason>,
    /// Counts what the reader takes, so that `finish` sees whether it still does.
    steps: u64,
    ledger: OutputLedger,
}

#[derive(Debug)]
struct Waiting {
    /// Its place among the tables that are shown.
    table: usize,
    rows: Rows,
    bytes: usize,
}

/// What the writer is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sleep {
    /// Looks at the queue before it sleeps.
    #[default]
    Awake,
    /// Looks at the queue within [`NAP`].
    Napping,
    /// Has to be woken.
    Asleep,
}

/// What the writer is to do.
pub(super) enum Next {
    /// Rows of the table at this place.
    Rows(usize, Rows),
    /// Nothing waits now, or it is the time that was given.
    Nothing,
    /// Nothing waits, and nothing will come.
    End,
}

impl Queue {
    pub(super) fn new(
        limits: QueueLimits,
        when_full: WhenFull,
        shown: &[&ShownTable],
        pictures: bool,
    ) -> Self {
        let mut state = State::default();
        state.ledger.tables = shown
            .iter()
            .map(|shown| TableLedger {
                table: shown.name(),
                ..TableLedger::default()
            })
            .collect();
        Self {
            limits,
            when_full,
            tables: shown.iter().map(|shown| Arc::clone(&shown.table)).collect(),
            pictures,
            state: Mutex::new(state),
            work: Condvar::new(),
            room: Condvar::new(),
            progress: Condvar::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// The state stays consistent at every point where a holder could panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, rows: Rows) {
        let same = |table| Arc::ptr_eq(table, &rows.table);
        let Some(table) = self.tables.iter().position(same) else {
            return;
        };
        if rows.len == 0 && !(self.pictures && rows.frame > 0) {
            return;
        }
        let bytes = rows.bytes();
        let len = rows.len;
        let wake = {
            let mut state = self.lock();
            if let Some(ledger) = state.ledger.tables.get_mut(table) {
                ledger.pushed += len as u64;
            }
            let QueueLimits {
                rows: most_rows,
                bytes: most_bytes,
            } = self.limits;
            let mut waited = false;
            let reason = loop {
                if let Some(reason) = state.failed {
                    if waited {
                        // Who closed the account has counted these rows too.
                        return;
                    }
                    break Some(reason);
                }
                // A batch larger than the queue goes through when nothing else waits.
                let fits = state.rows.saturating_add(len) <= most_rows
                    && state.bytes.saturating_add(bytes) <= most_bytes;
                if fits || state.waiting.is_empty() {
                    break None;
                }
                if !self.when_full.waits() {
                    break Some(LossReason::SlowReader);
                }
                state.pushing = true;
                let slept = self.room.wait_timeout(state, LOOK);
                state = slept.unwrap_or_else(PoisonError::into_inner).0;
                state.pushing = false;
                waited = true;
            };
            if let Some(reason) = reason {
                if let Some(ledger) = state.ledger.tables.get_mut(table) {
                    ledger.lose(reason, len as u64);
                }
                return;
            }
            // Of pictures without rows the last one is enough, so that they can't fill the memory.
            if state.waiting.back().is_some_and(|last| last.rows.len == 0) {
                state.waiting.pop_back();
            }
            state.rows += len;
            state.bytes += bytes;
            state.waiting.push_back(Waiting { table, rows, bytes });
            let filling = state.rows > most_rows / 4 || state.bytes > most_bytes / 4;
            let wake = match state.writer {
                Sleep::Awake => false,
                Sleep::Napping => filling,
                Sleep::Asleep => true,
            };
            if wake {
                // One wake-up is enough, whoever else pushes until the writer runs.
                state.writer = Sleep::Awake;
            }
            wake
        };
        if wake {
            self.work.notify_one();
        }
    }

    /// The next rows. With `wait`, waits until there are some, until nothing will come, or until
    /// `due`.
    pub(super) fn next(&self, wait: bool, due: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            if let Some(Waiting { table, rows, bytes }) = state.waiting.pop_front() {
                state.writer = Sleep::Awake;
                state.rows -= rows.len;
                state.bytes -= bytes;
                state.taken = state.taken.saturating_add(rows.len);
                let pushing = state.pushing;
                drop(state);
                if pushing {
                    self.room.notify_all();
                }
                return Next::Rows(table, rows);
            }
            if !wait {
                return Next::Nothing;
            }
            if state.ending {
                return Next::End;
            }
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Next::Nothing;
            }
            let busy = std::mem::take(&mut state.taken) >= BUSY_ROWS;
            let (writer, time) = if busy {
                (Sleep::Napping, Some(left.map_or(NAP, |left| left.min(NAP))))
            } else {
                (Sleep::Asleep, left)
            };
            state.writer = writer;
            state = match time {
                Some(time) => {
                    let napped = self.work.wait_timeout(state, time);
                    napped.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
            state.writer = Sleep::Awake;
        }
    }

    /// Counts rows as written, by table; false when nobody waits for the rest any more.
    pub(super) fn wrote(
        &self,
        rows: impl Iterator<Item = (usize, u64)>,
        blocked: Duration,
    ) -> bool {
        let mut state = self.lock();
        state.ledger.blocked_ns += nanoseconds(blocked);
        if state.failed.is_some() {
            // The account is closed: these rows are in it as lost.
            return false;
        }
        for (table, rows) in rows {
            if let Some(ledger) = state.ledger.tables.get_mut(table) {
                ledger.written += rows;
            }
        }
        state.steps += 1;
        if state.ending {
            drop(state);
            self.progress.notify_all();
        }
        true
    }

    /// Ends writing: everything pushed and not counted yet, and everything to come, is lost.
    pub(super) fn fail(&self, reason: LossReason, error: String, blocked: Duration) {
        let mut state = self.lock();
        state.ledger.blocked_ns += nanoseconds(blocked);
        if state.failed.is_none() {
            state.ledger.error = Some(error);
            state.close(reason);
            self.closed.store(true, Ordering::Release);
        }
        drop(state);
        self.room.notify_all();
    }

    /// The thread writes no more: what waits now, it panicked over.
    pub(super) fn done(&self) {
        let mut state = self.lock();
        state.done = true;
        if !state.waiting.is_empty() && state.failed.is_none() {
            state.close(LossReason::WriteError);
        }
        drop(state);
        self.room.notify_all();
        self.progress.notify_all();
    }

    /// No more rows will come.
    pub(super) fn end(&self) {
        self.lock().ending = true;
        self.work.notify_all();
    }

    /// No more rows will come, and what was written is not to be taken for whole.
    pub(super) fn drop_all(&self) {
        self.lock().dropped = true;
        self.end();
    }

    /// Whether what was written may be called whole.
    pub(super) fn may_complete(&self) -> bool {
        let state = self.lock();
        !state.dropped && state.failed.is_none()
    }

    pub(super) fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn ledger(&self) -> OutputLedger {
        self.lock().ledger.clone()
    }

    /// Waits until the thread is done, or until nothing was taken for `patience`; true: it is done.
    pub(super) fn finish(&self, patience: Option<Duration>) -> bool {
        self.end();
        let mut state = self.lock();
        let mut steps = state.steps;
        let mut since = Instant::now();
        while !state.done {
            if state.steps != steps {
                steps = state.steps;
                since = Instant::now();
            }
            state = match patience {
                None => self
                    .progress
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(_) if self.when_full.waits() => {
                    // Patience begins when the wait is over.
                    since = Instant::now();
                    let waited = self.progress.wait_timeout(state, LOOK);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(patience) => {
                    let Some(left) = patience
                        .checked_sub(since.elapsed())
                        .filter(|t| !t.is_zero())
                    else {
                        return false;
                    };
                    let waited = self.progress.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    /// Closes the account: what is not known to be written is lost.
    pub(super) fn settle(&self) -> OutputLedger {
        let mut state = self.lock();
        if state.failed.is_none() {
            // A thread that is done without having failed leaves rows only if it panicked.
            let reason = if state.done {
                LossReason::WriteError
            } else {
                LossReason::Stalled
            };
            state.close(reason);
        }
        state.ledger.clone()
    }
}

impl State {
    /// Counts everything that is neither written nor lost as lost, and all that comes later too.
    fn close(&mut self, reason: LossReason) {
        for ledger in &mut self.ledger.tables {
            let known = ledger.written + ledger.lost_rows();
            ledger.lose(reason, ledger.pushed.saturating_sub(known));
        }
        self.failed = Some(reason);
        self.waiting.clear();
        (self.rows, self.bytes) = (0, 0);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
