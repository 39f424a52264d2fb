//! Text as the kernel hands it over: bytes, ended by NUL, not always UTF-8.

use std::borrow::Cow;
use std::fmt;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The marks of the zero bytes of a word: the lowest set bit belongs to the first one; 0 if there is none.
#[inline(always)]
pub(crate) fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// The position of the first NUL in `bytes`, or their length. A word at a time: loops cost more in a sandbox.
#[must_use]
#[inline]
pub fn find_nul(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let zeros = zero_bytes(u64::from_le_bytes(*word));
        if zeros != 0 {
            return index * 8 + (zeros.trailing_zeros() / 8) as usize;
        }
    }
    let start = words.len() * 8;
    rest.iter()
        .position(|byte| *byte == 0)
        .map_or(bytes.len(), |at| start + at)
}

/// A `char` array of a record: text up to the first NUL.
///
/// Handed to a row as it is, it is searched and copied in one pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chars<'a>(&'a [u8]);

impl<'a> Chars<'a> {
    /// The text in an array.
    #[must_use]
    #[inline(always)]
    pub fn new(array: &'a [u8]) -> Self {
        Self(array)
    }

    /// The text: the bytes before the first NUL.
    #[must_use]
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0.get(..find_nul(self.0)).unwrap_or(self.0)
    }

    /// The whole array, with NULs and what follows them.
    #[must_use]
    #[inline(always)]
    pub fn array(self) -> &'a [u8] {
        self.0
    }

    /// The text, with bytes that are not UTF-8 replaced.
    #[must_use]
    pub fn to_string_lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// Whether the text is empty.
    #[must_use]
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.first().is_none_or(|byte| *byte == 0)
    }

    /// The texts of an array that holds several, each ended by a NUL, such as a command's arguments. What follows
    /// the last NUL is one more unless it is empty.
    #[must_use]
    #[inline]
    pub fn split(self) -> Split<'a> {
        Split(self.0)
    }
}

impl fmt::Debug for Chars<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string_lossy(), formatter)
    }
}

impl fmt::Display for Chars<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_string_lossy(), formatter)
    }
}

impl PartialEq<str> for Chars<'_> {
    fn eq(&self, other: &str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Chars<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

/// See [`Chars::split`].
#[derive(Clone, Debug)]
pub struct Split<'a>(&'a [u8]);

impl<'a> Split<'a> {
    /// The texts in `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = find_nul(self.0);
        let text = self.0.get(..end).unwrap_or(self.0);
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        Some(text)
    }
}

/// What a text or bytes column takes.
pub trait Text {
    /// Appends the bytes to `data`; false: nothing, the value is null.
    fn append(self, data: &mut Vec<u8>) -> bool;
}

impl Text for &[u8] {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        append_bytes(data, self);
        true
    }
}

impl<const N: usize> Text for &[u8; N] {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        data.extend_from_slice(self);
        true
    }
}

impl Text for &str {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        append_bytes(data, self.as_bytes());
        true
    }
}

impl Text for &String {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        append_bytes(data, self.as_bytes());
        true
    }
}

impl Text for &Vec<u8> {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        append_bytes(data, self);
        true
    }
}

impl Text for String {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        append_bytes(data, self.as_bytes());
        true
    }
}

impl Text for Vec<u8> {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        append_bytes(data, &self);
        true
    }
}

impl Text for Cow<'_, str> {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        append_bytes(data, self.as_bytes());
        true
    }
}

impl Text for fmt::Arguments<'_> {
    /// Formats straight into the column: `row.peer(format_args!("{address}:{port}"))`.
    fn append(self, data: &mut Vec<u8>) -> bool {
        // A Vec takes everything; an error could only come from a Display of the author's.
        std::io::Write::write_fmt(data, self).is_ok()
    }
}

impl Text for Chars<'_> {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        append_until_nul(data, self.0);
        true
    }
}

