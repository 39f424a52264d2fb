//! Rows leave through a thread of their own, in a [`Format`], to a stream or to files; to several
//! places at once as [`Outputs`], with a thread each.
//!
//! [`Output::push`] puts rows into a bounded queue. When the reader is too slow the queue fills;
//! what does not fit then is counted as lost, or waits for the reader, as [`WhenFull`] says. The
//! thread turns rows into bytes and writes them. Every row pushed ends up in the [`OutputLedger`] exactly once, as written or as lost
//! by a reason; a row counts as written when all of its bytes were taken by the write call.

mod encoder;
mod file;
mod format;
#[cfg(test)]
mod format_tests;
mod queue;
mod several;
mod target;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crate::columns::TerminalOptions;
use crate::kinds::words::Words;
use crate::schema::{Rows, Table};
use encoder::Encoder;
use queue::Queue;
use target::Target;
use writer::Writer;

pub use file::{FileError, FileOptions};
pub use format::{Format, FormatError, OutputSpec, OutputSpecError};
pub use several::Outputs;

/// How much may wait for a slow reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Rows waiting at most.
    pub rows: usize,
    /// Bytes of memory that waiting rows hold at most.
    pub bytes: usize,
}

impl Default for QueueLimits {
    /// 262,144 rows, 64 MiB.
    fn default() -> Self {
        Self {
            rows: 262_144,
            bytes: 64 << 20,
        }
    }
}

/// What happens to rows that don't fit into the queue.
#[derive(Clone, Debug, Default)]
pub enum WhenFull {
    /// They are lost to a slow reader: whoever makes them can't wait.
    #[default]
    Lose,
    /// Whoever makes them waits for the reader, until this is true.
    WaitUnless(Arc<AtomicBool>),
}

impl WhenFull {
    fn waits(&self) -> bool {
        matches!(self, Self::WaitUnless(over) if !over.load(Ordering::Acquire))
    }
}

/// Why rows were lost on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// The queue was full when they came.
    SlowReader,
    /// The reader went away: `EPIPE`.
    ClosedPipe,
    /// The disk is full: `ENOSPC` or `EDQUOT`.
    NoSpace,
    /// Writing failed otherwise; see [`OutputLedger::error`].
    WriteError,
    /// The reader took nothing for as long as [`Output::finish`] was to wait.
    Stalled,
}

impl LossReason {
    /// The ledger's term.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlowReader => "slow reader",
            Self::ClosedPipe => "closed pipe",
            Self::NoSpace => "no space",
            Self::WriteError => "write error",
            Self::Stalled => "stalled reader",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::WriteError,
        }
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the rows pushed, by table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputLedger {
    /// Of each table that the output shows, in the order of [`OutputOptions::tables`].
    pub tables: Vec<TableLedger>,
    /// Nanoseconds in write calls that took a millisecond or longer.
    pub blocked_ns: u64,
    /// The error that ended writing, if one did.
    pub error: Option<String>,
}

/// What became of the rows of one table. `pushed = written + the sum of lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableLedger {
    /// The table's name, as [`ShownTable::name`] has it.
    pub table: String,
    /// Rows handed to [`Output::push`].
    pub pushed: u64,
    /// Rows all of whose bytes were taken.
    pub written: u64,
    /// Rows that were not written, or not whole.
    pub lost: BTreeMap<LossReason, u64>,
}

impl OutputLedger {
    /// The part of the table of this name ([`ShownTable::name`]); `None`: the output does not show it.
    #[must_use]
    pub fn of(&self, table: &str) -> Option<&TableLedger> {
        self.tables.iter().find(|ledger| ledger.table == table)
    }

    /// Whether rows were lost for this reason.
    #[must_use]
    pub fn lost_to(&self, reason: LossReason) -> bool {
        self.tables
            .iter()
            .any(|table| table.lost.contains_key(&reason))
    }
}

impl TableLedger {
    /// All rows lost.
    #[must_use]
    pub fn lost_rows(&self) -> u64 {
        self.lost.values().sum()
    }

    fn lose(&mut self, reason: LossReason, rows: u64) {
        if rows > 0 {
            *self.lost.entry(reason).or_default() += rows;
        }
    }
}

/// What an output is made of, beside the rows.
#[derive(Debug)]
pub struct OutputOptions {
    /// How rows are written.
    pub format: Format,
    /// The tables whose rows will come. Only a format that names the table in each row
    /// ([`Format::names_tables`]) shows several of one gadget; of several gadgets those show the first that name the
    /// gadget ([`Format::names_gadgets`]), and the others show the first of all.
    pub tables: Vec<ShownTable>,
    /// What turns numbers into words.
    pub words: Words,
    /// Whether and how large the terminal is; only [`Format::Columns`] asks.
    pub terminal: TerminalOptions,
    /// How much may wait.
    pub limits: QueueLimits,
    /// What happens to more.
    pub when_full: WhenFull,
}

