//! Everything in a bundle, without running any of it.

mod text;

use crate::bundle::{check, parse_object, read_manifest};
use crate::component::Component;
use crate::manifest::{
    Access, ColumnSource, Manifest, ParamTarget, ParamType, Resolved, ResolvedMap, ResolvedSource,
    ResolvedTable, map_kind,
};
use crate::oci::{Arch, Archive, BundleError, Platform};
use ig_object::{Hook, Object};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// All that a bundle holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The gadget's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it shows.
    pub description: String,
    /// The lowest version of the host that can run it.
    pub min_host: Option<String>,
    /// The digest of the bundle's index.
    pub digest: String,
    /// The size of the file, in bytes.
    pub size: u64,
    /// What the index says about the gadget and the tools that built it.
    pub annotations: BTreeMap<String, String>,
    /// Where records come from.
    pub sources: Vec<SourceInfo>,
    /// What it shows, in detail.
    pub tables: Vec<TableInfo>,
    /// What the user can set.
    pub params: Vec<ParamInfo>,
    /// What the guest may do with maps of the eBPF side.
    pub grants: Vec<GrantInfo>,
    /// The guest; none: the host alone makes the rows.
    pub guest: Option<GuestInfo>,
    /// The eBPF side, for each architecture.
    pub objects: Vec<ObjectInfo>,
    /// Recordings that can be replayed.
    pub recordings: Vec<RecordingInfo>,
    /// The digest of `gadget.yaml`.
    pub manifest_digest: String,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordingInfo {
    /// The name under which it is replayed.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: usize,
}

/// A source of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceInfo {
    /// Its name.
    pub name: String,
    /// Its ring buffer; none: iterators write its records.
    pub map: Option<String>,
    /// The iterators that write its records, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// The struct of a record.
    #[serde(rename = "struct")]
    pub record: String,
    /// The struct's size in bytes; a flexible tail is not in it.
    pub record_size: u32,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// What one row is.
    pub description: String,
    /// The source whose fields it shows.
    pub source: Option<String>,
    /// Its columns, in order.
    pub columns: Vec<ColumnInfo>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// What a value means.
    pub description: String,
    /// The type of a value, as the manifest writes types.
    #[serde(rename = "type")]
    pub data_type: String,
    /// What a value is.
    pub kind: &'static str,
    /// Its usual width in characters.
    pub width: Option<u16>,
    /// Shown only when asked for.
    pub hidden: bool,
    /// The field that the host decodes; none: the guest gives the values.
    pub field: Option<String>,
    /// The parameter that is set when the column is wanted.
    pub enables: Option<String>,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParamInfo {
    /// Its name; `--name` sets it.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The type of its value.
    #[serde(rename = "type")]
    pub value_type: ParamType,
    /// The value when the user sets none.
    pub default: String,
    /// The only values allowed; empty: any.
    pub values: Vec<String>,
    /// Who gets the value.
    pub to: ParamTarget,
    /// The variable of the eBPF side that takes it.
    pub variable: Option<String>,
}

/// What the guest may do with a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrantInfo {
    /// The map.
    pub map: String,
    /// What is allowed.
    pub access: Vec<Access>,
    /// The kind of map, as bpftool names it.
    pub kind: String,
    /// In bytes.
    pub key_size: u32,
    /// In bytes, of one CPU's value in a per-CPU map.
    pub value_size: u32,
}

/// The guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuestInfo {
    /// The digest of the component.
    pub digest: String,
    /// Its size in bytes.
    pub size: usize,
    /// What it asks the host for.
    pub imports: Vec<String>,
    /// What the host calls.
    pub exports: Vec<String>,
}

