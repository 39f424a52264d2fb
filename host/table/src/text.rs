//! Text that is bytes: how it is written where only UTF-8, or only harmless characters, may stand.
//!
//! **Bytes that are not UTF-8** have one form: `\xNN`, two lower-case hex digits, a byte each. It
//! is the value's form in JSON (where JSON's own rules double the backslash: `"\\xff"`) and
//! wherever UTF-8 is promised. The form is unambiguous: a backslash that would look like the start
//! of such an escape, because `x` and two hex digits from `80` to `ff` or `5c` follow, is itself
//! written `\x5c`. Every other backslash stays as it is. So each `\xNN` with NN from `80` to `ff`
//! or `5c` in a written text stands for exactly one byte, and replacing them gives the bytes back.

use std::borrow::Cow;

/// Lower-case hex digits.
pub(crate) const HEX: &[u8; 16] = b"0123456789abcdef";

/// The two hex digits of a byte.
pub(crate) fn hex(byte: u8) -> [u8; 2] {
    let digit = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
    [digit(byte >> 4), digit(byte & 15)]
}

/// Whether a backslash before `rest` would read as the start of `\xNN`.
pub(crate) fn reads_as_escape(rest: &[u8]) -> bool {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    match rest {
        [b'x', high, low, ..] => match (value(*high), value(*low)) {
            (Some(high), Some(low)) => {
                let byte = high * 16 + low;
                byte >= 0x80 || byte == b'\\'
            }
            _ => false,
        },
        _ => false,
    }
}

/// Text as UTF-8, bytes that are not UTF-8 as `\xNN`. Borrows when nothing has to change.
#[must_use]
pub fn to_utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let ambiguous = text
            .as_bytes()
            .windows(4)
            .any(|w| matches!(w, [b'\\', rest @ ..] if reads_as_escape(rest)));
        if !ambiguous {
            return Cow::Borrowed(text);
        }
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        for (at, c) in valid.char_indices() {
            if c == '\\' && reads_as_escape(valid.as_bytes().get(at + 1..).unwrap_or_default()) {
                out.push_str("\\x5c");
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            push_byte(&mut out, *byte);
        }
    }
    Cow::Owned(out)
}

/// Adds a byte as `\xNN`.
pub(crate) fn push_byte(out: &mut String, byte: u8) {
    out.push_str("\\x");
    out.extend(hex(byte).map(char::from));
}

/// Whether a character could do more to a terminal, or to the eye, than stand in its place.
///
/// These are the control characters (C0, DEL and C1: a terminal obeys them), the controls of the
/// bidirectional algorithm (they let text look as if it were in another order), separators of
/// lines and paragraphs, and invisible characters that can hide text: the byte order mark, the
/// soft hyphen, zero-width space, word joiner and invisible operators, interlinear annotation, and
/// tags. Zero-width joiner and non-joiner are not among them: scripts and emoji need them.
#[must_use]
pub fn is_hazardous(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the module's documentation tells a reader to do.
    fn back(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            if *first == b'\\' && reads_as_escape(tail) {
                out.push(
                    u8::from_str_radix(std::str::from_utf8(&tail[1..3]).unwrap(), 16).unwrap(),
                );
                rest = &tail[3..];
            } else {
                out.push(*first);
                rest = tail;
            }
        }
        out
    }

    #[test]
    fn bytes_that_are_not_utf8() {
        assert!(matches!(
            to_utf8(b"plain \\ text \\n"),
            Cow::Borrowed("plain \\ text \\n")
        ));
        assert_eq!(to_utf8(b"a\xffb"), "a\\xffb");
        assert_eq!(to_utf8(b"\\xff"), "\\x5cxff");
        assert_eq!(to_utf8(b"\\\xff"), "\\\\xff");
        assert_eq!(to_utf8(b"\\x5c"), "\\x5cx5c");
        assert_eq!(to_utf8(b"\\x41 \\xFF"), "\\x41 \\xFF");
        assert_eq!(to_utf8(b"\xe2\x82"), "\\xe2\\x82");
        assert_eq!(to_utf8("é".as_bytes()), "é");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\\'), Just(b'x'), Just(b'5'), Just(b'c'), Just(b'f'), any::<u8>()], 0..40)) {
            prop_assert_eq!(back(&to_utf8(&bytes)), bytes);
        }
    }
}
