//! Lists of values: comma separated, negated with `!`, with globs.

use super::Verdict;
use super::labels::Wrong;

/// Any of some, and none of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values<T> {
    any: Vec<T>,
    none: Vec<T>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self {
            any: Vec::new(),
            none: Vec::new(),
        }
    }
}

impl<T> Values<T> {
    /// Adds those of a text. A comma in `[..]` is none that separates.
    pub(super) fn add(
        &mut self,
        text: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<(), Wrong> {
        let mut at = 0;
        for part in split(text) {
            let begin = at + (part.len() - part.trim_start().len());
            at += part.len() + 1;
            let part = part.trim();
            let (negated, value) = match part.strip_prefix('!') {
                Some(value) => (true, value.trim_start()),
                None => (false, part),
            };
            let wrong = |why| Wrong { at: begin, why };
            if value.is_empty() {
                let why = "a value is missing here; leave out the comma or '!', or add the value";
                return Err(wrong(why.to_owned()));
            }
            let value = parse(value).map_err(wrong)?;
            let list = if negated {
                &mut self.none
            } else {
                &mut self.any
            };
            list.push(value);
        }
        Ok(())
    }

    /// Of something that has a value; `matches` may not know yet.
    pub(super) fn of(&self, matches: impl Fn(&T) -> Verdict) -> Verdict {
        let any = match self.any.is_empty() {
            true => Verdict::Yes,
            false => super::any(self.any.iter().map(&matches)),
        };
        let none = super::any(self.none.iter().map(&matches));
        super::all([any, none.not()].into_iter())
    }

    /// Of something that has none.
    pub(super) fn of_nothing(&self) -> Verdict {
        self.any.is_empty().into()
    }
}

fn split(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let (mut begin, mut bracket) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            // Without an end it is a character like others.
            '[' => bracket |= text.get(at..).is_some_and(|rest| rest.contains(']')),
            ']' => bracket = false,
            ',' if !bracket => {
                all.extend(text.get(begin..at));
                begin = at + 1;
            }
            _ => {}
        }
    }
    all.extend(text.get(begin..));
    all
}

/// A text, or a pattern: `*` any characters, `?` one, `[a-z]` one of these, `[!a-z]` one that is none of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Glob {
    Text(String),
    Pattern(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Any,
    One,
    Char(char),
    Class(bool, Vec<(char, char)>),
}

