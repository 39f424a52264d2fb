//! Typed access to the maps that the manifest grants.

use super::names::{document, type_name};
use super::records::{Records, plain};
use crate::build::generate::naming::Taken;
use crate::build::generate::record::PER_CPU;
use crate::manifest::{Access, Manifest};
use ig_object::btf::{Kind, TypeId};
use ig_object::{Map, Object};
use std::fmt::Write as _;

/// A key or value: a number, or bytes.
enum Shape {
    Number(&'static str),
    Bytes(u32),
}

/// The module's text; `records` gets a view for each struct that is a value.
pub(super) fn text(manifest: &Manifest, object: &Object<'_>, records: &mut Records) -> String {
    let mut taken = Taken::default();
    let mut text = "//! The gadget's eBPF maps, as far as the manifest grants them.\n".to_owned();
    for (grant, wanted) in manifest.maps.iter().enumerate() {
        // That the map exists was checked when the manifest was resolved against the object.
        let Some(map) = object.map(&wanted.map) else {
            continue;
        };
        let name = taken.unique(&type_name(&wanted.map));
        text.push_str(&self::map(
            grant,
            &name,
            map,
            &wanted.access,
            object,
            records,
        ));
    }
    text
}

fn shape(object: &Object<'_>, id: Option<TypeId>, size: u32) -> Shape {
    let btf = object.btf();
    let ty = id.and_then(|id| btf.resolve(id)).and_then(|id| btf.get(id));
    let number = ty.and_then(|ty| match ty.kind() {
        Kind::Int => {
            let signed = ty.int().is_some_and(|int| int.signed);
            plain(&ig_object::btf::FieldType::Int { signed }, size)
        }
        _ => None,
    });
    number.map_or(Shape::Bytes(size), Shape::Number)
}

fn map(
    grant: usize,
    name: &str,
    map: &Map,
    access: &[Access],
    object: &Object<'_>,
    records: &mut Records,
) -> String {
    let per_cpu = PER_CPU.contains(&map.kind);
    let key = shape(object, map.key_type, map.key_size);
    let value = shape(object, map.value_type, map.value_size);
    let view = map
        .value_type
        .and_then(|id| object.btf().layout_of(id).ok());
    let view = view.map(|layout| records.nested(&layout, &format!("{}_value", map.name)));
    let (key_type, key_bytes) = match key {
        Shape::Number(rust) => (rust.to_owned(), "&key.to_le_bytes()"),
        Shape::Bytes(size) => (format!("&[u8; {size}]"), "key"),
    };
    // What a lookup answers, and how it is made of `bytes`.
    let (answer, read) = match (&value, per_cpu) {
        (Shape::Number(rust), false) => (
            (*rust).to_owned(),
            format!("bytes.first_chunk().map_or(0, |bytes| {rust}::from_le_bytes(*bytes))"),
        ),
        (Shape::Number(rust), true) => (
            format!("Vec<{rust}>"),
            format!(
                "gadget_sdk::record::elements::<8>(&bytes).map(|cpu| {rust}::from_le_bytes(*gadget_sdk::record::field::<0, {}, 8>(cpu))).collect()",
                map.value_size
            ),
        ),
        (Shape::Bytes(_), _) => ("Vec<u8>".to_owned(), "bytes".to_owned()),
    };
    let mut about = format!("The map `{}`.", map.name);
    match (&value, per_cpu) {
        (Shape::Number(_), true) => about.push_str(" A value is a number for each CPU."),
        (_, true) => about.push_str(" A value is all CPUs', padded to 8 bytes each."),
        _ => {}
    }
    if let Some(view) = &view {
        let _ = write!(
            about,
            "\n\n[`{view}`](crate::records::{view}) shows what is in a value."
        );
    }
    let mut methods = Vec::new();
    let has = |wanted| access.contains(&wanted);
    if has(Access::Lookup) {
        methods.push(format!(
            "    /// The value of `key`, or `None` when there is none.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn lookup(key: {key_type}) -> Result<Option<{answer}>, String> {{
        let found = gadget_sdk::maps::lookup({grant}, {key_bytes})?;
        Ok(found.map(|bytes| {read}))
    }}
"
        ));
    }
    if has(Access::Update) {
        let (value_type, value_bytes) = match (&value, per_cpu) {
            (Shape::Number(rust), false) => ((*rust).to_owned(), "&value.to_le_bytes()"),
            (Shape::Bytes(size), false) => (format!("&[u8; {size}]"), "value"),
            (_, true) => ("&[u8]".to_owned(), "value"),
        };
        methods.push(format!(
            "    /// Sets the value of `key`.
    ///
    /// # Errors
    ///
    /// The host's reason, for example that the map is full.
    pub fn update(key: {key_type}, value: {value_type}) -> Result<(), String> {{
        gadget_sdk::maps::update({grant}, {key_bytes}, {value_bytes})
    }}
"
        ));
    }
    if has(Access::Delete) {
        methods.push(format!(
            "    /// Removes `key`; false when there was none.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn delete(key: {key_type}) -> Result<bool, String> {{
        gadget_sdk::maps::delete({grant}, {key_bytes})
    }}
"
        ));
    }
    if has(Access::ReadAll) {
        let (key_owned, key_read) = match key {
            Shape::Number(rust) => (
                rust.to_owned(),
                format!("key.first_chunk().map_or(0, |bytes| {rust}::from_le_bytes(*bytes))"),
            ),
            Shape::Bytes(_) => ("Vec<u8>".to_owned(), "key.to_vec()".to_owned()),
        };
        let value_read = match (&value, per_cpu) {
            (Shape::Bytes(_), _) => "bytes.to_vec()".to_owned(),
            (_, true) => read.replace("&bytes", "bytes"),
            _ => read.clone(),
        };
        methods.push(format!(
            "    /// All keys and values.
    ///
    /// # Errors
    ///
    /// The host's reason, for example that they are more than the budget of one call.
    pub fn read_all() -> Result<Vec<({key_owned}, {answer})>, String> {{
        let span = gadget_sdk::maps::read_all({grant})?;
        let entries = gadget_sdk::maps::Entries::new(&span, {size});
        Ok(entries.map(|(key, bytes)| ({key_read}, {value_read})).collect())
    }}
",
            size = map.key_size,
        ));
    }
    format!(
        "
{}#[derive(Clone, Copy, Debug)]
pub struct {name};

impl {name} {{
{}}}
",
        document(&about, ""),
        methods.join("\n")
    )
}
