//! Tables of typed columns: schema, kinds, formatting, sinks.
//!
//! Data goes one way through this crate: buffers that a guest emitted, or arrays that a decoder
//! made, become [`Rows`] of a [`Table`], without what is to stay secret ([`redact`]); rows become bytes of
//! a format ([`columns`], [`json`], [`csv`], [`yaml`], [`arrow_stream`], [`parquet_file`]); bytes
//! leave through [`output`], which makes the sender wait only if asked to.
//!
//! Nothing here needs privileges or the kernel, and nothing here is unsafe code.

pub mod arrow_stream;
mod batches;
pub mod buffers;
mod cells;
pub mod columns;
pub mod csv;
mod decimal;
pub mod filter;
pub mod frames;
pub mod json;
pub mod kallsyms;
pub mod kinds;
pub mod names;
pub mod output;
pub mod parquet_file;
pub mod redact;
pub mod schema;
pub mod select;
pub mod text;
pub mod time;
pub mod yaml;

pub use columns::{TerminalOptions, TerminalSize};
pub use filter::{Filter, FilterError};
pub use kinds::open_flags::Arch;
pub use kinds::words::Words;
pub use kinds::{Kind, parse_word};
pub use output::{
    Format, LossReason, Output, OutputLedger, OutputOptions, QueueLimits, ShownTable, TableLedger,
    WhenFull,
};
pub use schema::{Column, DataType, Rows, RowsError, Table};
pub use time::Zone;

#[cfg(test)]
mod sample;
