//! `__array(values, ...)`: what the source puts into maps of programs and of maps.

use super::Note;
use super::btf_editor::BtfEditor;
use crate::btf::{Btf, Kind, Type, TypeId};
use crate::elf::Elf;
use crate::{Object, ObjectError};
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};
use std::collections::BTreeMap;

/// `BPF_MAP_TYPE_ARRAY_OF_MAPS` and `BPF_MAP_TYPE_HASH_OF_MAPS`: their values say what the inner maps are.
const MAPS_OF_MAPS: [u32; 2] = [12, 13];

/// A slot of a map that the source fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapValue {
    /// The outer map.
    pub map: String,
    /// Its index.
    pub slot: u32,
    /// Name of the program or map that goes there.
    pub target: String,
}

/// Hides the values of maps that hold no maps. Returns where the values begin in each map's definition, in bytes.
pub(super) fn hide(
    object: &Object<'_>,
    editor: &mut BtfEditor,
    notes: &mut Vec<Note>,
) -> BTreeMap<String, u64> {
    let btf = object.btf();
    let mut offsets = BTreeMap::new();
    for (section, ty) in btf
        .types()
        .filter(|(_, ty)| ty.kind() == Kind::DataSec && ty.name() == ".maps")
    {
        for (index, entry) in ty.variables().enumerate() {
            let Some(var) = btf.get(entry.ty) else {
                continue;
            };
            let Some(map) = object.map(var.name()).filter(|map| map.has_values) else {
                continue;
            };
            let Some(id) = var.target().and_then(|id| btf.resolve(id)) else {
                continue;
            };
            let Some(definition) = btf.get(id) else {
                continue;
            };
            let Some((position, values)) = definition
                .members()
                .enumerate()
                .find(|(_, member)| member.name == "values")
            else {
                continue;
            };
            offsets.insert(map.name.clone(), u64::from(values.bit_offset / 8));
            if MAPS_OF_MAPS.contains(&map.kind) {
                continue;
            }
            let member = 3 + 3 * position;
            if map.value_size > 0 {
                let hidden = editor.add_string("initial_values");
                editor.set(id, member, hidden);
            } else if let Some(number) = value_size(btf, &definition, editor) {
                // The loader knows no size that goes without saying: the member says it instead.
                let name = editor.add_string("value_size");
                editor.set(id, member, name);
                editor.set(id, member + 1, number.0);
                let needed = (values.bit_offset / 8).saturating_add(8);
                if definition.size().is_some_and(|size| size < needed) {
                    editor.set(id, 2, needed);
                }
                if entry.size < needed {
                    editor.set(section, 3 + 3 * index + 2, needed);
                }
            }
            notes.push(Note::HiddenValues {
                map: map.name.clone(),
            });
        }
    }
    offsets
}

/// The type of `__uint(value_size, 4)`, made after that of the member `type`.
fn value_size(btf: &Btf<'_>, definition: &Type<'_>, editor: &mut BtfEditor) -> Option<TypeId> {
    let number = definition.members().find(|member| member.name == "type")?;
    let array = btf.get(btf.get(number.ty)?.target()?)?.array()?;
    let kind = |kind: Kind| u32::from(kind as u8) << 24;
    let array = editor.add(&[0, kind(Kind::Array), 0, array.element.0, array.index.0, 4]);
    Some(editor.add(&[0, kind(Kind::Ptr), array.0]))
}

/// The values that the source gives, found by the relocations of section `.maps`.
pub(super) fn initial(
    elf: &Elf<'_>,
    offsets: &BTreeMap<String, u64>,
    bytes: &[u8],
) -> Result<Vec<MapValue>, ObjectError> {
    let mut values = Vec::new();
    let Some(maps) = elf.section(".maps").filter(|_| !offsets.is_empty()) else {
        return Ok(values);
    };
    let broken = |error: object::Error| ObjectError::Elf(error.to_string());
    let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(broken)?;
    let section = file
        .section_by_index(object::SectionIndex(maps.index))
        .map_err(broken)?;
    for (place, relocation) in section.relocations() {
        let RelocationTarget::Symbol(symbol) = relocation.target() else {
            continue;
        };
        let target = file
            .symbol_by_index(symbol)
            .and_then(|symbol| symbol.name());
        let target = target.map_err(broken)?.to_owned();
        let map = elf.symbols.iter().find(|symbol| {
            let end = symbol.address.saturating_add(symbol.size);
            symbol.section == maps.index && (symbol.address..end).contains(&place)
        });
        let Some(map) = map else { continue };
        let Some(offset) = offsets.get(map.name) else {
            continue;
        };
        let slot = (place - map.address)
            .checked_sub(*offset)
            .map(|bytes| bytes / 8);
        let Some(slot) = slot.and_then(|slot| u32::try_from(slot).ok()) else {
            continue;
        };
        values.push(MapValue {
            map: map.name.to_owned(),
            slot,
            target,
        });
    }
    values.sort_by(|a, b| (&a.map, a.slot).cmp(&(&b.map, b.slot)));
    Ok(values)
}
