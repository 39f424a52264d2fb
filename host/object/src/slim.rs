//! The kernel's BTF with only the types that an object needs.
//!
//! The kernel describes more than a hundred thousand types, an object asks about a dozen of them, and the loader
//! makes a value of each. So every other type becomes a declaration without a name, the smallest type there is, and
//! those behind the last needed one are cut off: ids stay as they are.
//!
//! Kept are types by name and kind, and what their values are made of: members, elements, and what typedefs stand
//! for. What a struct's pointers point to is not followed, as no CO-RE access goes through a pointer: such a pointer
//! points to void, unless its target is kept anyway. A typedef that is asked for by name is followed through pointers
//! and prototypes, as the loader compares them, but not on from the structs there.

use crate::btf::{self, BtfError, Kind, TypeId, read_u32};
use crate::prepare::write_btf;
use crate::{Hook, Object, RelocationKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A declaration without a name.
const PLACEHOLDER: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, Kind::Fwd as u8, 0, 0, 0, 0];
/// Bytes of names that are kept at most.
const MAX_NAMES: usize = 64 << 20;

/// The types that an object needs of the kernel, by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    names: BTreeSet<(u8, String)>,
}

impl Needed {
    /// What an object's CO-RE relocations and hooks ask for.
    #[must_use]
    pub fn of(object: &Object<'_>) -> Self {
        let mut needed = Self::default();
        for relocation in object.core_relocations() {
            if relocation.kind == RelocationKind::TypeIdLocal {
                continue;
            }
            if let Some(root) = object.btf().get(relocation.root) {
                needed.add(root.kind(), essential(root.name()));
            }
        }
        for program in object.programs() {
            match &program.hook {
                Hook::BtfTracepoint { name } => {
                    needed.add(Kind::Typedef, &format!("btf_trace_{name}"));
                }
                Hook::Iterator { target } => {
                    needed.add(Kind::Func, &format!("bpf_iter_{target}"));
                }
                Hook::Other { section } => {
                    let Some((kind, name)) = section.split_once('/') else {
                        continue;
                    };
                    match kind {
                        "fentry" | "fentry.s" | "fexit" | "fexit.s" | "fmod_ret" | "fmod_ret.s" => {
                            needed.add(Kind::Func, name);
                        }
                        "lsm" | "lsm.s" | "lsm_cgroup" => {
                            needed.add(Kind::Func, &format!("bpf_lsm_{name}"));
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        needed
    }

    /// Adds all types of a kind and name, those whose name goes on with `___` too. An enumeration of 64 bits is
    /// found as one of 32 as well, and the other way round.
    pub fn add(&mut self, kind: Kind, name: &str) {
        if !name.is_empty() {
            self.names.insert((kind as u8, name.to_owned()));
            let other = match kind {
                Kind::Enum => Kind::Enum64,
                Kind::Enum64 => Kind::Enum,
                _ => return,
            };
            self.names.insert((other as u8, name.to_owned()));
        }
    }

    /// Nothing is needed: the kernel's BTF need not even be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The name without what libbpf calls its flavor: `task_struct___old` is the kernel's `task_struct`.
fn essential(name: &str) -> &str {
    name.split_once("___")
        .map_or(name, |(essential, _)| essential)
}

/// Needed names as all names in the kernel's BTF can be compared with them quickly.
struct Finder<'a> {
    /// By kind.
    names: [Vec<&'a [u8]>; 32],
    /// A bit for each pair of first bytes that a needed name has.
    begins: Vec<u64>,
}

impl<'a> Finder<'a> {
    fn new(needed: &'a Needed) -> Self {
        let mut finder = Self {
            names: Default::default(),
            begins: vec![0; (1 << 16) / 64],
        };
        for (kind, name) in &needed.names {
            let name = name.as_bytes();
            let begin = usize::from(u16::from_le_bytes([
                name.first().copied().unwrap_or(0),
                name.get(1).copied().unwrap_or(0),
            ]));
            if let (Some(names), Some(word)) = (
                finder.names.get_mut(usize::from(*kind)),
                finder.begins.get_mut(begin / 64),
            ) {
                names.push(name);
                *word |= 1 << (begin % 64);
            }
        }
        finder
    }

    #[inline]
    fn wants(&self, kind: Kind, strings: &[u8], name: u32) -> bool {
        let Some(names) = self
            .names
            .get(kind as usize)
            .filter(|names| !names.is_empty())
        else {
            return false;
        };
        let Some(found) = strings.get(name as usize..) else {
            return false;
        };
        let Some(begin) = found.first_chunk() else {
            return false;
        };
        let begin = usize::from(u16::from_le_bytes(*begin));
        let likely = self
            .begins
            .get(begin / 64)
            .is_some_and(|word| word >> (begin % 64) & 1 != 0);
        likely
            && names.iter().any(|name| {
                let behind = found.strip_prefix(*name);
                behind.is_some_and(|rest| rest.first() == Some(&0) || rest.starts_with(b"___"))
            })
    }
}

/// The types as the kernel has them.
struct Source<'a> {
    types: &'a [u8],
    /// Where each type begins; id 1 is at index 0.
    places: Vec<u32>,
}

impl Source<'_> {
    /// The kind of a type and all its words; none for void and beyond the last.
    fn words(&self, id: TypeId) -> Result<Option<(Kind, Vec<u32>)>, BtfError> {
        let place = (id.0 as usize)
            .checked_sub(1)
            .and_then(|index| self.places.get(index));
        let Some(at) = place.map(|at| *at as usize) else {
            return Ok(None);
        };
        let (kind, length) = btf::frame(self.types, at, id.0)?;
        let bytes = self.types.get(at..at + length).unwrap_or_default();
        let words = bytes.chunks_exact(4).filter_map(|word| read_u32(word, 0));
        Ok(Some((kind, words.collect())))
    }
}

/// The kernel's BTF without what is not needed. Ids of types stay as they are; offsets of strings do not.
///
/// # Errors
///
/// The BTF is damaged, or has kinds of types that are newer than this program.
pub fn slim(vmlinux_btf: &[u8], needed: &Needed) -> Result<Vec<u8>, BtfError> {
    let (types, strings) = btf::sections(vmlinux_btf)?;
    let finder = Finder::new(needed);
    let mut source = Source {
        types,
        places: Vec::with_capacity(types.len() / 16),
    };
    let mut kept = Kept::default();
    let mut at = 0;
    while at < types.len() {
        let id = source.places.len() as u32 + 1; // a type has 12 bytes or more of at most 4 GiB
        let (kind, length) = btf::frame(types, at, id)?;
        source.places.push(at as u32); // the header has 32 bits for it
        if finder.wants(kind, strings, read_u32(types, at).unwrap_or(0)) {
            kept.add(TypeId(id), kind == Kind::Typedef);
        }
        at += length;
    }
    kept.close(&source)?;

    let mut names = Names::new(strings);
    let last = kept.ids.last_key_value().map_or(0, |(id, _)| id.0);
    let mut slim = Vec::with_capacity(last as usize * PLACEHOLDER.len() + 4096);
    let mut next = 1;
    for id in kept.ids.keys() {
        let Some((kind, mut words)) = source.words(*id)? else {
            continue; // closing the set has checked that there is none
        };
        placeholders(&mut slim, id.0 - next);
        next = id.0 + 1;
        for word in name_words(kind, words.len()) {
            if let Some(name) = words.get_mut(word) {
                *name = names.keep(*name, *id)?;
            }
        }
        for word in type_words(kind, words.len()) {
            if let Some(ty) = words.get_mut(word)
                && !kept.ids.contains_key(&TypeId(*ty))
            {
                *ty = 0;
            }
        }
        slim.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    Ok(write_btf(&slim, &names.kept))
}

/// Nearly all of what comes out is these: they are copied, not counted out byte by byte.
fn placeholders(types: &mut Vec<u8>, number: u32) {
    const MANY: [[u8; PLACEHOLDER.len()]; 256] = [PLACEHOLDER; 256];
    let mut left = number as usize;
    while left > 0 {
        let some = left.min(MANY.len());
        types.extend_from_slice(MANY.get(..some).unwrap_or_default().as_flattened());
        left -= some;
    }
}

/// Where a type of so many words has offsets of strings.
fn name_words(kind: Kind, words: usize) -> impl Iterator<Item = usize> {
    let each = match kind {
        Kind::Struct | Kind::Union | Kind::Enum64 => 3,
        Kind::Enum | Kind::FuncProto => 2,
        _ => 0,
    };
    let end = if each == 0 { 3 } else { words };
    std::iter::once(0).chain((3..end).step_by(each.max(1)))
}

/// Where a type of so many words has ids of types.
fn type_words(kind: Kind, words: usize) -> impl Iterator<Item = usize> {
    let (first, each) = match kind {
        Kind::Struct | Kind::Union => (4, 3),
        Kind::FuncProto => (4, 2),
        Kind::DataSec => (3, 3),
        Kind::Array => (3, 1),
        _ => (words, 1),
    };
    let end = if kind == Kind::Array { 5 } else { words };
    let target = kind.has_target().then_some(2);
    target.into_iter().chain((first..end).step_by(each))
}

/// The ids of needed types, and whether what their pointers point to is needed too.
#[derive(Default)]
struct Kept {
    ids: BTreeMap<TypeId, bool>,
    /// Those whose own types were not looked at yet.
    open: Vec<(TypeId, bool)>,
}

impl Kept {
    fn add(&mut self, id: TypeId, pointers: bool) {
        let known = self.ids.get(&id);
        if id.0 != 0 && known.is_none_or(|known| pointers && !known) {
            self.ids.insert(id, pointers);
            self.open.push((id, pointers));
        }
    }

    /// Adds what the kept types are made of.
    fn close(&mut self, source: &Source<'_>) -> Result<(), BtfError> {
        while let Some((id, pointers)) = self.open.pop() {
            let Some((kind, words)) = source.words(id)? else {
                return Err(BtfError::Broken {
                    id: id.0,
                    what: "it does not exist, and a needed type is made of it",
                });
            };
            let pointers = match kind {
                Kind::Struct | Kind::Union => false,
                Kind::Array | Kind::FuncProto => pointers,
                Kind::Ptr if pointers => true,
                kind if kind.is_modifier() => pointers,
                _ => continue,
            };
            for word in type_words(kind, words.len()) {
                if let Some(ty) = words.get(word) {
                    self.add(TypeId(*ty), pointers);
                }
            }
        }
        Ok(())
    }
}

/// The strings that are kept.
struct Names<'a> {
    all: &'a [u8],
    kept: Vec<u8>,
    places: HashMap<u32, u32>,
}

impl<'a> Names<'a> {
    fn new(all: &'a [u8]) -> Self {
        Self {
            all,
            kept: vec![0],
            places: HashMap::new(),
        }
    }

    /// Where the string at an offset, the name of a type or of something in it, is now.
    fn keep(&mut self, offset: u32, of: TypeId) -> Result<u32, BtfError> {
        if offset == 0 {
            return Ok(0);
        }
        if let Some(place) = self.places.get(&offset) {
            return Ok(*place);
        }
        let broken = |what| BtfError::Broken { id: of.0, what };
        let rest = self.all.get(offset as usize..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0);
        let name = end.and_then(|end| rest.get(..=end));
        let name =
            name.ok_or_else(|| broken("its name or that of a member lies outside of the strings"))?;
        if self.kept.len() + name.len() > MAX_NAMES {
            return Err(broken(
                "the names of the needed types are larger than 64 MiB",
            ));
        }
        let place = self.kept.len() as u32;
        self.kept.extend_from_slice(name);
        self.places.insert(offset, place);
        Ok(place)
    }
}

#[cfg(test)]
mod tests;
