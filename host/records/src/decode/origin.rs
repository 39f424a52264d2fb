//! Which records of a span become rows.

use crate::span::{self, HEADER, SpanError};

/// An `origin` that a guest may not send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No record begins there.
    #[error("origin of row {row} is {origin}, where no record of the span begins")]
    NoRecord {
        /// Index of the row.
        row: usize,
        /// As sent.
        origin: u32,
    },
    /// The program threw that record away, its bytes mean nothing.
    #[error("origin of row {row} is {origin}, a record that the program discarded")]
    Discarded {
        /// Index of the row.
        row: usize,
        /// As sent.
        origin: u32,
    },
    /// The span itself is broken.
    #[error("the span is broken")]
    Span(#[from] SpanError),
    /// A guest may name a record for several rows, but not without end.
    #[error("{rows} rows point at records of more than {} MiB together, or need more values than may be made at once", MAX_PICKED >> 20)]
    TooMuch {
        /// How many rows there are.
        rows: usize,
    },
    /// The decoder has no such column: a mistake of the caller, not of the guest.
    #[error("the decoder has no column {column}")]
    NoColumn {
        /// As asked for.
        column: usize,
    },
}

/// Most bytes of records that rows may point at together, unless the span itself is longer.
const MAX_PICKED: u64 = 64 << 20;

/// Most records that room is made for before they are seen.
const MAX_GUESS: usize = 4096;

/// Where values lie: from `starts[i]` up to `ends[i]` in the span.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) starts: Vec<u32>,
    pub(super) ends: Vec<u32>,
    /// The smallest distance between a start and its end: what lies below needs no test per record.
    pub(super) shortest: u32,
}

impl Places {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            starts: Vec::with_capacity(capacity),
            ends: Vec::with_capacity(capacity),
            shortest: u32::MAX,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, start: u32, end: u32) {
        self.starts.push(start);
        self.ends.push(end);
        self.shortest = self.shortest.min(end.saturating_sub(start));
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }
}

/// Records of a span, each checked once, for any number of columns.
#[derive(Clone, Debug)]
pub struct Picked<'a> {
    pub(super) span: &'a [u8],
    pub(super) places: Places,
}

impl<'a> Picked<'a> {
    /// The records that these offsets name, in that order; one may be named again.
    ///
    /// Ascending offsets, which is what guests send, cost one walk over the headers up to the last one.
    ///
    /// # Errors
    ///
    /// An offset where no record begins, or where a discarded one does.
    pub fn origins(span: &'a [u8], origins: &[u32]) -> Result<Self, OriginError> {
        let mut places = Places::with_capacity(origins.len());
        let mut at = 0; // a header begins here; all origins so far were at or before it
        for (row, origin) in origins.iter().copied().enumerate() {
            while at < origin as usize {
                match span::record_at(span, at) {
                    Ok((_, next)) => at = next,
                    Err(_) => return Err(OriginError::NoRecord { row, origin }),
                }
            }
            if at > origin as usize {
                return Self::any_order(span, origins);
            }
            let (start, end) = payload(span, row, origin)?;
            places.push(start, end);
        }
        Self::bounded(span, places)
    }

    /// All records that were not discarded.
    ///
    /// # Errors
    ///
    /// The span is broken.
    pub fn all(span: &'a [u8]) -> Result<Self, OriginError> {
        // Records of one source mostly have one length.
        let first = span::record_at(span, 0).map_or(span.len(), |(_, next)| next);
        let guess = (span.len() / first.max(1)).min(MAX_GUESS) + 1;
        let mut places = Places::with_capacity(guess);
        let mut at = 0;
        while at < span.len() {
            let (record, next) = span::record_at(span, at)?;
            if !record.discarded {
                let start = record.offset + HEADER as u32;
                places.push(start, start + record.payload.len() as u32);
            }
            at = next;
        }
        Ok(Self { span, places })
    }

    fn bounded(span: &'a [u8], places: Places) -> Result<Self, OriginError> {
        let most = MAX_PICKED.max(span.len() as u64);
        let picked = Self { span, places };
        if picked.bytes() > most {
            return Err(OriginError::TooMuch { rows: picked.len() });
        }
        Ok(picked)
    }

    fn any_order(span: &'a [u8], origins: &[u32]) -> Result<Self, OriginError> {
        // One bit for each multiple of 8, where alone headers can begin.
        let mut headers = vec![0_u64; span.len() / 512 + 1];
        for record in span::Span(span).iter() {
            let bit = record.offset as usize / 8;
            if let Some(word) = headers.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
        let mut places = Places::with_capacity(origins.len());
        for (row, origin) in origins.iter().copied().enumerate() {
            let bit = origin as usize / 8;
            let word = headers.get(bit / 64).copied().unwrap_or(0);
            if origin % 8 != 0 || word >> (bit % 64) & 1 == 0 {
                return Err(OriginError::NoRecord { row, origin });
            }
            let (start, end) = payload(span, row, origin)?;
            places.push(start, end);
        }
        Self::bounded(span, places)
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The bytes of the records, one that is named twice counted twice: no column takes more to decode, beside what
    /// each row takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let Places { starts, ends, .. } = &self.places;
        let sizes = starts.iter().zip(ends);
        sizes
            .map(|(start, end)| u64::from(end.saturating_sub(*start)))
            .sum()
    }

    /// What each row's record has, without its header.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> {
        let Self { span, places } = self;
        let places = places.starts.iter().zip(&places.ends);
        places.map(|(start, end)| span.get(*start as usize..*end as usize).unwrap_or_default())
    }

    /// There are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[inline]
fn payload(span: &[u8], row: usize, origin: u32) -> Result<(u32, u32), OriginError> {
    let (record, _) = span::record_at(span, origin as usize)
        .map_err(|_| OriginError::NoRecord { row, origin })?;
    if record.discarded {
        return Err(OriginError::Discarded { row, origin });
    }
    let start = origin + HEADER as u32;
    Ok((start, start + record.payload.len() as u32))
}
