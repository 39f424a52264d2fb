//! An object's bytes made ready for the loader (aya 0.14, unmodified).
//!
//! Objects that libbpf loads stop aya for reasons that lie in their bytes alone, so the bytes are changed before
//! aya sees them. Nothing moves: sections, symbols and types keep their numbers, and what is new stands at the end.
//!
//! | in the object | why aya stops | here |
//! |---|---|---|
//! | a section that begins with `?` | it knows no such prefix | the prefix is taken off |
//! | a section of a kind it does not know | one stops the whole object | renamed where there is another name for it, else left out |
//! | a field behind a flexible array in a CO-RE access | it takes the array's length, 0, as its bound (aya issue 1662) | the relocation gets a copy of the struct whose array is long enough |
//! | `__array(values, ...)` of anything but maps | it expects maps | hidden; the host fills the slots ([`Prepared::values`]) |
//! | symbols, strings and tables that point outside | it panics | refused |

mod btf_editor;
mod elf_editor;
mod extension;
mod flexible;
mod sections;
mod values;

pub(crate) use btf_editor::write as write_btf;
pub use values::MapValue;

use crate::elf::{Elf, Section};
use crate::{Object, ObjectError, Program};
use btf_editor::BtfEditor;
use elf_editor::ElfEditor;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;

/// `SHF_EXECINSTR`.
const EXECUTABLE: u64 = 4;
/// Largest section of variables, which becomes a map; `.bss` is as large as it says without having bytes.
const MAX_VARIABLES: u64 = 256 << 20;

/// What [`prepare`] shall do beyond what is necessary.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrepareOptions<'a> {
    /// Programs to leave out, by name; names that do not occur are ignored. A program that shares its section
    /// with others stays in the bytes but is no longer adapted to the kernel: it must not be loaded.
    pub drop: &'a [&'a str],
}

/// An object that the loader accepts.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The whole object.
    pub bytes: AlignedBytes,
    /// What was changed.
    pub notes: Vec<Note>,
    /// What the source puts into maps of maps and of programs: the host has to.
    pub values: Vec<MapValue>,
}

/// A change of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A section of programs has another name.
    Renamed {
        /// As in the source.
        from: String,
        /// As the loader sees it.
        to: String,
    },
    /// Programs are no longer in the object.
    LeftOut {
        /// As in the source.
        section: String,
        /// All of the section, or those that were to be dropped.
        programs: Vec<String>,
        /// Why.
        reason: &'static str,
    },
    /// A CO-RE relocation goes through a flexible array.
    FlexibleArray {
        /// Its root.
        struct_name: String,
        /// Indexes to the field.
        access: String,
    },
    /// A map's initial values are hidden from the loader.
    HiddenValues {
        /// The map.
        map: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renamed { from, to } => write!(f, "section `{from}` is loaded as `{to}`"),
            Self::LeftOut {
                section,
                programs,
                reason,
            } => {
                write!(
                    f,
                    "{} of section `{section}` left out: {reason}",
                    programs.join(", ")
                )
            }
            Self::FlexibleArray {
                struct_name,
                access,
            } => {
                write!(
                    f,
                    "the flexible array in `{struct_name}` has a length for access {access}"
                )
            }
            Self::HiddenValues { map } => {
                write!(f, "the initial values of map `{map}` are set by the host")
            }
        }
    }
}

/// Bytes whose first lies at a multiple of 8, as the loader wants them.
#[derive(Clone)]
pub struct AlignedBytes {
    words: Vec<u64>,
    len: usize,
}

impl AlignedBytes {
    /// Copies bytes to where they are aligned.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            u64::from_ne_bytes(word)
        });
        Self {
            words: words.collect(),
            len: bytes.len(),
        }
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        object::pod::bytes_of_slice(&self.words)
            .get(..self.len)
            .unwrap_or_default()
    }
}

impl fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBytes({})", self.len)
    }
}

/// What becomes of the sections that hold programs.
#[derive(Debug, Default)]
struct Fate {
    renamed: BTreeMap<String, String>,
    gone: BTreeSet<String>,
    /// Parts of sections whose programs are left out while others stay: from, up to.
    idle: BTreeMap<String, Vec<(u64, u64)>>,
}

/// Makes an object ready for the loader.
///
/// # Errors
///
/// The object cannot be read ([`Object::parse`]), points outside of itself, or needs of the kernel what cannot be given yet.
pub fn prepare(bytes: &[u8], options: &PrepareOptions<'_>) -> Result<Prepared, ObjectError> {
    let object = Object::parse(bytes)?;
    let elf = Elf::parse(bytes)?;
    check(&elf)?;
    let mut notes = Vec::new();
    let mut elf_editor = ElfEditor::new(bytes)?;
    let fate = fates(&object, &elf, options, &mut elf_editor, &mut notes)?;

    let types = elf.section(".BTF").ok_or(ObjectError::NoBtf)?;
    let mut btf = BtfEditor::new(types.data)?;
    if let Some(id) = btf.stray_name() {
        let what = "its name or that of a member lies outside of the strings";
        return Err(crate::btf::BtfError::Broken { id: id.0, what }.into());
    }
    let offsets = values::hide(&object, &mut btf, &mut notes);
    if let Some(section) = elf.section(".BTF.ext") {
        let contents = extension::rewrite(section.data, &fate, &mut btf, &mut notes)?;
        elf_editor.replace(section.index, &contents)?;
    }
    externs(&object)?;
    elf_editor.replace(types.index, &btf.finish())?;
    let bytes = elf_editor.finish()?;
    let values = values::initial(&elf, &offsets, &bytes)?;
    Ok(Prepared {
        bytes: AlignedBytes::new(&bytes),
        notes,
        values,
    })
}

