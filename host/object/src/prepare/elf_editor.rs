//! Changes an ELF file by adding to its end: new contents for sections and new names for them. Indexes of
//! sections and symbols stay as they are, so nothing that refers to them needs a change.

use crate::ObjectError;
use crate::btf::read_u32;

/// `sizeof(Elf64_Shdr)`.
const HEADER: usize = 64;
const SH_NAME: usize = 0;
const SH_FLAGS: usize = 8;
const SH_OFFSET: usize = 24;
const SH_SIZE: usize = 32;
/// Offsets in `Elf64_Ehdr`.
const E_SHOFF: usize = 40;
const E_SHNUM: usize = 60;
const E_SHSTRNDX: usize = 62;

/// An ELF file that is being changed.
pub(super) struct ElfEditor {
    bytes: Vec<u8>,
    headers: usize,
    /// The section that holds the sections' names, and its new contents.
    names: (usize, Vec<u8>),
}

fn cut() -> ObjectError {
    ObjectError::Elf("its section headers are cut short".to_owned())
}

impl ElfEditor {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, ObjectError> {
        let half = |at: usize| {
            bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map(|word| u16::from_le_bytes(*word))
        };
        let number = usize::from(half(E_SHNUM).ok_or_else(cut)?);
        let names = usize::from(half(E_SHSTRNDX).ok_or_else(cut)?);
        let headers = read_u64(bytes, E_SHOFF).and_then(|at| usize::try_from(at).ok());
        let headers = headers.ok_or_else(cut)?;
        let end = number
            .checked_mul(HEADER)
            .and_then(|length| length.checked_add(headers));
        if names >= number || end.is_none_or(|end| end > bytes.len()) {
            // More than 65,279 sections would be told elsewhere; no compiler makes that many.
            return Err(ObjectError::Elf(
                "its table of sections is missing or broken".to_owned(),
            ));
        }
        let mut editor = Self {
            bytes: bytes.to_vec(),
            headers,
            names: (names, Vec::new()),
        };
        editor.names.1 = editor.contents(names)?.to_vec();
        Ok(editor)
    }

    fn field(&self, section: usize, field: usize) -> usize {
        self.headers + section * HEADER + field
    }

    fn contents(&self, section: usize) -> Result<&[u8], ObjectError> {
        let word = |field| {
            read_u64(&self.bytes, self.field(section, field))
                .and_then(|word| usize::try_from(word).ok())
        };
        let (offset, size) = (
            word(SH_OFFSET).ok_or_else(cut)?,
            word(SH_SIZE).ok_or_else(cut)?,
        );
        self.bytes
            .get(offset..)
            .and_then(|rest| rest.get(..size))
            .ok_or_else(cut)
    }

    fn write(&mut self, at: usize, value: &[u8]) -> Result<(), ObjectError> {
        let place = self
            .bytes
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..value.len()));
        place.ok_or_else(cut)?.copy_from_slice(value);
        Ok(())
    }

    /// Gives a section another name.
    pub(super) fn rename(&mut self, section: usize, name: &str) -> Result<(), ObjectError> {
        let at = u32::try_from(self.names.1.len()).map_err(|_| cut())?;
        self.names.1.extend_from_slice(name.as_bytes());
        self.names.1.push(0);
        self.write(self.field(section, SH_NAME), &at.to_le_bytes())
    }

    /// Clears flags of a section.
    pub(super) fn clear_flags(&mut self, section: usize, flags: u64) -> Result<(), ObjectError> {
        let at = self.field(section, SH_FLAGS);
        let old = read_u64(&self.bytes, at).ok_or_else(cut)?;
        self.write(at, &(old & !flags).to_le_bytes())
    }

    /// Gives a section other contents.
    pub(super) fn replace(&mut self, section: usize, contents: &[u8]) -> Result<(), ObjectError> {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(contents);
        self.write(self.field(section, SH_OFFSET), &offset.to_le_bytes())?;
        self.write(
            self.field(section, SH_SIZE),
            &(contents.len() as u64).to_le_bytes(),
        )
    }

    /// The whole file.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, ObjectError> {
        let (section, names) = std::mem::take(&mut self.names);
        if names != self.contents(section)? {
            self.replace(section, &names)?;
        }
        Ok(self.bytes)
    }
}

/// The little endian double word at a byte offset.
fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    let (low, high) = (read_u32(bytes, at)?, read_u32(bytes, at.checked_add(4)?)?);
    Some(u64::from(high) << 32 | u64::from(low))
}