/// A table as an output shows it.
#[derive(Clone, Debug)]
pub struct ShownTable {
    /// The gadget that it is of, where one output shows tables of several.
    pub gadget: Option<String>,
    /// The table. Its rows are known by it: they have this very `Arc`.
    pub table: Arc<Table>,
    /// The columns shown, by index, in order: see [`crate::select`].
    pub selected: Vec<usize>,
    /// Its rows come in frames, whose number is a column in the formats that have a header.
    pub frames: bool,
    /// Groups of selected columns that [`Format::Columns`] shows only from when a row has a value in one of the group:
    /// see [`crate::columns::ColumnsWriter::with_quiet`].
    pub quiet: Vec<Vec<usize>>,
    /// Selected columns in whose place [`Format::Columns`] shows the values of another one where there are any: see
    /// [`crate::columns::ColumnsWriter::with_names`].
    pub names: Vec<(usize, usize)>,
}

/// A running output. Several gadgets may hand rows to one: each push is one lock.
#[derive(Debug)]
pub struct Output {
    queue: Arc<Queue>,
    /// None once it was waited for, or need not be.
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    /// The final account, once there is one.
    end: OnceLock<OutputLedger>,
    /// Files are tidied up before an output is gone.
    tidies: bool,
}

impl Output {
    /// Starts the thread that writes to `out`.
    ///
    /// `out` should not buffer: it is given whole chunks, and what it takes counts as written.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(options: OutputOptions, out: Box<dyn Write + Send>) -> io::Result<Self> {
        Self::spawn(&options, Target::Stream(out))
    }

    /// Starts the thread that writes to a file, or to several one after the other. The first one is
    /// opened here, so that what can't be written is an error now.
    ///
    /// A file has its name when it is complete, never before: see [`FileOptions`]. Of a format that
    /// is of use only as a whole (Parquet), rows count as written when their file is complete.
    ///
    /// # Errors
    /// When the file can't be made, or no thread can be started.
    pub fn to_file(options: OutputOptions, file: FileOptions) -> Result<Self, FileError> {
        let target = file::open(file, options.format.is_of_use_in_part())?;
        Self::spawn(&options, target).map_err(FileError::Thread)
    }

    fn spawn(options: &OutputOptions, target: Target) -> io::Result<Self> {
        let encoder = Encoder::new(options);
        let shown = options.shown();
        // A frame without rows is something to see alone where the one before is still to be seen.
        let pictures = options.format == Format::Columns
            && options.terminal.size.is_some()
            && shown.iter().all(|shown| shown.gadget.is_none());
        let (limits, when_full) = (options.limits, options.when_full.clone());
        let queue = Arc::new(Queue::new(limits, when_full, &shown, pictures));
        let tidies = matches!(target, Target::File(_));
        let writer = Writer::new(Arc::clone(&queue), encoder, target);
        let thread = thread::Builder::new()
            .name("ig-output".to_owned())
            .spawn(|| writer.run())?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
            end: OnceLock::new(),
            tidies,
        })
    }

    /// Hands rows over. When they don't fit, all of them are counted as lost, or it waits: see [`WhenFull`].
    /// Rows of a table that this output does not show pass it by.
    pub fn push(&self, rows: Rows) {
        self.queue.push(rows);
    }

    /// Lets the thread end once it has written what waits; nothing may be pushed any more.
    fn end(&self) {
        self.queue.end();
    }

    /// Whether nothing more can be written, because the reader went away or writing failed.
    ///
    /// An atomic load; the engine asks it to know when to end.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.queue.closed()
    }

    /// The account so far. Rows that wait or are being written are in `pushed` alone.
    #[must_use]
    pub fn ledger(&self) -> OutputLedger {
        self.queue.ledger()
    }

    /// Writes what waits, for as long as the reader takes something at least once in `patience`,
    /// and gives the final account. `None` waits without end. Whoever asks again gets the same; nothing may be
    /// pushed any more.
    ///
    /// When patience ends, rows not yet known to be written are lost to a stalled reader. Of the
    /// write call that did not return, some bytes may yet reach the reader. With
    /// [`WhenFull::WaitUnless`] patience begins when that is over.
    #[must_use]
    pub fn finish(&self, patience: Option<Duration>) -> OutputLedger {
        let end = self.end.get_or_init(|| {
            let ended = self.queue.finish(patience);
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(thread) = thread.take().filter(|_| ended) {
                // The thread has said that it is done, so this does not wait.
                let _ = thread.join();
            }
            self.queue.settle()
        });
        end.clone()
    }
}

impl ShownTable {
    /// What rows and the ledger call it: the table's name, behind that of its gadget where there are several.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.gadget {
            Some(gadget) => format!("{gadget}.{}", self.table.name),
            None => self.table.name.clone(),
        }
    }
}

impl OutputOptions {
    /// The tables that the format shows.
    fn shown(&self) -> Vec<&ShownTable> {
        let mut shown: Vec<&ShownTable> = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let first = shown.is_empty();
            let first_of_gadget = shown.iter().all(|other| other.gadget != table.gadget);
            if first
                || self.format.names_tables()
                || (self.format.names_gadgets() && first_of_gadget)
            {
                shown.push(table);
            }
        }
        shown
    }
}

impl Drop for Output {
    /// An output that was never finished: lets the thread end once it has written what waits. No
    /// file takes its name then; one without rows is removed, for which this waits.
    fn drop(&mut self) {
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            self.queue.drop_all();
            if self.tidies {
                let _ = thread.join();
            }
        }
    }
}
