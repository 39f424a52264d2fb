//! What an object holds.

use crate::btf::{Btf, BtfError, Kind};
use crate::core_relocations::{self, CoreRelocation};
use crate::elf::Elf;
use crate::{Map, Program, Variable, maps, programs, variables};

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Not a 64-bit little endian ELF file, or a damaged one.
    #[error("this is not an eBPF object: {0}")]
    Elf(String),
    /// An ELF file for a processor.
    #[error(
        "this is not an eBPF object but an ELF file for machine {machine}: compile it with `clang -target bpf`"
    )]
    NotBpf {
        /// `e_machine`.
        machine: u16,
    },
    /// Without BTF neither maps nor records have types.
    #[error(
        "the object has no BTF: compile it with `clang -g -O2 -target bpf` and do not strip it"
    )]
    NoBtf,
    /// The BTF is damaged.
    #[error("the object's BTF cannot be read")]
    Btf(#[from] BtfError),
    /// `.BTF.ext` is damaged.
    #[error("the object's .BTF.ext cannot be read: {0}")]
    Extension(&'static str),
    /// A map's definition is not one.
    #[error("map `{map}`: {what}")]
    Map {
        /// Its name.
        map: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A program, function or variable lies outside of its section.
    #[error("symbol `{symbol}` does not lie in its section `{section}`")]
    Symbol {
        /// Its name.
        symbol: String,
        /// Where it should be.
        section: String,
    },
    /// Something that the kernel should give and the loader cannot ask for.
    #[error(
        "`{name}` ({section}) comes from the kernel, which is not supported yet: read it another way, or leave it out"
    )]
    Extern {
        /// Its name.
        name: String,
        /// `.kconfig` or `.ksyms`.
        section: String,
    },
    /// A CO-RE relocation that the loader does not know.
    #[error(
        "a program in section `{section}` needs CO-RE relocation {kind} (12 is bpf_core_type_matches), which is not supported yet"
    )]
    Relocation {
        /// Of the program.
        section: String,
        /// `enum bpf_core_relo_kind`.
        kind: u32,
    },
    /// A declaration of the gadget headers that does not have its parts.
    #[error("`{name}` is not what {by} makes: expected `{expected}`")]
    Marker {
        /// The variable's name.
        name: String,
        /// The header's macro.
        by: &'static str,
        /// What it makes.
        expected: &'static str,
    },
}

/// A declaration that records of a struct come out of a map (`GADGET_TRACER`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracer {
    /// As the manifest calls the source.
    pub name: String,
    /// The ring buffer.
    pub map: String,
    /// What a record holds.
    pub struct_name: String,
}

/// A declaration that iterator programs write records of a struct (`GADGET_ITER`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshotter {
    /// As the manifest calls the source.
    pub name: String,
    /// What a record holds.
    pub struct_name: String,
    /// The programs, in the order in which they run.
    pub programs: Vec<String>,
}

/// An eBPF object.
#[derive(Debug)]
pub struct Object<'a> {
    btf: Btf<'a>,
    relocations: Vec<CoreRelocation<'a>>,
    programs: Vec<Program>,
    maps: Vec<Map>,
    variables: Vec<Variable<'a>>,
    licence: String,
    tracers: Vec<Tracer>,
    snapshotters: Vec<Snapshotter>,
    params: Vec<String>,
}

impl<'a> Object<'a> {
    /// Reads an object as a compiler wrote it.
    ///
    /// # Errors
    ///
    /// Not an eBPF object with BTF, or something in it contradicts itself.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ObjectError> {
        let elf = Elf::parse(bytes)?;
        let btf = elf
            .section(".BTF")
            .filter(|section| !section.data.is_empty());
        let btf = Btf::parse(btf.ok_or(ObjectError::NoBtf)?.data)?;
        let relocations = match elf.section(".BTF.ext") {
            Some(section) => core_relocations::read(section.data, &btf)?,
            None => Vec::new(),
        };
        let mut tracers = Vec::new();
        let mut snapshotters = Vec::new();
        let mut params = Vec::new();
        for (_, ty) in btf.types().filter(|(_, ty)| ty.kind() == Kind::Var) {
            if let Some(rest) = ty.name().strip_prefix("gadget_tracer_") {
                let mut parts = rest.splitn(3, "___").filter(|part| !part.is_empty());
                let (Some(name), Some(map), Some(struct_name)) =
                    (parts.next(), parts.next(), parts.next())
                else {
                    return Err(ObjectError::Marker {
                        name: ty.name().to_owned(),
                        by: "GADGET_TRACER",
                        expected: "gadget_tracer_NAME___MAP___STRUCT",
                    });
                };
                let [name, map, struct_name] = [name, map, struct_name].map(str::to_owned);
                tracers.push(Tracer {
                    name,
                    map,
                    struct_name,
                });
            } else if let Some(rest) = ty.name().strip_prefix("gadget_iter_") {
                let mut parts = rest.split("___").filter(|part| !part.is_empty());
                let (name, struct_name) = (parts.next(), parts.next());
                let programs: Vec<String> = parts.map(str::to_owned).collect();
                let (Some(name), Some(struct_name), false) =
                    (name, struct_name, programs.is_empty())
                else {
                    return Err(ObjectError::Marker {
                        name: ty.name().to_owned(),
                        by: "GADGET_ITER",
                        expected: "gadget_iter_NAME___STRUCT___PROGRAM",
                    });
                };
                snapshotters.push(Snapshotter {
                    name: name.to_owned(),
                    struct_name: struct_name.to_owned(),
                    programs,
                });
            } else if let Some(name) = ty.name().strip_prefix("gadget_param_") {
                params.push(name.to_owned());
            }
        }
        let licence = elf
            .section("license")
            .map(|section| section.data)
            .unwrap_or_default();
        let licence = licence.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Self {
            programs: programs::read(&elf)?,
            maps: maps::read(&elf, &btf)?,
            variables: variables::read(&elf, &btf)?,
            licence: String::from_utf8_lossy(licence).into_owned(),
            btf,
            relocations,
            tracers,
            snapshotters,
            params,
        })
    }

    /// The types of the object.
    #[must_use]
    pub fn btf(&self) -> &Btf<'a> {
        &self.btf
    }

    /// In the order of sections, those in one section by address.
    #[must_use]
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Those that the source declares, without the ones that hold global variables.
    #[must_use]
    pub fn maps(&self) -> &[Map] {
        &self.maps
    }

    /// The map of this name.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&Map> {
        self.maps.iter().find(|map| map.name == name)
    }

    /// Global variables of `.rodata`, `.data` and `.bss`.
    #[must_use]
    pub fn variables(&self) -> &[Variable<'a>] {
        &self.variables
    }

    /// The variable of this name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Variable<'a>> {
        self.variables.iter().find(|variable| variable.name == name)
    }

    /// What `license` says; empty when there is no such section.
    #[must_use]
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// What `GADGET_TRACER` declared.
    #[must_use]
    pub fn tracers(&self) -> &[Tracer] {
        &self.tracers
    }

    /// What `GADGET_ITER` declared.
    #[must_use]
    pub fn snapshotters(&self) -> &[Snapshotter] {
        &self.snapshotters
    }

    /// The names of the variables that `GADGET_PARAM` declared.
    #[must_use]
    pub fn params(&self) -> &[String] {
        &self.params
    }

    /// What the loader has to adapt to the running kernel.
    #[must_use]
    pub fn core_relocations(&self) -> &[CoreRelocation<'a>] {
        &self.relocations
    }
}

#[cfg(test)]
mod tests;
