//! Everything that needs the running kernel. Runs as root; every program looks only at threads of this process.
#![allow(
    unsafe_code,
    reason = "system calls, and a function that a probe can find by name"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these functions are parts of tests"
)]

mod cgroups;
mod costs;
mod filters;
mod hooks;
mod iterators;
mod maps;
mod objects;
mod ring;
mod selected;
