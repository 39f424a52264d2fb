//! Spans: records framed as the kernel's ring buffer frames them (`kernel/bpf/ringbuf.c`).
//!
//! Each record has a header of 8 bytes, u32 length with two flag bits and u32 that guests ignore, then the payload,
//! padded to 8 bytes. Nothing is aligned for sure.

/// Bytes before each payload (`BPF_RINGBUF_HDR_SZ`).
const HEADER: usize = 8;
/// The producer is still writing (`BPF_RINGBUF_BUSY_BIT`). The host hands over no such record.
const BUSY: u32 = 1 << 31;
/// The producer threw the record away (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARD: u32 = 1 << 30;

/// One record of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset of the record's header in its span: what a row gives as its origin.
    pub origin: u32,
    /// What the eBPF program wrote.
    pub payload: &'a [u8],
}

/// The records of a span, without the discarded ones. Ends at the first byte that is not a whole record, so it
/// walks any bytes safely.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    /// What is left of the span.
    rest: &'a [u8],
    /// Where that begins.
    at: u32,
}

impl<'a> Records<'a> {
    /// The records of `span`.
    #[must_use]
    pub fn new(span: &'a [u8]) -> Self {
        Self { rest: span, at: 0 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let (header, behind) = self.rest.split_first_chunk::<HEADER>()?;
            let word = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
            if word & BUSY != 0 {
                return None;
            }
            let length = (word & !DISCARD) as usize;
            let padded = length.next_multiple_of(8);
            let origin = self.at;
            let payload = match behind.split_at_checked(padded) {
                Some((record, rest)) => {
                    self.rest = rest;
                    self.at += (HEADER + padded) as u32;
                    record.get(..length)?
                }
                // The padding of the last record may be cut off.
                None => {
                    let payload = behind.get(..length)?;
                    self.rest = &[];
                    payload
                }
            };
            if word & DISCARD == 0 {
                return Some(Record { origin, payload });
            }
        }
    }
}

/// The entries of a map as `read-all` hands them over: in span framing, the key padded to 8 bytes, then the value.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    records: Records<'a>,
    key_size: usize,
}

impl<'a> Entries<'a> {
    /// The entries of `span`, of a map whose keys are `key_size` bytes.
    #[must_use]
    pub fn new(span: &'a [u8], key_size: usize) -> Self {
        Self {
            records: Records::new(span),
            key_size,
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    /// Key and value.
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let payload = self.records.next()?.payload;
        let key = payload.get(..self.key_size)?;
        let value = payload.get(self.key_size.next_multiple_of(8)..)?;
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(flags: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((payload.len() as u32) | flags).to_le_bytes().to_vec();
        bytes.extend_from_slice(&3_u32.to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(8), 0xaa);
        bytes
    }

    fn all(span: &[u8]) -> Vec<(u32, Vec<u8>)> {
        Records::new(span)
            .map(|record| (record.origin, record.payload.to_vec()))
            .collect()
    }

    #[test]
    fn records_in_order_without_discarded_ones() {
        let span = [
            frame(0, b"one"),
            frame(DISCARD, b"discarded"),
            frame(0, b""),
            frame(0, b"eighteen bytes...."),
        ]
        .concat();
        assert_eq!(
            all(&span),
            [
                (0, b"one".to_vec()),
                (40, vec![]),
                (48, b"eighteen bytes....".to_vec())
            ]
        );
    }

    #[test]
    fn ends_before_a_busy_record() {
        let span = [frame(0, b"a"), frame(BUSY, b"b"), frame(0, b"c")].concat();
        assert_eq!(all(&span), [(0, b"a".to_vec())]);
    }

    #[test]
    fn a_cut_span_yields_whole_records_only() {
        let span = [frame(0, b"first"), frame(0, b"second record")].concat();
        for cut in 0..span.len() {
            let whole = usize::from(cut >= 13) + usize::from(cut >= 16 + 8 + 13);
            assert_eq!(Records::new(&span[..cut]).count(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn any_header_is_safe() {
        for word in [
            u32::MAX,
            BUSY - 1,
            DISCARD - 1,
            DISCARD,
            1,
            8,
            9,
            0x3fff_fff8,
        ] {
            let mut span = word.to_le_bytes().to_vec();
            span.resize(24, 0);
            assert!(Records::new(&span).count() <= 3, "{word:#x}");
        }
    }

    #[test]
    fn entries_pad_the_key() {
        let mut payload = b"key".to_vec();
        payload.resize(8, 0);
        payload.extend_from_slice(b"value");
        let span = frame(0, &payload);
        assert_eq!(
            Entries::new(&span, 3).collect::<Vec<_>>(),
            [(&b"key"[..], &b"value"[..])]
        );
        assert_eq!(
            Entries::new(&frame(0, b"ab"), 3).count(),
            0,
            "shorter than its key"
        );
    }
}
