//! The thread that turns rows into bytes and writes them.

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
    in_hand: u64,
    /// Rows that count as written once the file is complete.
    unconfirmed: u64,
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
            in_hand: 0,
            unconfirmed: 0,
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
            match self.queue.next(self.in_hand == 0, self.target.due_at()) {
                Next::Rows(rows) => {
                    if self.target.open()? {
                        self.begin()?;
                    }
                    self.encoder.write(&rows, &mut self.chunk)?;
                    self.in_hand += rows.len as u64;
                    let bytes = self.chunk.len() + self.encoder.kept();
                    // A frame is a picture: it is shown as soon as it is there, by itself.
                    if rows.frame == 0
                        && self.chunk.len() < CHUNK
                        && self.in_hand < IN_HAND
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
        self.write_chunk(0)
    }

    /// Writes what is in hand.
    fn flush(&mut self) -> Result<(), Failure> {
        self.encoder.flush(&mut self.chunk)?;
        let rows = std::mem::take(&mut self.in_hand);
        if self.encoder.counts_at_the_end() {
            self.unconfirmed += rows;
            self.target.took_rows(rows);
            self.write_chunk(0)?;
            // A sign of life for whoever waits.
            if self.queue.wrote(0, Duration::ZERO) {
                Ok(())
            } else {
                Err(Failure::GivenUp)
            }
        } else {
            self.write_chunk(rows)
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
        self.write_chunk(0)?;
        self.target.complete()?;
        let rows = std::mem::take(&mut self.unconfirmed);
        if rows > 0 && !self.queue.wrote(rows, Duration::ZERO) {
            return Err(Failure::GivenUp);
        }
        Ok(())
    }

    /// Writes the chunk, in which `rows` end, and counts them.
    fn write_chunk(&mut self, rows: u64) -> Result<(), Failure> {
        let Self {
            queue,
            encoder,
            target,
            chunk,
            ..
        } = self;
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
                    if !queue.wrote(whole.rows - counted, blocked) {
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
        if something && !queue.wrote(rows - counted, blocked) {
            return Err(Failure::GivenUp);
        }
        // A `BufWriter` would keep bytes back; nothing is kept by a file or a pipe.
        target.flush()?;
        Ok(())
    }
}
