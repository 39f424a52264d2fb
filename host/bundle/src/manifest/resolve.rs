//! The manifest against an eBPF object, both ways.

use super::datatype::{Unfit, column_type};
use super::error::{ManifestError, Problems};
use super::iterators::{self, Input};
use super::names::did_you_mean;
use super::typedefs;
use super::variable::Slot;
use super::{Access, Column, Guest, Manifest, ParamTarget, Source, Table};
use ig_object::btf::Layout;
use ig_object::{Hook, Object};
use ig_table::frames::Mode;
use ig_table::{DataType, Kind};

/// `BPF_MAP_TYPE_RINGBUF`, from `linux/bpf.h`, like the next ones.
const RING_BUFFER: u32 = 27;
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PER_CPU_HASH: u32 = 5;
const PER_CPU_ARRAY: u32 = 6;
const LRU_HASH: u32 = 9;
const LRU_PER_CPU_HASH: u32 = 10;

/// Maps of the headers that no guest may touch: which cgroups are selected, and what each may write.
const HOST_MAPS: [&str; 2] = ["gadget_cgroups", "gadget_rates"];

/// A manifest whose every name was found in an eBPF object, with what the object adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// In the order of the manifest.
    pub sources: Vec<ResolvedSource>,
    /// In the order of the manifest.
    pub tables: Vec<ResolvedTable>,
    /// In the order of the manifest.
    pub params: Vec<ResolvedParam>,
    /// The grants, in the order of the manifest.
    pub maps: Vec<ResolvedMap>,
    /// All programs of the object, in its order.
    pub programs: Vec<ResolvedProgram>,
}

/// A source with the layout of its records.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedSource {
    /// The source's name.
    pub name: String,
    /// Where its records come from.
    pub input: Input,
    /// The struct of a record.
    pub layout: Layout,
}

/// A table with its columns' final types.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedTable {
    /// What is shown.
    pub table: ig_table::Table,
    /// When its rows are complete.
    pub mode: Mode,
    /// The index of the source to whose records the decoded columns belong; none when no column is decoded.
    pub source: Option<usize>,
    /// The index of the source from whose records its rows come, decoded or not; none when they come from no record, or
    /// from several sources.
    pub origin: Option<usize>,
    /// Who gives each column's values, by the column's index.
    pub columns: Vec<ColumnSource>,
    /// The index of the parameter that the host sets when the column is wanted, by the column's index.
    pub enables: Vec<Option<usize>>,
}

/// Who gives a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnSource {
    /// The host decodes the field at `path` of the table's source; the column has the type given in the table.
    Field {
        /// The index of the source.
        source: usize,
        /// The field: `a.b.c`.
        path: String,
    },
    /// The guest emits it.
    Guest,
}

/// What the object says about a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedParam {
    /// The value when the user sets none, in canonical form: the manifest's, or the variable's initial value.
    pub default: String,
    /// The `const volatile` variable that takes the value; none when it goes to the guest.
    pub variable: Option<String>,
}

/// What a guest may do with a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedMap {
    /// The map's name.
    pub map: String,
    /// What the guest may do with it.
    pub access: Vec<Access>,
    /// `BPF_MAP_TYPE_*`.
    pub kind: u32,
    /// In bytes.
    pub key_size: u32,
    /// In bytes, of one CPU's value in a per-CPU map.
    pub value_size: u32,
    /// Each CPU has a value of its own.
    pub per_cpu: bool,
}

/// A program of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedProgram {
    /// Its function's name.
    pub name: String,
    /// What it hooks.
    pub hook: Hook,
    /// Left out when the running kernel can't load or attach it: by the manifest, or by a `?` in its section's name.
    pub optional: bool,
}

