//! The ELF file around an eBPF object, read with crate `object` in bounds.

use crate::ObjectError;
use object::LittleEndian;
use object::read::elf::{ElfFile64, FileHeader as _};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind, elf};

/// `EM_BPF`.
const MACHINE: u16 = 247;

/// One section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'a> {
    pub(crate) index: usize,
    pub(crate) name: &'a str,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) kind: u32,
    /// In bytes, those of a section without bytes in the file too.
    pub(crate) size: u64,
    /// Empty where the file has none.
    pub(crate) data: &'a [u8],
}

impl Section<'_> {
    /// Holds instructions and is not `.text`, whose functions are called by programs.
    pub(crate) fn holds_programs(&self) -> bool {
        self.is_code() && !self.name.starts_with(".text")
    }

    /// Holds instructions.
    pub(crate) fn is_code(&self) -> bool {
        self.kind == elf::SHT_PROGBITS.0 && self.flags & elf::SHF_EXECINSTR.0 != 0 && self.size > 0
    }
}

/// One symbol that is defined in a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a str,
    pub(crate) section: usize,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) global: bool,
    pub(crate) function: bool,
}

/// Sections and symbols of a file.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    pub(crate) sections: Vec<Section<'a>>,
    pub(crate) symbols: Vec<Symbol<'a>>,
}

impl<'a> Elf<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ObjectError> {
        let broken = |what: &dyn std::fmt::Display| ObjectError::Elf(what.to_string());
        let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(|error| broken(&error))?;
        let header = file.elf_header();
        let machine = header.e_machine(LittleEndian).0;
        if machine != MACHINE {
            return Err(ObjectError::NotBpf { machine });
        }
        let mut sections = Vec::new();
        for section in file.sections() {
            let name = section.name().map_err(|error| broken(&error))?;
            let data = section.data().map_err(|error| broken(&error))?;
            let header = section.elf_section_header();
            sections.push(Section {
                index: section.index().0,
                name,
                flags: header.sh_flags.get(LittleEndian).0,
                address: header.sh_addr.get(LittleEndian),
                kind: header.sh_type.get(LittleEndian).0,
                size: header.sh_size.get(LittleEndian),
                data,
            });
        }
        let mut symbols = Vec::new();
        for symbol in file.symbols() {
            let Some(section) = symbol.section_index() else {
                continue;
            };
            symbols.push(Symbol {
                name: symbol.name().map_err(|error| broken(&error))?,
                section: section.0,
                address: symbol.address(),
                size: symbol.size(),
                global: symbol.is_global(),
                function: symbol.kind() == SymbolKind::Text,
            });
        }
        Ok(Self { sections, symbols })
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }
}
