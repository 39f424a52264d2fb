//! Files that take their name when they are whole.
//!
//! Rows go to `NAME.partial` in the same folder (`NAME.partial.1` and so on when that is taken: what
//! a run left that was killed is never overwritten). When the file is complete its bytes are on the
//! disk (`fsync`), and it is renamed; a file of that name is replaced, at that moment. What can't be
//! completed stays `NAME.partial`, cut behind its last whole row, unless nothing in it is of use.
//!
//! **Rotation.** With a size or an age, files are numbered: `rows.csv` becomes `rows.000001.csv`,
//! `rows.000002.csv`, ... The number goes on from the highest there is, and no file is ever renamed
//! again or replaced. A file ends with the batch of rows that makes it reach the size, or when it is
//! as old as asked for, counted from its first row; a file without rows is only made when the whole
//! run has none.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::target::Target;

/// Where files go and when they end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// The file; with one of the others set, the pattern of their names.
    pub path: PathBuf,
    /// A file ends when it has this many bytes.
    pub rotate_size: Option<u64>,
    /// A file ends this long after its first row.
    pub rotate_after: Option<Duration>,
}

/// Why a file can't be written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be made or opened.
    #[error("can't write {}: {error}", path.display())]
    Io {
        /// What was to be opened.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The path does not end in a name.
    #[error("can't write {}: it is a folder, or has no file name", .0.display())]
    NoName(PathBuf),
    /// A device or a pipe where only files will do.
    #[error("{} is no regular file, so it can't {what}", path.display())]
    NotRegular {
        /// The device or pipe.
        path: PathBuf,
        /// What was asked for.
        what: &'static str,
    },
    /// The thread that writes can't be started.
    #[error("can't start the thread that writes: {0}")]
    Thread(io::Error),
}

/// A file being written, or several one after the other.
#[derive(Debug)]
pub(super) struct OutputFile {
    /// What the files are called; symbolic links are followed.
    path: PathBuf,
    name: OsString,
    rotate_size: Option<u64>,
    rotate_after: Option<Duration>,
    /// Keep what can't be completed?
    keep: bool,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: File,
    size: u64,
    /// The size up to the end of the last whole row.
    whole: u64,
    rows: u64,
    /// When the first row came.
    since: Option<Instant>,
}

/// The place that `options` name, open. `keep`: parts of a file are of use.
pub(super) fn open(options: FileOptions, keep: bool) -> Result<Target, FileError> {
    let FileOptions {
        mut path,
        rotate_size,
        rotate_after,
    } = options;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| FileError::Io { path, error }
    };
    let rotates = rotate_size.is_some() || rotate_after.is_some();
    match fs::metadata(&path) {
        Ok(there) if there.is_dir() => return Err(FileError::NoName(path)),
        Ok(there) if there.is_file() => path = fs::canonicalize(&path).map_err(failed(&path))?,
        // A name given to a new file here would replace the device.
        Ok(_) if rotates => {
            let what = "be rotated";
            return Err(FileError::NotRegular { path, what });
        }
        Ok(_) if !keep => {
            let what = "hold a file that is complete only at its end";
            return Err(FileError::NotRegular { path, what });
        }
        Ok(_) => {
            let device = File::options().write(true).open(&path);
            return Ok(Target::Stream(Box::new(device.map_err(failed(&path))?)));
        }
        // A new file, or what opening it will say.
        Err(_) => {}
    }
    let Some(name) = path.file_name().map(OsStr::to_owned) else {
        return Err(FileError::NoName(path));
    };
    let mut file = OutputFile {
        path,
        name,
        rotate_size,
        rotate_after,
        keep,
        current: None,
    };
    file.open().map_err(failed(&file.path))?;
    Ok(Target::File(Box::new(file)))
}

/// The system's error with what failed.
fn told(error: &io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("can't {what} {}: {error}", path.display()),
    )
}

