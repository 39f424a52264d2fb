//! Map definitions.

use crate::ObjectError;
use crate::btf::{Btf, Kind, TypeId, read_u32};
use crate::elf::Elf;

/// A map that the source declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Name of the variable, and of the map in the kernel up to 15 bytes.
    pub name: String,
    /// `BPF_MAP_TYPE_*`.
    pub kind: u32,
    /// In bytes; 0 where the kind has no keys.
    pub key_size: u32,
    /// In bytes, of one CPU's value in a per-CPU map.
    pub value_size: u32,
    /// Entries, or bytes of a ring buffer; 0 when the host has to say it.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// Type of a key, where the source declares one.
    pub key_type: Option<TypeId>,
    /// Type of a value, where the source declares one.
    pub value_type: Option<TypeId>,
    /// Has `__array(values, ...)`: a map of maps, or programs to call.
    pub has_values: bool,
}

pub(crate) fn read(elf: &Elf<'_>, btf: &Btf<'_>) -> Result<Vec<Map>, ObjectError> {
    let mut maps = Vec::new();
    let sections = btf
        .types()
        .filter(|(_, ty)| ty.kind() == Kind::DataSec && ty.name() == ".maps");
    for (_, section) in sections {
        for entry in section.variables() {
            let Some(var) = btf.get(entry.ty).filter(|ty| ty.kind() == Kind::Var) else {
                continue;
            };
            let definition = var.target().and_then(|id| btf.resolve(id));
            maps.push(defined(btf, var.name(), definition)?);
        }
    }
    legacy(elf, &mut maps)?;
    Ok(maps)
}

/// A definition of section `.maps`: a struct whose members' types carry the numbers.
fn defined(btf: &Btf<'_>, name: &str, definition: Option<TypeId>) -> Result<Map, ObjectError> {
    let wrong = |what| ObjectError::Map {
        map: name.to_owned(),
        what,
    };
    let definition = definition
        .and_then(|id| btf.get(id))
        .filter(|ty| ty.kind() == Kind::Struct);
    let definition = definition.ok_or_else(|| wrong("its definition is not a struct"))?;
    let mut map = Map {
        name: name.to_owned(),
        kind: 0,
        key_size: 0,
        value_size: 0,
        max_entries: 0,
        flags: 0,
        key_type: None,
        value_type: None,
        has_values: false,
    };
    for member in definition.members() {
        let number =
            || number(btf, member.ty).ok_or_else(|| wrong("a number is not one that __uint makes"));
        let pointee = || -> Result<(TypeId, u32), ObjectError> {
            let id = pointee(btf, member.ty);
            let id = id.ok_or_else(|| wrong("a key or value is not one that __type makes"))?;
            Ok((id, btf.size_of(id)?))
        };
        match member.name {
            "type" => map.kind = number()?,
            "max_entries" => map.max_entries = number()?,
            "map_flags" => map.flags = number()?,
            "key_size" => map.key_size = number()?,
            "value_size" => map.value_size = number()?,
            "key" => {
                let (id, size) = pointee()?;
                (map.key_type, map.key_size) = (Some(id), size);
            }
            "value" => {
                let (id, size) = pointee()?;
                (map.value_type, map.value_size) = (Some(id), size);
            }
            "values" => map.has_values = true,
            _ => {}
        }
    }
    Ok(map)
}

/// `__uint(name, N)` is a member `int (*name)[N]`.
fn number(btf: &Btf<'_>, id: TypeId) -> Option<u32> {
    Some(btf.get(pointee(btf, id)?)?.array()?.len)
}

/// `__type(name, T)` is a member `T *name`.
fn pointee(btf: &Btf<'_>, id: TypeId) -> Option<TypeId> {
    btf.get(id).filter(|ty| ty.kind() == Kind::Ptr)?.target()
}

/// Definitions of section `maps`, from before BTF: `struct bpf_map_def`.
fn legacy(elf: &Elf<'_>, maps: &mut Vec<Map>) -> Result<(), ObjectError> {
    let Some(section) = elf.section("maps") else {
        return Ok(());
    };
    for symbol in elf
        .symbols
        .iter()
        .filter(|s| s.section == section.index && !s.name.is_empty())
    {
        let data = usize::try_from(symbol.address)
            .ok()
            .and_then(|at| section.data.get(at..));
        let data = data.unwrap_or_default();
        let word = |at| {
            read_u32(data, at).ok_or_else(|| ObjectError::Symbol {
                symbol: symbol.name.to_owned(),
                section: section.name.to_owned(),
            })
        };
        maps.push(Map {
            name: symbol.name.to_owned(),
            kind: word(0)?,
            key_size: word(4)?,
            value_size: word(8)?,
            max_entries: word(12)?,
            flags: word(16)?,
            key_type: None,
            value_type: None,
            has_values: false,
        });
    }
    Ok(())
}
