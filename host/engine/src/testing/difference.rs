//! What differs between two lists of rows, in a few lines for people.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::ops::Range;

/// The most rows that are shown; how many more there are is said.
const MOST_ROWS: usize = 10;
/// The most bytes of a line, and of a value in one.
const MOST_LINE: usize = 400;
const MOST_VALUE: usize = 150;
/// The most pairs of lines that are compared to find which rows moved: 2,000 rows against 2,000.
const MOST_PAIRS: usize = 4_000_000;

/// What differs between the rows that were expected and those there are, one a line: by the number of the row, from 1, the
/// fields that are others, or the whole row where it is missing or new. Empty: nothing.
#[must_use]
pub fn differences(expected: &[u8], now: &[u8]) -> Vec<String> {
    let (old, new) = (lines(expected), lines(now));
    let mut told = Vec::new();
    let mut differ = 0;
    for (from, to) in blocks(&old, &new) {
        let pairs = from.len().min(to.len());
        for (from, to) in from.clone().zip(to.clone()) {
            differ += 1;
            if let (Some(old), Some(new), true) = (old.get(from), new.get(to), differ <= MOST_ROWS)
            {
                changed(from + 1, old, new, &mut told);
            }
        }
        for (rows, lines, what, sign) in
            [(from, &old, "is missing", '-'), (to, &new, "is new", '+')]
        {
            for row in rows.skip(pairs) {
                differ += 1;
                if let (Some(line), true) = (lines.get(row), differ <= MOST_ROWS) {
                    told.push(format!("row {} {what}", row + 1));
                    told.push(format!("  {sign} {}", shown(line)));
                }
            }
        }
    }
    if differ > MOST_ROWS {
        told.push(format!("... and {} more", differ - MOST_ROWS));
    }
    if differ > 0 || expected != now {
        told.insert(
            0,
            match differ {
                0 => "the rows are the same, but not the bytes of their last line's end".to_owned(),
                _ => format!(
                    "rows that differ: {differ}; {} were expected, there are {}",
                    old.len(),
                    new.len()
                ),
            },
        );
    }
    told
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == b'\n').collect()
}

/// Where the two differ: ranges of the one and of the other that take each other's place.
fn blocks(old: &[&[u8]], new: &[&[u8]]) -> Vec<(Range<usize>, Range<usize>)> {
    let same = |pair: &(&&[u8], &&[u8])| pair.0 == pair.1;
    let begin = old.iter().zip(new).take_while(same).count();
    let (old_rest, new_rest) = (
        old.get(begin..).unwrap_or_default(),
        new.get(begin..).unwrap_or_default(),
    );
    let end = old_rest.iter().rev().zip(new_rest.iter().rev());
    let end = end.take_while(same).count();
    let old_rest = old_rest.get(..old_rest.len() - end).unwrap_or_default();
    let new_rest = new_rest.get(..new_rest.len() - end).unwrap_or_default();
    if old_rest.is_empty() && new_rest.is_empty() {
        return Vec::new();
    }
    if old_rest.len().saturating_mul(new_rest.len()) > MOST_PAIRS {
        return vec![(begin..begin + old_rest.len(), begin..begin + new_rest.len())];
    }
    let common = common(old_rest, new_rest);
    let mut blocks = Vec::new();
    let (mut from, mut to) = (0, 0);
    for (i, j) in common.into_iter().chain([(old_rest.len(), new_rest.len())]) {
        if from < i || to < j {
            blocks.push((begin + from..begin + i, begin + to..begin + j));
        }
        (from, to) = (i + 1, j + 1);
    }
    blocks
}

