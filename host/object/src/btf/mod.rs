//! BTF: the types of an eBPF object or of the kernel (include/uapi/linux/btf.h).
//!
//! Read only, little endian, and safe on any bytes: [`Btf::parse`] checks the framing of every type once,
//! what types say about each other is checked when it is used.

mod address;
mod layout;
mod types;

pub use address::{AddressPlace, EndpointPlace, is_big_endian};
pub use layout::{Element, Field, FieldType, FoundField, Layout, Variant};
pub use types::{ArrayType, IntType, Kind, Member, Param, SectionVariable, Type, TypeId};
pub(crate) use types::{frame, string};

/// `BTF_MAGIC`.
pub(crate) const MAGIC: u16 = 0xeb9f;
/// Length of `struct btf_header`.
pub(crate) const HEADER: usize = 24;
/// Longest chain of typedefs, modifiers and arrays that is followed.
const MAX_CHAIN: usize = 64;

/// What is wrong with BTF, or is not in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The first bytes are no BTF header that we know.
    #[error("this is not BTF of version 1, little endian: {0}")]
    Header(&'static str),
    /// A type's bytes end before the type does.
    #[error("BTF is cut short: type {id} at byte {offset} of the types is not whole")]
    Truncated {
        /// Of the type.
        id: u32,
        /// In the type section.
        offset: usize,
    },
    /// A kind of type that came after this program.
    #[error(
        "BTF type {id} is of the unknown kind {kind}: the compiler or kernel that made it is newer than this program"
    )]
    UnknownKind {
        /// Of the type.
        id: u32,
        /// As found.
        kind: u8,
    },
    /// Types name types that do not exist, or sizes that cannot be.
    #[error("BTF type {id} is broken: {what}")]
    Broken {
        /// Of the type.
        id: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Types nest deeper, or hold more fields, than anything real does.
    #[error("BTF type {id} nests too deep or holds too many fields")]
    TooDeep {
        /// Of the type.
        id: u32,
    },
    /// No such struct or union.
    #[error("there is no struct `{name}` in the BTF{}", nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default())]
    NoStruct {
        /// As asked for.
        name: String,
        /// The struct whose name is most like it.
        nearest: Option<String>,
    },
}

/// The types of one object, or of the kernel.
#[derive(Clone, Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins in `types`; id 1 is at index 0, id 0 is void.
    offsets: Vec<u32>,
}

