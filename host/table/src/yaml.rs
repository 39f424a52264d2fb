//! Rows as YAML, a document each.
//!
//! A row begins with a line `---`, below it the columns in block style: `name: value`, lists with
//! `- `, two spaces a level; an empty list is `[]`. The values are those that [`crate::json`]
//! writes. Text stands in double quotes with JSON's escapes, or bare when no reader can take it for
//! anything else: it begins with a letter, `_` or `/`, goes on with those, digits and `.-`, and is
//! no word such as `null`, `yes` or `off`. Floats always have a point, and a sign before an exponent,
//! as YAML 1.1 wants them.

use crate::json::JsonWriter;
use crate::json::tokens::{Token, Tokens, unescaped};
use crate::kinds::words::Words;
use crate::schema::{Rows, Table};
use crate::text::is_hazardous;

/// Writes rows as YAML documents.
#[derive(Debug)]
pub struct YamlWriter {
    json: JsonWriter,
    /// The rows as JSON.
    compact: Vec<u8>,
}

/// The line that begins a row, and nothing else.
const START: &[u8] = b"---";

impl YamlWriter {
    /// A writer for the columns `selected` of a table, by index; an index outside is left out.
    #[must_use]
    pub fn new(table: &Table, selected: &[usize], words: Words) -> Self {
        Self {
            json: JsonWriter::new(table, selected, words),
            compact: Vec::new(),
        }
    }

    /// Each row has the name of its table as first key, if one is given.
    #[must_use]
    pub fn named(self, table: Option<&str>) -> Self {
        Self {
            json: self.json.named(table),
            ..self
        }
    }

    /// Adds a document for each row at the end of `out`.
    pub fn write(&mut self, rows: &Rows, out: &mut Vec<u8>) {
        self.compact.clear();
        self.json.write(rows, &mut self.compact);
        let mut tokens = Tokens::new(&self.compact);
        while tokens.peek().is_some() {
            out.extend_from_slice(START);
            value(&mut tokens, 0, false, out);
            out.push(b'\n');
            // The line break of JSON.
            tokens.next();
        }
    }
}

/// Adds the next value behind its key, its dash or the document's start. `beside`: its first entry
/// may stand on the same line. Nested as deep as a column's type.
fn value(tokens: &mut Tokens<'_>, indent: usize, beside: bool, out: &mut Vec<u8>) {
    let list = match tokens.next() {
        None => return,
        Some(Token::Object) => false,
        Some(Token::List) => true,
        Some(Token::Text(text)) => {
            out.push(b' ');
            return scalar(text, out);
        }
        Some(Token::Plain(text)) => {
            out.push(b' ');
            return number(text, out);
        }
        Some(Token::Close | Token::Comma | Token::Colon | Token::Break) => return,
    };
    if tokens.peek() == Some(Token::Close) {
        tokens.next();
        return out.extend_from_slice(if list { b" []" } else { b" {}" });
    }
    let mut first = true;
    loop {
        if first && beside {
            out.push(b' ');
        } else {
            out.push(b'\n');
            out.extend(std::iter::repeat_n(b' ', indent));
        }
        first = false;
        if list {
            out.push(b'-');
        } else {
            if let Some(Token::Text(key)) = tokens.next() {
                scalar(key, out);
            }
            // The colon.
            tokens.next();
            out.push(b':');
        }
        value(tokens, indent + 2, list, out);
        if tokens.next() != Some(Token::Comma) {
            break;
        }
    }
}

/// Adds a text that has JSON's escapes.
fn scalar(escaped: &str, out: &mut Vec<u8>) {
    if is_plain(escaped) {
        return out.extend_from_slice(escaped.as_bytes());
    }
    out.push(b'"');
    if escaped.is_ascii() && !escaped.contains("\\ud") {
        out.extend_from_slice(escaped.as_bytes());
    } else {
        // YAML knows no halves of pairs, and refuses two characters that JSON lets stand.
        for c in unescaped(escaped) {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                c if is_hazardous(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                    out.extend_from_slice(format!("\\U{:08x}", u32::from(c)).as_bytes());
                }
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}

/// Whether every reader takes a text without quotes for that text.
fn is_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    let starts = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'/'));
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    starts
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'/' | b'.' | b'-'))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Adds a number or a word; `1e300` becomes `1.0e+300`.
fn number(json: &str, out: &mut Vec<u8>) {
    let Some((mantissa, exponent)) = json
        .split_once('e')
        .filter(|(mantissa, _)| mantissa.bytes().any(|b| b.is_ascii_digit()))
    else {
        return out.extend_from_slice(json.as_bytes());
    };
    out.extend_from_slice(mantissa.as_bytes());
    if !mantissa.contains('.') {
        out.extend_from_slice(b".0");
    }
    out.push(b'e');
    if !exponent.starts_with(['-', '+']) {
        out.push(b'+');
    }
    out.extend_from_slice(exponent.as_bytes());
}

/// Where the rows end in what [`YamlWriter::write`] made: at the next one, and at the end.
pub(crate) fn row_ends(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let starts = |at: usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(START));
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .filter(move |end| *end == bytes.len() || starts(*end))
}

#[cfg(test)]
mod tests;
