//! Bad input: one clear error each, and nothing left attached.

use ig_tests::layout::{Layer, Layout};
use ig_tests::loaded::assert_no_orphans;
use ig_tests::{Ig, bundle, gadget};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const STORM: &str = env!("CARGO_BIN_EXE_storm");

/// A bundle with one kind of layer replaced; sound but for that.
fn changed(from: &Path, kind: Layer, change: &dyn Fn(Vec<u8>) -> Vec<u8>) -> (TempDir, PathBuf) {
    let layout = Layout::open(from);
    layout.change(kind, change);
    packed(&layout)
}

fn packed(layout: &Layout) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("bad.oci");
    layout.pack(&out);
    (folder, out)
}

#[track_caller]
fn refused(bundle: &Path, words: &[&str]) {
    Ig::run(bundle)
        .json()
        .sh(":")
        .finish()
        .expect_refusal(123, words);
    assert_no_orphans("hostile");
}

#[test]
fn what_is_no_archive() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.oci");
    for bytes in [
        &b""[..],
        b"name: trace_exec\n",
        &[0; 1024],
        &[0xff; 100_000],
    ] {
        std::fs::write(&path, bytes).expect("ours");
        refused(&path, &["bad.oci"]);
    }
    let missing = folder.path().join("missing.oci");
    let finished = Ig::run(&missing).sh(":").finish();
    assert_ne!(finished.code(), 0);
    assert!(
        finished.stderr.contains("missing.oci"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_truncated_archive() {
    let whole = std::fs::read(bundle("trace_exec")).expect("a bundle");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.oci");
    for part in [
        511,
        512,
        1024,
        whole.len() / 4,
        whole.len() / 2,
        whole.len() * 9 / 10,
    ] {
        std::fs::write(&path, &whole[..part]).expect("ours");
        refused(&path, &["bad.oci"]);
    }
}

#[test]
fn content_that_is_not_what_its_digest_says() {
    for kind in [Layer::Object, Layer::Component, Layer::Manifest] {
        let layout = Layout::open(&bundle("trace_exec"));
        layout.corrupt(kind);
        let (_folder, path) = packed(&layout);
        refused(&path, &["sha256"]);
    }
}

#[test]
fn what_is_no_component() {
    let module = b"\0asm\x01\0\0\0".to_vec();
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let (_folder, path) = changed(&bundle("trace_exec"), Layer::Component, &|_| module.clone());
    refused(&path, &["component"]);
    let (_folder, path) = changed(&bundle("trace_exec"), Layer::Component, &cut);
    refused(&path, &["component"]);
    let (_folder, path) = changed(&bundle("trace_exec"), Layer::Component, &|_| {
        b"\0asm, but no".to_vec()
    });
    refused(&path, &["component"]);
}

#[test]
fn an_import_that_nobody_offers() {
    let component = |import: &str| {
        wat::parse_str(format!(
            r#"(component (import "{import}" (instance (export "open" (func)))))"#
        ))
        .expect("a component")
    };
    for import in [
        "wasi:filesystem/types@0.2.0",
        "ig:gadget/kernel@0.1.0",
        "ig:gadget/tables@0.2.0",
    ] {
        let bytes = component(import);
        let (_folder, path) = changed(&bundle("trace_exec"), Layer::Component, &|_| bytes.clone());
        refused(&path, &[import]);
    }
}

#[test]
fn a_component_without_the_exports() {
    let bytes = wat::parse_str("(component)").expect("a component");
    let (_folder, path) = changed(&bundle("trace_exec"), Layer::Component, &|_| bytes.clone());
    refused(&path, &["ig:gadget/handler"]);
}

#[test]
fn a_manifest_that_does_not_grant_what_the_component_imports() {
    // The guest asks for a parameter; without one in the manifest there is no such import.
    let without = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).expect("a manifest");
        let (before, rest) = text.split_once("\nparams:\n").expect("params");
        let after = rest.find("\n# end of params").expect("the end of params");
        format!("{before}\n{}", &rest[after..]).into_bytes()
    };
    let (_folder, path) = changed(&gadget("hostile"), Layer::Manifest, &without);
    refused(&path, &["param"]);
}

#[test]
fn a_manifest_that_does_not_fit_the_object() {
    let replaced = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("a manifest");
            assert!(text.contains(from), "no `{from}` in:\n{text}");
            text.replacen(from, to, 1).into_bytes()
        }
    };
    for (from, to, word) in [
        ("field: sequence", "field: sequenz", "sequence"),
        ("map: events", "map: event", "events"),
        ("struct: event", "struct: events", "event"),
        (
            "variable: discard_some",
            "variable: discard",
            "discard_some",
        ),
        ("type: text", "type: txt", "text"),
        ("name: hostile", "naem: hostile", "name"),
    ] {
        let (_folder, path) = changed(&gadget("hostile"), Layer::Manifest, &replaced(from, to));
        refused(&path, &[word]);
    }
}

