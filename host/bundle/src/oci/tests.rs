//! Writing and reading bundles: round trips, the same bytes twice, and every kind of broken file.

use super::*;
use crate::fixtures::{MANIFEST, component, contents, manifest_with, object};
use crate::manifest::Manifest;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

const WORLD: &[&str] = &[
    "ig:gadget/tables@0.1.0",
    "ig:gadget/log@0.1.0",
    "ig:gadget/types@0.1.3",
];
const HANDLER: &str = "ig:gadget/handler@0.1.0";

fn archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| contents().archive("x.oci").unwrap().0)
}

fn refused(bytes: &[u8]) -> String {
    Archive::parse("x.oci", bytes).unwrap_err().to_string()
}

/// A tar file of these entries, as they are.
fn tar(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn files() -> BTreeMap<String, Vec<u8>> {
    tarball::read(archive()).unwrap()
}

/// These files with `from` replaced in every document that holds it, and all digests and sizes made right again.
fn edit(mut files: BTreeMap<String, Vec<u8>>, from: &str, to: &str) -> Vec<u8> {
    let mut changes = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = changes.pop() {
        let holds = |content: &[u8]| {
            content.len() < 4096 && String::from_utf8_lossy(content).contains(&from)
        };
        let names: Vec<_> = files
            .iter()
            .filter(|(_, content)| holds(content))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let old = files.remove(&name).unwrap();
            let new = String::from_utf8(old.clone())
                .unwrap()
                .replace(&from, &to)
                .into_bytes();
            changes.insert(0, (named(&old), named(&new)));
            let name = if name.starts_with(tarball::BLOBS) {
                blob_name(&new)
            } else {
                name
            };
            files.insert(name, new);
        }
    }
    tarball::write(&files).unwrap()
}

fn named(bytes: &[u8]) -> String {
    format!("\"digest\":\"{}\",\"size\":{}", digest(bytes), bytes.len())
}

fn blob_name(bytes: &[u8]) -> String {
    digest(bytes).replace("sha256:", tarball::BLOBS)
}

/// The good bundle with one text put for another in its documents.
fn edited(from: &str, to: &str) -> Vec<u8> {
    edit(files(), from, to)
}

#[test]
fn what_is_written_is_read_back() {
    let contents = contents();
    let archive = Archive::parse("x.oci", archive()).unwrap();
    assert_eq!(archive.manifest.bytes, contents.manifest.as_bytes());
    assert_eq!(archive.component, None);
    assert_eq!(
        archive
            .platforms
            .iter()
            .map(|p| p.architecture)
            .collect::<Vec<_>>(),
        Arch::ALL
    );
    assert!(
        archive
            .platforms
            .iter()
            .all(|p| p.object.bytes == object() && p.object.digest == digest(object()))
    );
    assert_eq!(archive.annotations[TITLE_ANNOTATION], "fixture");
    assert_eq!(archive.annotations[VERSION_ANNOTATION], "1.2.3");
    assert_eq!(
        archive.annotations[DESCRIPTION_ANNOTATION],
        "A gadget of which there is only the outside"
    );
    assert_eq!(
        archive.annotations["io.ig.toolchain.clang"],
        "clang version 19.1.7"
    );
    let bundle = contents.bundle("x.oci", Arch::Arm64).unwrap();
    assert_eq!(
        (bundle.manifest_text.as_str(), bundle.object.as_slice()),
        (MANIFEST, object())
    );
    assert_eq!(bundle.digest, archive.digest);
    assert_eq!(
        bundle.resolve(&bundle.object().unwrap()).unwrap().tables[0]
            .table
            .columns
            .len(),
        5
    );
}

#[test]
fn recordings_are_layers_by_name() {
    let mut contents = contents();
    let recording = |n: u8| (format!("{n}.igrec"), vec![n; 9]);
    contents.recordings = BTreeMap::from([recording(1), recording(2)]);
    let bytes = contents.archive("x.oci").unwrap().0;
    let bundle = Bundle::parse("x.oci", &bytes, Arch::Arm64).unwrap();
    let held: Vec<_> = bundle
        .recordings
        .iter()
        .map(|r| (r.name.clone(), r.layer.bytes.clone()))
        .collect();
    assert_eq!(held, [recording(1), recording(2)]);
    // As another tool might write it.
    let twice = edit(tarball::read(&bytes).unwrap(), "2.igrec", "1.igrec");
    assert!(
        refused(&twice).contains("two recordings called 1.igrec"),
        "{}",
        refused(&twice)
    );
    let nameless = edit(
        tarball::read(&bytes).unwrap(),
        r#"{"org.opencontainers.image.title":"2.igrec"}"#,
        "{}",
    );
    assert!(
        refused(&nameless).contains("a recording without a title"),
        "{}",
        refused(&nameless)
    );
}

