//! The crate `gadget`, which Rust guests are written with, over the SDK's sources.

mod handler;
mod maps;
mod names;
mod records;
mod tables;

use super::{GenerateError, Generated, check_columns, layouts, sdk};
use crate::build::embedded;
use crate::manifest::Manifest;
use ig_object::Object;
use records::Records;

/// The crates `gadget` and `gadget-sdk`, below `rust`.
///
/// # Errors
///
/// A source's struct is not in the object's BTF, or a table has too many columns.
pub fn rust(manifest: &Manifest, object: &Object<'_>) -> Result<Vec<Generated>, GenerateError> {
    check_columns(manifest)?;
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
    Ok(generated
        .chain(sdk("rust/sdk", embedded::RUST_SDK))
        .collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::generate::{contract_version, world};
    use crate::fixtures;

    const MANIFEST: &str = "name: small
version: 1.0.0
description: A small gadget
sources: [{name: open, map: events, struct: event}]
tables:
  - name: open
    source: open
    columns:
      - {name: pid, field: proc.pid}
      - {name: words, type: list<text>, description: What was said}
params: [{name: lowest-fd, type: i64, description: Lowest descriptor}]
guest: {timers: true}
";

    fn generated(text: &str) -> Vec<Generated> {
        let manifest = Manifest::parse("gadget.yaml", text).unwrap();
        let object = Object::parse(fixtures::object()).unwrap();
        rust(&manifest, &object).unwrap()
    }

    fn file<'a>(files: &'a [Generated], path: &str) -> &'a str {
        &files.iter().find(|file| file.path == path).unwrap().text
    }

    #[test]
    fn the_world_holds_what_is_granted_and_nothing_else() {
        let manifest = Manifest::parse("gadget.yaml", MANIFEST).unwrap();
        assert_eq!(
            world(&manifest),
            "package local:gadget;

world gadget {
  include ig:gadget/base@0.1.0;
  import ig:gadget/params@0.1.0;
  import ig:gadget/timers@0.1.0;
  export ig:gadget/ticker@0.1.0;
}
"
        );
        let bare = MANIFEST
            .replace("timers: true", "timers: false")
            .replace("params:", "#");
        let bare = world(&Manifest::parse("gadget.yaml", &bare).unwrap());
        assert_eq!(
            bare,
            "package local:gadget;\n\nworld gadget {\n  include ig:gadget/base@0.1.0;\n}\n"
        );
        assert_eq!(contract_version(), crate::component::PACKAGE_VERSION);
    }

    #[test]
    fn authors_see_their_own_names() {
        let files = generated(MANIFEST);
        let root = file(&files, "rust/src/lib.rs");
        for line in [
            "    fn open(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome;\n",
            "    fn tick(&mut self, timer: timers::Timer, due: u32, tables: &mut Tables);\n",
            "    /// Lowest descriptor\n    pub lowest_fd: i64,\n",
            "            lowest_fd: gadget_sdk::params::value(0),\n",
        ] {
            assert!(root.contains(line), "{line}{root}");
        }
        let tables = file(&files, "rust/src/tables.rs");
        for line in [
            "    pub fn row(&mut self, record: &crate::records::Event<'_>) -> OpenRow<'_> {\n",
            "    /// Sets the column `words`: What was said\n",
            "        Lists<Texts>: Push<V>,\n",
            "    const INDEXES: [u16; 1] = [1];\n",
        ] {
            assert!(tables.contains(line), "{line}{tables}");
        }
        assert!(!tables.contains("fn pid"), "the host decodes it");
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert!(paths.contains(&"rust/sdk/src/lib.rs") && !paths.contains(&"rust/src/maps.rs"));
    }

    #[test]
    fn the_only_source_needs_no_name() {
        let unnamed = MANIFEST.replacen("    source: open\n", "", 1);
        assert_ne!(unnamed, MANIFEST);
        assert_eq!(generated(&unnamed), generated(MANIFEST));
    }

    #[test]
    fn too_many_columns_are_refused() {
        let mut text = MANIFEST.to_owned();
        let columns = (0..64).map(|n| format!("      - {{name: c{n}, type: u8}}\n"));
        text = text.replace(
            "params:",
            &format!("{}params:", columns.collect::<String>()),
        );
        let manifest = Manifest::parse("gadget.yaml", &text).unwrap();
        let object = Object::parse(fixtures::object()).unwrap();
        let error = rust(&manifest, &object).unwrap_err();
        assert!(
            matches!(error, GenerateError::Columns { count: 65, .. }),
            "{error}"
        );
    }
}
