//! An eBPF object's bytes: ELF and BTF walker, struct layouts, made ready for the loader.
//!
//! Nothing here touches the kernel or needs a privilege, and nothing here trusts the bytes: every read
//! is bounded, every chain and nesting has a limit, and what is wrong is an error.
//!
//! - [`Object`]: programs, maps, variables and the gadget's declarations of an object;
//! - [`btf`]: the types of an object or of the kernel, and the layout of structs;
//! - [`prepare()`]: the object's bytes as the loader accepts them;
//! - [`slim()`]: the kernel's BTF with only the types that an object needs.

pub mod btf;
mod core_relocations;
mod elf;
#[cfg(test)]
mod fixture;
mod maps;
mod nearest;
mod object;
mod prepare;
mod programs;
mod slim;
mod variables;

pub use core_relocations::{CoreRelocation, RelocationKind};
pub use maps::Map;
pub use nearest::nearest;
pub use object::{Object, ObjectError, Snapshotter, Tracer};
pub use prepare::{AlignedBytes, MapValue, Note, PrepareOptions, Prepared, prepare};
pub use programs::{Hook, Program};
pub use slim::{Needed, slim};
pub use variables::Variable;