impl Glob {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Text(text.to_owned()));
        }
        let mut parts = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let part = match c {
                '*' if parts.last() == Some(&Part::Any) => continue,
                '*' => Part::Any,
                '?' => Part::One,
                '[' => {
                    let negated = rest.next_if(|c| matches!(c, '!' | '^')).is_some();
                    let mut ranges = Vec::new();
                    loop {
                        let unclosed = || format!("the bracket in {text:?} has no end: add ]");
                        let low = rest.next().ok_or_else(unclosed)?;
                        if low == ']' && !ranges.is_empty() {
                            break;
                        }
                        let mut ahead = rest.clone();
                        let high = match (ahead.next(), ahead.next()) {
                            (Some('-'), Some(high)) if high != ']' => {
                                rest = ahead;
                                high
                            }
                            _ => low,
                        };
                        if high < low {
                            return Err(format!(
                                "the range {low}-{high} in {text:?} runs backwards"
                            ));
                        }
                        ranges.push((low, high));
                    }
                    Part::Class(negated, ranges)
                }
                c => Part::Char(c),
            };
            parts.push(part);
        }
        Ok(Self::Pattern(parts))
    }

    /// The text, if it is no pattern.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Pattern(_) => None,
        }
    }

    /// Takes at most the product of both lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let parts = match self {
            Self::Text(own) => return own == text,
            Self::Pattern(parts) => parts,
        };
        // Behind the last `*`, and from where it was tried last.
        let mut again: Option<(usize, &str)> = None;
        let (mut at, mut rest) = (0, text);
        loop {
            let mut chars = rest.chars();
            let next = chars.next();
            match (parts.get(at), next) {
                (Some(Part::Any), _) => {
                    at += 1;
                    again = Some((at, rest));
                    continue;
                }
                (None, None) => return true,
                (Some(part), Some(c)) if part.takes(c) => {
                    at += 1;
                    rest = chars.as_str();
                    continue;
                }
                // Nothing that is left can be what a part needs.
                (Some(_), None) => return false,
                _ => {}
            }
            let Some((behind, from)) = again else {
                return false;
            };
            let mut chars = from.chars();
            if chars.next().is_none() {
                return false;
            }
            again = Some((behind, chars.as_str()));
            (at, rest) = (behind, chars.as_str());
        }
    }
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Char(own) => *own == c,
            Self::Class(negated, ranges) => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn globs_match_whole_texts() {
        for (glob, yes, no) in [
            ("web", &["web"][..], &["webs", "we", ""][..]),
            ("web*", &["web", "web-1"], &["aweb"]),
            ("*web", &["web", "aweb", "webweb"], &["webs"]),
            ("a*b*c", &["abc", "a--b-b-c", "abcbc"], &["acb", "abcb"]),
            ("w?b", &["web", "wäb"], &["wb", "weeb"]),
            ("[ab]x", &["ax", "bx"], &["cx", "x"]),
            ("[a-c]", &["b"], &["d", "-"]),
            ("[!a-c]", &["d", "-"], &["b", ""]),
            ("[^a]", &["b"], &["a"]),
            ("[]]", &["]"], &["["]),
            ("[a-]", &["-", "a"], &["b"]),
            ("[*]", &["*"], &["a"]),
            ("*", &["", "anything"], &[]),
            ("**a", &["a", "ba"], &["ab"]),
        ] {
            let glob_ = Glob::parse(glob).unwrap_or_else(|why| panic!("{why}"));
            for text in yes {
                assert!(glob_.matches(text), "{glob} {text}");
            }
            for text in no {
                assert!(!glob_.matches(text), "{glob} {text}");
            }
        }
        assert!(Glob::parse("a[b").is_err_and(|why| why.contains("add ]")));
        assert!(Glob::parse("[z-a]").is_err_and(|why| why.contains("backwards")));
        assert!(Glob::parse("a*[]").is_err());
    }

    #[test]
    fn many_stars_take_no_time_without_end() {
        let glob = Glob::parse(&"a*".repeat(60)).unwrap_or(Glob::Text(String::new()));
        assert!(!glob.matches(&format!("{}b", "a".repeat(59))));
        let text = "a".repeat(4000);
        assert!(glob.matches(&text));
        assert!(
            !Glob::parse("*a*a*a*a*a*a*a*b")
                .unwrap_or(Glob::Text(String::new()))
                .matches(&text)
        );
    }

    #[test]
    fn lists_are_split_at_commas_outside_of_brackets() {
        assert_eq!(split("a,b"), ["a", "b"]);
        assert_eq!(split("a[,x],b"), ["a[,x]", "b"]);
        assert_eq!(split("a[,b"), ["a[", "b"]);
        assert_eq!(split(""), [""]);
        assert_eq!(split("a,"), ["a", ""]);
    }

    /// As it is written down: by trying everything.
    fn slow(parts: &[Part], text: &[char]) -> bool {
        match (parts.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((Part::Any, more)), _) => {
                slow(more, text)
                    || text
                        .split_first()
                        .is_some_and(|(_, rest)| slow(parts, rest))
            }
            (Some((part, more)), Some((c, rest))) => part.takes(*c) && slow(more, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_trying_everything_matches(
            glob in "[ab*?]{0,8}", text in "[abc]{0,8}"
        ) {
            let glob = Glob::parse(&glob).map_err(TestCaseError::fail)?;
            let chars: Vec<char> = text.chars().collect();
            let expected = match &glob {
                Glob::Text(own) => *own == text,
                Glob::Pattern(parts) => slow(parts, &chars),
            };
            prop_assert_eq!(glob.matches(&text), expected);
        }
    }
}
