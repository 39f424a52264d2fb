//! Entries: calls, and answers to what was asked in them.

use super::{CHUNK_BYTES, MAX_ENTRY_BYTES};
use crate::span::{self, Span, SpanError};
use std::ops::Range;

/// Bytes before each entry's body: u8 kind, three zeros, u32 length of the body.
const ENTRY_HEADER: usize = 8;
/// Bytes of a call's body before the timers.
const CALL_HEADER: usize = 24;
/// Bytes of an overdue timer.
const OVERDUE_BYTES: usize = 16;
/// Bytes of an owner.
const OWNER_BYTES: usize = 4;
/// Bytes of an answer's body before the question.
const ANSWER_HEADER: usize = 8;
/// The source of a call that has none.
const NO_SOURCE: u16 = u16::MAX;

const INIT: u8 = 1;
const PROCESS: u8 = 2;
const TICK: u8 = 3;
const STOP: u8 = 4;
const ADDED: u8 = 5;
const REMOVED: u8 = 6;
const ANSWER: u8 = 16;

/// When a call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// CLOCK_BOOTTIME, in nanoseconds.
    pub boot: u64,
    /// Nanoseconds to add for CLOCK_REALTIME.
    pub wall_offset: i64,
}

/// A timer that was due when a call was made, and had not been called yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// The guest's number for it.
    pub timer: u32,
    /// Since when, in nanoseconds of CLOCK_BOOTTIME.
    pub due: u64,
    /// Its periods that are over, if this was the time to call it; else 0.
    pub periods: u32,
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// The first one.
    Init,
    /// Records of a source.
    Process {
        /// By index in the header.
        source: u16,
        /// As the ring had them; page offsets, padding and what was discarded are zeros in a file.
        span: &'a [u8],
    },
    /// The timers that are overdue.
    Tick,
    /// Containers that are there now, by their owners' numbers.
    Added(&'a [u32]),
    /// Containers that are gone.
    Removed(&'a [u32]),
    /// The last one.
    Stop,
}

/// What a recording consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A call was made.
    Call {
        /// When.
        when: Moment,
        /// Timers that waited.
        overdue: &'a [Overdue],
        /// Which.
        call: Call<'a>,
    },
    /// In the next call, the guest asks this and gets that.
    Answer {
        /// What kind of question, such as [`MAP_ANSWER`](super::MAP_ANSWER).
        kind: u16,
        /// The question.
        question: &'a [u8],
        /// The answer.
        answer: &'a [u8],
    },
}

/// More bytes in one entry than a recording can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an entry of {length} bytes is too long for a recording: at most {MAX_ENTRY_BYTES} are possible"
)]
pub struct EntryTooLong {
    /// Its body, in bytes.
    pub length: usize,
}

/// Entries that are gathered until they are worth a write. Holds on to its memory.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// Where spans are in it.
    spans: Vec<Range<usize>>,
    pub(super) calls: u32,
    pub(super) answers: u32,
}

impl Chunk {
    /// Adds a call. The answers that were given in it come before.
    ///
    /// # Errors
    /// The span is too long; nothing is added.
    pub fn call(
        &mut self,
        when: Moment,
        overdue: &[Overdue],
        call: Call<'_>,
    ) -> Result<(), EntryTooLong> {
        let (kind, source, span, owners) = match call {
            Call::Init => (INIT, NO_SOURCE, &[][..], &[][..]),
            Call::Process { source, span } => (PROCESS, source, span, &[][..]),
            Call::Tick => (TICK, NO_SOURCE, &[][..], &[][..]),
            Call::Added(owners) => (ADDED, NO_SOURCE, &[][..], owners),
            Call::Removed(owners) => (REMOVED, NO_SOURCE, &[][..], owners),
            Call::Stop => (STOP, NO_SOURCE, &[][..], &[][..]),
        };
        // More than any guest may hold; the rest would not matter.
        let overdue = overdue.get(..usize::from(u16::MAX)).unwrap_or(overdue);
        let count = u16::try_from(overdue.len()).unwrap_or(u16::MAX);
        self.entry(
            kind,
            CALL_HEADER + overdue.len() * OVERDUE_BYTES + span.len() + owners.len() * OWNER_BYTES,
        )?;
        let bytes = &mut self.bytes;
        bytes.extend_from_slice(&when.boot.to_le_bytes());
        bytes.extend_from_slice(&when.wall_offset.to_le_bytes());
        bytes.extend_from_slice(&source.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for timer in overdue {
            let Overdue {
                timer,
                due,
                periods,
            } = timer;
            bytes.extend_from_slice(&due.to_le_bytes());
            bytes.extend_from_slice(&timer.to_le_bytes());
            bytes.extend_from_slice(&periods.to_le_bytes());
        }
        for owner in owners {
            bytes.extend_from_slice(&owner.to_le_bytes());
        }
        if !span.is_empty() {
            self.spans.push(bytes.len()..bytes.len() + span.len());
            bytes.extend_from_slice(span);
        }
        self.calls += 1;
        Ok(())
    }

    /// Adds an answer that is given in the call that will be added next.
    ///
    /// # Errors
    /// It is too long; nothing is added.
    pub fn answer(
        &mut self,
        kind: u16,
        question: &[u8],
        answer: &[u8],
    ) -> Result<(), EntryTooLong> {
        let length = ANSWER_HEADER + question.len() + answer.len();
        let size = u32::try_from(question.len()).map_err(|_| EntryTooLong { length })?;
        self.entry(ANSWER, length)?;
        let bytes = &mut self.bytes;
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(question);
        bytes.extend_from_slice(answer);
        self.answers += 1;
        Ok(())
    }

    fn entry(&mut self, kind: u8, length: usize) -> Result<(), EntryTooLong> {
        let size = u32::try_from(length)
            .ok()
            .filter(|_| length <= MAX_ENTRY_BYTES)
            .ok_or(EntryTooLong { length })?;
        self.bytes.reserve(ENTRY_HEADER + length);
        self.bytes.extend_from_slice(&[kind, 0, 0, 0]);
        self.bytes.extend_from_slice(&size.to_le_bytes());
        Ok(())
    }

    /// Whether it is time for [`Writer::write`](super::Writer::write).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets its entries, not its memory, unless that is of one that was larger than usual.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(2 * CHUNK_BYTES);
        self.spans.clear();
        (self.calls, self.answers) = (0, 0);
    }

