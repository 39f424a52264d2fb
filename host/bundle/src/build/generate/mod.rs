//! What is generated for one gadget, so that nothing is declared twice: its world, its headers, and what its guest is
//! written with, one module a language.

mod c;
mod naming;
mod python;
mod record;
mod rust;
mod world;

pub use c::c;
pub use python::{ENTRY as PYTHON_ENTRY, python};
pub use rust::rust;
pub use world::{contract_version, world};

use super::embedded;
use crate::manifest::Manifest;
use ig_object::Object;
use ig_object::btf::{BtfError, Layout};

/// The most columns of one table that a guest can compute: the SDKs keep them as bits of a word.
const MOST_COLUMNS: usize = 64;

/// A generated file: its path below `.ig/gen`, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// With `/`.
    pub path: String,
    /// Text.
    pub text: String,
}

/// Why code can't be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A struct that the manifest names is not readable.
    #[error("source `{source_name}`: {cause}")]
    Struct {
        /// The source.
        source_name: String,
        /// What is wrong with its struct.
        cause: BtfError,
    },
    /// The guest can't keep so many columns apart.
    #[error(
        "table `{table}`: the guest computes {count} columns, and at most {} are possible; split the table",
        MOST_COLUMNS
    )]
    Columns {
        /// The table.
        table: String,
        /// How many there are.
        count: usize,
    },
}

/// The contract and the gadget's world, below `wit`.
#[must_use]
pub fn wit(manifest: &Manifest) -> Vec<Generated> {
    let world = Generated {
        path: "wit/world.wit".to_owned(),
        text: world(manifest),
    };
    let deps = copies("wit/deps/ig-gadget", embedded::WIT);
    std::iter::once(world).chain(deps).collect()
}

/// The headers of the eBPF side, below `include`.
#[must_use]
pub fn headers() -> Vec<Generated> {
    copies("include", embedded::HEADERS).collect()
}

/// What editors know of `gadget.yaml`, below `schema`.
#[must_use]
pub fn schema() -> Vec<Generated> {
    vec![Generated {
        path: "schema/gadget.schema.json".to_owned(),
        text: format!("{:#}\n", crate::manifest::json_schema()),
    }]
}

/// The structs of the sources' records, in the manifest's order.
///
/// # Errors
///
/// One is not in the object's BTF, or broken there.
pub fn layouts(manifest: &Manifest, object: &Object<'_>) -> Result<Vec<Layout>, GenerateError> {
    let layout = |source: &crate::manifest::Source| {
        object
            .btf()
            .layout(&source.record)
            .map_err(|cause| GenerateError::Struct {
                source_name: source.name.clone(),
                cause,
            })
    };
    manifest.sources.iter().map(layout).collect()
}

/// Refuses tables whose guest would have too many columns to compute.
fn check_columns(manifest: &Manifest) -> Result<(), GenerateError> {
    for table in &manifest.tables {
        let computed = table.columns.iter().filter(|column| column.field.is_none());
        let count = computed.count();
        if count > MOST_COLUMNS {
            return Err(GenerateError::Columns {
                table: table.name.clone(),
                count,
            });
        }
    }
    Ok(())
}

/// The SDK's files below `folder`, for the contract that this program carries.
fn sdk(folder: &str, files: &'static [embedded::File]) -> impl Iterator<Item = Generated> {
    let version = contract_version();
    copies(folder, files).map(move |mut file| {
        file.text = file.text.replace("@0.1.0", &format!("@{version}"));
        file
    })
}

fn copies(folder: &str, files: &'static [embedded::File]) -> impl Iterator<Item = Generated> {
    files.iter().map(move |file| Generated {
        path: format!("{folder}/{}", file.name),
        text: file.text.to_owned(),
    })
}