impl Manifest {
    /// Checks the manifest against an object, both ways, and adds what the object knows.
    ///
    /// # Errors
    ///
    /// Everything in one that the other lacks or contradicts, with the place in the manifest where there is one:
    /// sources against `GADGET_TRACER` and `GADGET_ITER`, parameters against `GADGET_PARAM`, columns against fields, grants against
    /// maps, programs.
    pub fn resolve(&self, object: &Object<'_>) -> Result<Resolved, ManifestError> {
        let mut problems = Problems::new(&self.places);
        let sources = self.resolve_sources(object, &mut problems);
        let tables = self
            .tables
            .iter()
            .enumerate()
            .map(|(i, table)| self.resolve_table(i, table, &sources, &mut problems))
            .collect();
        let params = self.resolve_params(object, &mut problems);
        let maps = self.resolve_maps(object, &mut problems);
        let programs = self.resolve_programs(object, &mut problems);
        problems.finish()?;
        Ok(Resolved {
            sources: sources.into_iter().flatten().collect(),
            tables,
            params,
            maps,
            programs,
        })
    }

    /// Checks that the gadget works without a guest: every column is decoded by the host, and nothing goes to a guest.
    ///
    /// # Errors
    ///
    /// Every column without `field`, every parameter to the guest, every grant, timers and the like, with their places.
    pub fn check_without_guest(&self) -> Result<(), ManifestError> {
        let mut problems = Problems::new(&self.places);
        for (i, table) in self.tables.iter().enumerate() {
            let source = self.source_of(table).and_then(|s| self.sources.get(s));
            if table.mode == Mode::Snapshot && !source.is_some_and(Source::is_iterator) {
                let message = format!(
                    "the table `{}` can't have the mode `{}`: there is no guest that could say when it is complete",
                    table.name, table.mode
                );
                problems.add(&format!("tables.{i}.mode"), message);
            }
            for (j, column) in table
                .columns
                .iter()
                .enumerate()
                .filter(|(_, c)| c.field.is_none())
            {
                let message = format!(
                    "the column `{}` needs a `field`: there is no guest that could give its values",
                    column.name
                );
                problems.add(&format!("tables.{i}.columns.{j}"), message);
            }
        }
        for (i, param) in self
            .params
            .iter()
            .enumerate()
            .filter(|(_, p)| p.to == ParamTarget::Guest)
        {
            problems.add(
                &format!("params.{i}"),
                format!(
                    "the parameter `{}` goes to the guest, but there is none: `to: ebpf`?",
                    param.name
                ),
            );
        }
        if !self.maps.is_empty() {
            problems.add("maps", "maps are granted to the guest, but there is none");
        }
        let Guest {
            clock,
            timers,
            containers,
            watch,
            stateless: _,
        } = self.guest;
        if clock || timers || containers || watch {
            problems.add("guest", "there is no guest that could use this");
        }
        problems.finish()
    }