    /// Puts zeros where the ring holds what means nothing to a guest: the kernel's page offsets, padding, discarded
    /// payloads. The same records give the same bytes then, and nothing is kept that a program threw away. Gives the
    /// number of records.
    pub(super) fn clean(&mut self) -> Result<u64, SpanError> {
        let mut records = 0;
        for range in &self.spans {
            let span = self.bytes.get_mut(range.clone()).unwrap_or_default();
            let mut at = 0;
            while at < span.len() {
                let (record, next) = span::record_at(span, at)?;
                let kept = if record.discarded {
                    0
                } else {
                    record.payload.len()
                };
                if let Some(page) = span.get_mut(at + 4..at + span::HEADER) {
                    page.fill(0);
                }
                if let Some(rest) = span.get_mut(at + span::HEADER + kept..next) {
                    rest.fill(0);
                }
                records += 1;
                at = next;
            }
        }
        Ok(records)
    }
}

/// Where parts of an entry are put that lie otherwise in a file than in memory.
#[derive(Debug, Default)]
pub(super) struct Parts {
    overdue: Vec<Overdue>,
    owners: Vec<u32>,
}

/// Reads the entry at the beginning of `bytes`; gives it and its length with its header. The error says what is wrong.
pub(super) fn parse<'a>(
    bytes: &'a [u8],
    sources: usize,
    parts: &'a mut Parts,
) -> Result<(Entry<'a>, usize), String> {
    let cut = || "an entry is cut short".to_owned();
    let (header, rest) = bytes.split_first_chunk::<ENTRY_HEADER>().ok_or_else(cut)?;
    let [kind, a, b, c, length @ ..] = *header;
    if [a, b, c] != [0; 3] {
        return Err("an entry's header is wrong".to_owned());
    }
    let length = u32::from_le_bytes(length) as usize;
    let body = rest.get(..length).ok_or_else(cut)?;
    let entry = match kind {
        INIT | PROCESS | TICK | STOP | ADDED | REMOVED => call(kind, body, sources, parts)?,
        ANSWER => answer(body)?,
        other => return Err(format!("an entry of kind {other}, which there is none of")),
    };
    Ok((entry, ENTRY_HEADER + length))
}

fn call<'a>(
    kind: u8,
    body: &'a [u8],
    sources: usize,
    parts: &'a mut Parts,
) -> Result<Entry<'a>, String> {
    let Parts { overdue, owners } = parts;
    let cut = || "a call is cut short".to_owned();
    let (header, rest) = body.split_first_chunk::<CALL_HEADER>().ok_or_else(cut)?;
    let when = Moment {
        boot: u64_at(header, 0),
        wall_offset: u64_at(header, 8).cast_signed(),
    };
    let source = u16::from_le_bytes([header[16], header[17]]);
    let count = usize::from(u16::from_le_bytes([header[18], header[19]]));
    let (timers, span) = rest
        .split_at_checked(count * OVERDUE_BYTES)
        .ok_or_else(cut)?;
    overdue.clear();
    overdue.extend(timers.as_chunks::<OVERDUE_BYTES>().0.iter().map(|timer| {
        let (due, rest) = (u64_at(timer, 0), u64_at(timer, 8));
        Overdue {
            due,
            timer: rest as u32,
            periods: (rest >> 32) as u32,
        }
    }));
    let call = match kind {
        PROCESS => {
            if usize::from(source) >= sources {
                return Err(format!(
                    "a call names source {source}, and there are {sources}"
                ));
            }
            Span(span).check().map_err(|e| e.to_string())?;
            Call::Process { source, span }
        }
        _ if source != NO_SOURCE => return Err("records in a call that has none".to_owned()),
        ADDED | REMOVED => {
            let (numbers, []) = span.as_chunks::<OWNER_BYTES>() else {
                return Err(cut());
            };
            owners.clear();
            owners.extend(numbers.iter().map(|number| u32::from_le_bytes(*number)));
            if kind == ADDED {
                Call::Added(owners)
            } else {
                Call::Removed(owners)
            }
        }
        _ if !span.is_empty() => {
            return Err("records in a call that has none".to_owned());
        }
        INIT => Call::Init,
        TICK => Call::Tick,
        _ => Call::Stop,
    };
    Ok(Entry::Call {
        when,
        overdue,
        call,
    })
}

fn answer(body: &[u8]) -> Result<Entry<'_>, String> {
    let cut = || "an answer is cut short".to_owned();
    let (header, rest) = body.split_first_chunk::<ANSWER_HEADER>().ok_or_else(cut)?;
    let [a, b, _, _, length @ ..] = *header;
    let length = u32::from_le_bytes(length) as usize;
    let (question, answer) = rest.split_at_checked(length).ok_or_else(cut)?;
    Ok(Entry::Answer {
        kind: u16::from_le_bytes([a, b]),
        question,
        answer,
    })
}

/// The number at `at`; zero where there is none.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let number = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>);
    number.map_or(0, |number| u64::from_le_bytes(*number))
}
