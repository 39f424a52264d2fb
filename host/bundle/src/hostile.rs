//! Bundles and manifests that try to hurt whoever reads them: each is refused in few lines, before it takes anything.
//!
//! docs/THREAT_MODEL.md has the table. What is merely broken is in the tests of each module.

use crate::fixtures::{MANIFEST, component, contents};
use crate::manifest::Manifest;
use crate::oci::{Arch, Archive, MAX_BUNDLE_BYTES};
use tar::EntryType;

/// The error; a terminal can show it.
fn refused(bytes: &[u8]) -> String {
    shown(Archive::parse("x.oci", bytes).unwrap_err().to_string())
}

fn wrong(manifest: &str) -> String {
    shown(Manifest::parse("g.yaml", manifest).unwrap_err().to_string())
}

#[track_caller]
fn shown(error: String) -> String {
    assert!(error.lines().count() <= 21, "{error}");
    assert!(
        error.chars().count() <= 25_000,
        "{} characters",
        error.len()
    );
    assert!(
        !error.chars().any(|c| c.is_control() && c != '\n'),
        "{error:?}"
    );
    error
}

/// A tar file with one entry that claims `size` bytes and has `content`.
fn entry(name: &str, kind: EntryType, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

fn document(text: &str) -> Vec<u8> {
    entry(
        "oci-layout",
        EntryType::Regular,
        text.len() as u64,
        text.as_bytes(),
    )
}

#[test]
fn a_tar_file_that_would_grow_is_refused() {
    // more than there is: nothing is allocated for it
    for size in [1 << 20, 0o77777777777, u64::MAX / 2] {
        let error = refused(&entry("oci-layout", EntryType::Regular, size, b"x"));
        assert!(
            error.contains("bytes by its header") || error.contains("broken tar"),
            "{size}: {error}"
        );
    }
    // zeros that stand for more
    let sparse = entry("oci-layout", EntryType::GNUSparse, 512, &[0; 512]);
    assert!(refused(&sparse).starts_with("x.oci: not a bundle: "));
    // compressed: gzip, zip, zstd
    for magic in [
        &[0x1f, 0x8b, 8, 0][..],
        b"PK\x03\x04",
        &[0x28, 0xb5, 0x2f, 0xfd],
    ] {
        let mut bytes = magic.to_vec();
        bytes.resize(4096, 0x55);
        assert!(refused(&bytes).contains("broken tar file"));
    }
    // a name of a megabyte, by way of an entry that only holds a name
    let name = vec![b'a'; 1 << 20];
    let mut long = entry(
        "././@LongLink",
        EntryType::GNULongName,
        name.len() as u64,
        &name,
    );
    long.truncate(long.len() - 1024);
    long.extend(entry("x", EntryType::Regular, 0, b""));
    let error = Archive::parse("x.oci", &long).unwrap_err().to_string();
    assert!(error.chars().count() < 500, "{} characters", error.len());
    // the whole file
    let large = vec![0; usize::try_from(MAX_BUNDLE_BYTES).unwrap() + 1];
    assert!(refused(&large).contains("is too large for a bundle"));
}

#[test]
fn documents_that_nest_or_repeat_are_refused() {
    let deep = "[".repeat(500_000);
    assert!(refused(&document(&deep)).contains("not the expected JSON"));
    let deep = format!("{{\"imageLayoutVersion\":{}", "{\"a\":".repeat(100_000));
    assert!(refused(&document(&deep)).contains("not the expected JSON"));
    let large = format!("{{\"imageLayoutVersion\":\"{}\"}}", "1".repeat(1 << 20));
    assert!(refused(&document(&large)).contains("too large for a document"));
    let version = format!(
        "{{\"imageLayoutVersion\":\"{}\\u001b[2J\"}}",
        "1".repeat(1000)
    );
    assert!(refused(&document(&version)).contains("of the OCI layout is not"));
}

#[test]
fn a_manifest_that_would_grow_is_refused() {
    let laughs: String = (1..30)
        .map(|n| format!("a{n}: &a{n} [*a{m}, *a{m}]\n", m = n - 1))
        .collect();
    assert!(wrong(&format!("a0: &a0 x\n{laughs}")).contains("anchors"));
    // by us, or by the parser before us
    for open in ["[", "{a: ", "- "] {
        let error = wrong(&format!("name: {}", open.repeat(200_000)));
        let said = ["nested too deeply", "recursion limit", "not YAML"];
        assert!(said.iter().any(|said| error.contains(said)), "{error}");
    }
    let keys: String = (0..100_000).map(|n| format!("k{n}: 1\n")).collect();
    assert!(wrong(&keys).contains("more than 1024 of them"));
    let items = format!("name: [{}]", "x, ".repeat(300_000));
    assert!(wrong(&items).contains("more than 1024 of them"));
    let values = format!(
        "name: [{}]",
        format!("[{}], ", "x, ".repeat(900)).repeat(300)
    );
    assert!(wrong(&values).contains("more than 65536 values"));
}

#[test]
fn a_manifest_with_thousands_of_mistakes_shows_some() {
    let columns: String = (0..1000)
        .map(|_| "      - {name: pid, field: nothing, enables: nobody}\n")
        .collect();
    let text = MANIFEST.replace(
        "      - {name: comm",
        &format!("{columns}      - {{name: comm"),
    );
    let error = wrong(&text);
    assert_eq!(error.lines().count(), 21);
    assert!(error.contains("\nand "), "{error}");
}

#[test]
fn names_of_any_length_and_kind_are_told_shortened() {
    // the longest of both are not compared letter by letter
    let long = "é".repeat(100_000);
    for text in [
        MANIFEST.replace("name: fixture", &format!("name: {long}")),
        MANIFEST.replace("kind: pid", &format!("kind: {long}")),
        MANIFEST.replace("enables: want-path", &format!("enables: {long}")),
        MANIFEST
            .replace("name: want-path", &format!("name: {long}"))
            .replace(
                "enables: want-path",
                &format!("enables: {}", "é".repeat(99_000)),
            ),
        format!("{MANIFEST}{long}: 1\n"),
        format!("{MANIFEST}\"\\e[2J\\a\": 1\n"),
        MANIFEST.replace("name: comm", "name: \"\\e]0;x\\a\""),
        MANIFEST.replace("version: 1.2.3", "version: \"1\\e[31m\""),
    ] {
        wrong(&text);
    }
}

#[test]
fn a_component_with_thousands_of_names_shows_some() {
    let names: Vec<String> = (0..900)
        .map(|n| format!("ig:gadget/x{n}{}@0.1.0", "y".repeat(10_000)))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut contents = contents();
    contents.component = Some(component(&names, &["\u{1b}[2J"]));
    let error = shown(
        contents
            .bundle("x.oci", Arch::Amd64)
            .unwrap_err()
            .to_string(),
    );
    assert!(error.ends_with("and 882 more"), "{error}");
}