#[test]
fn writing_twice_gives_the_same_bytes_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.oci"), folder.path().join("two.oci"));
    fs::write(&one, "what was there before").unwrap();
    let first = contents().write(&one).unwrap();
    let second = contents().write(&two).unwrap();
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    assert_eq!(
        (&first.digest, first.size),
        (&second.digest, fs::metadata(&two).unwrap().len())
    );
    assert_eq!(
        Bundle::open(&one, Arch::Amd64).unwrap().digest,
        first.digest
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    let mut header = tar::Archive::new(archive());
    for entry in header.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let facts = (
            header.mtime().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mode().unwrap(),
        );
        assert_eq!(facts, (0, 0, 0, 0o644));
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.oci");
    let mut wrong = contents();
    wrong.manifest = manifest_with("map: events", "map: event");
    assert!(matches!(wrong.write(&path), Err(BundleError::Manifest(_))));
    let missing = folder.path().join("missing/x.oci");
    let error = contents().write(&missing).unwrap_err();
    let expected = format!("{}: can't write: No such file", missing.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    let mut empty = contents();
    empty.objects.clear();
    assert_eq!(
        empty.write(&path).unwrap_err().to_string(),
        format!("{}: not a bundle: it has no eBPF object", path.display())
    );
    let folder_name = folder.path().join("folder");
    fs::create_dir(&folder_name).unwrap();
    assert!(matches!(
        contents().write(&folder_name),
        Err(BundleError::Io { .. })
    ));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "only the folder is left"
    );
}

#[test]
fn entries_that_do_not_belong_are_refused_by_name() {
    use tar::EntryType::{Char, Directory, GNUSparse, Link, Regular, Symlink};
    let refused = |name: &str, kind| refused(&tar(&[(name, kind, b"")]));
    assert_eq!(
        refused("../index.json", Regular),
        "x.oci: not a bundle: `../index.json`: the name leads out of the bundle"
    );
    assert_eq!(
        refused("/index.json", Regular),
        "x.oci: not a bundle: `/index.json`: the name leads out of the bundle"
    );
    assert_eq!(
        refused("blobs/sha256/../../x", Regular),
        "x.oci: not a bundle: `blobs/sha256/../../x`: the name leads out of the bundle"
    );
    assert_eq!(
        refused("manifest.json", Regular),
        "x.oci: not a bundle: `manifest.json`: no such file is part of a bundle"
    );
    assert_eq!(
        refused("blobs/sha256/ABC", Regular),
        "x.oci: not a bundle: `blobs/sha256/ABC`: no such file is part of a bundle"
    );
    assert_eq!(
        refused("index.json", Symlink),
        "x.oci: not a bundle: `index.json`: links are not allowed in a bundle"
    );
    assert_eq!(
        refused("index.json", Link),
        "x.oci: not a bundle: `index.json`: links are not allowed in a bundle"
    );
    assert_eq!(
        refused("index.json", Char),
        "x.oci: not a bundle: `index.json`: only plain files are allowed in a bundle"
    );
    assert_eq!(
        refused("etc/", Directory),
        "x.oci: not a bundle: `etc/`: no such folder is part of a bundle"
    );
    assert!(refused("index.json", GNUSparse).starts_with("x.oci: not a bundle: "));
    let twice = tar(&[
        ("index.json", Regular, b"{}"),
        ("./index.json", Regular, b"{}"),
    ]);
    assert_eq!(
        self::refused(&twice),
        "x.oci: not a bundle: `./index.json`: stands in the file twice"
    );
    let many: Vec<_> = (0..=MAX_ENTRIES)
        .map(|_| ("blobs/", Directory, &b""[..]))
        .collect();
    assert_eq!(
        self::refused(&tar(&many)),
        "x.oci: not a bundle: more than 256 entries"
    );
}

