//! The build's own folder, `DIR/.ig`: generated sources, build products, and a lock.

use super::BuildError;
use super::generate::Generated;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// `DIR/.ig`, held by this build alone.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Open until the build ends: closing it gives the folder free.
    _lock: File,
}

impl Folder {
    /// Makes the folder and waits until no other build uses it.
    pub(super) fn open(dir: &Path) -> Result<Self, BuildError> {
        let root = dir.join(".ig");
        fs::create_dir_all(&root).map_err(|cause| BuildError::io("making", &root, cause))?;
        let lock_file = root.join("lock");
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_file);
        let lock = lock.map_err(|cause| BuildError::io("opening", &lock_file, cause))?;
        lock.lock()
            .map_err(|cause| BuildError::io("locking", &lock_file, cause))?;
        write_if_changed(&root.join(".gitignore"), b"*\n")?;
        Ok(Self { root, _lock: lock })
    }

    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes generated files below `gen`, and removes what a former build left in `part` (`wit`, `include`, `schema`, `rust`).
    /// A file that is already there as it should be is not touched, so that what depends on it is not built again.
    pub(super) fn generate(&self, part: &str, files: &[Generated]) -> Result<(), BuildError> {
        let generated = self.root.join("gen");
        let mut keep = BTreeSet::new();
        for file in files {
            let path = generated.join(&file.path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)
                    .map_err(|cause| BuildError::io("making", folder, cause))?;
            }
            write_if_changed(&path, file.text.as_bytes())?;
            keep.insert(path);
        }
        remove_others(&generated.join(part), &keep)
    }
}

fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|cause| BuildError::io("writing", path, cause))
}

fn remove_others(folder: &Path, keep: &BTreeSet<PathBuf>) -> Result<(), BuildError> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(|cause| BuildError::io("reading", folder, cause))?;
        let path = entry.path();
        // A link is removed, never followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_others(&path, keep)?;
            // Fails unless it is empty, which is meant.
            let _ = fs::remove_dir(&path);
        } else if !keep.contains(&path) {
            fs::remove_file(&path).map_err(|cause| BuildError::io("removing", &path, cause))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Generated {
        Generated {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn stale_files_go_and_unchanged_ones_stay_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        folder
            .generate(
                "rust",
                &[file("rust/a.rs", "a"), file("rust/old/b.rs", "b")],
            )
            .unwrap();
        let kept = dir.path().join(".ig/gen/rust/a.rs");
        let before = kept.metadata().unwrap().modified().unwrap();
        folder
            .generate("rust", &[file("rust/a.rs", "a"), file("rust/c.rs", "c")])
            .unwrap();
        assert_eq!(kept.metadata().unwrap().modified().unwrap(), before);
        assert!(!dir.path().join(".ig/gen/rust/old").exists());
        assert_eq!(
            fs::read_to_string(dir.path().join(".ig/gen/rust/c.rs")).unwrap(),
            "c"
        );
        assert_eq!(
            fs::read_to_string(dir.path().join(".ig/.gitignore")).unwrap(),
            "*\n"
        );
    }

    #[test]
    fn a_folder_is_built_in_once_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = Folder::open(dir.path()).unwrap();
        let other = File::open(dir.path().join(".ig/lock")).unwrap();
        assert!(other.try_lock().is_err());
        drop(held);
        // Waits: a child that another test starts at this moment holds what is open until it is another program.
        other.lock().unwrap();
    }
}
