//! Rows leave through a thread of their own.
//!
//! [`Output::push`] puts rows into a bounded queue and never waits: when the reader is too slow the
//! queue fills, and what does not fit is counted as lost. The thread turns rows into bytes and
//! writes them. Every row pushed ends up in the [`OutputLedger`] exactly once, as written or as lost
//! by a reason; a row counts as written when all of its bytes were taken by the write call.

mod queue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::columns::{ColumnsWriter, TerminalOptions};
use crate::json::JsonWriter;
use crate::kinds::words::Words;
use crate::schema::{Rows, Table};
use queue::{Next, Queue};

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns under a header: module [`crate::columns`].
    #[default]
    Columns,
    /// An object a line: module [`crate::json`].
    Json,
    /// The same, indented.
    JsonPretty,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Columns, Self::Json, Self::JsonPretty];

    /// Its name after `-o`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Json => "json",
            Self::JsonPretty => "jsonpretty",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No format has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no output format is named {0:?}; formats are columns, json, jsonpretty")]
pub struct FormatError(pub String);

impl std::str::FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| FormatError(text.to_owned()))
    }
}

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

/// What became of the rows pushed. `pushed = written + the sum of lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputLedger {
    /// Rows handed to [`Output::push`].
    pub pushed: u64,
    /// Rows all of whose bytes were taken.
    pub written: u64,
    /// Rows that were not written, or not whole.
    pub lost: BTreeMap<LossReason, u64>,
    /// Nanoseconds in write calls that took a millisecond or longer.
    pub blocked_ns: u64,
    /// The error that ended writing, if one did.
    pub error: Option<String>,
}

impl OutputLedger {
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
    /// The table whose rows will come.
    pub table: Arc<Table>,
    /// The columns shown, by index, in order: see [`crate::select`].
    pub selected: Vec<usize>,
    /// What turns numbers into words.
    pub words: Words,
    /// Whether and how large the terminal is; only [`Format::Columns`] asks.
    pub terminal: TerminalOptions,
    /// How much may wait.
    pub limits: QueueLimits,
}