#[test]
fn folders_and_dots_that_other_tools_write_are_read() {
    use tar::EntryType::{Directory, Regular};
    let files = files();
    let dotted: Vec<String> = files.keys().map(|name| format!("./{name}")).collect();
    let mut entries = vec![
        ("./", Directory, &b""[..]),
        ("./blobs/", Directory, b""),
        ("./blobs/sha256/", Directory, b""),
    ];
    entries.extend(
        dotted
            .iter()
            .zip(files.values())
            .map(|(name, content)| (name.as_str(), Regular, content.as_slice())),
    );
    let other = Archive::parse("x.oci", &tar(&entries)).unwrap();
    assert_eq!(
        other.digest,
        Archive::parse("x.oci", archive()).unwrap().digest
    );
}

#[test]
fn content_is_what_its_name_and_size_say() {
    assert_eq!(
        refused(b""),
        "x.oci: not a bundle: `oci-layout`: is missing"
    );
    assert!(
        refused(b"\x7fELF and more").starts_with("x.oci: not a bundle: broken tar file: "),
        "{}",
        refused(b"\x7fELF and more")
    );
    let mut files = files();
    let object_name = blob_name(object());
    files.get_mut(&object_name).unwrap()[0] ^= 1;
    let found = digest(&files[&object_name]);
    assert_eq!(
        refused(&tarball::write(&files).unwrap()),
        format!(
            "x.oci: not a bundle: `{object_name}`: the content is not what the name says: its digest is {found}"
        )
    );
    files.remove(&object_name);
    let error = refused(&tarball::write(&files).unwrap());
    assert!(
        error.ends_with(&format!(
            "it names `{}`, which is missing",
            digest(object())
        )),
        "{error}"
    );
    let size = format!("\"size\":{}", object().len());
    let error = refused(&edited(&size, "\"size\":7"));
    assert!(
        error.starts_with(&format!(
            "x.oci: not a bundle: `{object_name}`: {} bytes, but `blobs/sha256/",
            object().len()
        )),
        "{error}"
    );
    assert!(error.ends_with("` says 7"), "{error}");
}

#[test]
fn documents_fit_together() {
    let ends = |from: &str, to: &str, end: &str| {
        let error = refused(&edited(from, to));
        assert!(error.ends_with(end), "{error}");
    };
    ends(
        "\"1.0.0\"",
        "\"2.0.0\"",
        "`oci-layout`: version \"2.0.0\" of the OCI layout is not \"1.0.0\"",
    );
    ends(
        EBPF_MEDIA_TYPE,
        "application/octet-stream",
        "no layer of type application/vnd.ig.gadget.ebpf.v1: the eBPF object is missing",
    );
    ends(
        MANIFEST_MEDIA_TYPE,
        "text/yaml",
        "no layer of type application/vnd.ig.gadget.manifest.v1+yaml: gadget.yaml is missing",
    );
    ends(
        "\"architecture\":\"arm64\"",
        "\"architecture\":\"amd64\"",
        "two manifests for amd64",
    );
    let one = Archive::parse(
        "x.oci",
        &edited("\"architecture\":\"arm64\"", "\"architecture\":\"riscv64\""),
    )
    .unwrap();
    assert_eq!(one.platforms.len(), 1);
    let error = Bundle::parse(
        "x.oci",
        &edited("\"architecture\":\"arm64\"", "\"architecture\":\"riscv64\""),
        Arch::Arm64,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.oci: nothing in it for arm64: it is for amd64"
    );
    let image = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"artifactType\":\"";
    ends(
        &format!("{image}{ARTIFACT_TYPE}"),
        &format!("{image}application/vnd.gadget.v1+binary"),
        "the artifact type `application/vnd.gadget.v1+binary` is not application/vnd.ig.gadget.v1: not a gadget",
    );
}

