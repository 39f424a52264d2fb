//! One running gadget: kernel to sandbox to table, and the ledgers.

mod assembly;
pub mod columns;
pub mod command;
pub mod containers;
mod contents;
pub mod doctor;
mod early;
mod filters;
mod guest;
mod hold;
mod identity;
mod iterators;
mod join;
pub mod ledger;
pub mod listing;
pub mod options;
mod owners;
mod pipeline;
mod plan;
mod questions;
pub mod record;
pub mod recording;
pub mod replay;
pub mod run;
pub mod selection;
mod sink;
pub mod stop;
pub mod testing;
mod timers;
mod watch;

pub use guest::Say;
pub use ig_bundle::{build, manifest, several};
pub use ig_sandbox::{CONTRACT_VERSION, compile_child};
/// Bundles, as the store and the command line see them.
pub mod bundle {
    pub use ig_bundle::{Arch, Bundle, BundleError};
}
/// Everything in a bundle.
pub mod inspect {
    use ig_bundle::BundleError;
    pub use ig_bundle::inspect::Inspection;
    use std::path::Path;

    /// Looks at the bundle at `path`, with the columns as a run makes them.
    ///
    /// # Errors
    /// As for opening it.
    pub fn inspect(path: &Path) -> Result<Inspection, BundleError> {
        ig_bundle::inspect::inspect(path, &crate::columns::complete)
    }
}
/// How rows leave.
pub mod output {
    pub use ig_table::columns::{TerminalOptions, TerminalSize};
    pub use ig_table::output::{FileOptions, Format, OutputSpec, OutputSpecError};
    pub use ig_table::{Column, Table};
}
