//! What the end to end tests stand on: the program as it was built, the bundles of the example
//! gadgets, and a way to run one that never hangs and leaves nothing behind.
//!
//! The program under test is the release one that `cargo xtask test` builds: what users run, and
//! dependencies are then built in two profiles, not three.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness: whatever goes wrong in it must end the test that uses it, with its place"
)]

pub mod build;
pub mod layout;
pub mod loaded;
pub mod pages;
pub mod run;
pub mod runtimes;
pub mod sources;

pub use build::{bundle, gadget, ig};
pub use run::{Finished, Ig, Running};

/// Whether `cargo xtask test --full` asked for everything; otherwise what takes long runs at a
/// tenth.
#[must_use]
pub fn full() -> bool {
    std::env::var_os("IG_TEST_FULL").is_some()
}

/// `n` when everything was asked for, else a tenth of it, at least 1.
#[must_use]
pub fn times(n: u32) -> u32 {
    if full() { n } else { (n / 10).max(1) }
}
