//! A place to write lines to that never grows in the midst of one.
//!
//! Copies have fixed lengths wherever they can, longer than what counts, because that compiles to
//! one or two moves where a copy of the exact length is a call. What lies behind the end is
//! overwritten by what comes next.

use crate::decimal;
use crate::text;

/// Bytes being written. When there is no room the rest of the line is skipped, and [`Line::full`]
/// says so: the writer then makes room and writes the line again.
pub(super) struct Line<'a> {
    buffer: &'a mut [u8],
    at: usize,
    full: bool,
}

impl<'a> Line<'a> {
    pub(super) fn new(buffer: &'a mut [u8], at: usize) -> Self {
        Self {
            buffer,
            at,
            full: false,
        }
    }

    /// Where the next byte goes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether something did not fit.
    pub(super) fn full(&self) -> bool {
        self.full
    }

    /// Lets `fill` write into the next `N` bytes; it gives how many count.
    #[inline(always)]
    pub(super) fn fill<const N: usize>(&mut self, fill: impl FnOnce(&mut [u8; N]) -> usize) {
        match self
            .buffer
            .get_mut(self.at..)
            .and_then(<[u8]>::first_chunk_mut)
        {
            Some(window) => self.at += fill(window),
            None => self.full = true,
        }
    }

    /// Writes over a byte that is there.
    pub(super) fn replace(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.buffer.get_mut(at).filter(|_| at < self.at) {
            *place = byte;
        }
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        self.fill::<1>(|window| {
            *window = [byte];
            1
        });
    }

    /// Bytes of any length.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        match self.buffer.get_mut(self.at..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.at = end;
            }
            None => self.full = true,
        }
    }

    /// The bytes of `data` from `start` to `end`; copies beyond `end` where there is more.
    #[inline(always)]
    pub(super) fn part(&mut self, data: &[u8], start: usize, end: usize) {
        let len = end.saturating_sub(start);
        let from = data.get(start..).unwrap_or_default();
        if len <= 32
            && let Some(source) = from.first_chunk::<32>()
        {
            self.fill::<32>(|window| {
                *window = *source;
                len
            });
        } else if len <= 64
            && let Some(source) = from.first_chunk::<64>()
        {
            self.fill::<64>(|window| {
                *window = *source;
                len
            });
        } else {
            self.bytes(data.get(start..end).unwrap_or_default());
        }
    }

    #[inline(always)]
    pub(super) fn number(&mut self, negative: bool, magnitude: u64) {
        if negative {
            self.byte(b'-');
        }
        // Not by `fill`: the closure would become a function of its own.
        match self
            .buffer
            .get_mut(self.at..)
            .and_then(<[u8]>::first_chunk_mut)
        {
            Some(window) => self.at += decimal::write(magnitude, window),
            None => self.full = true,
        }
    }

    /// Text between quotes that is already there: escapes what JSON, UTF-8 and terminals want
    /// escaped (module [`crate::text`]).
    pub(super) fn escaped(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            let valid = chunk.valid();
            for (at, c) in valid.char_indices() {
                match c {
                    '"' => self.bytes(b"\\\""),
                    '\\' => {
                        let rest = valid.as_bytes().get(at + 1..).unwrap_or_default();
                        if text::reads_as_escape(rest) {
                            self.bytes(b"\\\\x5c");
                        } else {
                            self.bytes(b"\\\\");
                        }
                    }
                    '\n' => self.bytes(b"\\n"),
                    '\r' => self.bytes(b"\\r"),
                    '\t' => self.bytes(b"\\t"),
                    c if text::is_hazardous(c) => {
                        for unit in c.encode_utf16(&mut [0; 2]) {
                            let [high, low] = unit.to_be_bytes();
                            self.bytes(b"\\u");
                            self.bytes(&text::hex(high));
                            self.bytes(&text::hex(low));
                        }
                    }
                    c => self.bytes(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            for byte in chunk.invalid() {
                self.bytes(b"\\\\x");
                self.bytes(&text::hex(*byte));
            }
        }
    }
}