    /// By index; none where something is wrong with it.
    fn resolve_sources(
        &self,
        object: &Object<'_>,
        problems: &mut Problems<'_>,
    ) -> Vec<Option<ResolvedSource>> {
        iterators::undeclared(self, object, problems);
        let tracers: Vec<&str> = object.tracers().iter().map(|t| t.name.as_str()).collect();
        for tracer in object.tracers() {
            if !self.sources.iter().any(|source| source.name == tracer.name) {
                let message = format!(
                    "the eBPF side has GADGET_TRACER({0}, {1}, {2}), but `sources` has no `{{name: {0}, map: {1}, struct: {2}}}`",
                    tracer.name, tracer.map, tracer.struct_name
                );
                problems.add("sources", message);
            }
        }
        let mut resolve = |i: usize, source: &Source| {
            let path = format!("sources.{i}");
            let Some(map) = &source.map else {
                return iterators::resolve(&path, source, object, problems);
            };
            let Some(tracer) = object.tracers().iter().find(|t| t.name == source.name) else {
                let near = did_you_mean(&source.name, &tracers, "it has");
                problems.add(
                    &format!("{path}.name"),
                    format!(
                        "the eBPF side has no GADGET_TRACER({}, ...){near}",
                        source.name
                    ),
                );
                return None;
            };
            let mut good = true;
            let mut same = |key: &str, ours: &str, theirs: &str| {
                if ours != theirs {
                    let message = format!(
                        "`{ours}` here, but `{theirs}` in GADGET_TRACER({}, {}, {})",
                        tracer.name, tracer.map, tracer.struct_name
                    );
                    problems.add(&format!("{path}.{key}"), message);
                    good = false;
                }
            };
            same("map", map, &tracer.map);
            same("struct", &source.record, &tracer.struct_name);
            match object.map(map) {
                None => {
                    problems.add(&format!("{path}.map"), no_map(map, object));
                    good = false;
                }
                Some(found) if found.kind != RING_BUFFER => {
                    let message = format!(
                        "the map `{map}` is a {}, not a ring buffer",
                        map_kind(found.kind)
                    );
                    problems.add(&format!("{path}.map"), message);
                    good = false;
                }
                Some(_) => {}
            }
            match object.btf().layout(&source.record) {
                Ok(layout) if good => Some(ResolvedSource {
                    name: source.name.clone(),
                    input: Input::Ring(map.clone()),
                    layout,
                }),
                Ok(_) => None,
                Err(error) => {
                    problems.add(&format!("{path}.struct"), error.to_string());
                    None
                }
            }
        };
        self.sources
            .iter()
            .enumerate()
            .map(|(i, source)| resolve(i, source))
            .collect()
    }

    fn resolve_table(
        &self,
        i: usize,
        table: &Table,
        sources: &[Option<ResolvedSource>],
        problems: &mut Problems<'_>,
    ) -> ResolvedTable {
        let source = self.source_of(table);
        let mut resolved = ResolvedTable {
            table: ig_table::Table {
                name: table.name.clone(),
                description: table.description.clone(),
                columns: Vec::new(),
            },
            mode: table.mode,
            source: source.filter(|_| table.columns.is_empty()),
            origin: source,
            columns: Vec::new(),
            enables: Vec::new(),
        };
        for (j, column) in table.columns.iter().enumerate() {
            let path = format!("tables.{i}.columns.{j}");
            let mut origin = ColumnSource::Guest;
            let mut data_type = column.data_type.clone();
            let mut kind = Kind::None;
            if let (Some(field), Some(index)) = (&column.field, source) {
                resolved.source = Some(index);
                origin = ColumnSource::Field {
                    source: index,
                    path: field.clone(),
                };
                if let Some(Some(source)) = sources.get(index) {
                    data_type = field_column(column, field, &source.layout, &path, problems);
                    if let Some(data_type) = &data_type {
                        kind = typedefs::kind(&source.layout, field, data_type);
                    }
                }
            }
            resolved.table.columns.push(ig_table::Column {
                name: column.name.clone(),
                description: column.description.clone(),
                // Without a type there is a problem already, and nobody sees this one.
                data_type: data_type.unwrap_or(DataType::Bytes),
                kind: column.kind.unwrap_or(kind),
                width: column.width,
                // A number of the host's own, which says nothing to people.
                hidden: column.hidden || column.kind == Some(Kind::Owner),
                alias: None,
            });
            resolved.columns.push(origin);
            resolved.enables.push(
                column
                    .enables
                    .as_ref()
                    .and_then(|name| self.params.iter().position(|p| p.name == *name)),
            );
        }
        resolved
    }