/// What the loader takes for granted.
fn check(elf: &Elf<'_>) -> Result<(), ObjectError> {
    for section in &elf.sections {
        let is = |prefix| section.name.starts_with(prefix);
        let code = section.is_code() || is(".text");
        if code && section.address != 0 {
            let what = format!(
                "section `{}` has an address: it is not an object file",
                section.name
            );
            return Err(ObjectError::Elf(what));
        }
        if [".rodata", ".data", ".bss"].into_iter().any(is) && section.size > MAX_VARIABLES {
            let what = format!("section `{}` is larger than 256 MiB", section.name);
            return Err(ObjectError::Elf(what));
        }
        if !code && !is("maps") {
            continue;
        }
        let length = section.data.len() as u64;
        for symbol in elf
            .symbols
            .iter()
            .filter(|symbol| symbol.section == section.index)
        {
            let end = symbol.address.checked_add(symbol.size);
            if end.is_none_or(|end| end > length) {
                return Err(ObjectError::Symbol {
                    symbol: symbol.name.to_owned(),
                    section: section.name.to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// Variables that the kernel should give, which the loader cannot ask it for.
fn externs(object: &Object<'_>) -> Result<(), ObjectError> {
    for (_, section) in object.btf().types() {
        if section.kind() != crate::btf::Kind::DataSec
            || !matches!(section.name(), ".kconfig" | ".ksyms")
        {
            continue;
        }
        if let Some(variable) = section
            .variables()
            .next()
            .and_then(|v| object.btf().get(v.ty))
        {
            return Err(ObjectError::Extern {
                name: variable.name().to_owned(),
                section: section.name().to_owned(),
            });
        }
    }
    Ok(())
}

/// Decides about each section of programs, and changes the section's header.
fn fates(
    object: &Object<'_>,
    elf: &Elf<'_>,
    options: &PrepareOptions<'_>,
    editor: &mut ElfEditor,
    notes: &mut Vec<Note>,
) -> Result<Fate, ObjectError> {
    let mut fate = Fate::default();
    let mut taken: BTreeSet<String> = elf
        .sections
        .iter()
        .map(|section| section.name.to_owned())
        .collect();
    for section in elf
        .sections
        .iter()
        .filter(|section| section.holds_programs())
    {
        let programs: Vec<_> = object
            .programs()
            .iter()
            .filter(|program| program.section == section.name)
            .collect();
        let drop: Vec<_> = programs
            .iter()
            .filter(|program| options.drop.contains(&program.name.as_str()))
            .map(|program| program.name.clone())
            .collect();
        let accepted = sections::accepted(section.name);
        let reason = match &accepted {
            None => Some("the loader does not know this kind of section"),
            Some(_) if programs.is_empty() => Some("no program is in it"),
            Some(_) if drop.len() == programs.len() => Some("not wanted"),
            Some(_) => None,
        };
        match (reason, accepted) {
            (None, Some(accepted)) => {
                if !drop.is_empty() {
                    let idle = idle(elf, section, &drop);
                    fate.idle.insert(section.name.to_owned(), idle);
                    notes.push(left_out(section, drop, "not wanted"));
                }
                let to = unique(accepted, section.name, &mut taken);
                if to != section.name {
                    editor.rename(section.index, &to)?;
                    let from = section.name.to_owned();
                    notes.push(Note::Renamed {
                        from: from.clone(),
                        to: to.clone(),
                    });
                    fate.renamed.insert(from, to);
                }
            }
            (reason, _) => {
                editor.clear_flags(section.index, EXECUTABLE)?;
                fate.gone.insert(section.name.to_owned());
                let names = |program: &&Program| program.name.clone();
                let programs = programs.iter().map(names).collect();
                notes.push(left_out(section, programs, reason.unwrap_or("not wanted")));
            }
        }
    }
    Ok(fate)
}

fn left_out(section: &Section<'_>, programs: Vec<String>, reason: &'static str) -> Note {
    Note::LeftOut {
        section: section.name.to_owned(),
        programs,
        reason,
    }
}

/// Where these programs lie in their section.
fn idle(elf: &Elf<'_>, section: &Section<'_>, programs: &[String]) -> Vec<(u64, u64)> {
    let symbols = elf.symbols.iter().filter(|symbol| {
        symbol.section == section.index
            && symbol.function
            && programs.iter().any(|name| name == symbol.name)
    });
    symbols
        .map(|symbol| (symbol.address, symbol.address.saturating_add(symbol.size)))
        .collect()
}

/// The loader finds sections by name: `?tp/a/b` beside `tp/a/b` must not become the same.
fn unique(wanted: String, now: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = wanted.clone();
    let mut number = 2;
    while name != now && taken.contains(&name) {
        name = format!("{wanted}/{number}");
        number += 1;
    }
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests;
