//! Records framed as the BPF ring buffer frames them (kernel/bpf/ringbuf.c, `struct bpf_ringbuf_hdr`):
//! u32 length with the busy and discard bits, u32 page offset, payload, padding to 8.
//!
//! A span is any number of such records, one behind the other, beginning with a header. Everything here
//! is little endian and takes any bytes: what is not framed well ends the walk and is an error of
//! [`Span::check`], never a panic.

/// Bytes before each payload (`BPF_RINGBUF_HDR_SZ`).
pub const HEADER: usize = 8;
/// The producer is still writing (`BPF_RINGBUF_BUSY_BIT`).
pub const BUSY: u32 = 1 << 31;
/// The producer threw the record away (`BPF_RINGBUF_DISCARD_BIT`).
pub const DISCARD: u32 = 1 << 30;
/// Longest payload that a header can tell, in bytes.
pub const MAX_PAYLOAD: usize = (DISCARD - 1) as usize;

/// One record of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where its header begins in the span, in bytes: what `origin` names.
    pub offset: u32,
    /// What the program wrote, without the padding.
    pub payload: &'a [u8],
    /// The program reserved it and then threw it away: the payload means nothing.
    pub discarded: bool,
}

/// How many records a span holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them, the discarded ones too.
    pub records: u64,
    /// Those that the program threw away.
    pub discarded: u64,
}

/// Bytes that are not records one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Fewer than eight bytes are left where a header should be.
    #[error("the span ends inside the header at byte {offset}")]
    HeaderCut {
        /// Of the header, in the span.
        offset: usize,
    },
    /// A record that its producer has not finished must not be in a span.
    #[error("the record at byte {offset} is still being written")]
    Busy {
        /// Of the header, in the span.
        offset: usize,
    },
    /// The header promises more bytes than the span has.
    #[error(
        "the record at byte {offset} has {length} bytes and its padding, but the span ends before"
    )]
    PayloadCut {
        /// Of the header, in the span.
        offset: usize,
        /// Of the payload, as the header has it.
        length: usize,
    },
    /// Offsets into a span are 32 bits wide.
    #[error(
        "a span of {length} bytes is too long: at most {} are allowed",
        u32::MAX
    )]
    SpanTooLong {
        /// Of the whole span, in bytes.
        length: usize,
    },
    /// The two highest bits of a header's length are flags.
    #[error("a record of {length} bytes is too long: at most {MAX_PAYLOAD} are allowed")]
    RecordTooLong {
        /// Of the payload, in bytes.
        length: usize,
    },
}

/// Records one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a>(pub &'a [u8]);

impl<'a> Span<'a> {
    /// Walks over the records, the discarded ones too, and stops at the first that is framed wrongly.
    #[must_use]
    pub fn iter(&self) -> Records<'a> {
        Records {
            bytes: self.0,
            at: 0,
        }
    }

    /// Counts the records.
    ///
    /// # Errors
    ///
    /// The first thing that is framed wrongly, and where.
    pub fn check(&self) -> Result<Counts, SpanError> {
        if u32::try_from(self.0.len()).is_err() {
            return Err(SpanError::SpanTooLong {
                length: self.0.len(),
            });
        }
        let mut counts = Counts::default();
        let mut at = 0;
        while at < self.0.len() {
            let (record, next) = record_at(self.0, at)?;
            counts.records += 1;
            counts.discarded += u64::from(record.discarded);
            at = next;
        }
        Ok(counts)
    }
}

impl<'a> IntoIterator for Span<'a> {
    type Item = Record<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

/// The walk of [`Span::iter`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        let (record, next) = record_at(self.bytes, self.at).ok()?;
        self.at = next;
        Some(record)
    }
}

/// The record whose header begins at `at`, and where the next header would begin.
#[inline]
pub(crate) fn record_at(bytes: &[u8], at: usize) -> Result<(Record<'_>, usize), SpanError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else {
        return Err(SpanError::HeaderCut { offset: at });
    };
    let word = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    if word & BUSY != 0 {
        return Err(SpanError::Busy { offset: at });
    }
    let length = (word & !DISCARD) as usize;
    let padded = length.next_multiple_of(8);
    let (Some(payload), true) = (rest.get(..length), padded <= rest.len()) else {
        return Err(SpanError::PayloadCut { offset: at, length });
    };
    let offset = u32::try_from(at).map_err(|_| SpanError::SpanTooLong {
        length: bytes.len(),
    })?;
    Ok((
        Record {
            offset,
            payload,
            discarded: word & DISCARD != 0,
        },
        at + HEADER + padded,
    ))
}

