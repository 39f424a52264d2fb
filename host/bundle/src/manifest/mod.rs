//! `gadget.yaml`: what a gadget declares about itself.
//!
//! The manifest is the contract between the host, the eBPF side and the guest: the order of its lists is the
//! index that they use for tables, columns, sources, parameters and map grants. Reading is strict
//! ([`Manifest::parse`]), [`Manifest::resolve`] checks it against an eBPF object, and [`json_schema`] gives
//! editors the same rules.

mod check;
mod datatype;
mod error;
mod iterators;
mod names;
mod params;
mod place;
mod resolve;
mod typedefs;
mod variable;
pub(crate) mod yaml;

pub(crate) use check::version;
pub use datatype::{Unfit, column_type};
pub(crate) use error::Problems;
pub use error::{ManifestError, Problem};
pub use iterators::Input;
pub use names::{HOST_FLAGS, RESERVED_WORDS};
pub(crate) use names::{MAX_NAME, is_name};
pub use params::ParamError;
pub(crate) use params::{BAD_DURATION, Scalar, duration, scalar_schema};
pub use place::{Place, Places};
pub use resolve::{
    ColumnSource, Resolved, ResolvedMap, ResolvedParam, ResolvedProgram, ResolvedSource,
    ResolvedTable, map_kind,
};

use ig_table::frames::Mode;
use ig_table::{DataType, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of the manifest's file in a gadget's folder.
pub const FILE_NAME: &str = "gadget.yaml";

/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// What a gadget is called, what it reads, what it shows and what it may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "gadget.yaml")]
pub struct Manifest {
    /// The gadget's name: lower-case letters, digits, `_` and `-`, beginning with a letter.
    pub name: String,
    /// The gadget's own version, `major.minor.patch`.
    pub version: String,
    /// What the gadget shows, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The lowest version of the host that can run this gadget, `major.minor.patch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_host: Option<String>,
    /// Where records come from; a `GADGET_TRACER` or `GADGET_ITER` of the eBPF side each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// What the gadget shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// What the user can set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Maps of the eBPF side that the guest may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<MapGrant>,
    /// Programs of the eBPF side about which there is something to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Program>,
    /// What the guest's world holds beyond tables, log, parameters and maps.
    #[serde(default, skip_serializing_if = "Guest::is_default")]
    pub guest: Guest,
    /// Where in the text each thing stands; empty for a manifest that was not read from text.
    #[serde(skip)]
    #[schemars(skip)]
    pub places: Places,
}

/// A stream of records: a ring buffer of the eBPF side, or iterators, and the struct that they carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// The name in `GADGET_TRACER(name, map, struct)` or `GADGET_ITER(name, struct, programs...)`.
    pub name: String,
    /// The ring buffer map; either this or `programs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// The iterators that write the records, in the order in which they run: those over sockets once in each network
    /// namespace, the others once. Tables of such a source show what there is: their mode is `snapshot` (read once) or
    /// `interval` (again every `--interval`), and a frame is what one reading gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// The struct of one record, without the word `struct`.
    #[serde(rename = "struct")]
    pub record: String,
}

/// Rows of typed columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Table {
    /// The table's name.
    pub name: String,
    /// What one row is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When its rows are complete: `stream` (each by itself), `interval` (frames that replace each other), `snapshot`
    /// (one frame) or `final` (one frame, at the end). A frame ends when the guest says so, or with its call; without a
    /// guest the host ends those of `interval` every `--interval`, and `final` at the end. Those of a source of iterators
    /// end when the iterators do.
    #[serde(default, with = "names::serde_mode", skip_serializing_if = "is_stream")]
    #[schemars(schema_with = "names::mode_schema")]
    pub mode: Mode,
    /// The source whose records the columns' `field`s belong to; where there is one source alone, it needs no name. A
    /// guest makes each row of such a table from a record. Rows of a table that names no source and has no `field` come
    /// from no record: sums, for example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The columns, in the order in which they are shown. Without any, every field of the source's struct is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Column {
    /// The column's name: lower-case letters, digits and `_`, beginning with a letter.
    pub name: String,
    /// What a value means, and its unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The type of a value: `bool`, `i8` to `i64`, `u8` to `u64`, `f32`, `f64`, `text`, `bytes`, `list<T>` or
    /// `struct<name: T, ...>` (in quotes, because of the `: `). Required without `field`; with it, the struct's own type is the default.
    #[serde(
        default,
        rename = "type",
        with = "datatype::serde_option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "datatype::schema")]
    pub data_type: Option<DataType>,
    /// What a value is, which decides how it is shown. Without it, that of the typedef of the `field`
    /// (`gadget_timestamp`, `gadget_errno`, ...); `none` shows such a field by its type alone.
    #[serde(
        default,
        with = "names::serde_kind",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "names::kind_schema")]
    pub kind: Option<Kind>,
    /// The column's usual width in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub width: Option<u16>,
    /// Shown only when asked for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// The field of the source's struct that the host decodes, as `a.b.c`. Without it the guest emits the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The eBPF parameter, of type bool, that the host sets when this column is wanted: switches on what it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enables: Option<String>,
}

