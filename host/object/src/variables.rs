//! Global variables.

use crate::ObjectError;
use crate::btf::{Btf, Kind, TypeId};
use crate::elf::Elf;
use std::collections::HashMap;

/// A global variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable<'a> {
    /// As in the source.
    pub name: String,
    /// `.rodata`, `.data`, `.bss`, or one of these with a suffix.
    pub section: String,
    /// In the section, in bytes.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
    /// Its type, with `const` and `volatile`.
    pub type_id: TypeId,
    /// `const volatile`: the host may set it before the programs are loaded, and then never again.
    pub is_const_volatile: bool,
    /// Its first value; empty where that is all zeros (`.bss`).
    pub initial: &'a [u8],
}

pub(crate) fn read<'a>(elf: &Elf<'a>, btf: &Btf<'a>) -> Result<Vec<Variable<'a>>, ObjectError> {
    let mut symbols = HashMap::new();
    for symbol in elf.symbols.iter().filter(|symbol| !symbol.function) {
        symbols.insert((symbol.section, symbol.name), symbol);
    }
    let mut variables = Vec::new();
    for (_, types) in btf.types().filter(|(_, ty)| ty.kind() == Kind::DataSec) {
        let holds = |prefix| types.name().starts_with(prefix);
        if ![".rodata", ".data", ".bss"].into_iter().any(holds) {
            continue;
        }
        let Some(section) = elf.section(types.name()) else {
            continue;
        };
        for entry in types.variables() {
            let Some(var) = btf.get(entry.ty).filter(|ty| ty.kind() == Kind::Var) else {
                continue;
            };
            // Only the linker would write the offset into the BTF: in an object the symbol has it.
            let Some(symbol) = symbols.get(&(section.index, var.name())) else {
                continue;
            };
            let outside = || ObjectError::Symbol {
                symbol: symbol.name.to_owned(),
                section: section.name.to_owned(),
            };
            let end = symbol.address.checked_add(symbol.size);
            end.filter(|end| *end <= section.size).ok_or_else(outside)?;
            let offset = u32::try_from(symbol.address).map_err(|_| outside())?;
            let size = u32::try_from(symbol.size).map_err(|_| outside())?;
            let initial = section.data.get(offset as usize..);
            let initial = initial
                .and_then(|data| data.get(..size as usize))
                .unwrap_or_default();
            let type_id = var.target().unwrap_or_default();
            variables.push(Variable {
                name: var.name().to_owned(),
                section: section.name.to_owned(),
                offset,
                size,
                type_id,
                is_const_volatile: is_const_volatile(btf, type_id),
                initial,
            });
        }
    }
    Ok(variables)
}

fn is_const_volatile(btf: &Btf<'_>, id: TypeId) -> bool {
    let (mut id, mut constant, mut volatile) = (id, false, false);
    for _ in 0..16 {
        let Some(ty) = btf.get(id) else { break };
        constant |= ty.kind() == Kind::Const;
        volatile |= ty.kind() == Kind::Volatile;
        id = match (ty.target().filter(|_| ty.kind().is_modifier()), ty.array()) {
            (Some(next), _) => next,
            (None, Some(array)) => array.element, // C puts the qualifiers of an array on its elements
            (None, None) => break,
        };
    }
    constant && volatile
}
