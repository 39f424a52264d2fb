//! What every table's rows share.

use crate::host;

/// Rows kept before they are handed over in the midst of a call.
pub const MOST_ROWS: u32 = 32 * 1024;

/// The part of a table's rows that does not depend on its columns.
#[derive(Debug)]
pub struct Head {
    table: u16,
    rows: u32,
    /// Bit n: somebody needs guest column n. Asked once a call, with the first row.
    wanted: Option<u64>,
    origin: Vec<u32>,
}

impl Head {
    /// No rows of table `table` (its place in the manifest).
    #[must_use]
    pub const fn new(table: u16) -> Self {
        Self {
            table,
            rows: 0,
            wanted: None,
            origin: Vec::new(),
        }
    }

    /// The table's place in the manifest.
    #[must_use]
    pub fn table(&self) -> u16 {
        self.table
    }

    /// The rows that wait to be handed over.
    #[must_use]
    #[inline(always)]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Per row the offset of its record.
    #[must_use]
    pub fn origin(&self) -> &[u32] {
        &self.origin
    }

    /// Which of the guest's columns, whose places in the table `columns` gives, somebody needs.
    #[inline(always)]
    pub fn wanted(&mut self, columns: &[u16]) -> u64 {
        match self.wanted {
            Some(wanted) => wanted,
            None => self.ask(columns),
        }
    }

    #[cold]
    fn ask(&mut self, columns: &[u16]) -> u64 {
        let wanted = if columns.is_empty() {
            0
        } else {
            mask(columns, &host::wanted(self.table))
        };
        self.wanted = Some(wanted);
        wanted
    }

    /// Counts a row that comes from no record.
    #[inline(always)]
    pub fn count(&mut self) {
        self.rows += 1;
    }

    /// Counts a row that comes from the record at `origin`.
    #[inline(always)]
    pub fn count_from(&mut self, origin: u32) {
        self.origin.push(origin);
        self.rows += 1;
    }

    /// No rows again, after they were handed over.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.origin.clear();
    }

    /// Ends the table's frame, once its rows were handed over.
    pub fn end_frame(&self) {
        host::end_frame(self.table);
    }

    /// The next call begins: what is wanted may have changed.
    #[inline(always)]
    pub fn begin(&mut self) {
        self.wanted = None;
    }
}

/// Bit n: `columns[n]` is in `wanted`, which ascends as `columns` do.
fn mask(columns: &[u16], wanted: &[u16]) -> u64 {
    let mut mask = 0;
    let mut wanted = wanted.iter().peekable();
    for (bit, column) in columns.iter().enumerate().take(64) {
        while wanted.next_if(|next| *next < column).is_some() {}
        if wanted.next_if_eq(&column).is_some() {
            mask |= 1 << bit;
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_columns_become_bits() {
        assert_eq!(mask(&[1, 4, 9], &[0, 1, 2, 9]), 0b101);
        assert_eq!(mask(&[1, 4, 9], &[4]), 0b010);
        assert_eq!(mask(&[1, 4, 9], &[]), 0);
        assert_eq!(mask(&[], &[1]), 0);
    }
}
