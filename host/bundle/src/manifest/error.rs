//! What is wrong with a manifest or a file of gadgets, and where.

use super::place::{Place, Places};
use std::fmt;

/// Problems that are shown; a manifest that was made to have thousands is no reason to scroll for them.
const MOST_SHOWN: usize = 20;
/// Characters of one problem that are kept, and of the longest name that is quoted in one.
const MOST_CHARACTERS: usize = 1000;

/// What a problem says: names in it may be of any length and hold what a terminal would act on.
fn bounded(message: &str) -> String {
    let mut kept = String::with_capacity(message.len().min(MOST_CHARACTERS));
    for c in message.chars().take(MOST_CHARACTERS) {
        if c.is_control() {
            kept.extend(c.escape_default());
        } else {
            kept.push(c);
        }
    }
    if message.chars().nth(MOST_CHARACTERS).is_some() {
        kept.push_str("...");
    }
    kept
}

/// One thing that is wrong with a manifest, or with a file of gadgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// Where in the file; none where the thing stands nowhere.
    pub place: Option<Place>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{}:{place}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// All that was found wrong with a manifest, or with a file of gadgets, in the order of the text; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The problems, one a line when shown.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(MOST_SHOWN).enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        match self.problems.len().checked_sub(MOST_SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ManifestError {}

impl ManifestError {
    pub(crate) fn one(file: &str, place: Option<Place>, message: impl Into<String>) -> Self {
        Self {
            problems: vec![Problem {
                file: file.to_owned(),
                place,
                message: bounded(&message.into()),
            }],
        }
    }
}

/// Collects problems; paths become places.
pub(crate) struct Problems<'a> {
    places: &'a Places,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(places: &'a Places) -> Self {
        Self {
            places,
            found: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, path: &str, message: impl Into<String>) {
        let place = self.places.at(path);
        self.found.push(Problem {
            file: self.places.file().to_owned(),
            place,
            message: bounded(&message.into()),
        });
    }

    pub(super) fn line(&self, path: &str) -> Option<usize> {
        self.places.at(path).map(|place| place.line)
    }

    /// Nothing, or all problems in the order of the text; those that stand nowhere come last.
    pub(crate) fn finish(mut self) -> Result<(), ManifestError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|p| {
            p.place.unwrap_or(Place {
                line: usize::MAX,
                column: usize::MAX,
            })
        });
        Err(ManifestError {
            problems: self.found,
        })
    }
}