/// The eBPF side for one architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectInfo {
    /// Whose it is.
    pub architecture: Arch,
    /// The digest of the architecture's image manifest.
    pub image: String,
    /// The digest of the object.
    pub digest: String,
    /// Its size in bytes.
    pub size: usize,
    /// What it says its licence is.
    pub licence: String,
    /// Its programs.
    pub programs: Vec<ProgramInfo>,
    /// Its maps.
    pub maps: Vec<MapInfo>,
    /// Layers of other media types, which this host does not use.
    pub others: Vec<OtherInfo>,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramInfo {
    /// Its function's name.
    pub name: String,
    /// What kind of thing it hooks: `tracepoint`, `raw_tp`, `tp_btf`, `uprobe`, `uretprobe`, `other`.
    pub hook: &'static str,
    /// What it hooks.
    pub target: String,
    /// Left out when the running kernel can't load or attach it.
    pub optional: bool,
    /// Its length in instructions, before the loader adapts it.
    pub instructions: u32,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MapInfo {
    /// Its name.
    pub name: String,
    /// The kind of map, as bpftool names it.
    pub kind: String,
    /// In bytes.
    pub key_size: u32,
    /// In bytes, of one CPU's value in a per-CPU map.
    pub value_size: u32,
    /// Entries, or bytes of a ring buffer; 0: the host says it.
    pub max_entries: u32,
}

/// A layer that this host does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherInfo {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
}

/// Looks at the bundle at `path`. Every blob is hashed and all parts are checked against each other, for every
/// architecture that it holds.
///
/// # Errors
///
/// As [`Bundle::open`](crate::Bundle::open).
pub fn inspect(path: &Path, complete: &Complete) -> Result<Inspection, BundleError> {
    Inspection::of(&path.display().to_string(), &Archive::open(path)?, complete)
}

/// Gives a table that declares no columns those that a run makes for it.
pub type Complete = dyn Fn(&mut ResolvedTable, &[ResolvedSource]);

impl Inspection {
    /// Looks at a bundle that was read; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// As [`inspect`], without reading.
    pub fn of(name: &str, archive: &Archive, complete: &Complete) -> Result<Self, BundleError> {
        let (manifest, _) = read_manifest(name, archive)?;
        let component = archive.component.as_ref();
        let mut objects = Vec::new();
        let mut resolved = None;
        for platform in &archive.platforms {
            let bytes = component.map(|layer| layer.bytes.as_slice());
            check(
                name,
                &manifest,
                platform.architecture,
                &platform.object.bytes,
                bytes,
            )?;
            let object = parse_object(name, platform.architecture, &platform.object.bytes)?;
            let this = manifest.resolve(&object)?;
            objects.push(object_info(platform, &object, &this));
            resolved.get_or_insert(this);
        }
        // An archive has at least one architecture.
        let mut resolved = resolved.unwrap_or(Resolved {
            sources: Vec::new(),
            tables: Vec::new(),
            params: Vec::new(),
            maps: Vec::new(),
            programs: Vec::new(),
        });
        for table in &mut resolved.tables {
            complete(table, &resolved.sources);
        }
        let guest = match component {
            Some(layer) => {
                let wrap = |source| BundleError::Component {
                    path: name.to_owned(),
                    source,
                };
                let Component { imports, exports } =
                    Component::parse(&layer.bytes).map_err(wrap)?;
                Some(GuestInfo {
                    digest: layer.digest.clone(),
                    size: layer.bytes.len(),
                    imports,
                    exports,
                })
            }
            None => None,
        };
        Ok(Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            min_host: manifest.min_host.clone(),
            digest: archive.digest.clone(),
            size: archive.size,
            annotations: archive.annotations.clone(),
            sources: sources(&manifest, &resolved),
            tables: resolved
                .tables
                .iter()
                .map(|table| table_info(&manifest, table))
                .collect(),
            params: params(&manifest, &resolved),
            grants: resolved.maps.iter().map(grant_info).collect(),
            guest,
            objects,
            recordings: archive
                .recordings
                .iter()
                .map(|recording| RecordingInfo {
                    name: recording.name.clone(),
                    digest: recording.layer.digest.clone(),
                    size: recording.layer.bytes.len(),
                })
                .collect(),
            manifest_digest: archive.manifest.digest.clone(),
        })
    }

    /// The inspection as one JSON object, indented, with a line feed at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Every key is a text, so that nothing in it can fail.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }
}

