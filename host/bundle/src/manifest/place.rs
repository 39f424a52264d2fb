//! Where in the manifest's text things stand.

use std::collections::BTreeMap;
use std::fmt;

/// A place in a text: line and column, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The places of all values of a document, by path: `tables.0.columns.2.kind`.
///
/// Two of them are always equal: where a thing stands does not change what a manifest says.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub(super) file: String,
    pub(super) by_path: BTreeMap<String, Place>,
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    /// The name of the file that was read; empty for a manifest that was not read from text.
    #[must_use]
    pub fn file(&self) -> &str {
        if self.file.is_empty() {
            super::FILE_NAME
        } else {
            &self.file
        }
    }

    /// The place of the value at `path`, or of the nearest thing around it that stands in the text.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.by_path.get(path) {
                return Some(*place);
            }
            path = path.rsplit_once('.')?.0;
        }
    }
}
