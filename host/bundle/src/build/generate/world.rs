//! The world of one gadget, generated from its manifest: nothing is imported that was not granted.

use crate::build::embedded;
use crate::manifest::Manifest;
use std::fmt::Write as _;

/// The version of the contract that this program carries, as in `package ig:gadget@0.1.0;`.
#[must_use]
pub fn contract_version() -> &'static str {
    let lines = embedded::WIT.iter().flat_map(|file| file.text.lines());
    let mut packages = lines.filter_map(|line| line.strip_prefix("package ig:gadget@"));
    packages
        .next()
        .and_then(|rest| rest.strip_suffix(';'))
        .unwrap_or("0.1.0")
}

/// The text of `world.wit`: package `local:gadget`, world `gadget`.
#[must_use]
pub fn world(manifest: &Manifest) -> String {
    let version = contract_version();
    let mut text =
        format!("package local:gadget;\n\nworld gadget {{\n  include ig:gadget/base@{version};\n");
    let base = ["tables", "log", "handler"];
    let sides = [
        ("import", manifest.world_imports()),
        ("export", manifest.world_exports()),
    ];
    for (side, interfaces) in sides {
        for interface in interfaces.iter().filter(|name| !base.contains(name)) {
            let _ = writeln!(text, "  {side} ig:gadget/{interface}@{version};");
        }
    }
    text.push_str("}\n");
    text
}