impl OutputFile {
    /// Opens the next file, if none is open; true when it did.
    pub(super) fn open(&mut self) -> io::Result<bool> {
        if self.current.is_some() {
            return Ok(false);
        }
        let mut number = 0_u32;
        let (path, file) = loop {
            let mut name = self.name.clone();
            name.push(".partial");
            if number > 0 {
                name.push(format!(".{number}"));
            }
            let path = self.path.with_file_name(name);
            match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 999 => {
                    number += 1;
                }
                Err(error) => return Err(told(&error, "make", &path)),
            }
        };
        self.current = Some(Current {
            path,
            file,
            size: 0,
            whole: 0,
            rows: 0,
            since: None,
        });
        Ok(true)
    }

    pub(super) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(current) = &mut self.current else {
            return Err(io::Error::other("no file is open"));
        };
        let taken = current.file.write(bytes)?;
        current.size += taken as u64;
        Ok(taken)
    }

    /// The last `behind` bytes are no whole row; `rows` more rows are whole.
    pub(super) fn took(&mut self, behind: usize, rows: u64) {
        self.took_rows(rows);
        if let Some(current) = &mut self.current {
            current.whole = current.size.saturating_sub(behind as u64);
        }
    }

    /// Rows are, or will be, in the file.
    pub(super) fn took_rows(&mut self, rows: u64) {
        if let Some(current) = self.current.as_mut().filter(|_| rows > 0) {
            current.rows += rows;
            current.since.get_or_insert_with(Instant::now);
        }
    }

    /// Whether the file is as large as it is to be, with `more` bytes.
    pub(super) fn is_full(&self, more: usize) -> bool {
        match (&self.current, self.rotate_size) {
            (Some(current), Some(size)) => current.size.saturating_add(more as u64) >= size,
            _ => false,
        }
    }

    /// Whether it has a row, without which it does not end.
    pub(super) fn has_rows(&self) -> bool {
        matches!(&self.current, Some(current) if current.rows > 0)
    }

    /// When the file is as old as it is to be.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let since = self.current.as_ref()?.since?;
        since.checked_add(self.rotate_after?)
    }

    /// The file is whole: it takes its name.
    pub(super) fn complete(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let partial = current.path.clone();
        current.whole = current.size;
        match current.file.sync_all() {
            Ok(()) => {}
            // Not every file system has a disk to wait for.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) => {}
            Err(error) => return Err(told(&error, "write", &partial)),
        }
        if self.rotate_size.is_some() || self.rotate_after.is_some() {
            self.number(&partial)?;
        } else {
            fs::rename(&partial, &self.path).map_err(|error| told(&error, "make", &self.path))?;
        }
        self.current = None;
        // The name is as lasting as the bytes where the file system lets folders be synced.
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Gives a file the next number.
    fn number(&self, partial: &Path) -> io::Result<()> {
        let mut number = self.highest()?;
        loop {
            number += 1;
            let path = self.path.with_file_name(numbered(&self.name, number));
            // Unlike a rename it never replaces.
            match fs::hard_link(partial, &path) {
                Ok(()) => {
                    return fs::remove_file(partial)
                        .map_err(|error| told(&error, "remove", partial));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Not every file system has links.
                Err(_) if !path.exists() => {
                    return fs::rename(partial, &path).map_err(|error| told(&error, "make", &path));
                }
                Err(_) => {}
            }
        }
    }

    /// The highest number in the folder; 0: none.
    fn highest(&self) -> io::Result<u64> {
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let entries = fs::read_dir(folder).map_err(|error| told(&error, "list", folder))?;
        let numbers = entries
            .filter_map(Result::ok)
            .filter_map(|entry| number_of(&entry.file_name(), &self.name));
        Ok(numbers.max().unwrap_or(0))
    }

    /// Nothing more can be written: cuts the file behind its last whole row, or removes it. Gives
    /// its name when something is in it.
    pub(super) fn abandon(&mut self) -> Option<String> {
        let current = self.current.take()?;
        if self.keep && current.rows > 0 {
            // What is behind stays where that fails: whole rows come first all the same.
            let _ = current.file.set_len(current.whole);
            Some(current.path.display().to_string())
        } else {
            let _ = fs::remove_file(&current.path);
            None
        }
    }
}

/// `rows.csv` and 7: `rows.000007.csv`.
fn numbered(name: &OsStr, number: u64) -> OsString {
    let name = Path::new(name);
    let mut out = name.file_stem().unwrap_or_default().to_owned();
    out.push(format!(".{number:06}"));
    if let Some(extension) = name.extension() {
        out.push(".");
        out.push(extension);
    }
    out
}

/// The number in a name that [`numbered`] gave.
fn number_of(entry: &OsStr, name: &OsStr) -> Option<u64> {
    let number = Path::new(entry);
    let stem = match Path::new(name).extension() {
        None => number,
        Some(_) => Path::new(number.file_stem()?),
    };
    let number = stem.extension()?.to_str()?.parse().ok()?;
    (numbered(name, number) == entry).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_the_extension() {
        for (name, want) in [
            ("rows.csv", "rows.000007.csv"),
            ("rows", "rows.000007"),
            ("a.b.parquet", "a.b.000007.parquet"),
            (".rows", ".rows.000007"),
        ] {
            let name = OsStr::new(name);
            assert_eq!(numbered(name, 7), want);
            assert_eq!(number_of(OsStr::new(want), name), Some(7));
            assert_eq!(number_of(name, name), None);
        }
        let name = OsStr::new("rows.csv");
        assert_eq!(numbered(name, 12_345_678), "rows.12345678.csv");
        for other in [
            "rows.000007.csv.partial",
            "rows.7.csv",
            "rows.+00007.csv",
            "other.000007.csv",
            "rows.000007.json",
        ] {
            assert_eq!(number_of(OsStr::new(other), name), None, "{other}");
        }
    }
}
