//! `--filter`: which rows a user wants, as a condition on their columns.
//!
//! The grammar is that of `docs/filters.md`; every example there is a test. A [`Filter`] is read
//! once against a table, which finds every mistake, and then tells of whole columns which rows
//! hold ([`Filter::apply`]); [`Rows::filtered`] takes them.
//!
//! - A filter that could be read can't fail: types were checked when it was read.
//! - Comparisons with null are neither true nor false, as in SQL, and a row is taken when the
//!   whole is true. `not` is moved down to the tests, where null is known; so a mask of two values
//!   is enough.
//! - Tests of one condition run the cheapest first, the others only on the rows that are left.

mod error;
mod eval;
mod literal;
mod mask;
mod number;
mod pair;
mod parse;
mod pattern;
mod scan;
#[cfg(test)]
mod tests;
mod texts;
mod typed;
mod vocabulary;

use std::fmt;
use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_buffer::BooleanBuffer;
use arrow_schema::ArrowError;
use arrow_select::filter::FilterBuilder;

pub use error::FilterError;
use eval::Node;

use crate::kinds::words::Words;
use crate::schema::{Rows, Table};

/// A condition on the rows of one table.
#[derive(Clone)]
pub struct Filter {
    /// All of these hold: the parts of the top-level `and`.
    conditions: Vec<Node>,
    columns: Vec<usize>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.conditions).finish()
    }
}

impl Filter {
    /// Reads the text of a filter. `words`: where words such as `ENOENT`, `O_CREAT` or `root` get
    /// their numbers from.
    ///
    /// # Errors
    /// The first mistake, with its place and what may stand there.
    pub fn parse(text: &str, table: &Table, words: &Words) -> Result<Self, FilterError> {
        let conditions = match parse::parse(text, table, words)? {
            Node::All(nodes) => nodes,
            node => vec![node],
        };
        Ok(Self::of(conditions))
    }

    fn of(conditions: Vec<Node>) -> Self {
        let mut columns = Vec::new();
        conditions
            .iter()
            .for_each(|node| node.columns(&mut columns));
        columns.sort_unstable();
        columns.dedup();
        Self {
            conditions,
            columns,
        }
    }

    /// The indexes of the columns that it looks at, in order: they have to be computed.
    #[must_use]
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Splits it in two which both have to hold: what looks at columns for which `early` says yes
    /// only, and the rest. So the first can run where the other columns are not known yet.
    #[must_use]
    pub fn split(self, early: impl Fn(usize) -> bool) -> (Option<Self>, Option<Self>) {
        let (first, rest): (Vec<Node>, Vec<Node>) = self.conditions.into_iter().partition(|node| {
            let mut columns = Vec::new();
            node.columns(&mut columns);
            columns.into_iter().all(&early)
        });
        let some = |nodes: Vec<Node>| (!nodes.is_empty()).then(|| Self::of(nodes));
        (some(first), some(rest))
    }

    /// The rows that it takes: a bit for each of `rows`, of the table it was read for. A column
    /// that `rows` does not have is null in every row.
    #[must_use]
    pub fn apply(&self, rows: &Rows) -> BooleanBuffer {
        eval::all(&self.conditions, rows, None)
    }
}

/// Rows could not be taken: the mask is not that of these rows, or Arrow can't.
#[derive(Debug, thiserror::Error)]
#[error("table {table}: rows could not be filtered: {cause}")]
pub struct TakeError {
    table: String,
    cause: ArrowError,
}

impl Rows {
    /// The rows whose bit in `mask` is set, with those of their columns whose index `wanted` says
    /// yes to; the others become unknown, so that what only a filter needed is not copied.
    ///
    /// # Errors
    /// When the mask is not as long as the rows are many.
    pub fn filtered(
        &self,
        mask: &BooleanBuffer,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Self, TakeError> {
        let failed = |cause| TakeError {
            table: self.table.name.clone(),
            cause,
        };
        if mask.len() != self.len {
            let reason = format!("a mask of {} for {} rows", mask.len(), self.len);
            return Err(failed(ArrowError::InvalidArgumentError(reason)));
        }
        let taken = mask.count_set_bits();
        let kept = self.columns.iter().enumerate().map(|(index, array)| {
            let array = array.as_ref().filter(|_| wanted(index));
            (index, array)
        });
        let columns = if taken == self.len {
            kept.map(|(_, array)| array.cloned()).collect()
        } else {
            let mask = BooleanArray::new(mask.clone(), None);
            let mut filter = FilterBuilder::new(&mask);
            let several = kept.clone().flat_map(|(_, array)| array).count() > 1;
            if several {
                filter = filter.optimize();
            }
            let filter = filter.build();
            kept.map(|(_, array)| array.map(|array| filter.filter(array)).transpose())
                .collect::<Result<_, _>>()
                .map_err(failed)?
        };
        Ok(Self {
            table: Arc::clone(&self.table),
            columns,
            len: taken,
            wall_offset: self.wall_offset,
            frame: self.frame,
        })
    }
}
