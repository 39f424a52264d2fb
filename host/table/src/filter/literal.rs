//! What a written value stands for: text, bytes, a glob, a regular expression.

use std::ops::Range;

use super::error::{FilterError, quoted};
use super::pattern::{Glob, Network, Part, Pattern};
use super::scan::{Quote, Scanner, Value};

/// A text made of a written value, and where each of its bytes was written.
struct Decoded {
    text: Vec<u8>,
    from: Vec<usize>,
}

impl Value<'_> {
    /// The value as it stands in the filter, quotes included.
    pub(super) fn at(&self) -> Range<usize> {
        let quote = usize::from(self.quote != Quote::None);
        self.start - quote..self.start + self.raw.len() + quote
    }

    /// Whether it is the word `null`, which no value equals.
    pub(super) fn is_null(&self) -> bool {
        self.quote == Quote::None && self.raw.eq_ignore_ascii_case("null")
    }

    /// A network, if it is written as one, and not in quotes.
    pub(super) fn network(&self) -> Option<Network> {
        if self.quote == Quote::None {
            Network::parse(self.raw)
        } else {
            None
        }
    }

    /// For columns of bytes: `0x00fe` is these bytes, everything else a text.
    pub(super) fn bytes(&self, scanner: &Scanner<'_>) -> Result<Vec<u8>, FilterError> {
        let hex = match self.quote {
            Quote::None => self.raw.strip_prefix("0x"),
            _ => None,
        };
        let Some(hex) = hex else {
            return self.text(scanner);
        };
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| byte(*high, *low));
        match bytes.collect::<Option<Vec<u8>>>() {
            Some(bytes) if rest.is_empty() => Ok(bytes),
            _ => Err(scanner
                .error(self.at(), "these are no bytes in hex")
                .help("two hex digits a byte, as in 0x00fe; in quotes it is a text")),
        }
    }

    /// The address of a network card: two hex digits a byte, colons between.
    pub(super) fn mac(&self) -> Option<Vec<u8>> {
        let pairs = self.raw.split(':').map(|pair| match pair.as_bytes() {
            [high, low] => byte(*high, *low),
            _ => None,
        });
        pairs.collect()
    }

    /// The text that it stands for.
    pub(super) fn text(&self, scanner: &Scanner<'_>) -> Result<Vec<u8>, FilterError> {
        match self.quote {
            Quote::Single => Ok(self.raw.as_bytes().to_vec()),
            Quote::None => Ok(self.bare().text),
            Quote::Double => {
                let mut out = Vec::with_capacity(self.raw.len());
                let mut rest = self.raw;
                while let Some((before, after)) = rest.split_once('\\') {
                    out.extend_from_slice(before.as_bytes());
                    let at = self.start + self.raw.len() - after.len() - 1;
                    let Some((byte, len)) = escape(after) else {
                        let len = after.chars().next().map_or(0, char::len_utf8);
                        return Err(scanner
                            .error(at..at + 1 + len, "this escape stands for nothing")
                            .help(r#"escapes in double quotes are \\ \" \n \t \r \0 and \xNN; in single quotes there are none"#));
                    };
                    out.push(byte);
                    rest = after.get(len..).unwrap_or_default();
                }
                out.extend_from_slice(rest.as_bytes());
                Ok(out)
            }
        }
    }

    /// Without quotes, `\,` is a comma and `\ ` a space; other backslashes stay.
    fn bare(&self) -> Decoded {
        self.without(|c| matches!(c, ',' | ' '))
    }

    /// The value without the backslash in front of certain characters.
    fn without(&self, escaped: impl Fn(char) -> bool) -> Decoded {
        let mut decoded = Decoded {
            text: Vec::with_capacity(self.raw.len()),
            from: Vec::with_capacity(self.raw.len()),
        };
        let mut chars = self.raw.char_indices().peekable();
        let mut push = |at: usize, c: char| {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                decoded.text.push(byte);
                decoded.from.push(self.start + at);
            }
        };
        while let Some((at, c)) = chars.next() {
            match chars.peek() {
                Some((next, after)) if c == '\\' => {
                    if !escaped(*after) {
                        push(at, c);
                    }
                    // Taken together: in `\\,` the comma is not escaped.
                    push(*next, *after);
                    chars.next();
                }
                _ => push(at, c),
            }
        }
        decoded
    }

    /// A regular expression. Its own escapes stay as they are.
    pub(super) fn regex(&self, scanner: &Scanner<'_>) -> Result<Pattern, FilterError> {
        let decoded = match self.quote {
            Quote::None => self.bare(),
            Quote::Single => self.without(|_| false),
            Quote::Double => self.without(|c| c == '"'),
        };
        let pattern = String::from_utf8_lossy(&decoded.text);
        let place = |span: &regex_syntax::ast::Span| {
            let at = |offset: usize| {
                let end = self.start + self.raw.len();
                decoded.from.get(offset).copied().unwrap_or(end)
            };
            at(span.start.offset)..at(span.end.offset)
        };
        let (at, reason) = match regex_syntax::ParserBuilder::new()
            .utf8(false)
            .build()
            .parse(&pattern)
        {
            Ok(_) => match Pattern::regex(&pattern) {
                Ok(pattern) => return Ok(pattern),
                Err(_) => (self.at(), "it is too large".to_owned()),
            },
            Err(regex_syntax::Error::Parse(error)) => {
                (place(error.span()), error.kind().to_string())
            }
            Err(regex_syntax::Error::Translate(error)) => {
                (place(error.span()), error.kind().to_string())
            }
            Err(_) => (self.at(), "it can't be read".to_owned()),
        };
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        let error = scanner.error(at, format!("not a regular expression: {reason}"));
        Err(if self.quote == Quote::None {
            error.help("in quotes it may hold spaces, commas and parentheses")
        } else {
            error
        })
    }

    /// A glob. `\` takes the meaning from the next character; in double quotes the escapes of
    /// text are there as well.
    pub(super) fn glob(&self, scanner: &Scanner<'_>) -> Result<Pattern, FilterError> {
        let mut parts = Vec::new();
        let mut rest = self.raw;
        while let Some(c) = rest.chars().next() {
            let at = self.start + self.raw.len() - rest.len();
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            match c {
                '*' => {
                    // Two stars are one.
                    if parts.last() != Some(&Part::Star) {
                        parts.push(Part::Star);
                    }
                }
                '?' => parts.push(Part::One),
                '[' => {
                    let (class, after) = class(rest).ok_or_else(|| {
                        scanner
                            .error(
                                at..at + 1,
                                "this class of characters is not closed, empty, or upside down",
                            )
                            .help("a class is [abc], [a-z] or [!a-z]; \\[ is the character")
                    })?;
                    parts.push(class);
                    rest = after;
                }
                '\\' => match escape(rest).filter(|_| self.quote == Quote::Double) {
                    Some((byte, len)) => {
                        parts.push(Part::Byte(byte));
                        rest = rest.get(len..).unwrap_or_default();
                    }
                    None => {
                        let next = rest.chars().next().unwrap_or('\\');
                        push(&mut parts, next);
                        rest = rest.get(next.len_utf8()..).unwrap_or_default();
                    }
                },
                c => push(&mut parts, c),
            }
        }
        Ok(Pattern::glob(Glob(parts)))
    }

    /// A point in time, in nanoseconds since 1970.
    pub(super) fn time(&self, scanner: &Scanner<'_>) -> Result<i128, FilterError> {
        let time: Result<jiff::Timestamp, _> = self.raw.parse();
        time.map(jiff::Timestamp::as_nanosecond).map_err(|_| {
            scanner
                .error(
                    self.at(),
                    format!("{} is not a point in time", quoted(self.raw)),
                )
                .help("a time is written as 2026-11-23T14:04:05Z or 2026-11-23T15:04:05.123+01:00")
        })
    }
}