/// Adds one record, whose payload is the parts one behind the other, to a span.
///
/// The page offset is 0 and so is the padding: the same parts give the same bytes. Returns where the
/// record's header begins.
///
/// # Errors
///
/// A payload longer than [`MAX_PAYLOAD`], or a span whose offsets no longer fit 32 bits; `span` stays as it was.
pub fn push(span: &mut Vec<u8>, parts: &[&[u8]]) -> Result<u32, SpanError> {
    let length = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let word = u32::try_from(length).ok().filter(|_| length <= MAX_PAYLOAD);
    let word = word.ok_or(SpanError::RecordTooLong { length })?;
    let end = span
        .len()
        .saturating_add(HEADER)
        .saturating_add(length.next_multiple_of(8));
    if u32::try_from(end).is_err() {
        return Err(SpanError::SpanTooLong { length: end });
    }
    let offset = u32::try_from(span.len()).map_err(|_| SpanError::SpanTooLong { length: end })?;
    span.reserve(end - span.len());
    span.extend_from_slice(&word.to_le_bytes());
    span.extend_from_slice(&[0; 4]);
    for part in parts {
        span.extend_from_slice(part);
    }
    span.resize(end, 0);
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(word: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = word.to_le_bytes().to_vec();
        bytes.extend_from_slice(&3_u32.to_le_bytes()); // the kernel's page offset is no zero
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn walks_records_and_marks_discarded_ones() {
        let mut bytes = raw(3, b"abc\0\0\0\0\0");
        bytes.extend(raw(8 | DISCARD, b"12345678"));
        bytes.extend(raw(0, b""));
        let found: Vec<_> = Span(&bytes).iter().collect();
        assert_eq!(
            found,
            [
                Record {
                    offset: 0,
                    payload: b"abc",
                    discarded: false
                },
                Record {
                    offset: 16,
                    payload: b"12345678",
                    discarded: true
                },
                Record {
                    offset: 32,
                    payload: b"",
                    discarded: false
                },
            ]
        );
        assert_eq!(
            Span(&bytes).check(),
            Ok(Counts {
                records: 3,
                discarded: 1
            })
        );
        assert_eq!(Span(&[]).check(), Ok(Counts::default()));
    }

    #[test]
    fn says_what_is_wrong_and_stops_there() {
        let good = raw(8, b"12345678");
        for (tail, error) in [
            (
                raw(0, b"")[..7].to_vec(),
                SpanError::HeaderCut { offset: 16 },
            ),
            (raw(8 | BUSY, b"12345678"), SpanError::Busy { offset: 16 }),
            (
                raw(9, b"12345678"),
                SpanError::PayloadCut {
                    offset: 16,
                    length: 9,
                },
            ),
            (
                raw(5, b"12345"),
                SpanError::PayloadCut {
                    offset: 16,
                    length: 5,
                },
            ),
            (
                raw(!BUSY, b""),
                SpanError::PayloadCut {
                    offset: 16,
                    length: MAX_PAYLOAD,
                },
            ),
        ] {
            let bytes = [good.clone(), tail].concat();
            assert_eq!(Span(&bytes).check(), Err(error));
            assert_eq!(Span(&bytes).iter().count(), 1, "{error}");
        }
    }

    #[test]
    fn push_joins_parts_and_pads_with_zeros() {
        let mut bytes = Vec::new();
        assert_eq!(push(&mut bytes, &[b"ab", b"", b"cde"]), Ok(0));
        assert_eq!(push(&mut bytes, &[]), Ok(16));
        assert_eq!(
            bytes,
            [
                5, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c', b'd', b'e', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0
            ]
        );
    }

    proptest! {
        #[test]
        fn what_was_pushed_comes_back(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut bytes = Vec::new();
            let mut offsets = Vec::new();
            for payload in &payloads {
                let (a, b) = payload.split_at(payload.len() / 2);
                offsets.push(push(&mut bytes, &[a, b]).unwrap());
            }
            let found: Vec<_> = Span(&bytes).iter().collect();
            prop_assert_eq!(found.iter().map(|r| r.payload).collect::<Vec<_>>(), payloads);
            prop_assert_eq!(found.iter().map(|r| r.offset).collect::<Vec<_>>(), offsets);
        }

        #[test]
        fn any_bytes_are_walked_to_where_check_stops(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let walked = Span(&bytes).iter().count() as u64;
            if let Ok(counts) = Span(&bytes).check() {
                prop_assert_eq!(counts.records, walked);
            }
        }
    }
}
