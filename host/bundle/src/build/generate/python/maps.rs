//! Typed access to the maps that the manifest grants.

use super::names::{class_name, document, identifier};
use super::records::{Records, code};
use crate::build::generate::naming::Taken;
use crate::build::generate::record::PER_CPU;
use crate::manifest::{Access, Manifest};
use ig_object::btf::{FieldType, Kind, TypeId};
use ig_object::{Map, Object};
use std::fmt::Write as _;

/// The module's text; `records` gets a view for each struct that is a value.
pub(super) fn text(manifest: &Manifest, object: &Object<'_>, records: &mut Records) -> String {
    let mut classes = Taken::default();
    let mut names = Taken::default();
    let mut text = "\"\"\"The gadget's eBPF maps, as far as the manifest grants them.\n\n\
        Every method raises `gadget.HostError` with the host's reason when it is refused.\n\"\"\"\n\n\
        from __future__ import annotations\n\nfrom gadget_sdk import maps as _maps\n"
        .to_owned();
    for (grant, wanted) in manifest.maps.iter().enumerate() {
        // That the map exists was checked when the manifest was resolved against the object.
        if let Some(map) = object.map(&wanted.map) {
            let class = classes.unique(&format!("_{}", class_name(&wanted.map)));
            let name = names.unique(&identifier(&wanted.map));
            text.push_str(&self::map(
                grant,
                &class,
                &name,
                map,
                &wanted.access,
                object,
                records,
            ));
        }
    }
    text
}

/// The format of a key or value that is a number; none: it is bytes.
fn number(object: &Object<'_>, id: Option<TypeId>, size: u32) -> Option<&'static str> {
    let btf = object.btf();
    let ty = btf.get(btf.resolve(id?)?)?;
    if ty.kind() != Kind::Int {
        return None;
    }
    let signed = ty.int().is_some_and(|int| int.signed);
    code(&FieldType::Int { signed }, size)
}

fn map(
    grant: usize,
    class: &str,
    name: &str,
    map: &Map,
    access: &[Access],
    object: &Object<'_>,
    records: &mut Records,
) -> String {
    let per_cpu = PER_CPU.contains(&map.kind);
    let view = map
        .value_type
        .and_then(|id| object.btf().layout_of(id).ok())
        .map(|layout| records.nested(&layout, &format!("{}_value", map.name)));
    let (key, key_packer) = match number(object, map.key_type, map.key_size) {
        Some(code) => ("int", format!("_maps.Number(\"{code}\")")),
        None => ("bytes", format!("_maps.Raw({})", map.key_size)),
    };
    let (value, value_packer) = match (number(object, map.value_type, map.value_size), per_cpu) {
        (Some(code), false) => ("int", format!("_maps.Number(\"{code}\")")),
        (Some(code), true) => ("list[int]", format!("_maps.PerCpu(\"{code}\")")),
        (None, false) => ("bytes", format!("_maps.Raw({})", map.value_size)),
        (None, true) => ("bytes", "_maps.Unsized()".to_owned()),
    };
    let mut about = format!("The map `{}`.", map.name);
    match (value, per_cpu) {
        ("list[int]", _) => about.push_str(" A value is a number for each CPU."),
        (_, true) => about.push_str(" A value is all CPUs', padded to 8 bytes each."),
        _ => {}
    }
    if let Some(view) = &view {
        let _ = write!(
            about,
            "\n\n`records.{view}.view_of` shows what is in a value."
        );
    }
    let bases: Vec<String> = [
        (Access::Lookup, "Lookup"),
        (Access::Update, "Update"),
        (Access::Delete, "Delete"),
        (Access::ReadAll, "ReadAll"),
    ]
    .into_iter()
    .filter(|(wanted, _)| access.contains(wanted))
    .map(|(_, base)| format!("_maps.{base}[{key}, {value}]"))
    .collect();
    let document = document(&about, "    ");
    format!(
        "\n\nclass {class}({}):\n{document}\n    __slots__ = ()\n\n\n{name} = {class}({grant}, {key_packer}, {value_packer}, {})\n",
        bases.join(", "),
        map.key_size,
    )
}