/// The longest common subsequence, as pairs of indexes.
fn common(old: &[&[u8]], new: &[&[u8]]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    // How long it is from (i, j) on.
    let mut lengths = vec![0_u32; (old.len() + 1) * width];
    let at = |lengths: &[u32], i: usize, j: usize| lengths.get(i * width + j).copied().unwrap_or(0);
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let length = if a == b {
                at(&lengths, i + 1, j + 1) + 1
            } else {
                at(&lengths, i + 1, j).max(at(&lengths, i, j + 1))
            };
            if let Some(place) = lengths.get_mut(i * width + j) {
                *place = length;
            }
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        if a == b {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if at(&lengths, i + 1, j) >= at(&lengths, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// One row in place of another: its fields that are others, or all of it where it is no object or differs in its writing.
fn changed(row: usize, old: &[u8], new: &[u8], told: &mut Vec<String>) {
    let object = |line| serde_json::from_slice::<Map<String, Value>>(line).ok();
    let fields: Option<Vec<_>> = object(old).zip(object(new)).map(|(old, new)| {
        let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
        let pairs = names.into_iter().map(|name| {
            let pair = (old.get(&name).cloned(), new.get(&name).cloned());
            (name, pair)
        });
        pairs.filter(|(_, (old, new))| old != new).collect()
    });
    match fields.filter(|fields| !fields.is_empty()) {
        Some(fields) => {
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            told.push(cut(&format!("row {row}: {}", names.join(", ")), MOST_LINE));
            for (sign, side) in [('-', 0), ('+', 1)] {
                let values = fields.iter().map(|(name, (old, new))| {
                    let value = if side == 0 { old } else { new };
                    let value = value.as_ref().map(ToString::to_string);
                    let value = value.unwrap_or_else(|| "(not there)".to_owned());
                    format!("{name}: {}", cut(&value, MOST_VALUE))
                });
                let values: Vec<String> = values.collect();
                told.push(format!("  {sign} {}", cut(&values.join(", "), MOST_LINE)));
            }
        }
        None => {
            told.push(format!("row {row}"));
            told.push(format!("  - {}", shown(old)));
            told.push(format!("  + {}", shown(new)));
        }
    }
}

fn shown(line: &[u8]) -> String {
    cut(&String::from_utf8_lossy(line), MOST_LINE)
}

/// At most so many bytes of a text, without what a terminal would obey.
fn cut(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    let mut short: String = text
        .get(..end)
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if end < text.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> String {
        differences(old.as_bytes(), new.as_bytes()).join("\n")
    }

    #[test]
    fn rows_that_are_the_same_have_no_differences() {
        assert_eq!(told("", ""), "");
        assert_eq!(told("{\"a\":1}\n", "{\"a\":1}\n"), "");
    }

    #[test]
    fn a_row_that_changed_shows_which_fields() {
        assert_eq!(
            told(
                "{\"a\":1,\"b\":2}\n{\"a\":1,\"b\":2,\"c\":3}\n",
                "{\"a\":1,\"b\":2}\n{\"a\":1,\"b\":\"x\",\"d\":null}\n"
            ),
            "rows that differ: 1; 2 were expected, there are 2\n\
             row 2: b, c, d\n  \
               - b: 2, c: 3, d: (not there)\n  \
               + b: \"x\", c: (not there), d: null"
        );
    }

    #[test]
    fn rows_that_are_missing_or_new_do_not_shift_the_others() {
        assert_eq!(
            told(
                "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n",
                "{\"n\":2}\n{\"n\":3}\n{\"n\":9}\n{\"n\":4}\n"
            ),
            "rows that differ: 2; 4 were expected, there are 4\n\
             row 1 is missing\n  - {\"n\":1}\n\
             row 3 is new\n  + {\"n\":9}"
        );
    }

    #[test]
    fn what_differs_in_its_writing_alone_is_shown_whole() {
        assert_eq!(
            told("{\"a\": 1}\n", "{\"a\":1}\n"),
            "rows that differ: 1; 1 were expected, there are 1\n\
             row 1\n  - {\"a\": 1}\n  + {\"a\":1}"
        );
        assert!(told("{\"a\":1}", "{\"a\":1}\n").contains("last line's end"));
        assert!(told("no json\n", "{}\n").contains("- no json"));
    }

    #[test]
    fn what_is_shown_is_bounded_and_obeyed_by_no_terminal() {
        let many = |n: usize, value: &str| format!("{{\"a\":\"{value}\"}}\n").repeat(n);
        let text = told(&many(2_500, "x"), &many(2_400, "y"));
        assert!(text.starts_with("rows that differ: 2500;"), "{text}");
        assert!(text.ends_with("... and 2490 more"), "{text}");
        let long = "é".repeat(5_000);
        let text = told(&many(3, "a"), &many(3, &long));
        assert!(text.len() < 3_000, "{}", text.len());
        assert!(!told("a\n", "\u{1b}[31m\n").contains('\u{1b}'));
    }
}
