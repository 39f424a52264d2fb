//! Changes BTF by words: ids of types and offsets of strings stay as they are.

use crate::btf::{self, BtfError, HEADER, Kind, MAGIC, TypeId, read_u32};

/// BTF that is being changed.
pub(super) struct BtfEditor {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Where each type begins; id 1 is at index 0.
    offsets: Vec<usize>,
}

impl BtfEditor {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, BtfError> {
        let (types, strings) = btf::sections(bytes)?;
        let mut offsets = Vec::new();
        let mut at = 0;
        while at < types.len() {
            offsets.push(at);
            at += btf::frame(types, at, offsets.len() as u32)?.1;
        }
        Ok(Self {
            types: types.to_vec(),
            strings: strings.to_vec(),
            offsets,
        })
    }

    fn place(&self, id: TypeId) -> Option<usize> {
        self.offsets.get((id.0 as usize).checked_sub(1)?).copied()
    }

    /// A word of a type: 0 name, 1 info, 2 size or type, then what the kind has.
    pub(super) fn word(&self, id: TypeId, word: usize) -> Option<u32> {
        read_u32(&self.types, self.place(id)? + 4 * word)
    }

    /// Changes a word of a type.
    pub(super) fn set(&mut self, id: TypeId, word: usize, value: u32) {
        let place = self.place(id).map(|place| place + 4 * word);
        let place = place.and_then(|place| self.types.get_mut(place..)?.first_chunk_mut());
        if let Some(place) = place {
            *place = value.to_le_bytes();
        }
    }

    /// The kind of a type and all its words.
    pub(super) fn words(&self, id: TypeId) -> Option<(Kind, Vec<u32>)> {
        let place = self.place(id)?;
        let (kind, length) = btf::frame(&self.types, place, id.0).ok()?;
        let bytes = self.types.get(place..place + length)?;
        let words = bytes.chunks_exact(4).filter_map(|word| read_u32(word, 0));
        Some((kind, words.collect()))
    }

    /// Adds a type.
    pub(super) fn add(&mut self, words: &[u32]) -> TypeId {
        self.offsets.push(self.types.len());
        self.types
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
        TypeId(self.offsets.len() as u32)
    }

    /// Adds a string.
    pub(super) fn add_string(&mut self, string: &str) -> u32 {
        let offset = self.strings.len() as u32;
        self.strings.extend_from_slice(string.as_bytes());
        self.strings.push(0);
        offset
    }

    /// A string.
    pub(super) fn string(&self, offset: u32) -> Option<&str> {
        btf::string(&self.strings, offset)
    }

    /// The first type whose name lies outside of the strings: the loader would read beyond them.
    pub(super) fn stray_name(&self) -> Option<TypeId> {
        let ids = (1..=self.offsets.len() as u32).map(TypeId);
        ids.into_iter().find(|id| {
            let Some((kind, words)) = self.words(*id) else {
                return true;
            };
            let each = match kind {
                Kind::Struct | Kind::Union | Kind::Enum64 => 3,
                Kind::Enum | Kind::FuncProto => 2,
                _ => usize::MAX,
            };
            let members = words.get(3..).unwrap_or_default().iter().step_by(each);
            let members = members.filter(|_| each != usize::MAX);
            words
                .first()
                .into_iter()
                .chain(members)
                .any(|name| *name as usize >= self.strings.len())
        })
    }

    /// The whole BTF.
    pub(super) fn finish(&self) -> Vec<u8> {
        write(&self.types, &self.strings)
    }
}

/// BTF of these types and strings.
pub(crate) fn write(types: &[u8], strings: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + types.len() + strings.len());
    bytes.extend_from_slice(&MAGIC.to_le_bytes());
    bytes.extend_from_slice(&[1, 0]);
    let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
    for word in [HEADER as u32, 0, types_len, types_len, strings_len] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(types);
    bytes.extend_from_slice(strings);
    bytes
}
