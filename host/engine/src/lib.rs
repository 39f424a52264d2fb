//! One running gadget: kernel to sandbox to table, and the ledgers.

pub mod columns;
pub mod command;
pub mod doctor;
mod early;
mod guest;
pub mod ledger;
pub mod options;
mod pipeline;
mod plan;
pub mod run;
pub mod stop;
mod timers;

pub use guest::Say;
pub use ig_bundle::{build, inspect, manifest};
pub use ig_sandbox::CONTRACT_VERSION;
/// Bundles, as the store and the command line see them.
pub mod bundle {
    pub use ig_bundle::{Arch, Bundle, BundleError};
}
/// How rows leave.
pub mod output {
    pub use ig_table::columns::{TerminalOptions, TerminalSize};
    pub use ig_table::output::{FileOptions, Format, OutputSpec, OutputSpecError};
    pub use ig_table::{Column, Table};
}