#[test]
fn a_newer_gadget_says_so() {
    let newer = format!("min-host: 99.0.0 # later\nsomething-new: true\n{MANIFEST}");
    let mut files = files();
    files.remove(&blob_name(MANIFEST.as_bytes()));
    files.insert(blob_name(newer.as_bytes()), newer.clone().into_bytes());
    let bytes = edit(files, &named(MANIFEST.as_bytes()), &named(newer.as_bytes()));
    assert_eq!(
        Bundle::parse("x.oci", &bytes, Arch::Amd64)
            .unwrap_err()
            .to_string(),
        format!(
            "x.oci: the gadget needs ig 99.0.0 or newer, this is {}: update ig",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[test]
fn the_guest_is_the_one_of_the_manifest() {
    let open = |component: Vec<u8>| {
        let mut contents = contents();
        contents.component = Some(component);
        contents
            .bundle("x.oci", Arch::Amd64)
            .map_err(|e| e.to_string())
    };
    let good = component(WORLD, &[HANDLER]);
    let bundle = open(good.clone()).unwrap();
    assert_eq!(
        (bundle.component_digest.unwrap(), bundle.component.unwrap()),
        (digest(&good), good.clone())
    );
    assert_eq!(
        open(b"text".to_vec()).unwrap_err(),
        "x.oci: the guest: not WebAssembly: it does not begin with `\\0asm`"
    );
    assert_eq!(
        open(b"\0asm\x01\0\0\0".to_vec()).unwrap_err(),
        "x.oci: the guest: not a component but a core module: build it with `ig image build`, or encode it with `wasm-tools component new`"
    );
    let cut = open(good[..good.len() - 3].to_vec()).unwrap_err();
    assert!(
        cut.starts_with("x.oci: the guest: broken component: "),
        "{cut}"
    );
    let world = |imports: &[&str], exports: &[&str]| {
        open(component(
            &[&["ig:gadget/tables@0.1.0"], imports].concat(),
            exports,
        ))
        .unwrap_err()
    };
    assert_eq!(
        world(
            &[
                "wasi:cli/environment@0.2.0",
                "ig:gadget/clock@0.1.0",
                "ig:gadget/tables@0.2.0",
                "ig:gadget/sockets@0.1.9"
            ],
            &[HANDLER]
        ),
        "x.oci: the guest: the component and the manifest differ: it imports `wasi:cli/environment@0.2.0`, which no gadget gets: guests \
         have no files, sockets or environment; it imports `ig:gadget/clock@0.1.0`, but the manifest has no `guest: {clock: true}`; it \
         imports `ig:gadget/tables@0.2.0`, which no gadget gets: it is another version of the contract than 0.1; it imports \
         `ig:gadget/sockets@0.1.9`, but this host does not know it: the gadget may need a newer one"
    );
    assert_eq!(
        world(&[], &["ig:gadget/ticker@0.1.0"]),
        "x.oci: the guest: the component and the manifest differ: it exports `ig:gadget/ticker@0.1.0`, but the manifest has no `guest: \
         {timers: true}`; it does not export `ig:gadget/handler@0.1.0`"
    );
    let manifest = Manifest::parse(
        "gadget.yaml",
        &format!("{MANIFEST}guest: {{timers: true, clock: true}}\n"),
    )
    .unwrap();
    assert_eq!(
        manifest.world_imports(),
        ["tables", "log", "clock", "timers"]
    );
    assert_eq!(manifest.world_exports(), ["handler", "ticker"]);
}

#[test]
fn not_ebpf_is_refused() {
    let mut wrong = contents();
    wrong.objects.insert(Arch::Amd64, b"not an object".to_vec());
    let error = wrong.bundle("x.oci", Arch::Amd64).unwrap_err().to_string();
    assert!(
        error.starts_with("x.oci: the eBPF object for amd64: "),
        "{error}"
    );
}

/// What a damaged bundle may give: an error, or exactly what was in it.
fn same_or_error(bytes: &[u8]) {
    if let Ok(found) = Archive::parse("x.oci", bytes) {
        let good = Archive::parse("x.oci", archive()).unwrap();
        assert_eq!(Archive { size: 0, ..found }, Archive { size: 0, ..good });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_changed_byte_changes_nothing_or_is_refused(at in 0..archive().len(), with in 1_u8..=255) {
        let mut bytes = archive().to_vec();
        bytes[at] ^= with;
        same_or_error(&bytes);
    }

    #[test]
    fn a_cut_bundle_is_whole_or_refused(length in 0..archive().len()) {
        same_or_error(&archive()[..length]);
    }

    #[test]
    fn any_headers_are_safe(
        entries in proptest::collection::vec((any::<u8>(), "(\\./)?(index\\.json|oci-layout|blobs/.{0,40}|[a-z./]{0,20})", any::<Vec<u8>>()), 0..6)
    ) {
        let entries: Vec<_> = entries.iter().map(|(kind, name, content)| {
            (name.get(..name.len().min(99)).unwrap_or("x"), tar::EntryType::new(*kind), content.as_slice())
        }).collect();
        let _ = Archive::parse("x.oci", &tar(&entries));
    }

    #[test]
    fn any_component_is_safe(at in 0_usize..64, with: u8, length in 0_usize..200) {
        let mut bytes = component(WORLD, &[HANDLER]);
        bytes.truncate(length);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        let _ = crate::component::Component::parse(&bytes);
    }
}