fn push(parts: &mut Vec<Part>, c: char) {
    let mut buffer = [0; 4];
    parts.extend(c.encode_utf8(&mut buffer).bytes().map(Part::Byte));
}

/// The rest of a class after its `[`, and what follows it.
fn class(text: &str) -> Option<(Part, &str)> {
    let inner = text.strip_prefix(['!', '^']);
    let within = inner.is_none();
    let mut rest = inner.unwrap_or(text);
    let mut ranges = Vec::new();
    fn one(rest: &str) -> Option<(char, &str)> {
        let rest = rest.strip_prefix('\\').unwrap_or(rest);
        let c = rest.chars().next()?;
        Some((c, rest.get(c.len_utf8()..)?))
    }
    loop {
        // The first one may be a closing bracket itself.
        if !ranges.is_empty()
            && let Some(after) = rest.strip_prefix(']')
        {
            return Some((Part::Class(within, ranges), after));
        }
        let (first, after) = one(rest)?;
        let range = after
            .strip_prefix('-')
            .filter(|rest| !rest.starts_with(']'));
        let (last, after) = match range {
            Some(rest) => one(rest)?,
            None => (first, after),
        };
        if first > last {
            return None;
        }
        ranges.push((first, last));
        rest = after;
    }
}

/// The byte that an escape stands for, and how long it is after its backslash.
fn escape(text: &str) -> Option<(u8, usize)> {
    Some(match text.as_bytes() {
        [b'n', ..] => (b'\n', 1),
        [b't', ..] => (b'\t', 1),
        [b'r', ..] => (b'\r', 1),
        [b'0', ..] => (0, 1),
        [c @ (b'\\' | b'"' | b'\''), ..] => (*c, 1),
        [b'x', high, low, ..] => (byte(*high, *low)?, 3),
        _ => return None,
    })
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
