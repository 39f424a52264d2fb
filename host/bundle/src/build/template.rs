//! `ig new`: a folder that builds, runs and passes its test at once.
//!
//! The files are those of `host/bundle/template`, as they are, with the gadget's name in place of the template's. One
//! recording serves every language: it knows the source by its name.

use super::folder::Folder;
use super::{BuildError, generate};
use crate::manifest::{MAX_NAME, is_name};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the template's gadget is called in its files.
const NAME: &str = "my_gadget";

/// A file of a new gadget.
type File = (&'static str, Content);

#[derive(Clone, Copy)]
enum Content {
    /// In which the name is replaced.
    Text(&'static str),
    Bytes(&'static [u8]),
}

/// Files of the templates, one behind the other.
macro_rules! text {
    ($($file:literal),+) => {
        Content::Text(concat!($(include_str!(concat!("../../template/", $file))),+))
    };
}

/// What every gadget has.
const ALL: [File; 3] = [
    ("program.bpf.c", text!("all/program.bpf.c")),
    (".gitignore", text!("all/gitignore")),
    (
        "tests/first.igrec",
        Content::Bytes(include_bytes!("../../template/all/first.igrec")),
    ),
];

/// Without a guest.
const NONE: [File; 4] = [
    (".clangd", text!("all/clangd.yaml")),
    ("gadget.yaml", text!("none/gadget.yaml")),
    (EXPECTED, text!("none/first.expected.jsonl")),
    ("README.md", text!("all/README.md")),
];

/// With a guest in any language.
const GUEST: [File; 2] = [
    ("gadget.yaml", text!("guest/gadget.yaml")),
    (EXPECTED, text!("guest/first.expected.jsonl")),
];

const EXPECTED: &str = "tests/first.expected.jsonl";

const RUST: [File; 4] = [
    (".clangd", text!("all/clangd.yaml")),
    ("Cargo.toml", text!("rust/Cargo.toml")),
    ("src/lib.rs", text!("rust/src/lib.rs")),
    ("README.md", text!("all/README.md", "rust/README.md")),
];

const C: [File; 3] = [
    (".clangd", text!("all/clangd.yaml", "c/clangd.yaml")),
    ("guest.c", text!("c/guest.c")),
    ("README.md", text!("all/README.md", "c/README.md")),
];

const PYTHON: [File; 4] = [
    (".clangd", text!("all/clangd.yaml")),
    ("guest.py", text!("python/guest.py")),
    ("pyproject.toml", text!("python/pyproject.toml")),
    ("README.md", text!("all/README.md", "python/README.md")),
];

/// Each language, by the word of `--lang`, and what there is beside [`ALL`].
const LANGUAGES: [(&str, &[&[File]]); 4] = [
    ("none", &[&NONE]),
    ("rust", &[&GUEST, &RUST]),
    ("c", &[&GUEST, &C]),
    ("python", &[&GUEST, &PYTHON]),
];

/// The languages that a gadget can begin with; `none` is one without a guest.
pub fn languages() -> impl Iterator<Item = &'static str> {
    LANGUAGES.iter().map(|(language, _)| *language)
}

/// Why there is no new gadget.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It can't be called so.
    #[error(
        "`{}` can't be the name of a gadget: lower-case letters, digits, `_` and `-`, beginning with a letter, not ending in `-`, at most {MAX_NAME} characters",
        .0.escape_debug()
    )]
    Name(String),
    /// There is no such language.
    #[error("no gadget can be written in {0:?}; languages are {names}", names = languages().collect::<Vec<_>>().join(", "))]
    Language(String),
    /// The folder is somebody's already.
    #[error("{} is there already and not empty; choose another name, or remove it", .0.display())]
    Taken(PathBuf),
    /// A file can't be written.
    #[error("{action} {}: {cause}", path.display())]
    Io {
        /// `making`, `writing`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// What editors read can't be written.
    #[error(transparent)]
    Generate(#[from] BuildError),
}

/// Makes the folder `name` in `parent`, whole or not at all: it is written under another name beside. Gives its path.
///
/// # Errors
///
/// The name is none for a gadget, the folder is there and not empty, or something can't be written.
pub fn create(parent: &Path, name: &str, language: &str) -> Result<PathBuf, TemplateError> {
    if !is_name(name) {
        return Err(TemplateError::Name(name.to_owned()));
    }
    let (_, parts) = LANGUAGES
        .iter()
        .find(|(known, _)| *known == language)
        .ok_or_else(|| TemplateError::Language(language.to_owned()))?;
    let folder = parent.join(name);
    // Renaming fails there too, but could not say it as well.
    let taken = match fs::read_dir(&folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(cause) => cause.kind() != io::ErrorKind::NotFound,
    };
    if taken {
        return Err(TemplateError::Taken(folder));
    }
    let partial = parent.join(format!(".{name}.{}.partial", std::process::id()));
    fs::create_dir(&partial).map_err(failed("making", &partial))?;
    let files = ALL.iter().chain(parts.iter().copied().flatten());
    let made = write(&partial, name, files)
        .and_then(|()| fs::rename(&partial, &folder).map_err(failed("making", &folder)));
    if made.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&partial);
    }
    made.map(|()| folder)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TemplateError {
    let path = path.to_owned();
    move |cause| TemplateError::Io {
        action,
        path,
        cause,
    }
}

