//! From chunks to bytes.

use super::frames::{Tag, frame_header};
use super::{
    Chunk, Counts, Footer, Header, MAGIC, MAX_DOCUMENT_BYTES, VERSION, VERSION_WITHOUT_WATCHING,
};
use ruzstd::encoding::{CompressionLevel, compress};
use serde::Serialize;
use std::io::{self, Write};

/// How much work a chunk is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Compress it.
    #[default]
    Compress,
    /// Store it as it is, still as a zstd frame: more than is written waits.
    Store,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// What is in the file.
    pub counts: Counts,
    /// The file, in bytes.
    pub bytes: u64,
}

/// Writes a recording. Without [`Writer::finish`] it is a file that was cut off.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    number: u32,
    stored: Vec<u8>,
    written: Written,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// It can't be written, or is larger than a header may be.
    pub fn new(mut to: W, header: &Header) -> io::Result<Self> {
        let mut magic = MAGIC.to_vec();
        let version = if header.watches {
            VERSION
        } else {
            VERSION_WITHOUT_WATCHING
        };
        magic.extend_from_slice(&version.to_le_bytes());
        to.write_all(&magic)?;
        let mut writer = Self {
            to,
            number: 0,
            stored: Vec::new(),
            written: Written {
                counts: Counts::default(),
                bytes: magic.len() as u64,
            },
        };
        writer.document(Tag::Header, header)?;
        Ok(writer)
    }

    /// Writes what was gathered, and empties it.
    ///
    /// # Errors
    /// It can't be written, or holds a span that is none.
    pub fn write(&mut self, chunk: &mut Chunk, effort: Effort) -> io::Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        let records = chunk.clean().map_err(io::Error::other)?;
        self.frame(Tag::Entries, chunk.calls, &chunk.bytes, effort)?;
        let counts = &mut self.written.counts;
        counts.chunks += 1;
        counts.calls += u64::from(chunk.calls);
        counts.records += records;
        counts.answers += u64::from(chunk.answers);
        chunk.clear();
        Ok(())
    }

    /// Writes the end, with the counts of what was written.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(mut self, mut footer: Footer) -> io::Result<(W, Written)> {
        footer.counts = self.written.counts;
        self.document(Tag::Footer, &footer)?;
        self.to.flush()?;
        Ok((self.to, self.written))
    }

    fn document(&mut self, tag: Tag, document: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(document)?;
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(io::Error::other(format!(
                "{} bytes are too many for the header or footer of a recording: at most {MAX_DOCUMENT_BYTES} are possible",
                text.len()
            )));
        }
        self.frame(tag, 0, &text, Effort::Compress)
    }

    fn frame(&mut self, tag: Tag, calls: u32, plain: &[u8], effort: Effort) -> io::Result<()> {
        let level = match effort {
            Effort::Compress => CompressionLevel::Fastest,
            Effort::Store => CompressionLevel::Uncompressed,
        };
        self.stored.clear();
        compress(plain, &mut self.stored, level);
        let too_long = || io::Error::other("a chunk is too long for a recording");
        let length = u32::try_from(plain.len()).map_err(|_| too_long())?;
        let header = frame_header(tag, self.number, calls, length, &self.stored);
        let header = header.ok_or_else(too_long)?;
        self.to.write_all(&header)?;
        self.to.write_all(&self.stored)?;
        self.number = self.number.checked_add(1).ok_or_else(too_long)?;
        self.written.bytes += (header.len() + self.stored.len()) as u64;
        Ok(())
    }
}