    fn resolve_params(
        &self,
        object: &Object<'_>,
        problems: &mut Problems<'_>,
    ) -> Vec<ResolvedParam> {
        let known: Vec<&str> = object.params().iter().map(String::as_str).collect();
        for name in &known {
            if !self
                .params
                .iter()
                .any(|p| p.to == ParamTarget::Ebpf && p.variable_name() == *name)
            {
                let message = format!(
                    "the eBPF side has GADGET_PARAM({name}), but `params` has no parameter with `to: ebpf` for it"
                );
                problems.add("params", message);
            }
        }
        let mut resolve = |i: usize, param: &super::Param| {
            if param.to == ParamTarget::Guest {
                return ResolvedParam {
                    default: param.default_value(),
                    variable: None,
                };
            }
            let name = param.variable_name();
            let key = if param.variable.is_some() {
                "variable"
            } else {
                "name"
            };
            let path = format!("params.{i}.{key}");
            let mut resolved = ResolvedParam {
                default: param.default_value(),
                variable: Some(name.clone()),
            };
            let Some(variable) = object
                .variable(&name)
                .filter(|_| known.contains(&name.as_str()))
            else {
                let near = did_you_mean(&name, &known, "it has");
                problems.add(
                    &path,
                    format!("the eBPF side has no GADGET_PARAM({name}){near}"),
                );
                return resolved;
            };
            if !variable.is_const_volatile {
                problems.add(
                    &path,
                    format!(
                        "the variable `{name}` is not `const volatile`: the host could not set it"
                    ),
                );
                return resolved;
            }
            match Slot::of(object.btf(), variable) {
                Err(reason) => problems.add(&path, format!("the variable `{name}` {reason}")),
                Ok(slot) if !slot.takes(param.value_type) => {
                    let message = format!(
                        "a parameter of this type can't go to the variable `{name}`, which is {slot}"
                    );
                    problems.add(&format!("params.{i}.type"), message);
                }
                Ok(slot) => {
                    if param.default.is_none() {
                        // A first value that the parameter's own rules refuse shows that a default is missing.
                        match param.canonical(&slot.value(variable.initial)) {
                            Ok(value) => resolved.default = value,
                            Err(error) => problems.add(
                                &format!("params.{i}"),
                                format!(
                                    "the initial value of `{name}` is no default: {}",
                                    error.reason
                                ),
                            ),
                        }
                    } else if let Err(error) =
                        param.to_bytes(&resolved.default, object.btf(), variable)
                    {
                        problems.add(&format!("params.{i}.default"), error.reason);
                    }
                    for (j, value) in param.values.iter().enumerate() {
                        if let Err(error) = param.to_bytes(value, object.btf(), variable) {
                            problems.add(&format!("params.{i}.values.{j}"), error.reason);
                        }
                    }
                }
            }
            resolved
        };
        self.params
            .iter()
            .enumerate()
            .map(|(i, param)| resolve(i, param))
            .collect()
    }

    fn resolve_maps(&self, object: &Object<'_>, problems: &mut Problems<'_>) -> Vec<ResolvedMap> {
        let mut resolved = Vec::with_capacity(self.maps.len());
        for (i, grant) in self.maps.iter().enumerate() {
            let path = format!("maps.{i}.map");
            if HOST_MAPS.contains(&grant.map.as_str()) {
                let message = format!(
                    "the map `{}` is the host's, not the gadget's: it can't be granted",
                    grant.map
                );
                problems.add(&path, message);
                continue;
            }
            let Some(map) = object.map(&grant.map) else {
                problems.add(&path, no_map(&grant.map, object));
                continue;
            };
            if !matches!(
                map.kind,
                HASH | ARRAY | PER_CPU_HASH | PER_CPU_ARRAY | LRU_HASH | LRU_PER_CPU_HASH
            ) {
                let message = format!(
                    "the map `{}` is a {}: guests may use hash and array maps",
                    map.name,
                    map_kind(map.kind)
                );
                problems.add(&path, message);
            } else if let Some(source) = self.sources.iter().find(|s| {
                let suffix = s.map.as_ref().and_then(|map| grant.map.strip_prefix(map));
                matches!(suffix, Some("_ledger" | "_wakeup"))
            }) {
                let message = format!(
                    "the map `{}` is between the host and the source `{}` alone: it can't be granted",
                    map.name, source.name
                );
                problems.add(&path, message);
            } else if map.key_size == 0 || map.value_size == 0 {
                problems.add(
                    &path,
                    format!("the map `{}` has no size of its keys or values", map.name),
                );
            }
            if matches!(map.kind, ARRAY | PER_CPU_ARRAY)
                && let Some(j) = grant
                    .access
                    .iter()
                    .position(|access| *access == Access::Delete)
            {
                problems.add(
                    &format!("maps.{i}.access.{j}"),
                    format!("`{}` is an array: nothing can be deleted from it", map.name),
                );
            }
            resolved.push(ResolvedMap {
                map: grant.map.clone(),
                access: grant.access.clone(),
                kind: map.kind,
                key_size: map.key_size,
                value_size: map.value_size,
                per_cpu: matches!(map.kind, PER_CPU_HASH | PER_CPU_ARRAY | LRU_PER_CPU_HASH),
            });
        }
        resolved
    }