#[test]
fn what_is_no_ebpf_object() {
    let elf_of_this_machine = std::fs::read("/bin/true").expect("an ELF file");
    let (_folder, path) = changed(&bundle("trace_exec"), Layer::Object, &|_| {
        elf_of_this_machine.clone()
    });
    refused(&path, &["bpf"]);
    let (_folder, path) = changed(&bundle("trace_exec"), Layer::Object, &|_| {
        b"\x7fELF".to_vec()
    });
    refused(&path, &["object"]);
    let (_folder, path) = changed(&bundle("trace_exec"), Layer::Object, &|bytes| {
        bytes[..bytes.len() / 2].to_vec()
    });
    refused(&path, &["object"]);
}

/// Any bytes: an answer, never a crash, never a hang. Deterministic.
#[test]
fn a_bundle_with_any_byte_changed_is_read_or_refused() {
    let whole = std::fs::read(bundle("trace_exec")).expect("a bundle");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.oci");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..ig_tests::times(1000) {
        let mut bytes = whole.clone();
        for _ in 0..4 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // The headers of the archive and of the layout are in the beginning and the end.
            let range = if state & 1 == 0 {
                4096.min(bytes.len())
            } else {
                bytes.len()
            };
            let at = usize::try_from((state >> 8) % range as u64).expect("an index");
            bytes[at] = (state >> 40) as u8;
        }
        std::fs::write(&path, &bytes).expect("ours");
        let finished = Ig::new().args(&["image", "inspect"]).arg(&path).finish();
        assert!([0, 123].contains(&finished.code()), "{}", finished.stderr);
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }
}

/// Runs the hostile gadget's `mode` over a storm.
#[track_caller]
fn hostile(mode: &str, code: i32, words: &[&str]) {
    let finished = Ig::run(gadget("hostile"))
        .args(&["--mode", mode])
        .json()
        .args(&["--", STORM, "20000"])
        .finish();
    let finished = finished.expect_error(code, &[]);
    for word in words {
        assert!(
            finished.stderr.to_lowercase().contains(word),
            "mode {mode}: no `{word}` in:\n{}",
            finished.stderr
        );
    }
    // Staged rows of a call that trapped are nobody's.
    assert_eq!(finished.rows().len(), 0, "mode {mode}");
    assert_no_orphans("hostile");
}

#[test]
fn a_guest_that_loops() {
    hostile("loop", 121, &["cpu time"]);
}

#[test]
fn a_guest_that_allocates_without_end() {
    hostile("memory", 121, &["memory"]);
}

#[test]
fn a_guest_that_emits_without_end() {
    hostile("emit", 121, &[]);
}

#[test]
fn a_guest_that_logs_without_end() {
    hostile("log", 121, &[]);
}

#[test]
fn a_guest_that_recurses_without_end() {
    // A Rust guest keeps its stack at the bottom of its memory and falls out of it.
    hostile("stack", 121, &["out of bounds memory access"]);
}

#[test]
fn a_guest_that_sends_broken_buffers() {
    hostile("buffer-short", 121, &["buffer"]);
    hostile("buffer-offsets", 121, &["offset"]);
    hostile("buffer-missing", 121, &["buffer"]);
    hostile("column-unknown", 121, &["column"]);
    hostile("column-twice", 121, &["column"]);
    hostile("table-unknown", 121, &["table"]);
}

#[test]
fn a_guest_that_gives_wrong_verdicts() {
    hostile("verdict", 121, &["verdict"]);
}

#[test]
fn a_guest_that_lies_about_origin() {
    hostile("origin", 121, &["origin"]);
    hostile("origin-far", 121, &["origin"]);
    hostile("origin-length", 121, &["origin"]);
}

#[test]
fn a_guest_that_panics_is_shown_with_its_own_functions() {
    hostile("panic", 121, &["stumbles_here"]);
}

#[test]
fn a_guest_that_refuses_to_start() {
    let finished = Ig::run(gadget("hostile"))
        .args(&["--mode", "init-error"])
        .json()
        .sh(":")
        .finish();
    finished.expect_error(121, &["no reason at all"]);
    Ig::run(gadget("hostile"))
        .args(&["--mode", "init-panic"])
        .json()
        .sh(":")
        .finish()
        .expect_error(121, &[]);
    assert_no_orphans("hostile");
}

/// After the limit of traps; until then a new instance goes on.
#[test]
fn the_number_of_traps_is_the_user_s() {
    let finished = Ig::run(gadget("hostile"))
        .args(&["--mode", "trap-once", "--max-traps", "2"])
        .json()
        .args(&["--", STORM, "20000"])
        .finish();
    finished.expect_code(0);
    assert!(!finished.rows().is_empty(), "{}", finished.stderr);
    let finished = Ig::run(gadget("hostile"))
        .args(&["--mode", "trap-once", "--max-traps", "1"])
        .json()
        .args(&["--", STORM, "20000"])
        .finish();
    finished.expect_error(121, &["--max-traps"]);
}
