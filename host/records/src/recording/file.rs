//! A file that has its name when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// A file that is being written, as `NAME.partial` in the folder where it will be: readable by its owner alone, because
/// recordings hold command lines. It is removed unless [`PartialFile::complete`] gave it its name.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    complete: bool,
}

impl PartialFile {
    /// Makes the file, for this user and group if one is given.
    ///
    /// # Errors
    /// What the system said.
    pub fn create(path: &Path, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path names no file",
            ));
        };
        let mut number = 0;
        loop {
            let mut name = name.to_owned();
            name.push(".partial");
            if number > 0 {
                name.push(format!(".{number}"));
            }
            let partial = path.with_file_name(name);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            match options.open(&partial) {
                Ok(file) => {
                    let made = Self {
                        file,
                        partial,
                        path: path.to_owned(),
                        complete: false,
                    };
                    if let Some((uid, gid)) = owner {
                        fchown(&made.file, Some(uid), Some(gid))?;
                    }
                    return Ok(made);
                }
                // What a run left that was killed is never overwritten.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < 999 => number += 1,
                Err(e) => return Err(e),
            }
        }
    }

    /// The file is whole: once it is on the disk it takes its name, and replaces what has it.
    ///
    /// # Errors
    /// What the system said; the file is removed then.
    pub fn complete(mut self) -> io::Result<()> {
        match self.file.sync_all() {
            Ok(()) => {}
            // Not every file system has a disk to wait for.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) => {}
            Err(e) => return Err(e),
        }
        fs::rename(&self.partial, &self.path)?;
        self.complete = true;
        // The name is as lasting as the bytes where the file system lets folders be synced.
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.complete {
            // There is nobody to tell, and it is only untidy.
            let _ = fs::remove_file(&self.partial);
        }
    }
}
