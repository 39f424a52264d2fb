//! Where bytes go: a stream, files, nowhere.

use std::io::{self, Write};
use std::time::Instant;

use super::file::OutputFile;

pub(super) enum Target {
    /// A pipe, a terminal, a device, or whatever was opened by others.
    Stream(Box<dyn Write + Send>),
    /// Files with a name.
    File(Box<OutputFile>),
}

impl Target {
    /// Opens the next file where one is due; true when it did, and a new file begins.
    pub(super) fn open(&mut self) -> io::Result<bool> {
        match self {
            Self::Stream(_) => Ok(false),
            Self::File(file) => file.open(),
        }
    }

    /// Whether there is something to complete.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Stream(_) => true,
            Self::File(file) => file.is_open(),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(out) => out.flush(),
            Self::File(_) => Ok(()),
        }
    }

    /// The last `behind` bytes are no whole row; `rows` more rows are whole.
    pub(super) fn took(&mut self, behind: usize, rows: u64) {
        if let Self::File(file) = self {
            file.took(behind, rows);
        }
    }

    /// Rows are kept that will be in the file.
    pub(super) fn took_rows(&mut self, rows: u64) {
        if let Self::File(file) = self {
            file.took_rows(rows);
        }
    }

    /// Whether the file is as large as it is to be, with `more` bytes.
    pub(super) fn is_full(&self, more: usize) -> bool {
        matches!(self, Self::File(file) if file.is_full(more))
    }

    /// When the file is as old as it is to be.
    pub(super) fn due_at(&self) -> Option<Instant> {
        match self {
            Self::Stream(_) => None,
            Self::File(file) => file.due_at(),
        }
    }

    /// Whether the file ends here, with `kept` bytes that are still to come.
    pub(super) fn is_due(&self, kept: usize) -> bool {
        let Self::File(file) = self else {
            return false;
        };
        let old = file.due_at().is_some_and(|due| due <= Instant::now());
        file.has_rows() && (old || file.is_full(kept))
    }

    /// The file is whole and takes its name.
    pub(super) fn complete(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::File(file) => file.complete(),
        }
    }

    /// Nothing more can be written. Gives the name of the file that has whole rows.
    pub(super) fn abandon(&mut self) -> Option<String> {
        match self {
            Self::Stream(_) => None,
            Self::File(file) => file.abandon(),
        }
    }
}
