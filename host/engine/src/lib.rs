//! One running gadget: kernel to sandbox to table, and the ledgers.

pub mod command;
pub mod ledger;
pub mod stop;
mod timers;