fn write<'a>(
    folder: &Path,
    name: &str,
    files: impl Iterator<Item = &'a File>,
) -> Result<(), TemplateError> {
    for (file, content) in files {
        let path = folder.join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("making", folder))?;
        }
        let written = match content {
            Content::Text(text) => fs::write(&path, text.replace(NAME, name)),
            Content::Bytes(bytes) => fs::write(&path, bytes),
        };
        written.map_err(failed("writing", &path))?;
    }
    // Editors know the manifest's keys and the headers before anything was built.
    let own = Folder::open(folder)?;
    own.generate("schema", &generate::schema())?;
    own.generate("include", &generate::headers())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;
    use crate::build::Language;
    use std::collections::BTreeSet;

    fn entries(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    #[test]
    fn every_language_makes_a_whole_folder_of_its_name() {
        for language in languages() {
            let parent = tempfile::tempdir().unwrap();
            let folder = create(parent.path(), "who-opens", language).unwrap();
            assert_eq!(entries(parent.path()), BTreeSet::from(["who-opens".into()]));
            let mut texts = Vec::new();
            for file in entries(&folder) {
                let path = folder.join(&file);
                if path.is_file() {
                    texts.push((file, fs::read_to_string(path).unwrap()));
                }
            }
            for (file, text) in &texts {
                assert!(!text.contains(NAME), "{language}: {file}");
            }
            let manifest = fs::read_to_string(folder.join("gadget.yaml")).unwrap();
            let manifest = Manifest::parse("gadget.yaml", &manifest).unwrap();
            assert_eq!(manifest.name, "who-opens");
            assert!(folder.join("README.md").is_file());
            assert!(folder.join(".gitignore").is_file());
            assert!(folder.join("tests/first.igrec").is_file());
            assert!(folder.join(EXPECTED).is_file());
            let guest = Language::of(&folder).unwrap().map(Language::name);
            let guest = guest.unwrap_or("none").to_lowercase();
            assert_eq!(guest, language);
            // What the manifest's first line points editors to.
            assert!(folder.join(".ig/gen/schema/gadget.schema.json").is_file());
        }
    }

    #[test]
    fn what_is_there_is_never_touched() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("mine");
        fs::create_dir(&folder).unwrap();
        // An empty folder is nobody's work.
        create(parent.path(), "mine", "none").unwrap();
        let before = entries(&folder);
        let error = create(parent.path(), "mine", "rust").unwrap_err();
        assert!(matches!(error, TemplateError::Taken(_)), "{error}");
        assert_eq!(entries(&folder), before);
        fs::write(parent.path().join("file"), "mine").unwrap();
        let error = create(parent.path(), "file", "none").unwrap_err();
        assert!(matches!(error, TemplateError::Taken(_)), "{error}");
        assert_eq!(
            entries(parent.path()),
            BTreeSet::from(["mine".into(), "file".into()])
        );
    }

    #[test]
    fn names_are_those_that_a_manifest_may_have() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["", "Opens", "1st", "a/b", "..", "a-", "é", &"a".repeat(64)] {
            let error = create(parent.path(), name, "none").unwrap_err();
            assert!(matches!(error, TemplateError::Name(_)), "{error}");
        }
        let error = create(parent.path(), "a", "cobol").unwrap_err().to_string();
        assert!(error.contains("none, rust, c, python"), "{error}");
        assert_eq!(entries(parent.path()), BTreeSet::new());
    }
}