/// Something that the user can set, as `--name` after the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Param {
    /// The parameter's name: lower-case letters, digits, `_` and `-`, beginning with a letter.
    pub name: String,
    /// What it does, and its unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The type of its value.
    #[serde(rename = "type")]
    pub value_type: ParamType,
    /// The value when the user sets none; without it: false, 0 or the empty text, or the eBPF side's initial value.
    #[serde(
        default,
        with = "params::serde_scalar",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "params::scalar_schema")]
    pub default: Option<String>,
    /// The only values allowed; empty: any of the type.
    #[serde(
        default,
        with = "params::serde_scalars",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "params::scalars_schema")]
    pub values: Vec<String>,
    /// Who gets the value.
    #[serde(default)]
    pub to: ParamTarget,
    /// The `const volatile` variable that takes it, when its name differs; only with `to: ebpf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

/// The type of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// `true` or `false`.
    Bool,
    /// A signed integer of 64 bits.
    I64,
    /// An unsigned integer of 64 bits.
    U64,
    /// A floating-point number of 64 bits.
    F64,
    /// Text.
    Text,
    /// A length of time, as `500ms` or `2s`; whole nanoseconds to whoever gets it.
    Duration,
}

/// Who gets a parameter's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamTarget {
    /// The guest, through the `params` interface.
    #[default]
    Guest,
    /// A `const volatile` variable of the eBPF side, set before it is loaded.
    Ebpf,
}

/// A map of the eBPF side that the guest may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MapGrant {
    /// The map's name.
    pub map: String,
    /// What the guest may do with it.
    pub access: Vec<Access>,
}

/// What a guest may do with a map.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read the value of a key.
    Lookup,
    /// Set the value of a key.
    Update,
    /// Remove a key.
    Delete,
    /// Read all keys and values at once.
    ReadAll,
}

/// A program of the eBPF side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Program {
    /// The program's name: its C function.
    pub name: String,
    /// Left out, with a word, when the running kernel can't load or attach it.
    #[serde(default)]
    pub optional: bool,
}

/// What the guest's world holds beyond tables, log, parameters and maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guest {
    /// The guest may ask for the time.
    #[serde(default)]
    pub clock: bool,
    /// The guest may set timers, and exports `ticker`.
    #[serde(default)]
    pub timers: bool,
    /// The guest may ask whose a record is: which container, pod, systemd unit.
    #[serde(default)]
    pub containers: bool,
    /// The guest is told of containers that come and go: it exports `container-watcher`. It may ask about them, too.
    #[serde(default)]
    pub watch: bool,
    /// The guest keeps nothing of a record that would change what it makes of another, and gives each row the `origin` of
    /// its record. What `--filter` asks of `field` columns is then asked before the guest.
    #[serde(default)]
    pub stateless: bool,
}

impl Guest {
    /// Whether the guest may ask about containers: whoever watches them may.
    #[must_use]
    pub fn asks_about_containers(&self) -> bool {
        self.containers || self.watch
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn is_stream(mode: &Mode) -> bool {
    !mode.has_frames()
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl ParamType {
    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::F64 => "f64",
            Self::Text => "text",
            Self::Duration => "duration",
        }
    }
}

impl Access {
    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::ReadAll => "read-all",
        }
    }
}

impl Manifest {
    /// Reads a manifest. `file` is the name that errors give the text, as the user would type it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with line and column: text that is not YAML, unknown, missing or
    /// repeated keys, values of the wrong type, bad or repeated names, references to nothing.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let node = yaml::read(yaml::MANIFEST, file, text)?;
        let mut manifest: Self = yaml::decode(file, &node)?;
        manifest.places = node.places(file);
        check::check(&mut manifest)?;
        Ok(manifest)
    }
}

/// The parameter, of type duration and for the guest, by which the user says how often a live view changes.
pub const INTERVAL: &str = "interval";

impl Source {
    /// Iterators write its records.
    #[must_use]
    pub fn is_iterator(&self) -> bool {
        !self.programs.is_empty()
    }
}

impl Manifest {
    /// Whether the guest has the parameter [`INTERVAL`].
    #[must_use]
    pub fn has_interval(&self) -> bool {
        self.params.iter().any(|param| param.name == INTERVAL)
    }

    /// The index in `sources` of the source whose records a table's rows come from: the one that it names, or the only
    /// one there is when some column is a field or none is declared. None when its rows come from no record.
    #[must_use]
    pub fn source_of(&self, table: &Table) -> Option<usize> {
        match &table.source {
            Some(name) => self.sources.iter().position(|source| source.name == *name),
            None => {
                let decoded =
                    table.columns.is_empty() || table.columns.iter().any(|c| c.field.is_some());
                (self.sources.len() == 1 && decoded).then_some(0)
            }
        }
    }

    /// The index in `params` of the parameter called `name`; `_` and `-` are the same.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<usize> {
        let name = name.replace('_', "-");
        self.params
            .iter()
            .position(|param| param.name.replace('_', "-") == name)
    }
}

/// The JSON schema of `gadget.yaml`, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Manifest).to_value()
}

#[cfg(test)]
mod iterators_tests;
#[cfg(test)]
mod resolve_tests;
#[cfg(test)]
mod tests;
