//! What a component must import and export to be a guest of this host.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::program::LoadError;

/// The version of the contract (`wit/`) that this host offers.
pub const CONTRACT_VERSION: &str = "0.1.0";

pub(crate) const HANDLER: &str = "ig:gadget/handler@0.1.0";
pub(crate) const TICKER: &str = "ig:gadget/ticker@0.1.0";
pub(crate) const WATCHER: &str = "ig:gadget/container-watcher@0.1.0";

/// What can be imported: each interface with its functions. A test compares this with `wit/`.
pub(crate) const IMPORTS: [(&str, &[&str]); 7] = [
    ("tables", &["emit", "end-frame", "wanted"]),
    ("log", &["write"]),
    ("params", &["get"]),
    ("clock", &["boot", "wall"]),
    ("maps", &["lookup", "update", "delete", "read-all"]),
    ("timers", &["every", "once", "cancel"]),
    (
        "containers",
        &[
            "of-records",
            "by-cgroup",
            "by-mount-namespace",
            "by-id",
            "field",
        ],
    ),
];

/// The interface `x` of `ig:gadget/x@0.1.y`; none for any other package or an incompatible version.
pub(crate) fn interface_of(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix("ig:gadget/")?.split_once('@')?;
    compatible(version).then_some(interface)
}

/// 0.1.x of any x: functions are only ever added, and a missing one is found by name.
fn compatible(version: &str) -> bool {
    version
        .strip_prefix("0.1.")
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
}

/// Checks every import against what this host has, and gives their names.
pub(crate) fn imports(engine: &Engine, component: &Component) -> Result<Vec<String>, LoadError> {
    let mut names = Vec::new();
    for (name, item) in component.component_type().imports(engine) {
        let functions: Vec<String> = match &item.ty {
            ComponentItem::ComponentInstance(instance) => instance
                .exports(engine)
                .filter(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
                .map(|(function, _)| function.to_owned())
                .collect(),
            ComponentItem::Type(_) => Vec::new(),
            _ => return Err(unknown(name, None)),
        };
        names.push(name.to_owned());
        if functions.is_empty() {
            continue; // an interface of types alone asks for nothing
        }
        let offered = interface_of(name)
            .and_then(|interface| IMPORTS.iter().find(|(offered, _)| *offered == interface));
        let Some((_, offered)) = offered else {
            return Err(unknown(name, None));
        };
        if let Some(missing) = functions.iter().find(|f| !offered.contains(&f.as_str())) {
            return Err(unknown(name, Some(missing)));
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn unknown(name: &str, function: Option<&str>) -> LoadError {
    let (package, rest) = name.split_once('/').unwrap_or((name, ""));
    let version = rest.split_once('@').map(|(_, version)| version);
    let hint = if package.starts_with("wasi:") {
        "a guest gets no WASI: build it without (for Rust: wasm32-unknown-unknown)".to_owned()
    } else if package != "ig:gadget" {
        "a guest can import from ig:gadget alone".to_owned()
    } else if version.is_some_and(|version| !compatible(version)) {
        format!(
            "this host offers ig:gadget {CONTRACT_VERSION}; a guest of it needs a host of its own version"
        )
    } else {
        let known: Vec<&str> = IMPORTS.iter().map(|(interface, _)| *interface).collect();
        format!(
            "this host offers ig:gadget {CONTRACT_VERSION} with {}; a later release may have it",
            known.join(", ")
        )
    };
    let name = match function {
        Some(function) => format!("{name}#{function}"),
        None => name.to_owned(),
    };
    LoadError::UnknownImport { name, hint }
}

/// The names of a component's exports; `handler` must be among them.
pub(crate) fn exports(engine: &Engine, component: &Component) -> Result<Vec<String>, LoadError> {
    let mut names: Vec<String> = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    names.sort_unstable();
    if component.get_export_index(None, HANDLER).is_some() {
        return Ok(names);
    }
    match names
        .iter()
        .find(|name| name.starts_with("ig:gadget/handler@"))
    {
        Some(other) => Err(LoadError::WrongType {
            name: other.clone(),
            reason: format!("this host calls guests by ig:gadget {CONTRACT_VERSION}"),
        }),
        None => Err(LoadError::MissingExport {
            name: HANDLER.to_owned(),
        }),
    }
}

/// What the bytes are, if they are no component.
pub(crate) fn not_a_component(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => None,
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            Some("a core WebAssembly module; encode it as a component first")
        }
        [0, b'a', b's', b'm', ..] => {
            Some("WebAssembly of an encoding that this host does not know")
        }
        [0x7f, b'E', b'L', b'F', ..] => Some("an ELF object, perhaps the eBPF side of a gadget"),
        [] => Some("empty"),
        _ => Some("not WebAssembly"),
    }
}

/// Whether a component is composed of others that bring code of their own.
///
/// Composed components hand resources to each other inside the runtime, which has been a source of advisories,
/// and no gadget needs them. Nested components without code are normal: encoders name exports with them. Reads
/// only the sections' headers; whatever is broken is left to the validator.
pub(crate) fn is_composed(component: &[u8]) -> bool {
    const CORE_MODULE: u8 = 1;
    const COMPONENT: u8 = 4;
    sections(component).any(|(id, body)| {
        id == COMPONENT && sections(body).any(|(id, _)| id == CORE_MODULE || id == COMPONENT)
    })
}

fn sections(component: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = component.get(8..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let (&id, after) = rest.split_first()?;
        let (size, after) = leb128(after)?;
        let (body, after) = after.split_at_checked(size)?;
        rest = after;
        Some((id, body))
    })
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (n, &byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * n);
        if byte < 0x80 {
            return Some((value, bytes.get(n + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_link() {
        assert_eq!(interface_of("ig:gadget/tables@0.1.0"), Some("tables"));
        assert_eq!(interface_of("ig:gadget/tables@0.1.17"), Some("tables"));
        for other in [
            "ig:gadget/tables@0.2.0",
            "ig:gadget/tables@0.1.",
            "ig:gadget/tables@0.1.0-rc1",
            "ig:gadget/tables@1.0.0",
            "ig:gadget/tables",
            "wasi:io/poll@0.1.0",
            "",
        ] {
            assert_eq!(interface_of(other), None, "{other}");
        }
    }

    #[test]
    fn bytes_that_are_no_component_are_named() {
        assert_eq!(not_a_component(b"\0asm\x0d\0\x01\0"), None);
        assert!(not_a_component(b"\0asm\x01\0\0\0").is_some_and(|s| s.starts_with("a core")));
        assert!(not_a_component(b"\x7fELF").is_some_and(|s| s.starts_with("an ELF")));
        assert_eq!(not_a_component(b""), Some("empty"));
        assert_eq!(not_a_component(b"#!/bin/sh"), Some("not WebAssembly"));
    }

    #[test]
    fn section_headers_that_lie_end_the_walk() {
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26, 7]), Some((624_485, &[7][..])));
        assert_eq!(leb128(&[0x80]), None);
        assert_eq!(leb128(&[0xff; 6]), None);
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend([4, 200, 1, 2, 3]); // 200 bytes announced, 2 there
        assert!(!is_composed(&bytes));
    }
}
