//! The world of one gadget, generated from its manifest: nothing is imported that was not granted.

use crate::build::embedded;
use crate::manifest::{Manifest, ParamTarget};
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
    let to_guest = manifest
        .params
        .iter()
        .any(|param| param.to == ParamTarget::Guest);
    let imports = [
        ("params", to_guest),
        ("clock", manifest.guest.clock),
        ("maps", !manifest.maps.is_empty()),
        ("timers", manifest.guest.timers),
    ];
    for (interface, _) in imports.iter().filter(|(_, granted)| *granted) {
        let _ = writeln!(text, "  import ig:gadget/{interface}@{version};");
    }
    if manifest.guest.timers {
        let _ = writeln!(text, "  export ig:gadget/ticker@{version};");
    }
    text.push_str("}\n");
    text
}
