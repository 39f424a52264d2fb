//! One value as text for a terminal.

use unicode_width::UnicodeWidthChar as _;

use crate::cells::{self, Cells, Values, Wholes};
use crate::kinds::words::{Words, push_bytes, push_duration};
use crate::kinds::{Kind, address};
use crate::text::{is_hazardous, push_byte};
use crate::time::Local;

/// Formats values; knows words and the time zone.
#[derive(Debug)]
pub(super) struct Formatter {
    words: Words,
    clock: Local,
    /// A user's or group's name before it is made harmless.
    name: String,
    /// Of the rows at hand.
    pub(super) wall_offset: i64,
}

/// What stands for a value that is not known.
const UNKNOWN: &str = "-";

impl Formatter {
    pub(super) fn new(words: Words) -> Self {
        let clock = Local::new(words.zone().clone());
        Self {
            words,
            clock,
            name: String::new(),
            wall_offset: 0,
        }
    }

    /// Adds a value to `out`, which is empty; gives how many cells wide it is.
    pub(super) fn cell(
        &mut self,
        cells: &Cells<'_>,
        kind: Kind,
        row: usize,
        out: &mut String,
    ) -> usize {
        if let Values::Text(text) = &cells.values
            && text.clean
            && !cells.is_null(row)
            && let Ok(text) = std::str::from_utf8(text.get(row))
        {
            out.push_str(text);
            return text.len();
        }
        self.push(cells, kind, row, Nested::No, out);
        text_width(out)
    }

    fn push(
        &mut self,
        cells: &Cells<'_>,
        kind: Kind,
        row: usize,
        nested: Nested,
        out: &mut String,
    ) {
        if cells.is_null(row) {
            return out.push_str(UNKNOWN);
        }
        match &cells.values {
            Values::Unknown => out.push_str(UNKNOWN),
            Values::Bool(values) => {
                let value = row < values.len() && values.value(row);
                out.push_str(if value { "true" } else { "false" });
            }
            Values::Whole(values) => self.whole(*values, kind, row, out),
            Values::F32(values) => out.push_str(zmij::Buffer::new().format(cells::at(values, row))),
            Values::F64(values) => out.push_str(zmij::Buffer::new().format(cells::at(values, row))),
            Values::Text(text) => match nested {
                Nested::No => push_harmless(text.get(row), out),
                Nested::Yes => push_quoted(text.get(row), out),
            },
            Values::Bytes(bytes) => match kind {
                Kind::Address | Kind::AddressLe => address::push(bytes.get(row), out),
                Kind::Mac => address::push_mac(bytes.get(row), out),
                _ => {
                    for byte in bytes.get(row) {
                        out.extend(crate::text::hex(*byte).map(char::from));
                    }
                }
            },
            Values::List { offsets, items } => {
                if nested == Nested::Yes {
                    out.push('[');
                }
                let separator = if kind.is_stack() { ';' } else { ' ' };
                for (i, item) in cells::items(offsets, row).enumerate() {
                    if i > 0 {
                        out.push(separator);
                    }
                    self.push(items, kind, item, Nested::Yes, out);
                }
                if nested == Nested::Yes {
                    out.push(']');
                }
            }
            Values::Struct(fields) if kind == Kind::Endpoint => self.endpoint(fields, row, out),
            Values::Struct(fields) => {
                out.push('{');
                for (i, (name, cells)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(' ');
                    }
                    push_harmless(name.as_bytes(), out);
                    out.push('=');
                    self.push(cells, Kind::None, row, Nested::Yes, out);
                }
                out.push('}');
            }
        }
    }

    fn whole(&mut self, values: Wholes<'_>, kind: Kind, row: usize, out: &mut String) {
        let value = if kind.is_bits() {
            values.bits(row).into()
        } else {
            values.get(row)
        };
        match kind {
            Kind::Timestamp => {
                let wall = value.wide() + i128::from(self.wall_offset);
                self.clock.push(wall, out);
            }
            Kind::Duration => push_duration(value, out),
            Kind::Bytes => push_bytes(value, out),
            Kind::User | Kind::Group | Kind::KernelStack => {
                self.name.clear();
                self.words.push(kind, value, &mut self.name);
                push_harmless(self.name.as_bytes(), out);
            }
            kind => {
                if !self.words.push(kind, value, out) {
                    out.push_str(UNKNOWN);
                }
            }
        }
    }

    /// An endpoint, which is a struct of an address and a port.
    fn endpoint(&mut self, fields: &[(&str, Cells<'_>)], row: usize, out: &mut String) {
        for (i, (name, cells)) in fields.iter().enumerate() {
            if i > 0 {
                out.push(':');
            }
            match &cells.values {
                Values::Bytes(bytes) if !cells.is_null(row) => {
                    address::push_host(bytes.get(row), out);
                }
                _ => self.push(cells, Kind::Endpoint.of_field(name), row, Nested::Yes, out),
            }
        }
    }
}

/// Whether a value stands inside of a list or a struct, where its end has to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nested {
    No,
    Yes,
}

/// Cells that text takes. Control characters take none: there are none in what is printed.
pub(crate) fn text_width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().map(|c| c.width().unwrap_or_default()).sum()
}

/// The start of a text that leaves room for one more cell in `most` cells, and its width.
pub(super) fn cut(text: &str, most: usize) -> (&str, usize) {
    let mut width = 0;
    for (at, c) in text.char_indices() {
        let wide = c.width().unwrap_or_default();
        // Marks that are drawn over each other count after a while, too.
        if width + wide >= most || at >= 16 * most {
            return (text.get(..at).unwrap_or_default(), width);
        }
        width += wide;
    }
    (text, width)
}

/// Adds text in which nothing is a command to a terminal.
pub(super) fn push_harmless(bytes: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_hazardous(c) {
                push_escape(c, out);
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            push_byte(out, *byte);
        }
    }
}

/// Adds a hazardous character as bash's `$'...'` takes it.
fn push_escape(c: char, out: &mut String) {
    let code = u32::from(c);
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => {
            let digits = match code {
                0..0x80 => {
                    out.push_str("\\x");
                    2
                }
                0x80..0x1_0000 => {
                    out.push_str("\\u");
                    4
                }
                _ => {
                    out.push_str("\\U");
                    8
                }
            };
            for place in (0..digits).rev() {
                out.push(char::from_digit((code >> (place * 4)) & 15, 16).unwrap_or('0'));
            }
        }
    }
}

/// Adds text as one word of a shell: bare, in quotes, or in quotes with escapes.
fn push_quoted(bytes: &[u8], out: &mut String) {
    let text = std::str::from_utf8(bytes).ok();
    let bare = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    match text {
        Some(text) if !text.is_empty() && text.chars().all(bare) => out.push_str(text),
        Some(text) if !text.contains(|c| c == '\'' || is_hazardous(c)) => {
            out.push('\'');
            out.push_str(text);
            out.push('\'');
        }
        _ => {
            out.push_str("$'");
            for chunk in bytes.utf8_chunks() {
                for c in chunk.valid().chars() {
                    match c {
                        '\'' | '\\' => {
                            out.push('\\');
                            out.push(c);
                        }
                        c if is_hazardous(c) => push_escape(c, out),
                        c => out.push(c),
                    }
                }
                for byte in chunk.invalid() {
                    push_byte(out, *byte);
                }
            }
            out.push('\'');
        }
    }
}
