//! Where the consumer stands: pure arithmetic over the ring's shared words, so that a model checker can run it
//! against a model of the kernel's producer.
//!
//! The rule that no record may stay unseen rests on (kernel/bpf/ringbuf.c, `bpf_ringbuf_commit`): the producer
//! exchanges the record's header, a full barrier, and wakes the consumer only if the consumer's position is then
//! exactly this record's. The consumer does the mirror image: store its position, full barrier, then read the
//! producer's position and the headers. One of the two always sees the other. So a walk that found nothing may be
//! followed by sleep only if everything walked before was released before that walk.
//!
//! Until then the last word of what was walked over is held back. No record begins there, so that no producer wakes
//! a consumer that naps or is at work, whatever the object's flags.

use ig_records::span::{BUSY, DISCARD, HEADER};

/// The words that kernel and consumer share.
pub(crate) trait Shared {
    /// The producer's position, with `Acquire`.
    fn producer(&self) -> u64;
    /// The first word of the header at a position, with `Acquire`.
    fn header(&self, position: u64) -> u32;
    /// Stores the consumer's position, with `Release`.
    fn release(&self, position: u64);
    /// A `SeqCst` fence.
    fn fence(&self);
    /// Says that the header at a position will be read soon.
    fn prefetch(&self, position: u64) {
        let _ = position;
    }
}

/// A header that the kernel can't have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ring buffer's memory is damaged: the record at position {position} claims {length} bytes, {available} are there"
)]
pub struct Damaged {
    /// Of the record, counted from the ring's creation.
    pub position: u64,
    /// Of the record with its header, in bytes.
    pub length: u64,
    /// Between the record and the producer's position, in bytes.
    pub available: u64,
}

/// What one walk covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    pub(crate) start: u64,
    pub(crate) length: usize,
    pub(crate) records: u32,
    pub(crate) discarded: u32,
    /// Records behind these were there already.
    pub(crate) more: bool,
}

/// What is held back: the least a record takes.
const WORD: u64 = HEADER as u64;
/// How far ahead headers are prefetched, in records of the size just seen.
const AHEAD: u64 = 16;

#[derive(Debug)]
pub(crate) struct Cursor {
    size: u64,
    /// Behind the last record walked over.
    end: u64,
    /// What the producer was told.
    released: u64,
    /// The producer's position when it was last read.
    producer: u64,
}

impl Cursor {
    /// `position` is the consumer's position in the shared page, `size` that of the ring in bytes.
    pub(crate) fn new(position: u64, size: usize) -> Self {
        Self {
            size: size as u64,
            end: position,
            released: position,
            producer: position,
        }
    }

    /// Walks over finished records: at most `max_records`, and `max_bytes` unless the first one alone is longer. Ends
    /// before the first busy one. What an earlier walk covered is released first, if it was not. After `None`, the
    /// next record that is finished wakes the consumer.
    pub(crate) fn walk<S: Shared>(
        &mut self,
        shared: &S,
        max_bytes: usize,
        max_records: u32,
    ) -> Result<Option<Walked>, Damaged> {
        self.release(shared);
        let walked = self.look(shared, max_bytes, max_records)?;
        if walked.is_some() || !self.release_all(shared) {
            return Ok(walked);
        }
        self.look(shared, max_bytes, max_records)
    }

    fn look<S: Shared>(
        &mut self,
        shared: &S,
        max_bytes: usize,
        max_records: u32,
    ) -> Result<Option<Walked>, Damaged> {
        if self.producer == self.end {
            self.producer = shared.producer();
            if self.producer == self.end {
                return Ok(None);
            }
        }
        let start = self.end;
        let available = self.producer.wrapping_sub(start);
        if available > self.size {
            return Err(Damaged {
                position: start,
                length: 0,
                available,
            });
        }
        let max_bytes = (max_bytes as u64).min(available);
        let (mut walked, mut records, mut discarded) = (0, 0, 0);
        while walked < available && records < max_records.max(1) {
            let position = start.wrapping_add(walked);
            let header = shared.header(position);
            if header & BUSY != 0 {
                break;
            }
            let length = u64::from(header & !DISCARD) + HEADER as u64;
            let length = length.next_multiple_of(8);
            if length > available - walked {
                if records > 0 {
                    break; // what came before is sound; the next walk begins here
                }
                return Err(Damaged {
                    position,
                    length,
                    available: available - walked,
                });
            }
            if walked + length > max_bytes && records > 0 {
                break;
            }
            let ahead = walked + AHEAD * length;
            if ahead < available {
                shared.prefetch(start.wrapping_add(ahead));
            }
            walked += length;
            records += 1;
            discarded += u32::from(header & DISCARD != 0);
        }
        if records == 0 {
            return Ok(None);
        }
        self.end = start.wrapping_add(walked);
        // At most the ring's size, which is a usize.
        Ok(Some(Walked {
            start,
            length: walked as usize,
            records,
            discarded,
            more: walked < available,
        }))
    }

    /// Gives what was walked over back to the producer, but for the last word.
    pub(crate) fn release<S: Shared>(&mut self, shared: &S) {
        if self.end.wrapping_sub(self.released) > WORD {
            self.released = self.end.wrapping_sub(WORD);
            shared.release(self.released);
        }
    }

    /// Gives the last word back, too; false if it was not held back.
    fn release_all<S: Shared>(&mut self, shared: &S) -> bool {
        if self.released == self.end {
            return false;
        }
        shared.release(self.end);
        self.released = self.end;
        shared.fence();
        true
    }

    /// Bytes that the producer has reserved and the consumer not walked over yet.
    pub(crate) fn backlog<S: Shared>(&self, shared: &S) -> u64 {
        shared.producer().wrapping_sub(self.end)
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
