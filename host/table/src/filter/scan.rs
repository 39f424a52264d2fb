//! The words, signs and values that a filter's text is made of.

use std::ops::Range;

use super::error::{FilterError, quoted};

/// How a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quote {
    /// Bare, up to a space, a comma, or a parenthesis that it did not open.
    None,
    /// `'...'`: as it stands.
    Single,
    /// `"..."`: with escapes.
    Double,
}

/// A value as it was written.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    /// Without quotes.
    pub(super) raw: &'a str,
    pub(super) quote: Quote,
    /// Where `raw` begins in the filter.
    pub(super) start: usize,
}

/// A position in the filter's text.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    pub(super) fn error(&self, at: Range<usize>, reason: impl Into<String>) -> FilterError {
        FilterError::new(self.text, at, reason)
    }

    /// After spaces: takes `sign` if it comes next.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        self.spaces();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// After spaces: takes the word `keyword`, in any case, if it comes next.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        self.spaces();
        let found = self
            .name()
            .is_some_and(|name| name.eq_ignore_ascii_case(keyword));
        if found {
            self.at += keyword.len();
        }
        found
    }

    /// The name that comes next, without taking it.
    pub(super) fn name(&self) -> Option<&'a str> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        if !(first.is_alphabetic() || first == '_') {
            return None;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
        rest.get(..end.unwrap_or(rest.len()))
    }

    /// What comes next, up to a space, for a message: never empty but at the end.
    pub(super) fn next_word(&self) -> Range<usize> {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')'));
        let first = rest.chars().next().map_or(0, char::len_utf8);
        self.at..self.at + end.unwrap_or(rest.len()).max(first)
    }

    /// After spaces: a value. `pattern`: a bare one may begin with a parenthesis.
    pub(super) fn value(&mut self, pattern: bool) -> Result<Value<'a>, FilterError> {
        self.spaces();
        let rest = self.rest();
        match rest.chars().next() {
            Some('"') => self.quoted('"', Quote::Double),
            Some('\'') => self.quoted('\'', Quote::Single),
            Some('(') if pattern => Ok(self.bare()),
            None => Err(self.error(self.at..self.at, "a value is missing at the end")),
            Some('=' | '!' | '<' | '>' | '&' | '|' | '(' | ')' | ',') => Err(self
                .error(
                    self.next_word(),
                    format!("expected a value, found {}", self.found()),
                )
                .help("a value that begins with a sign has to be in quotes")),
            Some(_) => Ok(self.bare()),
        }
    }

    /// What comes next, for a message.
    pub(super) fn found(&self) -> String {
        let text = self.text.get(self.next_word()).unwrap_or_default();
        if text.is_empty() {
            "the end".to_owned()
        } else {
            quoted(text)
        }
    }

    fn bare(&mut self) -> Value<'a> {
        let rest = self.rest();
        let mut open = 0_usize;
        let mut chars = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            let ends = match c {
                '\\' => {
                    // An escaped space belongs to the value; other space ends it.
                    let next = chars.clone().next().map(|(_, c)| c);
                    if next.is_some_and(|c| c == ' ' || !c.is_whitespace()) {
                        chars.next();
                    }
                    false
                }
                '(' => {
                    open += 1;
                    false
                }
                ')' if open > 0 => {
                    open -= 1;
                    false
                }
                ')' | ',' => true,
                '&' | '|' => rest.get(at + 1..).is_some_and(|rest| rest.starts_with(c)),
                c => c.is_whitespace(),
            };
            if ends {
                end = at;
                break;
            }
        }
        let start = self.at;
        self.at += end;
        Value {
            raw: rest.get(..end).unwrap_or_default(),
            quote: Quote::None,
            start,
        }
    }

    fn quoted(&mut self, mark: char, quote: Quote) -> Result<Value<'a>, FilterError> {
        let open = self.at;
        let start = open + 1;
        let inner = self.text.get(start..).unwrap_or_default();
        let mut chars = inner.char_indices();
        let end = loop {
            match chars.next() {
                Some((at, c)) if c == mark => break at,
                Some((_, '\\')) if quote == Quote::Double => {
                    chars.next();
                }
                Some(_) => {}
                None => {
                    return Err(self.error(open..start, "this quote is not closed"));
                }
            }
        };
        self.at = start + end + 1;
        let goes_on = self
            .rest()
            .starts_with(|c: char| !(c.is_whitespace() || matches!(c, ',' | ')' | '&' | '|')));
        if goes_on {
            return Err(self
                .error(self.next_word(), "this stands directly after a quoted value")
                .help("a quoted value ends at its closing quote; \\\" is a quote within double quotes"));
        }
        Ok(Value {
            raw: inner.get(..end).unwrap_or_default(),
            quote,
            start,
        })
    }
}
