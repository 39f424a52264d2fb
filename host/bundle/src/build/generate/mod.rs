//! What is generated for one gadget, so that nothing is declared twice: its world, its headers, and the crate
//! `gadget` that its guest is written with.

mod handler;
mod maps;
mod names;
mod records;
mod tables;
mod world;

pub use world::{contract_version, world};

use super::embedded;
use crate::manifest::Manifest;
use ig_object::Object;
use ig_object::btf::{BtfError, Layout};
use records::Records;

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
        tables::MOST_COLUMNS
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

/// The crates `gadget` and `gadget-sdk`, below `rust`.
///
/// # Errors
///
/// A source's struct is not in the object's BTF, or a table has too many columns.
pub fn rust(manifest: &Manifest, object: &Object<'_>) -> Result<Vec<Generated>, GenerateError> {
    for table in &manifest.tables {
        let count = table
            .columns
            .iter()
            .filter(|column| column.field.is_none())
            .count();
        if count > tables::MOST_COLUMNS {
            return Err(GenerateError::Columns {
                table: table.name.clone(),
                count,
            });
        }
    }
    let mut records = Records::default();
    let layouts = layouts(manifest, object)?;
    let views: Vec<String> = layouts.iter().map(|layout| records.whole(layout)).collect();
    let mut files = vec![
        ("Cargo.toml", CARGO_TOML.to_owned()),
        ("src/lib.rs", handler::text(manifest, &views)),
        ("src/tables.rs", tables::text(manifest, &views)),
    ];
    if !manifest.maps.is_empty() {
        files.push(("src/maps.rs", maps::text(manifest, object, &mut records)));
    }
    files.push(("src/records.rs", records.text()));
    let generated = files.into_iter().map(|(name, text)| Generated {
        path: format!("rust/{name}"),
        text,
    });
    let version = contract_version();
    let sdk = copies("rust/sdk", embedded::RUST_SDK).map(|mut file| {
        file.text = file.text.replace("@0.1.0", &format!("@{version}"));
        file
    });
    Ok(generated.chain(sdk).collect())
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

fn copies(folder: &str, files: &'static [embedded::File]) -> impl Iterator<Item = Generated> {
    files.iter().map(move |file| Generated {
        path: format!("{folder}/{}", file.name),
        text: file.text.to_owned(),
    })
}

/// Versions never change, so that a gadget's `Cargo.lock` does not either.
const CARGO_TOML: &str = r#"# Generated.
[package]
name = "gadget"
description = "What this gadget is written with"
version = "0.0.0"
edition = "2024"
license = "Apache-2.0"
publish = false

[dependencies]
gadget-sdk = { path = "sdk" }
"#;
