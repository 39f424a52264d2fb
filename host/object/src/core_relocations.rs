//! CO-RE relocations: `.BTF.ext` (tools/lib/bpf/btf.h of the kernel, `struct btf_ext_header`).

use crate::ObjectError;
use crate::btf::{Btf, TypeId, read_u32};

/// What an instruction needs to know of the kernel's types (`enum bpf_core_relo_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelocationKind {
    /// About a field: its offset, size, existence, sign or shifts (0 to 5).
    Field,
    /// The id of a type in the object itself (6).
    TypeIdLocal,
    /// The id of a type in the kernel (7).
    TypeIdTarget,
    /// Existence or size of a type (8, 9).
    Type,
    /// Existence or value of an enumeration's constant (10, 11).
    EnumValue,
    /// Whether a type is as the object knows it (12).
    TypeMatches,
    /// Newer than this program.
    Unknown,
}

/// One CO-RE relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRelocation<'a> {
    /// Section of the instruction, as in the object.
    pub section: &'a str,
    /// Of the instruction in its section, in bytes.
    pub offset: u32,
    /// Root type in the object's BTF.
    pub root: TypeId,
    /// Indexes from the root to the field, such as `0:2:1`.
    pub access: &'a str,
    /// What is asked.
    pub kind: RelocationKind,
}

/// One of the three tables of `.BTF.ext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    Functions,
    Lines,
    CoreRelocations,
}

/// The records of one section in one table.
pub(crate) struct Records<'a> {
    /// Offset of the section's name in the BTF's strings.
    pub(crate) name: u32,
    pub(crate) record_size: usize,
    pub(crate) bytes: &'a [u8],
}

/// Length of the header, at most that of the one that has CO-RE relocations and at least the older one's.
pub(crate) fn header_length(bytes: &[u8]) -> Result<usize, ObjectError> {
    let cut = ObjectError::Extension("it is shorter than its header");
    if bytes.get(..3) != Some(&[0x9f, 0xeb, 1]) {
        return Err(ObjectError::Extension("its magic or version is unknown"));
    }
    let length = read_u32(bytes, 4).ok_or(cut.clone())? as usize;
    if length < 24 || length > bytes.len() {
        Err(cut)
    } else {
        Ok(length)
    }
}

/// A table of `.BTF.ext`, section by section; empty when there is none.
pub(crate) fn table(bytes: &[u8], kind: TableKind) -> Result<Vec<Records<'_>>, ObjectError> {
    let header = header_length(bytes)?;
    let (place, smallest) = match kind {
        TableKind::Functions => (8, 8),
        TableKind::Lines => (16, 16),
        TableKind::CoreRelocations if header < 32 => return Ok(Vec::new()),
        TableKind::CoreRelocations => (24, 16),
    };
    let cut = || ObjectError::Extension("a table lies outside of its bytes or is cut short");
    let word = |bytes: &[u8], at| read_u32(bytes, at).ok_or_else(cut);
    let (offset, length) = (
        word(bytes, place)? as usize,
        word(bytes, place + 4)? as usize,
    );
    let body = bytes
        .get(header..)
        .and_then(|body| body.get(offset..)?.get(..length));
    let mut rest = body.ok_or_else(cut)?;
    let mut found = Vec::new();
    if rest.is_empty() {
        return Ok(found);
    }
    let record_size = word(rest, 0)? as usize;
    if record_size < smallest || !record_size.is_multiple_of(4) {
        return Err(ObjectError::Extension(
            "the size of its records is impossible",
        ));
    }
    rest = rest.get(4..).unwrap_or_default();
    while !rest.is_empty() {
        let (name, number) = (word(rest, 0)?, word(rest, 4)? as usize);
        let length = number.checked_mul(record_size).ok_or_else(cut)?;
        let records = rest.get(8..).ok_or_else(cut)?;
        let (records, behind) = records.split_at_checked(length).ok_or_else(cut)?;
        found.push(Records {
            name,
            record_size,
            bytes: records,
        });
        rest = behind;
    }
    Ok(found)
}

pub(crate) fn kind(number: u32) -> RelocationKind {
    match number {
        0..=5 => RelocationKind::Field,
        6 => RelocationKind::TypeIdLocal,
        7 => RelocationKind::TypeIdTarget,
        8 | 9 => RelocationKind::Type,
        10 | 11 => RelocationKind::EnumValue,
        12 => RelocationKind::TypeMatches,
        _ => RelocationKind::Unknown,
    }
}

pub(crate) fn read<'a>(
    bytes: &'a [u8],
    btf: &Btf<'a>,
) -> Result<Vec<CoreRelocation<'a>>, ObjectError> {
    let mut found = Vec::new();
    for section in table(bytes, TableKind::CoreRelocations)? {
        let name = btf.string(section.name);
        let name = name.ok_or(ObjectError::Extension("a section's name is not in the BTF"))?;
        for record in section.bytes.chunks_exact(section.record_size) {
            let word = |at| read_u32(record, at).unwrap_or(0);
            let access = btf.string(word(8));
            found.push(CoreRelocation {
                section: name,
                offset: word(0),
                root: TypeId(word(4)),
                access: access
                    .ok_or(ObjectError::Extension("an access string is not in the BTF"))?,
                kind: kind(word(12)),
            });
        }
    }
    Ok(found)
}