    fn resolve_programs(
        &self,
        object: &Object<'_>,
        problems: &mut Problems<'_>,
    ) -> Vec<ResolvedProgram> {
        let known: Vec<&str> = object.programs().iter().map(|p| p.name.as_str()).collect();
        for (i, program) in self.programs.iter().enumerate() {
            if !known.contains(&program.name.as_str()) {
                let near = did_you_mean(&program.name, &known, "it has");
                problems.add(
                    &format!("programs.{i}.name"),
                    format!("the eBPF side has no program `{}`{near}", program.name),
                );
            }
        }
        let optional = |name: &str| self.programs.iter().any(|p| p.name == name && p.optional);
        let resolve = |program: &ig_object::Program| ResolvedProgram {
            name: program.name.clone(),
            hook: program.hook.clone(),
            optional: program.optional || optional(&program.name),
        };
        object.programs().iter().map(resolve).collect()
    }
}

/// The type of a column that the host decodes.
fn field_column(
    column: &Column,
    field: &str,
    layout: &Layout,
    path: &str,
    problems: &mut Problems<'_>,
) -> Option<DataType> {
    let kind = column.kind.unwrap_or_default();
    let (key, reason) = match column_type(layout, field, column.data_type.as_ref(), kind) {
        Ok(data_type) => return Some(data_type),
        // That the two do not go together is known without the struct, and has been told.
        Err(Unfit::Kind(_)) if column.data_type.is_some() => return None,
        Err(Unfit::Field(reason)) => ("field", reason),
        Err(Unfit::Type(reason)) => ("type", reason),
        Err(Unfit::Kind(reason)) => ("kind", reason),
    };
    problems.add(&format!("{path}.{key}"), reason);
    None
}

fn no_map(name: &str, object: &Object<'_>) -> String {
    let known: Vec<&str> = object.maps().iter().map(|m| m.name.as_str()).collect();
    format!(
        "the eBPF side has no map `{name}`{}",
        did_you_mean(name, &known, "it has")
    )
}

/// The name of a `BPF_MAP_TYPE_*`, as bpftool has it.
#[must_use]
pub fn map_kind(kind: u32) -> String {
    const NAMES: &[&str] = &[
        "unspec",
        "hash",
        "array",
        "prog_array",
        "perf_event_array",
        "percpu_hash",
        "percpu_array",
        "stack_trace",
        "cgroup_array",
        "lru_hash",
        "lru_percpu_hash",
        "lpm_trie",
        "array_of_maps",
        "hash_of_maps",
        "devmap",
        "sockmap",
        "cpumap",
        "xskmap",
        "sockhash",
        "cgroup_storage",
        "reuseport_sockarray",
        "percpu_cgroup_storage",
        "queue",
        "stack",
        "sk_storage",
        "devmap_hash",
        "struct_ops",
        "ringbuf",
        "inode_storage",
        "task_storage",
        "bloom_filter",
        "user_ringbuf",
        "cgrp_storage",
        "arena",
    ];
    usize::try_from(kind)
        .ok()
        .and_then(|kind| NAMES.get(kind))
        .map_or_else(|| format!("map type {kind}"), |name| (*name).to_owned())
}