fn sources(manifest: &Manifest, resolved: &Resolved) -> Vec<SourceInfo> {
    let sources = manifest.sources.iter().zip(&resolved.sources);
    let info =
        |(source, resolved): (&crate::manifest::Source, &crate::manifest::ResolvedSource)| {
            SourceInfo {
                name: source.name.clone(),
                map: source.map.clone(),
                programs: source.programs.clone(),
                record: source.record.clone(),
                record_size: resolved.layout.size,
            }
        };
    sources.map(info).collect()
}

fn table_info(manifest: &Manifest, resolved: &ResolvedTable) -> TableInfo {
    let columns = resolved
        .table
        .columns
        .iter()
        .zip(resolved.columns.iter().zip(&resolved.enables));
    TableInfo {
        name: resolved.table.name.clone(),
        description: resolved.table.description.clone(),
        source: resolved
            .source
            .and_then(|i| manifest.sources.get(i))
            .map(|source| source.name.clone()),
        columns: columns
            .map(|(column, (source, enables))| ColumnInfo {
                name: column.name.clone(),
                description: column.description.clone(),
                data_type: column.data_type.to_string(),
                kind: column.kind.as_str(),
                width: column.width,
                hidden: column.hidden,
                field: match source {
                    ColumnSource::Field { path, .. } => Some(path.clone()),
                    ColumnSource::Guest => None,
                },
                enables: enables
                    .and_then(|i| manifest.params.get(i))
                    .map(|param| param.name.clone()),
            })
            .collect(),
    }
}

fn params(manifest: &Manifest, resolved: &Resolved) -> Vec<ParamInfo> {
    let params = manifest.params.iter().zip(&resolved.params);
    params
        .map(|(param, resolved)| ParamInfo {
            name: param.name.clone(),
            description: param.description.clone(),
            value_type: param.value_type,
            default: resolved.default.clone(),
            values: param.values.clone(),
            to: param.to,
            variable: resolved.variable.clone(),
        })
        .collect()
}

fn grant_info(grant: &ResolvedMap) -> GrantInfo {
    GrantInfo {
        map: grant.map.clone(),
        access: grant.access.clone(),
        kind: map_kind(grant.kind),
        key_size: grant.key_size,
        value_size: grant.value_size,
    }
}

fn object_info(platform: &Platform, object: &Object<'_>, resolved: &Resolved) -> ObjectInfo {
    let program = |program: &ig_object::Program| {
        let (hook, target) = hook(&program.hook);
        let optional = resolved
            .programs
            .iter()
            .any(|p| p.name == program.name && p.optional);
        ProgramInfo {
            name: program.name.clone(),
            hook,
            target,
            optional,
            instructions: program.instructions,
        }
    };
    let map = |map: &ig_object::Map| MapInfo {
        name: map.name.clone(),
        kind: map_kind(map.kind),
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
    };
    let other = |(media_type, digest): &(String, String)| OtherInfo {
        media_type: media_type.clone(),
        digest: digest.clone(),
    };
    ObjectInfo {
        architecture: platform.architecture,
        image: platform.digest.clone(),
        digest: platform.object.digest.clone(),
        size: platform.object.bytes.len(),
        licence: object.licence().to_owned(),
        programs: object.programs().iter().map(program).collect(),
        maps: object.maps().iter().map(map).collect(),
        others: platform.others.iter().map(other).collect(),
    }
}