impl<'a> Btf<'a> {
    /// Reads the header and finds where each type begins.
    ///
    /// # Errors
    ///
    /// Not BTF, cut short, or a kind of type that is not known.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let (types, strings) = sections(bytes)?;
        let mut offsets = Vec::with_capacity(types.len() / 20);
        let mut at = 0;
        while at < types.len() {
            let id = u32::try_from(offsets.len() + 1).unwrap_or(u32::MAX);
            let (_, length) = types::frame(types, at, id)?;
            offsets.push(at as u32); // the header has 32 bits for it
            at += length;
        }
        Ok(Self {
            types,
            strings,
            offsets,
        })
    }

    /// The number of types, void included: ids are below this.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.offsets.len() + 1).unwrap_or(u32::MAX)
    }

    /// The type with this id; none for void and beyond the last.
    #[must_use]
    pub fn get(&self, id: TypeId) -> Option<Type<'a>> {
        let at = *self.offsets.get((id.0 as usize).checked_sub(1)?)? as usize;
        Type::read(self.types, at, self.strings)
    }

    /// All types in the order of their ids, without void.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, Type<'a>)> + '_ {
        (1..self.count())
            .map(TypeId)
            .filter_map(|id| Some((id, self.get(id)?)))
    }

    /// The string at an offset of the string section; none beyond its end or when it is not UTF-8.
    #[must_use]
    pub fn string(&self, offset: u32) -> Option<&'a str> {
        types::string(self.strings, offset)
    }

    /// The first type of this name and kind.
    #[must_use]
    pub fn find(&self, name: &str, kind: Kind) -> Option<TypeId> {
        self.types()
            .find(|(_, ty)| ty.kind() == kind && ty.name() == name)
            .map(|(id, _)| id)
    }

    /// What is left behind typedefs, const, volatile, restrict and type tags; none when that is void, or
    /// the types go round in a circle.
    #[must_use]
    pub fn resolve(&self, id: TypeId) -> Option<TypeId> {
        let mut id = id;
        for _ in 0..MAX_CHAIN {
            let ty = self.get(id)?;
            if !ty.kind().is_modifier() {
                return Some(id);
            }
            id = ty.target()?;
        }
        None
    }

    /// The size in bytes of a value of this type. Pointers are 8 bytes, as they are in every eBPF program
    /// and on every kernel that this program runs on.
    ///
    /// # Errors
    ///
    /// The type has no size (void, a function, a struct that is only declared), or is broken.
    pub fn size_of(&self, id: TypeId) -> Result<u32, BtfError> {
        let broken = |what| BtfError::Broken { id: id.0, what };
        let mut elements = 1_u32;
        let mut at = id;
        for _ in 0..MAX_CHAIN {
            let at_id = self.resolve(at).ok_or_else(|| broken("it has no size"))?;
            let ty = self.get(at_id).ok_or_else(|| broken("it has no size"))?;
            if let Some(array) = ty.array() {
                elements = elements
                    .checked_mul(array.len)
                    .ok_or_else(|| broken("the array is larger than 4 GiB"))?;
                at = array.element;
                continue;
            }
            let size = match ty.kind() {
                Kind::Ptr => 8,
                _ => ty.size().ok_or_else(|| broken("it has no size"))?,
            };
            return size
                .checked_mul(elements)
                .ok_or_else(|| broken("the array is larger than 4 GiB"));
        }
        Err(BtfError::TooDeep { id: id.0 })
    }

    /// The fields of the struct, union or typedef of one with this name.
    ///
    /// # Errors
    ///
    /// There is none (the nearest name is told), or its types are broken.
    pub fn layout(&self, name: &str) -> Result<Layout, BtfError> {
        let mut typedef = None;
        for (id, ty) in self.types().filter(|(_, ty)| ty.name() == name) {
            match ty.kind() {
                Kind::Struct | Kind::Union => return self.layout_of(id),
                Kind::Typedef => typedef = typedef.or(Some(id)),
                _ => {}
            }
        }
        if let Some(id) = typedef
            && let Ok(layout) = self.layout_of(id)
        {
            return Ok(Layout {
                name: name.to_owned(),
                ..layout
            });
        }
        let structs = self.types().filter(|(_, ty)| ty.kind() == Kind::Struct);
        let nearest = crate::nearest(name, structs.map(|(_, ty)| ty.name()));
        Err(BtfError::NoStruct {
            name: name.to_owned(),
            nearest,
        })
    }

    /// The fields of a struct or union, through typedefs and const.
    ///
    /// # Errors
    ///
    /// It is neither, or its types are broken.
    pub fn layout_of(&self, id: TypeId) -> Result<Layout, BtfError> {
        layout::build(self, id)
    }
}

/// The type and string sections of BTF, as the header has them.
pub(crate) fn sections(bytes: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    let cut = BtfError::Header("it is shorter than its header");
    let header = bytes.first_chunk::<HEADER>().ok_or_else(|| cut.clone())?;
    let word = |at: usize| read_u32(header, at).unwrap_or(0) as usize;
    if u16::from_le_bytes([header[0], header[1]]) != MAGIC {
        return Err(BtfError::Header("the first two bytes are not 9f eb"));
    }
    if header[2] != 1 {
        return Err(BtfError::Header("its version is not 1"));
    }
    let length = word(4);
    if length < HEADER {
        return Err(BtfError::Header("its header is shorter than 24 bytes"));
    }
    let body = bytes.get(length..).ok_or(cut)?;
    let part =
        |offset: usize, length: usize| -> Option<&[u8]> { body.get(offset..)?.get(..length) };
    let types =
        part(word(8), word(12)).ok_or(BtfError::Header("its types lie outside of its bytes"))?;
    let strings =
        part(word(16), word(20)).ok_or(BtfError::Header("its strings lie outside of its bytes"))?;
    Ok((types, strings))
}

/// The little endian word at a byte offset.
pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