/// A running output.
#[derive(Debug)]
pub struct Output {
    queue: Arc<Queue>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Output {
    /// Starts the thread that writes to `out`.
    ///
    /// `out` should not buffer: it is given whole chunks, and what it takes counts as written.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(options: OutputOptions, out: Box<dyn Write + Send>) -> io::Result<Self> {
        let OutputOptions {
            format,
            table,
            selected,
            words,
            terminal,
            limits,
        } = options;
        let queue = Arc::new(Queue::new(limits));
        let encoder = match format {
            Format::Columns => Encoder::Columns(Box::new(ColumnsWriter::new(
                &table, &selected, words, terminal,
            ))),
            Format::Json => Encoder::Json(Box::new(JsonWriter::new(&table, &selected, words))),
            Format::JsonPretty => {
                Encoder::JsonPretty(Box::new(JsonWriter::pretty(&table, &selected, words)))
            }
        };
        let writer = Writer {
            queue: Arc::clone(&queue),
            encoder,
            out,
        };
        let thread = thread::Builder::new()
            .name("ig-output".to_owned())
            .spawn(|| writer.run())?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Hands rows over. Never waits: when they don't fit, all of them are counted as lost.
    pub fn push(&self, rows: Rows) {
        self.queue.push(rows);
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
    /// and gives the final account. `None` waits without end.
    ///
    /// When patience ends, rows not yet known to be written are lost to a stalled reader. Of the
    /// write call that did not return, some bytes may yet reach the reader.
    #[must_use]
    pub fn finish(mut self, patience: Option<Duration>) -> OutputLedger {
        let ended = self.queue.finish(patience);
        if let Some(thread) = self.thread.take().filter(|_| ended) {
            // The thread has said that it is done, so this does not wait.
            let _ = thread.join();
        }
        self.queue.settle()
    }
}

impl Drop for Output {
    /// Lets the thread end once it has written what waits; does not wait for it.
    fn drop(&mut self) {
        self.queue.end();
    }
}

#[derive(Debug)]
enum Encoder {
    Columns(Box<ColumnsWriter>),
    Json(Box<JsonWriter>),
    JsonPretty(Box<JsonWriter>),
}

impl Encoder {
    fn write(&mut self, rows: &Rows, out: &mut Vec<u8>) {
        match self {
            Self::Columns(writer) => writer.write(rows, out),
            Self::Json(writer) | Self::JsonPretty(writer) => writer.write(rows, out),
        }
    }

    /// How many rows end in the first `taken` bytes of a chunk.
    ///
    /// No format lets a line break into a value, so line breaks count rows; `header`: the chunk
    /// begins with a line that is no row.
    fn whole_rows(&self, taken: &[u8], header: bool) -> u64 {
        let lines = taken
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"));
        match self {
            Self::Columns(_) => lines.skip(usize::from(header)).count() as u64,
            Self::Json(_) => lines.count() as u64,
            // Only an object that is a row ends, or is empty, at the start of a line.
            Self::JsonPretty(_) => lines
                .filter(|line| matches!(line, [b'}', ..] | [b'{', b'}', ..]))
                .count() as u64,
        }
    }

    fn header_is_due(&self) -> bool {
        matches!(self, Self::Columns(writer) if writer.header_is_due())
    }
}

struct Writer {
    queue: Arc<Queue>,
    encoder: Encoder,
    out: Box<dyn Write + Send>,
}

impl Drop for Writer {
    /// However the thread ends, nobody waits for it any longer.
    fn drop(&mut self) {
        self.queue.done();
    }
}

/// Bytes gathered before a write: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// A write call that takes this long was blocked.
const BLOCKED: Duration = Duration::from_millis(1);

impl Writer {
    fn run(mut self) {
        let mut chunk = Vec::with_capacity(2 * CHUNK);
        let mut header = false;
        let mut in_chunk = 0_u64;
        loop {
            // With something in hand, only look: what is there is flushed before waiting.
            match self.queue.next(in_chunk == 0) {
                Next::Rows(rows) => {
                    if in_chunk == 0 {
                        chunk.clear();
                        header = self.encoder.header_is_due();
                    }
                    self.encoder.write(&rows, &mut chunk);
                    in_chunk += rows.len as u64;
                    if chunk.len() < CHUNK {
                        continue;
                    }
                }
                Next::Nothing => {}
                Next::End => break,
            }
            if in_chunk > 0 && !self.flush(&chunk, header, in_chunk) {
                break;
            }
            in_chunk = 0;
        }
    }

    /// Writes a chunk; false when writing failed and the thread is to end.
    fn flush(&mut self, chunk: &[u8], header: bool, rows: u64) -> bool {
        let Self {
            queue,
            encoder,
            out,
        } = self;
        let mut taken = 0;
        let mut counted = 0;
        while let Some(rest) = chunk.get(taken..).filter(|rest| !rest.is_empty()) {
            let start = Instant::now();
            let result = out.write(rest);
            let time = start.elapsed();
            let blocked = if time >= BLOCKED {
                time
            } else {
                Duration::ZERO
            };
            let error = match result {
                Ok(0) => io::Error::from(io::ErrorKind::WriteZero),
                Ok(n) => {
                    taken = (taken + n).min(chunk.len());
                    // Counting lines is for the rare chunk that goes in pieces.
                    let whole = if taken == chunk.len() {
                        rows
                    } else {
                        encoder.whole_rows(chunk.get(..taken).unwrap_or_default(), header)
                    };
                    if !queue.wrote(whole - counted, blocked) {
                        return false;
                    }
                    counted = whole;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            queue.fail(LossReason::of(&error), &error, blocked);
            return false;
        }
        // A `BufWriter` would keep bytes back; nothing is kept by a file or a pipe.
        match out.flush() {
            Ok(()) => true,
            Err(error) => {
                queue.fail(LossReason::of(&error), &error, Duration::ZERO);
                false
            }
        }
    }
}
