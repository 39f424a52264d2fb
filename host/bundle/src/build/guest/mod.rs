//! The guest, by its language: what there is in the gadget's folder decides.

mod rust;

pub(super) use rust::installed;

use super::BuildError;
use std::path::Path;

/// What a guest is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// There is a `Cargo.toml`.
    Rust,
}

impl Language {
    /// The language of the guest in `folder`; none: the host's decoder alone makes the rows.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        folder.join("Cargo.toml").is_file().then_some(Self::Rust)
    }
}

/// A compiled guest that is not a component yet.
#[derive(Debug)]
pub(super) struct Core {
    /// The module.
    pub(super) module: Vec<u8>,
    /// The compiler's name and version.
    pub(super) compiler: String,
}

/// Compiles the guest in `folder`.
pub(super) fn compile(folder: &Path, language: Language) -> Result<Core, BuildError> {
    match language {
        Language::Rust => rust::compile(folder),
    }
}
