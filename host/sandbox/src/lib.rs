#![allow(
    unsafe_code,
    reason = "cached machine code is loaded, and the typed call of an export is made without a second type check; each place proves why"
)]
//! Guests: engine, limits, one module per host interface.
//!
//! A gadget's guest is a WebAssembly component made for the contract in `wit/`. This crate compiles it in a confined
//! child (or takes the machine code from a cache of its own), links the interfaces that were granted, and calls it under limits.
//! What the guest asks for goes through the trait [`Host`], which the caller implements; this crate knows
//! neither tables nor kernels.
//!
//! ```text
//! Sandbox::new -> load(component) -> Program -> instantiate(host, limits, grants) -> Guest
//!                                                                     init, process, tick, added, removed, stop, restart
//! ```
//!
//! **What a guest can't do**: run longer than its CPU time ([`Limits`]), take more memory than its cap, call back without end,
//! reach anything that was not linked, survive its own trap (a [`Guest`] that trapped answers nothing until
//! [`Guest::restart`] made it anew). Each of these ends in one [`Trap`] with one line and the guest's
//! own function names.

mod cache;
mod compiler;
mod contract;
mod deadline;
mod engine;
mod guest;
mod host;
mod limits;
mod program;
mod trap;

#[cfg(test)]
mod tests;

pub use cache::{CacheProblem, CacheUse};
pub use compiler::{CompileLimits, Compiler, compile_child};
pub use contract::CONTRACT_VERSION;
pub use guest::{Guest, StartError};
pub use host::{ColumnView, EmitError, Grants, Host, Level, MapError, Verdict};
pub use limits::Limits;
pub use program::{LoadError, Program, Sandbox, SandboxOptions};
pub use trap::{Trap, TrapKind};
