//! CO-RE accesses through flexible arrays, `0:2:1` where member 2 is `struct x list[]`.
//!
//! The loader compares the index with the length in the object's own type, which is 0. So the relocation gets
//! another root: a copy of the struct in which the array is just long enough. The types that the program itself uses
//! stay as they are.

use super::Note;
use super::btf_editor::BtfEditor;
use crate::btf::{Kind, TypeId};
use std::collections::BTreeMap;

/// Longest access string that is followed (`BPF_CORE_SPEC_MAX_LEN`).
const MAX_STEPS: usize = 64;
/// Longest chain of typedefs and const.
const MAX_CHAIN: usize = 32;

/// Copies made so far, by root and access string.
#[derive(Default)]
pub(super) struct Copies(BTreeMap<(TypeId, u32), TypeId>);

/// A type that took another's place, and the bytes by which it is larger.
struct Copy {
    id: TypeId,
    growth: u32,
}

impl Copies {
    /// The root that a relocation shall have.
    pub(super) fn root(
        &mut self,
        btf: &mut BtfEditor,
        root: TypeId,
        access: u32,
        notes: &mut Vec<Note>,
    ) -> TypeId {
        if let Some(known) = self.0.get(&(root, access)) {
            return *known;
        }
        let path = btf.string(access).unwrap_or_default().to_owned();
        let steps: Vec<u32> = path
            .split(':')
            .filter_map(|step| step.parse().ok())
            .collect();
        let mut new = root;
        // The first step is an index from the root itself, as of a pointer.
        if let Some(copy) = steps
            .get(1..)
            .and_then(|steps| long_enough(btf, root, steps, 0))
        {
            new = copy.id;
            let name = btf.word(root, 0).and_then(|name| btf.string(name));
            let struct_name = name.unwrap_or_default().to_owned();
            notes.push(Note::FlexibleArray {
                struct_name,
                access: path,
            });
        }
        self.0.insert((root, access), new);
        new
    }
}

/// A copy of the type in which the array that the steps go through has an element for them; none when there is
/// no flexible array on the way.
fn long_enough(btf: &mut BtfEditor, id: TypeId, steps: &[u32], depth: usize) -> Option<Copy> {
    let (step, rest) = steps.split_first()?;
    if depth > MAX_STEPS + MAX_CHAIN {
        return None;
    }
    let (kind, mut words) = btf.words(id)?;
    let copy = match kind {
        kind if kind.is_modifier() => {
            let copy = long_enough(btf, TypeId(*words.get(2)?), steps, depth + 1)?;
            *words.get_mut(2)? = copy.id.0;
            copy.growth
        }
        Kind::Struct | Kind::Union => {
            let member = 3 + 3 * usize::try_from(*step).ok()?;
            let ty = TypeId(*words.get(member.checked_add(1)?)?);
            let copy = long_enough(btf, ty, rest, depth + 1)?;
            *words.get_mut(member + 1)? = copy.id.0;
            let size = words.get_mut(2)?;
            *size = size.checked_add(copy.growth)?;
            copy.growth
        }
        Kind::Array if words.get(5) == Some(&0) => {
            let len = step.checked_add(1)?;
            *words.get_mut(5)? = len;
            size_of(btf, TypeId(*words.get(3)?))?.checked_mul(len)?
        }
        _ => return None,
    };
    Some(Copy {
        id: btf.add(&words),
        growth: copy,
    })
}

/// In bytes.
fn size_of(btf: &BtfEditor, id: TypeId) -> Option<u32> {
    let mut id = id;
    let mut elements = 1_u32;
    for _ in 0..MAX_CHAIN {
        let (kind, words) = btf.words(id)?;
        match kind {
            Kind::Ptr => return elements.checked_mul(8),
            Kind::Array => {
                elements = elements.checked_mul(*words.get(5)?)?;
                id = TypeId(*words.get(3)?);
            }
            kind if kind.is_modifier() => id = TypeId(*words.get(2)?),
            Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float => {
                return elements.checked_mul(*words.get(2)?);
            }
            _ => return None,
        }
    }
    None
}
