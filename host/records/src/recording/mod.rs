//! Recordings: everything that a gadget got from the kernel, in the order in which it got it.
//!
//! `docs/recording-format.md` describes the file. In short: a few bytes that say what it is, then chunks, each
//! compressed by itself and checksummed: a [`Header`] first, then entries ([`Entry`]), a [`Footer`] last. A file
//! without a footer was cut off.
//!
//! [`Chunk`] gathers entries and touches no file, [`Writer`] makes bytes of chunks, [`PartialFile`] gives a file its name
//! when it is whole. [`Reader`] takes any bytes: it allocates no more than a bound and never panics.

mod chunk;
mod error;
mod file;
mod frames;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use chunk::{Call, Chunk, Entry, EntryTooLong, Moment, Overdue};
pub use error::RecordingError;
pub use file::PartialFile;
pub use frames::{Checked, check};
pub use reader::Reader;
pub use writer::{Effort, Writer, Written};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first bytes of every recording; like PNG's, they show a transfer that took the file for text.
pub const MAGIC: [u8; 8] = *b"\x89igrec\r\n";
/// The highest version of the format that is read and written.
pub const VERSION: u32 = 2;
/// The version without the calls [`Call::Added`] and [`Call::Removed`]: what has none of them is written as this, so that
/// older programs read it.
pub const VERSION_WITHOUT_WATCHING: u32 = 1;
/// What a recording's name ends with.
pub const EXTENSION: &str = "igrec";

/// A chunk is closed when its entries have this many bytes, before compression.
pub const CHUNK_BYTES: usize = 1 << 20;
/// The longest entry, in bytes.
pub const MAX_ENTRY_BYTES: usize = 64 << 20;
/// The longest header or footer, in bytes, before compression.
pub const MAX_DOCUMENT_BYTES: usize = 8 << 20;
/// The longest chunk of entries, in bytes, before compression.
const MAX_CHUNK_BYTES: usize = MAX_ENTRY_BYTES + CHUNK_BYTES;

/// The kind of the answers about the gadget's eBPF maps. Kinds that a reader does not know are passed over.
pub const MAP_ANSWER: u16 = 1;
/// The kind of the answer that holds the kernel's functions as `/proc/kallsyms` lists them; its question is empty. It
/// stands before the first call, if a table has a column that needs them.
pub const KERNEL_SYMBOLS: u16 = 2;
/// The kind of the answers about whose a cgroup is: u64 its id; u32 the owner's number, 0 when it was not
/// known, `u32::MAX` when somebody was finding out.
pub const OWNER_OF_CGROUP: u16 = 3;
/// The kind of the answers about whose a mount namespace is: u64 its inode number; u64 a time, u32 the owner from then on,
/// up to the time of another answer about the same namespace.
pub const OWNER_OF_MOUNT_NAMESPACE: u16 = 4;
/// The kind of the answers about whose a container's id is: the id, or its beginning; u32 the owner's number.
pub const OWNER_OF_ID: u16 = 5;
/// The kind of the answers about a field of an owner: u32 the owner's number, the field's name; u8 0 for none, or 1 and the
/// text.
pub const OWNER_FIELD: u16 = 6;

/// The kind of the answers about whose an address is: its 4 or 16 bytes; u32 the owner's number, 0 when it was nobody's.
pub const OWNER_OF_ADDRESS: u16 = 7;

/// What a recording is of: all that a replay needs beside the calls. Fields that are unknown are passed over, so that the
/// same version of the format may say more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the program that recorded.
    pub ig: String,
    /// What was recorded.
    pub gadget: Gadget,
    /// Where.
    pub machine: Machine,
    /// When it began.
    pub began: Instant,
    /// What records came from; calls name them by index here.
    pub sources: Vec<Source>,
    /// The tables, and the columns of each that were wanted.
    pub tables: Vec<TableColumns>,
    /// All parameters with the values that they had.
    pub params: Vec<Param>,
    /// The maps that the guest could ask for.
    pub maps: Vec<String>,
    /// What each call of the guest could use.
    pub limits: Limits,
    /// Whether it was known whose records are: there are answers about owners.
    #[serde(default, skip_serializing_if = "is_false")]
    pub owners: bool,
    /// Whether the guest was told of containers that came and went: there are calls that told it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub watches: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// A gadget, as its bundle names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gadget {
    /// By its manifest.
    pub name: String,
    /// By its manifest.
    pub version: String,
    /// The digest of its bundle.
    pub bundle: String,
}

/// What output depends on beside the records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The kernel's release, as `uname -r` has it.
    pub kernel: String,
    /// `amd64` or `arm64`: whose eBPF object it was.
    pub architecture: String,
    /// The time zone: from which second since 1970 on, how many seconds east of UTC. What is before the first has its
    /// offset.
    pub zone: Vec<(i64, i32)>,
    /// Users and their ids, in the order of passwd(5).
    pub users: Vec<(String, u32)>,
    /// Groups and their ids, in the order of group(5).
    pub groups: Vec<(String, u32)>,
}

/// A point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instant {
    /// CLOCK_BOOTTIME, in nanoseconds.
    pub boot_ns: u64,
    /// Nanoseconds to add for CLOCK_REALTIME.
    pub wall_offset_ns: i64,
}

/// Where records came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// By the manifest.
    pub name: String,
    /// The struct of its records.
    #[serde(rename = "struct")]
    pub record: String,
    /// The size of that struct, in bytes.
    pub size: u32,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumns {
    /// By the manifest.
    pub name: String,
    /// The columns that somebody needed.
    pub wanted: Vec<String>,
}

/// A parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// By the manifest.
    pub name: String,
    /// What it was, in canonical text.
    pub value: String,
}

/// What a guest may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU time of a call, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory, in bytes.
    pub memory: u64,
    /// Host functions in a call.
    pub host_calls: u32,
    /// Bytes of rows that a call may emit, and of map entries that it may get at once.
    pub staging: u64,
    /// Traps that end a run.
    pub max_traps: u32,
}

/// What is known only at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// What is in the file.
    pub counts: Counts,
    /// Why the run ended.
    pub ended_by: String,
    /// Nanoseconds from the first attached program to the end.
    pub duration_ns: u64,
    /// By source: what is not in the recording.
    pub sources: BTreeMap<String, SourceCounts>,
    /// By program: runs that the kernel skipped.
    pub skipped_runs: BTreeMap<String, u64>,
    /// By program that was left out: why.
    pub left_out: BTreeMap<String, String>,
}

/// What is in a recording; a reader compares it with what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Chunks of entries.
    pub chunks: u64,
    /// Calls of the guest, or of the decoder where there is none.
    pub calls: u64,
    /// Records in them, those that the programs discarded included.
    pub records: u64,
    /// Answers to the guest's questions.
    pub answers: u64,
}

/// What of a source is not in the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounts {
    /// Records that the programs tried to reserve; None: they don't count.
    pub attempted: Option<u64>,
    /// Of these, the ones without room; None: not known.
    pub not_reserved: Option<u64>,
    /// Still in the ring when the run ended.
    pub undecided: u64,
    /// Left out before anybody saw them, by cause.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub excluded: BTreeMap<String, u64>,
}
