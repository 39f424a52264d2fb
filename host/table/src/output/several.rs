//! Several outputs of the same rows.

use std::sync::Arc;
use std::time::Duration;

use super::{Output, OutputLedger};
use crate::schema::Rows;

/// Outputs that all get the same rows and take those of the tables that they show, each with a thread,
/// a queue and a ledger of its own: one that is slow or fails takes nothing from the others.
///
/// The first is the main one: what it can't write ends the run. The others have their ledgers under
/// their own names. One that several gadgets share is the same output in the set of each.
#[derive(Debug)]
pub struct Outputs {
    first: Arc<Output>,
    others: Vec<(String, Arc<Output>)>,
}

impl Outputs {
    /// The main output alone.
    #[must_use]
    pub fn new(first: impl Into<Arc<Output>>) -> Self {
        Self {
            first: first.into(),
            others: Vec::new(),
        }
    }

    /// Adds another by its name, such as `parquet=x.parquet`.
    pub fn add(&mut self, name: String, output: impl Into<Arc<Output>>) {
        self.others.push((name, output.into()));
    }

    /// Hands rows to every output; see [`Output::push`].
    pub fn push(&self, rows: Rows) {
        for (_, output) in &self.others {
            // Arrays are shared.
            output.push(rows.clone());
        }
        self.first.push(rows);
    }

    /// Whether the main output can write no more.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.first.closed()
    }

    /// Those of the others that can write no more, with what went wrong. Takes locks: not for
    /// every span.
    #[must_use]
    pub fn failed(&self) -> Vec<(&str, String)> {
        let failed = self.others.iter().filter(|(_, output)| output.closed());
        failed
            .map(|(name, output)| (name.as_str(), output.ledger().error.unwrap_or_default()))
            .collect()
    }

    /// Ends all of them, each as [`Output::finish`] does, so nobody else may push to them any more; gives the ledger of the main one and
    /// those of the others.
    #[must_use]
    pub fn finish(self, patience: Option<Duration>) -> (OutputLedger, Vec<(String, OutputLedger)>) {
        let Self { first, others } = self;
        // All of them write what waits at the same time.
        for (_, output) in &others {
            output.end();
        }
        let first = first.finish(patience);
        let others = others
            .into_iter()
            .map(|(name, output)| (name, output.finish(patience)))
            .collect();
        (first, others)
    }
}
