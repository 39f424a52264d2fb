//! System calls that the standard library has no names for. Everything above this module is safe Rust,
//! but for the mapped ring (`ring/mapping.rs`).

pub(crate) mod bpf;
pub(crate) mod btf;
pub(crate) mod os;
pub(crate) mod packet;
pub(crate) mod program;
