//! Typed access to the maps that the manifest grants.

use super::names::comment;
use super::records::{Records, scalar};
use crate::build::generate::record::PER_CPU;
use crate::manifest::{Access, Manifest};
use ig_object::btf::{Kind, TypeId};
use ig_object::{Map, Object};
use std::fmt::Write as _;

/// A key or value.
enum Shape {
    Number(&'static str),
    Struct(String),
    Bytes(u32),
}

impl Shape {
    fn of(
        object: &Object<'_>,
        id: Option<TypeId>,
        size: u32,
        wish: &str,
        records: &mut Records,
    ) -> Self {
        let btf = object.btf();
        let ty = id.and_then(|id| btf.resolve(id)).and_then(|id| btf.get(id));
        let number = ty.and_then(|ty| match ty.kind() {
            Kind::Int => scalar(size, ty.int().is_some_and(|int| int.signed)),
            _ => None,
        });
        if let Some(number) = number {
            return Self::Number(number);
        }
        match id.and_then(|id| btf.layout_of(id).ok()) {
            Some(layout) if layout.size == size => Self::Struct(records.plain(&layout, wish)),
            _ => Self::Bytes(size),
        }
    }

    /// As a parameter that is read.
    fn given(&self, name: &str) -> String {
        match self {
            Self::Number(c) => format!("{c} {name}"),
            Self::Struct(tag) => format!("const struct {tag} *{name}"),
            Self::Bytes(_) => format!("const void *{name}"),
        }
    }

    /// As a parameter that is written to.
    fn taken(&self, name: &str) -> String {
        match self {
            Self::Number(c) => format!("{c} *{name}"),
            Self::Struct(tag) => format!("struct {tag} *{name}"),
            Self::Bytes(_) => format!("void *{name}"),
        }
    }

    /// The bytes of what is given.
    fn bytes(&self, name: &str) -> String {
        match self {
            Self::Number(_) => format!("gadget_bytes(&{name}, sizeof({name}))"),
            Self::Struct(_) => format!("gadget_bytes({name}, sizeof(*{name}))"),
            Self::Bytes(size) => format!("gadget_bytes({name}, {size})"),
        }
    }

    /// Copies `from` to what is written to.
    fn copy(&self, name: &str, from: &str) -> String {
        match self {
            Self::Bytes(size) => format!("gadget__copy({name}, {size}, {from});"),
            _ => format!("gadget__copy({name}, sizeof(*{name}), {from});"),
        }
    }

    fn about(&self, what: &str) -> String {
        match self {
            Self::Bytes(size) => format!(" A {what} is {size} bytes."),
            _ => String::new(),
        }
    }
}

/// The functions' text; `records` gets a struct for each that is a key or value.
pub(super) fn text(manifest: &Manifest, object: &Object<'_>, records: &mut Records) -> String {
    let mut text = String::new();
    for (grant, wanted) in manifest.maps.iter().enumerate() {
        // That the map exists was checked when the manifest was resolved against the object.
        if let Some(map) = object.map(&wanted.map) {
            text.push_str(&self::map(grant, map, &wanted.access, object, records));
        }
    }
    text
}

fn map(
    grant: usize,
    map: &Map,
    access: &[Access],
    object: &Object<'_>,
    records: &mut Records,
) -> String {
    let per_cpu = PER_CPU.contains(&map.kind);
    let name = &map.name;
    let key = Shape::of(
        object,
        map.key_type,
        map.key_size,
        &format!("{name}_key"),
        records,
    );
    let value = Shape::of(
        object,
        map.value_type,
        map.value_size,
        &format!("{name}_value"),
        records,
    );
    // A value of all CPUs stays where the host has put it; the others are copied.
    let (taken, copied, given, bytes) = if per_cpu {
        (
            "struct gadget_bytes *value".to_owned(),
            "*value = found;".to_owned(),
            "struct gadget_bytes value".to_owned(),
            "value".to_owned(),
        )
    } else {
        (
            value.taken("value"),
            value.copy("value", "found"),
            value.given("value"),
            value.bytes("value"),
        )
    };
    let mut about = format!(
        "The map `{name}`.{}{}",
        key.about("key"),
        value.about("value")
    );
    if per_cpu {
        let _ = write!(
            about,
            " A value is that of every possible CPU, padded to 8 bytes each: see {name}_of_cpu()."
        );
    }
    let mut text = format!("\n{}", comment(&about, ""));
    let mut function = |about: &str, answer: &str, what: &str, takes: &str, body: &str| {
        let function = records.unique(&format!("{name}_{what}"));
        let _ = write!(
            text,
            "\n{}static inline {answer} {function}({takes})\n{{\n{body}}}\n",
            comment(about, "")
        );
    };
    let given_key = key.given("key");
    let key_bytes = key.bytes("key");
    for access in access {
        match access {
            Access::Lookup => function(
                "The value of `key`.",
                "enum gadget_found",
                "lookup",
                &format!("{given_key}, {taken}"),
                &format!(
                    "\tstruct gadget_bytes found;\n\tenum gadget_found answer = gadget__lookup({grant}, {key_bytes}, &found);\n\n\
                    \tif (answer == GADGET_FOUND)\n\t\t{copied}\n\treturn answer;\n"
                ),
            ),
            Access::Update => function(
                "Sets the value of `key`. False, with a reason: the map is full, for example.",
                "bool",
                "update",
                &format!("{given_key}, {given}"),
                &format!("\treturn gadget__update({grant}, {key_bytes}, {bytes});\n"),
            ),
            Access::Delete => function(
                "Removes `key`.",
                "enum gadget_found",
                "delete",
                &given_key,
                &format!("\treturn gadget__delete({grant}, {key_bytes});\n"),
            ),
            Access::ReadAll => {
                function(
                    "Reads all keys and values. False, with a reason: they are more than the budget of one call, for example.",
                    "bool",
                    "read_all",
                    "struct gadget_entries *entries",
                    &format!("\treturn gadget__read_all({grant}, entries);\n"),
                );
                let key_copied = key.copy("key", "found_key");
                function(
                    "Takes the next key and value of what was read. False: there is none left.",
                    "bool",
                    "next",
                    &format!(
                        "struct gadget_entries *entries, {}, {taken}",
                        key.taken("key")
                    ),
                    &format!(
                        "\tstruct gadget_bytes found_key, found;\n\n\
                        \tif (!gadget__entry(entries, {}, &found_key, &found))\n\t\treturn false;\n\
                        \t{key_copied}\n\t{copied}\n\treturn true;\n",
                        map.key_size
                    ),
                );
            }
        }
    }
    if per_cpu {
        let size = map.value_size;
        function(
            "The part of a value that belongs to CPU `cpu`, from 0. False: there are fewer CPUs.",
            "bool",
            "of_cpu",
            &format!(
                "struct gadget_bytes value, size_t cpu, {}",
                self::Shape::taken(&value, "part")
            ),
            &format!(
                "\tstruct gadget_bytes found = gadget_skip(value, cpu * {});\n\n\
                \tif (found.size < {size})\n\t\treturn false;\n\t{}\n\treturn true;\n",
                size.next_multiple_of(8),
                value.copy("part", "found")
            ),
        );
    }
    text
}
