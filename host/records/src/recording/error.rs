//! What is wrong with a recording, and where.

use std::io;

/// Why a recording can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The system could not read on.
    #[error("can't be read at byte {offset}: {source}")]
    Io {
        /// In the file.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Something else.
    #[error("not a recording: it does not begin as one")]
    Foreign,
    /// Made by a newer program.
    #[error(
        "a recording of format {found}, and this program reads up to {}: update ig",
        super::VERSION
    )]
    Newer {
        /// The format's version in the file.
        found: u32,
    },
    /// The file ends before its footer.
    #[error(
        "cut off at byte {offset}, before its end is written; whole before that: {chunks} chunks with {calls} calls"
    )]
    CutOff {
        /// Where the file ends.
        offset: u64,
        /// Chunks of entries that are whole.
        chunks: u64,
        /// Calls in these.
        calls: u64,
    },
    /// Bytes that are not what was written.
    #[error("damaged at byte {offset}, in chunk {chunk}: {what}")]
    Damaged {
        /// In the file; of an entry, the beginning of its chunk.
        offset: u64,
        /// The number of the chunk; the header's is 0.
        chunk: u64,
        /// What is wrong there.
        what: String,
    },
}
