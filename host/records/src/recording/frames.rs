//! The chunks of a file as it holds them: compressed, numbered, checksummed.

use super::{MAGIC, MAX_CHUNK_BYTES, MAX_DOCUMENT_BYTES, RecordingError, VERSION};
use std::io::{ErrorKind, Read};

/// Bytes before a chunk's content: tag, u32 number, u32 calls, u32 stored length, u32 plain length, u32 CRC-32 of the
/// five and of the content.
pub(super) const FRAME_HEADER: usize = 24;
/// What a chunk takes at most: the compressor may add a little to what it can't compress.
const SLACK: usize = 64 << 10;

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Header,
    Entries,
    Footer,
}

impl Tag {
    pub fn bytes(self) -> [u8; 4] {
        match self {
            Self::Header => *b"HEAD",
            Self::Entries => *b"DATA",
            Self::Footer => *b"FOOT",
        }
    }

    /// The most bytes that it holds, before compression.
    fn most(self) -> usize {
        match self {
            Self::Entries => MAX_CHUNK_BYTES,
            Self::Header | Self::Footer => MAX_DOCUMENT_BYTES,
        }
    }
}

/// The header of a chunk.
pub(super) fn frame_header(
    tag: Tag,
    number: u32,
    calls: u32,
    plain: u32,
    stored: &[u8],
) -> Option<[u8; FRAME_HEADER]> {
    let mut header = [0; FRAME_HEADER];
    let length = u32::try_from(stored.len()).ok()?;
    header[..4].copy_from_slice(&tag.bytes());
    header[4..8].copy_from_slice(&number.to_le_bytes());
    header[8..12].copy_from_slice(&calls.to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    header[16..20].copy_from_slice(&plain.to_le_bytes());
    let checksum = checksum(&header, stored);
    header[20..].copy_from_slice(&checksum.to_le_bytes());
    Some(header)
}

fn checksum(header: &[u8; FRAME_HEADER], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..20]);
    hasher.update(stored);
    hasher.finalize()
}

/// A chunk that is whole; its content is [`Frames::stored`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub tag: Tag,
    /// Where it begins in the file.
    pub offset: u64,
    pub number: u64,
    /// Its length before compression.
    pub plain: usize,
}

/// Reads chunk by chunk and checks each, and that they follow each other.
#[derive(Debug)]
pub(super) struct Frames<R> {
    from: R,
    /// The version of the format.
    pub version: u32,
    offset: u64,
    next: u32,
    /// Whole chunks of entries so far, and the calls in them.
    pub chunks: u64,
    pub calls: u64,
    /// The content of the last chunk, compressed.
    pub stored: Vec<u8>,
}

impl<R: Read> Frames<R> {
    /// Checks that it is a recording, and of a version that is known.
    pub fn new(from: R) -> Result<Self, RecordingError> {
        let mut frames = Self {
            from,
            version: 0,
            offset: 0,
            next: 0,
            chunks: 0,
            calls: 0,
            stored: Vec::new(),
        };
        let mut magic = [0; MAGIC.len()];
        let got = frames.fill(&mut magic)?;
        let begun = magic.get(..got).unwrap_or_default();
        if got == 0 || !MAGIC.starts_with(begun) {
            return Err(RecordingError::Foreign);
        }
        let mut version = [0; 4];
        if got < MAGIC.len() || frames.fill(&mut version)? < version.len() {
            return Err(frames.cut());
        }
        let found = u32::from_le_bytes(version);
        match found {
            1..=VERSION => {
                frames.version = found;
                Ok(frames)
            }
            0 => Err(frames.damaged(8, "format 0, which there is none of")),
            _ => Err(RecordingError::Newer { found }),
        }
    }

    /// The next chunk. The one with the footer is the last: there is none behind it.
    pub fn next(&mut self) -> Result<Frame, RecordingError> {
        let offset = self.offset;
        let mut header = [0; FRAME_HEADER];
        if self.fill(&mut header)? < FRAME_HEADER {
            return Err(self.cut());
        }
        let word = |at: usize| {
            let bytes = header.get(at..).and_then(<[u8]>::first_chunk::<4>);
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let (number, calls, stored, plain) = (word(4), word(8), word(12) as usize, word(16));
        let plain = plain as usize;
        let tag = [Tag::Header, Tag::Entries, Tag::Footer]
            .into_iter()
            .find(|tag| header.starts_with(&tag.bytes()));
        let Some(tag) = tag else {
            return Err(self.damaged(offset, "no chunk begins here"));
        };
        if number != self.next || (tag == Tag::Header) != (number == 0) {
            let what = format!("chunk {number} stands here");
            return Err(self.damaged(offset, &what));
        }
        if plain > tag.most() || stored > plain.saturating_add(SLACK) {
            let what = format!("a chunk of {plain} bytes, {stored} in the file, is too long");
            return Err(self.damaged(offset, &what));
        }
        self.stored.clear();
        self.stored.shrink_to(MAX_DOCUMENT_BYTES);
        let got = (&mut self.from)
            .take(stored as u64)
            .read_to_end(&mut self.stored);
        self.offset = offset + (FRAME_HEADER + self.stored.len()) as u64;
        got.map_err(|source| self.io(source))?;
        if self.stored.len() < stored {
            return Err(self.cut());
        }
        if checksum(&header, &self.stored) != word(20) {
            return Err(self.damaged(offset, "its checksum is another"));
        }
        if tag == Tag::Footer && self.fill(&mut [0])? > 0 {
            return Err(self.damaged(self.offset - 1, "something stands behind the end"));
        }
        if tag == Tag::Entries {
            self.chunks += 1;
            self.calls += u64::from(calls);
        }
        self.next = self.next.saturating_add(1);
        Ok(Frame {
            tag,
            offset,
            number: u64::from(number),
            plain,
        })
    }

    /// Reads until `buffer` is full or the file ends; gives how much.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, RecordingError> {
        let mut got = 0;
        while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => break,
                Ok(n) => {
                    got = got.saturating_add(n).min(buffer.len());
                    self.offset += n as u64;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.io(source)),
            }
        }
        Ok(got)
    }

    fn io(&self, source: std::io::Error) -> RecordingError {
        let offset = self.offset;
        RecordingError::Io { offset, source }
    }

    fn cut(&self) -> RecordingError {
        RecordingError::CutOff {
            offset: self.offset,
            chunks: self.chunks,
            calls: self.calls,
        }
    }

    fn damaged(&self, offset: u64, what: &str) -> RecordingError {
        RecordingError::Damaged {
            offset,
            chunk: u64::from(self.next),
            what: what.to_owned(),
        }
    }
}

/// What a whole file holds, by the headers of its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Chunks of entries.
    pub chunks: u64,
    /// Calls in them.
    pub calls: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Reads a recording from its beginning to its end without looking into it: every checksum is right and the end is there.
///
/// # Errors
/// What [`Reader`](super::Reader) would find in the course of time, but for mistakes inside of chunks whose checksum is right.
pub fn check(from: impl Read) -> Result<Checked, RecordingError> {
    let mut frames = Frames::new(from)?;
    while frames.next()?.tag != Tag::Footer {}
    Ok(Checked {
        chunks: frames.chunks,
        calls: frames.calls,
        bytes: frames.offset,
    })
}
