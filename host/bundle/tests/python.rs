//! Python guests built from their folders: what is generated works, and the component has its manifest's world. They
//! need componentize-py, which `cargo xtask setup` installs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on fails"
)]

use ig_bundle::build::{BuildError, BuildOptions, build};
use ig_bundle::component::Component;
use ig_bundle::oci::Archive;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// The guest that uses all that is generated, in a folder of its own.
fn everything(dir: &Path) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    fs::create_dir_all(dir).unwrap();
    for file in [
        "everything/gadget.yaml",
        "everything/program.bpf.c",
        "everything_py/guest.py",
        "everything_py/test_guest.py",
    ] {
        let file = tests.join(file);
        fs::copy(&file, dir.join(file.file_name().unwrap())).unwrap();
    }
    // Test binaries lie in TARGET/PROFILE/deps, and what xtask installs in TARGET/tools.
    let own = std::env::current_exe().unwrap();
    let tools = own.ancestors().nth(3).unwrap().join("tools/python");
    if tools.is_dir() {
        symlink(tools, dir.join(".venv")).unwrap();
    }
}

/// The folder holds tests of its own, which run natively against the generated packages.
#[test]
fn everything_that_is_generated_works() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("a folder");
    everything(&here);
    let built = |dir: &Path| {
        let report = build(dir, &BuildOptions::default(), &mut |_| {});
        report.unwrap_or_else(|error| panic!("{error}"))
    };
    let first = built(&here);
    assert_eq!(first.digest, built(&here).digest, "nothing to do");
    assert_eq!(first.toolchain[1], "componentize-py 0.25.1");

    let archive = Archive::open(&first.bundle).unwrap();
    let bytes = &archive.component.as_ref().unwrap().bytes;
    let mut component = Component::parse(bytes).unwrap();
    component.exports.sort();
    assert_eq!(
        component.exports,
        [
            "ig:gadget/container-watcher@0.1.0",
            "ig:gadget/handler@0.1.0",
            "ig:gadget/ticker@0.1.0"
        ]
    );
    component.imports.sort();
    assert_eq!(
        component.imports,
        [
            "clock",
            "containers",
            "log",
            "maps",
            "params",
            "tables",
            "timers",
            "types"
        ]
        .map(|name| format!("ig:gadget/{name}@0.1.0")),
        "no WASI among them"
    );
    let place = folder.path().to_string_lossy().into_owned();
    let place = place.as_bytes();
    assert!(!bytes.windows(place.len()).any(|window| window == place));

    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "test_guest"])
        .current_dir(&here)
        .env("PYTHONPATH", here.join(".ig/gen/python"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Ran 13 tests"), "{text}");

    // What the interpreter finds wrong while it runs up to the first call.
    let guest = here.join("guest.py");
    let source = fs::read_to_string(&guest).unwrap();
    fs::write(&guest, source.replacen("def plain(", "def plane(", 1)).unwrap();
    let error = build(&here, &BuildOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, BuildError::Tool { .. }), "{error}");
    let told = "guest.py: Everything has no method plain";
    assert!(error.to_string().contains(told), "{error}");
}
