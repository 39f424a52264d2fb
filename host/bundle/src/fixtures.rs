//! What tests of this crate share: an eBPF object, a component, a manifest, and a bundle of them.

use crate::oci::{Arch, Contents};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;
use wasm_encoder::{
    Component, ComponentExportKind, ComponentExportSection, ComponentImportSection,
    ComponentTypeRef, ComponentTypeSection, InstanceType,
};

pub(crate) const MANIFEST: &str = r#"name: fixture
version: 1.2.3
description: A gadget of which there is only the outside
sources:
  - {name: open, map: events, struct: event}
tables:
  - name: open
    description: One row an open
    columns:
      - {name: time, kind: timestamp, field: time, description: When it began}
      - {name: pid, kind: pid, field: proc.pid, width: 7}
      - {name: comm, field: proc.comm}
      - {name: address, field: address, type: text, hidden: true}
      - {name: path, field: path, enables: want-path}
params:
  - {name: want-path, type: bool, to: ebpf}
  - {name: lowest, type: i64, to: ebpf, variable: limit}
  - {name: prefix, type: text, to: ebpf, values: [abc, /usr], description: What names begin with}
  - {name: rate, type: f64, default: 1.5, to: ebpf}
programs:
  - {name: on_malloc, optional: true}
"#;

/// The manifest with one text put for another.
pub(crate) fn manifest_with(from: &str, to: &str) -> String {
    assert!(MANIFEST.contains(from), "{from}");
    MANIFEST.replacen(from, to, 1)
}

/// The compiled `fixtures.bpf.c`.
pub(crate) fn object() -> &'static [u8] {
    static OBJECT: OnceLock<Vec<u8>> = OnceLock::new();
    OBJECT.get_or_init(|| compiled("fixtures.bpf.c"))
}

/// The object of a source beside this file.
pub(crate) fn compiled(source: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("fixture.o");
    let source = format!("{}/src/{source}", env!("CARGO_MANIFEST_DIR"));
    let names = [
        "clang", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14",
    ];
    let compiled = names.into_iter().any(|clang| {
        let args = ["--target=bpf", "-O2", "-g", "-c", &source, "-o"];
        Command::new(clang)
            .args(args)
            .arg(&out)
            .status()
            .is_ok_and(|status| status.success())
    });
    assert!(compiled, "no clang that compiles for bpf");
    std::fs::read(out).unwrap()
}

/// A component with these imports and exports and nothing else in it.
pub(crate) fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let mut component = Component::new();
    let mut types = ComponentTypeSection::new();
    types.instance(&InstanceType::new());
    component.section(&types);
    let mut section = ComponentImportSection::new();
    for name in imports {
        section.import(*name, ComponentTypeRef::Instance(0));
    }
    component.section(&section);
    let mut section = ComponentExportSection::new();
    for name in exports {
        section.export(*name, ComponentExportKind::Instance, 0, None);
    }
    component.section(&section);
    component.finish()
}

/// A bundle for both architectures, without a guest.
pub(crate) fn contents() -> Contents {
    Contents {
        manifest: MANIFEST.to_owned(),
        objects: Arch::ALL
            .into_iter()
            .map(|arch| (arch, object().to_vec()))
            .collect(),
        component: None,
        recordings: BTreeMap::new(),
        annotations: BTreeMap::from([(
            "io.ig.toolchain.clang".to_owned(),
            "clang version 19.1.7".to_owned(),
        )]),
    }
}
