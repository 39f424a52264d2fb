//! What a gadget's guest stands on.
//!
//! Authors do not use this crate directly: the crate `gadget`, which `ig image build` generates for each gadget
//! from its manifest and its records' BTF, shows what they need of it under their gadget's own names.
//!
//! Everything but [`host`] is plain Rust that runs anywhere: on another target than WebAssembly, [`host`] is a
//! stand-in ([`testing`]) and a gadget's logic can be tested and measured natively.

pub mod clock;
pub mod column;
pub mod containers;
pub mod emit;
pub mod host;
pub mod log;
pub mod maps;
pub mod params;
pub mod record;
pub mod rows;
pub mod span;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod text;
pub mod timers;
pub mod verdict;
