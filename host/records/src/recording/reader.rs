//! From any bytes to entries.

use super::chunk::{self, Call, Entry, Parts};
use super::frames::{Frame, Frames, Tag};
use super::{Counts, Footer, Header, RecordingError, VERSION_WITHOUT_WATCHING};
use crate::span::Span;
use ruzstd::decoding::StreamingDecoder;
use serde::de::DeserializeOwned;
use std::io::Read;

/// Reads a recording from its beginning to its end. Holds one chunk at a time.
#[derive(Debug)]
pub struct Reader<R> {
    frames: Frames<R>,
    header: Header,
    footer: Option<Footer>,
    /// The chunk that is being read, and where in it the next entry begins.
    frame: Frame,
    plain: Vec<u8>,
    at: usize,
    parts: Parts,
    found: Counts,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is no recording, a newer one, or its header is damaged.
    pub fn new(from: R) -> Result<Self, RecordingError> {
        let mut frames = Frames::new(from)?;
        let frame = frames.next()?;
        let mut plain = Vec::new();
        decompress(&frames.stored, &frame, &mut plain)?;
        let header: Header = document(&frame, &plain)?;
        if header.watches != (frames.version > VERSION_WITHOUT_WATCHING) {
            let what = format!(
                "this is not the header of format {}, which the file begins with",
                frames.version
            );
            return Err(damaged(&frame, what));
        }
        plain.clear();
        Ok(Self {
            frames,
            header,
            footer: None,
            frame,
            plain,
            at: 0,
            parts: Parts::default(),
            found: Counts::default(),
        })
    }

    /// What the recording is of.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was known at the end; None before [`Reader::next`] gave None.
    #[must_use]
    pub fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref()
    }

    /// The next entry; None at the end, when everything was there that the footer counts.
    ///
    /// # Errors
    /// The file is damaged or ends too early. Nothing more can be read then.
    #[expect(
        clippy::should_implement_trait,
        reason = "entries borrow from the reader, which no iterator's can"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, RecordingError> {
        while self.at >= self.plain.len() {
            if self.footer.is_some() || !self.load()? {
                return Ok(None);
            }
        }
        let Self {
            header,
            frame,
            plain,
            at,
            parts,
            found,
            ..
        } = self;
        let sources = header.sources.len();
        let rest = plain.get(*at..).unwrap_or_default();
        let (entry, length) =
            chunk::parse(rest, sources, parts).map_err(|what| damaged(frame, what))?;
        *at += length;
        match &entry {
            Entry::Call { call, .. } => {
                found.calls += 1;
                if let Call::Process { span, .. } = call {
                    found.records += Span(span).iter().count() as u64;
                }
            }
            Entry::Answer { .. } => found.answers += 1,
        }
        Ok(Some(entry))
    }

    /// The next chunk; false: it was the footer.
    fn load(&mut self) -> Result<bool, RecordingError> {
        self.frame = self.frames.next()?;
        self.at = 0;
        decompress(&self.frames.stored, &self.frame, &mut self.plain)?;
        if self.frame.tag == Tag::Entries {
            return Ok(true);
        }
        let footer: Footer = document(&self.frame, &self.plain)?;
        self.plain.clear();
        self.found.chunks = self.frames.chunks;
        if footer.counts != self.found {
            let what = format!(
                "the end speaks of {:?}, and this is what is there: {:?}",
                footer.counts, self.found
            );
            return Err(damaged(&self.frame, what));
        }
        self.footer = Some(footer);
        Ok(false)
    }
}

fn damaged(frame: &Frame, what: String) -> RecordingError {
    RecordingError::Damaged {
        offset: frame.offset,
        chunk: frame.number,
        what,
    }
}

/// What the chunk was before compression: never longer than its header says, which is bounded.
fn decompress(stored: &[u8], frame: &Frame, plain: &mut Vec<u8>) -> Result<(), RecordingError> {
    plain.clear();
    plain.shrink_to(2 * super::CHUNK_BYTES);
    let decoder = StreamingDecoder::new(stored)
        .map_err(|e| damaged(frame, format!("it can't be decompressed: {e}")))?;
    decoder
        .take(frame.plain as u64 + 1)
        .read_to_end(plain)
        .map_err(|e| damaged(frame, format!("it can't be decompressed: {e}")))?;
    if plain.len() != frame.plain {
        let what = format!("it is not the {} bytes that it says", frame.plain);
        return Err(damaged(frame, what));
    }
    Ok(())
}

fn document<T: DeserializeOwned>(frame: &Frame, plain: &[u8]) -> Result<T, RecordingError> {
    serde_json::from_slice(plain).map_err(|e| damaged(frame, format!("not the expected JSON: {e}")))
}
