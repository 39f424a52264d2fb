//! The guest, by its language: what there is in the gadget's folder decides.

mod python;
mod rust;

pub(super) use python::installed as python_installed;
pub(super) use rust::installed;

use super::BuildError;
use std::path::Path;

/// What a guest is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// There is a `Cargo.toml`.
    Rust,
    /// There is a `guest.py`.
    Python,
}

impl Language {
    /// Every language, and the file by which it is known.
    const ALL: [(Self, &'static str); 2] = [
        (Self::Rust, "Cargo.toml"),
        (Self::Python, python::FILE_NAME),
    ];

    /// The language of the guest in `folder`; none: the host's decoder alone makes the rows.
    ///
    /// # Errors
    ///
    /// The folder holds guests in more than one.
    pub fn of(folder: &Path) -> Result<Option<Self>, BuildError> {
        let found: Vec<_> = Self::ALL
            .into_iter()
            .filter(|(_, file)| folder.join(file).is_file())
            .collect();
        match found.as_slice() {
            [] => Ok(None),
            [(language, _)] => Ok(Some(*language)),
            [(_, one), (_, other), ..] => Err(BuildError::Languages {
                folder: folder.to_owned(),
                one,
                other,
            }),
        }
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

/// A guest whose tool makes components itself, for the world that was generated.
#[derive(Debug)]
pub(super) struct Finished {
    /// The component.
    pub(super) component: Vec<u8>,
    /// The tool's name and version.
    pub(super) compiler: String,
}

/// What a language's compiler leaves.
#[derive(Debug)]
pub(super) enum Made {
    /// A module.
    Core(Core),
    /// A component.
    Finished(Finished),
}

/// Compiles the guest in `folder`.
pub(super) fn compile(folder: &Path, language: Language) -> Result<Made, BuildError> {
    match language {
        Language::Rust => rust::compile(folder).map(Made::Core),
        Language::Python => python::compile(folder).map(Made::Finished),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_told_by_what_lies_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Language::of(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("guest.py"), "").unwrap();
        assert_eq!(Language::of(folder.path()).unwrap(), Some(Language::Python));
        std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        let error = Language::of(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("Cargo.toml") && error.contains("guest.py"),
            "{error}"
        );
    }
}
