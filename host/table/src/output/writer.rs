//! The thread that turns rows into bytes and writes them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LossReason;
use super::encoder::{EncodeError, Encoder, Whole};
use super::queue::{Next, Queue};
use super::target::Target;

pub(super) struct Writer {
    queue: Arc<Queue>,
    encoder: Encoder,
    target: Target,
    /// Bytes gathered for a write.
    chunk: Vec<u8>,
    /// Rows given to the encoder since the last write.
    in_hand: Runs,
    /// Rows that count as written once the file is complete.
    unconfirmed: Runs,
}

/// Rows in their order, by the place of their table.
#[derive(Debug, Default)]
struct Runs {
    runs: VecDeque<(usize, u64)>,
    rows: u64,
}

impl Runs {
    /// Adds rows of a table at the end.
    fn add(&mut self, table: usize, rows: u64) {
        self.rows += rows;
        match self.runs.back_mut() {
            Some((last, count)) if *last == table => *count += rows,
            _ => self.runs.push_back((table, rows)),
        }
    }

    /// Takes the first `most` rows.
    fn take(&mut self, mut most: u64) -> impl Iterator<Item = (usize, u64)> {
        std::iter::from_fn(move || {
            let (table, count) = self.runs.front_mut().filter(|_| most > 0)?;
            let taken = (*count).min(most);
            let run = (*table, taken);
            *count -= taken;
            if *count == 0 {
                self.runs.pop_front();
            }
            most -= taken;
            self.rows -= taken;
            Some(run)
        })
    }
}

/// Bytes gathered before a write: what a pipe holds.
pub(super) const CHUNK: usize = 64 << 10;

/// Rows gathered before a write: some formats make little of many, or nothing before the end.
const IN_HAND: u64 = 16 << 10;

/// A write call that takes this long was blocked.
const BLOCKED: Duration = Duration::from_millis(1);

/// Why the thread ends early.
enum Failure {
    /// Nothing more can be written.
    Error {
        reason: LossReason,
        text: String,
        blocked: Duration,
    },
    /// Nobody waits for the rest any more.
    GivenUp,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Error {
            reason: LossReason::of(&error),
            text: error.to_string(),
            blocked: Duration::ZERO,
        }
    }
}

impl From<EncodeError> for Failure {
    fn from(EncodeError(text): EncodeError) -> Self {
        Self::Error {
            reason: LossReason::WriteError,
            text,
            blocked: Duration::ZERO,
        }
    }
}

impl Drop for Writer {
    /// However the thread ends, nobody waits for it any longer.
    fn drop(&mut self) {
        self.queue.done();
    }
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>, encoder: Encoder, target: Target) -> Self {
        Self {
            queue,
            encoder,
            target,
            chunk: Vec::with_capacity(2 * CHUNK),
            in_hand: Runs::default(),
            unconfirmed: Runs::default(),
        }
    }

    pub(super) fn run(mut self) {
        let Err(failure) = self.serve() else {
            return;
        };
        let rest = self.target.abandon();
        if let Failure::Error {
            reason,
            text,
            blocked,
        } = failure
        {
            let text = match rest {
                Some(partial) => format!("{text}; what was written before is in {partial}"),
                None => text,
            };
            self.queue.fail(reason, text, blocked);
        }
    }

    fn serve(&mut self) -> Result<(), Failure> {
        self.begin()?;
        loop {
            // With something in hand, only look: what is there is flushed before waiting.
            match self
                .queue
                .next(self.in_hand.rows == 0, self.target.due_at())
            {
                Next::Rows(table, rows) => {
                    if self.target.open()? {
                        self.begin()?;
                    }
                    self.encoder.write(table, &rows, &mut self.chunk)?;
                    self.in_hand.add(table, rows.len as u64);
                    let bytes = self.chunk.len() + self.encoder.kept();
                    // A frame is a picture: it is shown as soon as it is there, by itself.
                    if rows.frame == 0
                        && self.chunk.len() < CHUNK
                        && self.in_hand.rows < IN_HAND
                        && !self.target.is_full(bytes)
                    {
                        continue;
                    }
                }
                Next::Nothing => {}
                Next::End => break,
            }
            self.flush()?;
            if self.target.is_due(self.encoder.kept()) {
                self.complete()?;
            }
        }
        self.complete()
    }

    /// Writes what stands before any row.
    fn begin(&mut self) -> Result<(), Failure> {
        self.encoder.begin(&mut self.chunk)?;
        self.write_chunk()
    }

    /// Writes what is in hand.
    fn flush(&mut self) -> Result<(), Failure> {
        self.encoder.flush(&mut self.chunk)?;
        if self.encoder.counts_at_the_end() {
            self.target.took_rows(self.in_hand.rows);
            for (table, rows) in self.in_hand.take(u64::MAX) {
                self.unconfirmed.add(table, rows);
            }
            self.write_chunk()?;
            // A sign of life for whoever waits.
            if self.queue.wrote(std::iter::empty(), Duration::ZERO) {
                Ok(())
            } else {
                Err(Failure::GivenUp)
            }
        } else {
            self.write_chunk()
        }
    }

    /// Ends the file or stream, if one is open.
    fn complete(&mut self) -> Result<(), Failure> {
        if !self.target.is_open() {
            return Ok(());
        }
        if !self.queue.may_complete() {
            return Err(Failure::GivenUp);
        }
        self.encoder.finish(&mut self.chunk)?;
        self.write_chunk()?;
        self.target.complete()?;
        if self.unconfirmed.rows > 0
            && !self
                .queue
                .wrote(self.unconfirmed.take(u64::MAX), Duration::ZERO)
        {
            return Err(Failure::GivenUp);
        }
        Ok(())
    }

    /// Writes the chunk, in which the rows in hand end, and counts them.
    fn write_chunk(&mut self) -> Result<(), Failure> {
        let Self {
            queue,
            encoder,
            target,
            chunk,
            in_hand,
            ..
        } = self;
        let rows = in_hand.rows;
        let mut taken = 0;
        let mut counted = 0;
        let mut blocked = Duration::ZERO;
        while let Some(rest) = chunk.get(taken..).filter(|rest| !rest.is_empty()) {
            let start = Instant::now();
            let result = target.write(rest);
            let time = start.elapsed();
            blocked = if time >= BLOCKED {
                time
            } else {
                Duration::ZERO
            };
            let error = match result {
                Ok(0) => io::Error::from(io::ErrorKind::WriteZero),
                Ok(n) => {
                    taken = (taken + n).min(chunk.len());
                    if taken == chunk.len() {
                        target.took(0, rows - counted);
                        break;
                    }
                    // Looking for the ends of rows is for the rare chunk that goes in pieces.
                    let whole = if rows > 0 {
                        encoder.whole(chunk, taken)
                    } else {
                        Whole::default()
                    };
                    target.took(taken - whole.bytes, whole.rows - counted);
                    if !queue.wrote(in_hand.take(whole.rows - counted), blocked) {
                        return Err(Failure::GivenUp);
                    }
                    counted = whole.rows;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err(Failure::Error {
                reason: LossReason::of(&error),
                text: error.to_string(),
                blocked,
            });
        }
        let something = rows > 0 || !chunk.is_empty();
        chunk.clear();
        if something && !queue.wrote(in_hand.take(u64::MAX), blocked) {
            return Err(Failure::GivenUp);
        }
        // A `BufWriter` would keep bytes back; nothing is kept by a file or a pipe.
        target.flush()?;
        Ok(())
    }
}
