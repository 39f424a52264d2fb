//! A mistake in a filter, shown under the text with a caret.

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthStr as _;

use crate::text::is_hazardous;

/// How many characters of a long filter are shown on each side of the mistake.
const AROUND: usize = 60;

/// A mistake in the text of a filter.
///
/// Its text has three lines or four: the reason; the line of the filter that holds the mistake;
/// carets under the mistake; and, where it helps, what may stand there.
///
/// ```text
/// no column is named "comn", did you mean "comm"?
///   comn == cat
///   ^^^^
///   columns are pid, comm, path
/// ```
///
/// Characters that could command a terminal are shown as U+FFFD, tabs as one space, and carets
/// stand where a terminal shows the mistake, wide characters counted as two cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    at: Range<usize>,
    reason: String,
    help: Option<String>,
    line: String,
    indent: usize,
    carets: usize,
}

impl FilterError {
    /// `at`: the bytes of `text` that are wrong; empty at the end: something is missing.
    pub(super) fn new(text: &str, at: Range<usize>, reason: impl Into<String>) -> Self {
        let start = floor(text, at.start);
        let end = floor(text, at.end.max(start));
        let before = text.get(..start).unwrap_or_default();
        let rest = text.get(start..).unwrap_or_default();
        let wrong = text.get(start..end).unwrap_or_default();
        let before = before.rsplit('\n').next().unwrap_or_default();
        let wrong = wrong.split('\n').next().unwrap_or_default();
        let rest = rest.split('\n').next().unwrap_or_default();
        let after = rest.get(wrong.len()..).unwrap_or_default();

        let mut line = String::new();
        let skipped = before.chars().count().saturating_sub(AROUND);
        if skipped > 0 {
            line.push('…');
        }
        line.extend(before.chars().skip(skipped).map(shown));
        let indent = line.width();
        let carets: String = wrong.chars().take(AROUND).map(shown).collect();
        line.push_str(&carets);
        let carets = line.width().saturating_sub(indent).max(1);
        if wrong.chars().count() > AROUND || after.chars().count() > AROUND {
            line.extend(after.chars().take(AROUND).map(shown));
            line.push('…');
        } else {
            line.extend(after.chars().map(shown));
        }
        line.truncate(line.trim_end().len());
        Self {
            at: start..end,
            reason: reason.into(),
            help: None,
            line,
            indent,
            carets,
        }
    }

    /// Adds a line that says what may stand there.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What may stand there instead, in one line.
    #[must_use]
    pub fn possible(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The bytes of the filter's text that are wrong; empty where something is missing.
    #[must_use]
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            line,
            indent,
            carets,
            ..
        } = self;
        write!(f, "{reason}\n  {line}\n  {:indent$}{:^<carets$}", "", "")?;
        match &self.help {
            Some(help) => write!(f, "\n  {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FilterError {}

/// The nearest boundary of characters at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

fn shown(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_hazardous(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// A part of a filter's text as it may stand in a message: quoted, and not too long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{:?}", format!("{}…", text.get(..cut).unwrap_or_default())),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, at: Range<usize>) -> String {
        FilterError::new(text, at, "wrong").to_string()
    }

    #[test]
    fn the_caret_stands_under_the_mistake() {
        assert_eq!(show("a == b", 5..6), "wrong\n  a == b\n       ^");
        assert_eq!(show("abc", 0..3), "wrong\n  abc\n  ^^^");
        assert_eq!(show("abc ", 4..4), "wrong\n  abc\n      ^");
        assert_eq!(show("", 0..0), "wrong\n  \n  ^");
        assert_eq!(show("漢字 == x", 10..11), "wrong\n  漢字 == x\n          ^");
        assert_eq!(show("漢字", 0..6), "wrong\n  漢字\n  ^^^^");
        assert_eq!(show("e\u{301} x", 4..5), "wrong\n  e\u{301} x\n    ^");
        assert_eq!(show("\t\tx", 2..3), "wrong\n    x\n    ^");
        assert_eq!(show("\x1b[2Jx", 4..5), "wrong\n  \u{fffd}[2Jx\n      ^");
    }

    #[test]
    fn only_the_line_of_the_mistake_is_shown() {
        assert_eq!(show("a\nbc\nd", 3..4), "wrong\n  bc\n   ^");
        assert_eq!(show("a\nbc\nd", 2..6), "wrong\n  bc\n  ^^");
        let long = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let want = format!(
            "wrong\n  …{}x{}…\n  {}^",
            "a".repeat(60),
            "b".repeat(60),
            " ".repeat(61)
        );
        assert_eq!(show(&long, 500..501), want);
        // Never in the midst of a character, never beyond the end.
        assert_eq!(show("é", 1..2), "wrong\n  é\n  ^");
        assert_eq!(show("é", 7..9), "wrong\n  é\n   ^");
    }
}