impl<T: Text> Text for Option<T> {
    #[inline(always)]
    fn append(self, data: &mut Vec<u8>) -> bool {
        self.is_some_and(|text| text.append(data))
    }
}

/// Up to this many bytes a loop over words beats the call that a bulk copy is in a sandbox.
const SHORT: usize = 64;

#[inline(always)]
fn append_bytes(data: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > SHORT {
        data.extend_from_slice(bytes);
        return;
    }
    let (words, rest) = bytes.as_chunks::<8>();
    data.reserve(SHORT + 8);
    for word in words {
        data.extend_from_slice(word);
    }
    for byte in rest {
        data.push(*byte);
    }
}

/// Copies up to the first NUL, two words at a time: each turn of a loop costs a check of the deadline in a sandbox.
#[inline(always)]
fn append_until_nul(data: &mut Vec<u8>, array: &[u8]) {
    // What is written behind the text before its end is found stays within this.
    data.reserve(array.len());
    let mut end = data.len();
    let (pairs, rest) = array.as_chunks::<16>();
    for pair in pairs {
        // SAFETY: `end` is at most the old length and 16 for each pair before this one, so that all 16 bytes lie
        // within the capacity that was reserved for the whole array.
        unsafe { data.as_mut_ptr().add(end).cast::<[u8; 16]>().write(*pair) };
        let both = u128::from_le_bytes(*pair);
        let (low, high) = (zero_bytes(both as u64), zero_bytes((both >> 64) as u64));
        if low | high != 0 {
            // The lowest mark is at bit 7 of the zero byte.
            end += match low {
                0 => 8 + (high.trailing_zeros() / 8) as usize,
                low => (low.trailing_zeros() / 8) as usize,
            };
            // SAFETY: within the capacity, and all bytes before it are written.
            unsafe { data.set_len(end) };
            return;
        }
        end += 16;
    }
    // SAFETY: as above.
    unsafe { data.set_len(end) };
    data.extend_from_slice(rest.get(..find_nul(rest)).unwrap_or(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_found_wherever_it_is() {
        for length in 0..40 {
            for at in 0..=length {
                // 0x80 and 0x01 are what a wrong word trick stumbles over.
                for fill in [b'x', 0x80, 0x01, 0xff] {
                    let mut bytes = vec![fill; length];
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = 0;
                    }
                    assert_eq!(find_nul(&bytes), at, "length {length}, fill {fill:#x}");
                    let mut data = b"before".to_vec();
                    assert!(Chars::new(&bytes).append(&mut data));
                    assert_eq!(data, [b"before", &bytes[..at]].concat());
                }
            }
        }
    }

    #[test]
    fn bytes_of_any_length_are_copied_whole() {
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut data = b"before".to_vec();
            assert!(bytes.as_slice().append(&mut data));
            assert_eq!(data, [&b"before"[..], &bytes].concat());
        }
    }

    #[test]
    fn texts_of_an_array() {
        let split = |bytes| Chars::new(bytes).split().collect::<Vec<_>>();
        assert_eq!(split(b"ls\0-l\0\0/\0"), [&b"ls"[..], b"-l", b"", b"/"]);
        assert_eq!(split(b"cut"), [b"cut"]);
        assert!(split(b"").is_empty());
    }

    #[test]
    fn chars_read_as_text() {
        let chars = Chars::new(b"cat\0garbage");
        assert_eq!(chars, "cat");
        assert_eq!(chars.array(), b"cat\0garbage");
        assert_eq!(format!("{chars} {chars:?}"), "cat \"cat\"");
        assert!(Chars::new(b"\0x").is_empty() && !chars.is_empty());
    }

    #[test]
    fn no_text_is_null() {
        let mut data = Vec::new();
        assert!(!None::<&str>.append(&mut data));
        assert!(format_args!("{}:{}", 1, 2).append(&mut data));
        assert_eq!(data, b"1:2");
    }
}
