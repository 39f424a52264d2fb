//! The guest, by its language: what there is in the gadget's folder decides.

mod c;
mod python;
mod rust;

use super::{BuildError, Requirement};
use std::path::Path;

/// What a guest is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// There is a `Cargo.toml`.
    Rust,
    /// There is a `guest.c`.
    C,
    /// There is a `guest.py`.
    Python,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rust, Self::C, Self::Python];

    /// The language of the guest in `folder`; none: the host's decoder alone makes the rows.
    ///
    /// # Errors
    ///
    /// There are guests in several languages.
    pub fn of(folder: &Path) -> Result<Option<Self>, BuildError> {
        let found = Self::ALL.into_iter();
        let found: Vec<Self> = found
            .filter(|language| folder.join(language.file()).is_file())
            .collect();
        match found[..] {
            [] => Ok(None),
            [language] => Ok(Some(language)),
            _ => Err(BuildError::Languages {
                dir: folder.to_owned(),
                languages: found
                    .iter()
                    .map(|language| format!("{} ({})", language.name(), language.file()))
                    .collect(),
            }),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Python => "Python",
        }
    }

    /// The file in a gadget's folder by which a guest in it is found.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::C => c::FILE_NAME,
            Self::Python => python::FILE_NAME,
        }
    }

    /// The folder below `.ig/gen` in which what it needs is generated.
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Python => "python",
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
        Language::C => c::compile(folder).map(Made::Core),
        Language::Python => python::compile(folder).map(Made::Finished),
    }
}

/// What compiles guests here, a line a language.
pub(super) fn requirements() -> Vec<Requirement> {
    let requirement = |name, purpose, found| Requirement {
        name,
        purpose,
        found: super::requirements::told(found),
    };
    vec![
        requirement(
            "guest-toolchain",
            "`ig image build` compiles guests in Rust with it (under sudo: with the calling user's)",
            rust::installed(),
        ),
        requirement(
            "guest-toolchain-c",
            "`ig image build` compiles guests in C with it",
            c::installed(),
        ),
        requirement(
            "guest-toolchain-python",
            "`ig image build` makes guests of Python with it (under sudo: with the calling user's)",
            python::installed(),
        ),
    ]
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