/// The kind of a hook and what it hooks.
fn hook(hook: &Hook) -> (&'static str, String) {
    match hook {
        Hook::Tracepoint { category, name } => ("tracepoint", format!("{category}/{name}")),
        Hook::RawTracepoint { name } => ("raw_tp", name.clone()),
        Hook::BtfTracepoint { name } => ("tp_btf", name.clone()),
        Hook::Uprobe { target, ret } => {
            let target = target.as_ref().map_or_else(
                || "named when it runs".to_owned(),
                |(path, symbol)| format!("{path}:{symbol}"),
            );
            (if *ret { "uretprobe" } else { "uprobe" }, target)
        }
        Hook::Iterator { target } => ("iter", target.clone()),
        Hook::SocketFilter => ("socket", "the packets of each network namespace".to_owned()),
        Hook::Other { section } => ("other", section.clone()),
        _ => ("other", String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{component, contents};
    use crate::oci::digest;

    /// The inspection of the fixture with a guest; what depends on the compiler's version has a name in its place.
    fn inspection() -> Inspection {
        let mut contents = contents();
        contents.component = Some(component(
            &["ig:gadget/tables@0.1.0", "ig:gadget/maps@0.1.0"],
            &["ig:gadget/handler@0.1.0"],
        ));
        contents
            .manifest
            .push_str("maps:\n  - {map: starts, access: [lookup, read-all]}\n");
        contents.manifest = contents.manifest.replace(
            "{name: path, field: path, enables: want-path}",
            "{name: path, field: path, enables: want-path}\n      - {name: words, type: \"list<text>\"}",
        );
        let (bytes, _) = contents.archive("x.oci").unwrap();
        let archive = Archive::parse("x.oci", &bytes).unwrap();
        let mut inspection = Inspection::of("x.oci", &archive, &|_, _| {}).unwrap();
        assert_eq!(inspection.size, bytes.len() as u64);
        assert_eq!(
            inspection.manifest_digest,
            digest(contents.manifest.as_bytes())
        );
        assert_eq!(inspection.digest, archive.digest);
        inspection.digest = "sha256:index".to_owned();
        inspection.size = 54_321;
        for object in &mut inspection.objects {
            assert_eq!(object.digest, digest(crate::fixtures::object()));
            assert_eq!(object.size, crate::fixtures::object().len());
            object.image = format!("sha256:{}", object.architecture);
            object.digest = "sha256:object".to_owned();
            object.size = 4321;
            object
                .programs
                .iter_mut()
                .for_each(|program| program.instructions = 2);
            object.programs.sort_by(|a, b| a.name.cmp(&b.name));
            object.maps.sort_by(|a, b| a.name.cmp(&b.name));
        }
        inspection
    }

    /// Compares with a file of this folder; with `IG_BLESS` set, writes it.
    fn golden(name: &str, found: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/inspect")
            .join(name);
        if std::env::var_os("IG_BLESS").is_some() {
            std::fs::write(&path, found).unwrap();
        }
        assert_eq!(
            found,
            std::fs::read_to_string(&path).unwrap(),
            "{name}; IG_BLESS=1 writes it anew"
        );
    }

    #[test]
    fn json_holds_everything() {
        golden("golden.json", &inspection().to_json());
    }

    #[test]
    fn text_is_tidy() {
        let text = inspection().to_string();
        golden("golden.txt", &text);
        for line in text.lines().filter(|line| !line.contains("sha256:")) {
            assert!(
                line.chars().count() <= 80 && !line.ends_with(' '),
                "{line:?}"
            );
        }
    }

    #[test]
    fn nothing_in_a_bundle_reaches_the_terminal_raw() {
        let mut inspection = inspection();
        inspection.description = "red \u{1b}[31m \u{202e}back\nand a\ttab".to_owned();
        assert!(
            inspection
                .to_string()
                .contains("  red \\u{1b}[31m \\u{202e}back and a tab\n")
        );
    }

    #[test]
    fn without_a_guest_that_is_said() {
        let (bytes, _) = contents().archive("x.oci").unwrap();
        let inspection = Inspection::of(
            "x.oci",
            &Archive::parse("x.oci", &bytes).unwrap(),
            &|_, _| {},
        )
        .unwrap();
        assert!(
            inspection
                .to_string()
                .contains("\nGuest: none, the host decodes every column\n")
        );
        assert_eq!(inspection.guest, None);
    }
}
