//! Gadgets built from their folders: what is generated compiles without a warning and works, the component has its
//! manifest's world, and the same source gives the same bytes in any folder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on fails"
)]

use ig_bundle::build::{BuildError, BuildOptions, BuildReport, build};
use ig_bundle::component::Component;
use ig_bundle::oci::{Arch, Archive};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A copy of a gadget's source.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if name != ".ig" && name != "target" {
                copy(&entry.path(), &to.join(name));
            }
        } else if !name.to_string_lossy().ends_with(".oci") {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

fn built(dir: &Path) -> (BuildReport, Archive) {
    let report =
        build(dir, &BuildOptions::default(), &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let archive = Archive::open(&report.bundle).unwrap();
    (report, archive)
}

fn surface(archive: &Archive) -> Component {
    Component::parse(&archive.component.as_ref().unwrap().bytes).unwrap()
}

#[test]
fn example_gadgets_have_the_smallest_world_and_the_same_bytes_anywhere() {
    for gadget in ["trace_open", "trace_exec"] {
        let folder = tempfile::tempdir().unwrap();
        let source = repository().join("example-gadgets").join(gadget);
        let (here, there) = (
            folder.path().join("a"),
            folder.path().join("another/folder with a space"),
        );
        copy(&source, &here);
        copy(&source, &there);
        let (first, archive) = built(&here);
        let (second, _) = built(&there);
        assert_eq!(first.digest, second.digest, "{gadget}");
        assert!(
            fs::read(&first.bundle).unwrap() == fs::read(&second.bundle).unwrap(),
            "{gadget}"
        );
        assert!(first.component.unwrap() < 64 * 1024, "{gadget}: {first}");
        let component = surface(&archive);
        assert_eq!(component.exports, ["ig:gadget/handler@0.1.0"]);
        let imports = component
            .imports
            .iter()
            .filter(|name| !name.starts_with("ig:gadget/types@"));
        assert_eq!(
            imports.collect::<Vec<_>>(),
            ["ig:gadget/tables@0.1.0", "ig:gadget/log@0.1.0"]
        );
        let architectures: Vec<Arch> = archive
            .platforms
            .iter()
            .map(|platform| platform.architecture)
            .collect();
        assert_eq!(architectures, Arch::ALL);
        let module = &archive.component.as_ref().unwrap().bytes;
        for word in [gadget, "process"] {
            // Function names are kept for traps; places of the machine that built it are not.
            assert!(contains(module, word.as_bytes()), "{gadget} knows {word}");
        }
        for platform in &archive.platforms {
            for bytes in [module, &platform.object.bytes] {
                assert!(
                    !contains(bytes, folder.path().to_string_lossy().as_bytes()),
                    "{gadget}"
                );
            }
        }
        // A second build finds nothing to do, and a changed source is seen.
        let again = built(&here).0;
        assert_eq!(again.digest, first.digest);
        assert!(
            fs::read_to_string(here.join("Cargo.lock"))
                .unwrap()
                .contains("name = \"gadget-sdk\"")
        );
        assert_eq!(
            fs::read(here.join("Cargo.lock")).unwrap(),
            fs::read(source.join("Cargo.lock")).unwrap()
        );
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The folder holds tests of its own, which run natively against the generated crate.
#[test]
fn everything_that_is_generated_works() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("everything");
    copy(&repository().join("host/bundle/tests/everything"), &dir);
    let (_, archive) = built(&dir);
    let mut component = surface(&archive);
    component.exports.sort();
    assert_eq!(
        component.exports,
        [
            "ig:gadget/container-watcher@0.1.0",
            "ig:gadget/handler@0.1.0",
            "ig:gadget/ticker@0.1.0"
        ]
    );
    for interface in [
        "tables",
        "log",
        "params",
        "clock",
        "maps",
        "timers",
        "containers",
    ] {
        let name = format!("ig:gadget/{interface}@0.1.0");
        assert!(
            component.imports.contains(&name),
            "{name} of {:?}",
            component.imports
        );
    }
    let output = Command::new("cargo")
        .args(["test", "--offline"])
        .current_dir(&dir)
        .env("CARGO_TARGET_DIR", dir.join(".ig/target"))
        .env("RUSTFLAGS", "-D warnings")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("9 passed"), "{text}");
}

/// The folder of a C guest that uses all that is generated, over the same manifest and object as the one in Rust.
fn everything_in_c(dir: &Path) {
    for part in ["everything", "everything_c"] {
        copy(&repository().join("host/bundle/tests").join(part), dir);
    }
    fs::remove_file(dir.join("Cargo.toml")).unwrap();
    fs::remove_dir_all(dir.join("src")).unwrap();
}

fn clang() -> &'static str {
    let versions = [
        "clang-19", "clang", "clang-22", "clang-18", "clang-16", "clang-14",
    ];
    let found = versions.into_iter().find(|clang| {
        Command::new(clang)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    });
    found.expect("clang")
}

#[test]
fn everything_that_is_generated_for_c_builds_the_same_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (
        folder.path().join("a"),
        folder.path().join("another/folder with a space"),
    );
    everything_in_c(&here);
    everything_in_c(&there);
    let (first, archive) = built(&here);
    let (second, _) = built(&there);
    assert_eq!(first.digest, second.digest);
    let mut component = surface(&archive);
    component.exports.sort();
    assert_eq!(
        component.exports,
        [
            "ig:gadget/container-watcher@0.1.0",
            "ig:gadget/handler@0.1.0",
            "ig:gadget/ticker@0.1.0"
        ]
    );
    for interface in [
        "tables",
        "log",
        "params",
        "clock",
        "maps",
        "timers",
        "containers",
    ] {
        let name = format!("ig:gadget/{interface}@0.1.0");
        assert!(
            component.imports.contains(&name),
            "{name} of {:?}",
            component.imports
        );
    }
    assert!(first.component.unwrap() < 64 * 1024, "{first}");
    let module = &archive.component.as_ref().unwrap().bytes;
    // Function names are kept for traps; places of the machine that built it are not.
    assert!(contains(module, b"gadget__process"));
    assert!(!contains(
        module,
        folder.path().to_string_lossy().as_bytes()
    ));
    // Whatever the author switches on, what is generated is not to blame.
    let output = Command::new(clang())
        .args([
            "--target=wasm32-unknown-unknown",
            "-std=c11",
            "-ffreestanding",
        ])
        .args([
            "-Wall",
            "-Wextra",
            "-Wshadow",
            "-Wconversion",
            "-Wcast-align",
            "-Werror",
        ])
        .args([
            "-I",
            ".ig/gen/c",
            "-I",
            ".",
            "-fsyntax-only",
            ".ig/gen/c/unit.c",
        ])
        .current_dir(&here)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// Natively, with a stand-in for the host; undefined behaviour traps, and so does what is read where it does not lie
/// as it should.
#[test]
fn everything_that_is_generated_for_c_works() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    everything_in_c(dir);
    built(dir);
    let output = Command::new(clang())
        .args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
        .args(["-fsanitize=undefined", "-fsanitize-trap=undefined"])
        .args([
            "-I",
            ".ig/gen/c",
            "-I",
            ".",
            ".ig/gen/c/unit.c",
            "host.c",
            "-o",
            "native",
        ])
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let run = |arguments: &[&str]| {
        let output = Command::new(dir.join("native"))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), text)
    };
    let (succeeded, text) = run(&[]);
    let expected = fs::read_to_string(dir.join("expected.txt")).unwrap();
    assert!(text == expected, "{text}");
    assert!(succeeded);
    for (fault, words) in [
        ("panic", "log 0: value 0xdead\n"),
        (
            "record",
            "log 0: a row of table 0 comes from a record that is not of this call\n",
        ),
        (
            "memory",
            "log 0: out of memory: no room for 1099511627776 bytes more\n",
        ),
    ] {
        let (succeeded, text) = run(&[fault]);
        assert!(!succeeded && text.ends_with(words), "{fault}: {text}");
    }
}

#[test]
fn mistakes_in_c_are_said_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    everything_in_c(dir);
    let source = fs::read_to_string(dir.join("guest.c")).unwrap();
    let fails = |from: &str, to: &str| {
        assert!(source.contains(from), "{from}");
        fs::write(dir.join("guest.c"), source.replacen(from, to, 1)).unwrap();
        let error = build(dir, &BuildOptions::default(), &mut |_| {}).unwrap_err();
        error.to_string()
    };
    for (from, to, words) in [
        (
            "return GADGET_DROPPED;",
            "return GADGET_DROPPED",
            "guest.c:",
        ),
        ("event_set_flag", "event_set_flags", "event_set_flags"),
        (
            "event_row(event)",
            "event_row(&timer)",
            "incompatible pointer types",
        ),
        (
            "void gadget_tick",
            "void gadget_tack",
            "undefined symbol: gadget_tick",
        ),
        (
            "gadget_chars(event->comm)",
            "gadget_chars(&event->comm[0])",
            "guest.c:",
        ),
    ] {
        let error = fails(from, to);
        assert!(error.contains(words), "{to}: {error}");
    }
    fs::write(dir.join("guest.c"), &source).unwrap();
    fs::write(dir.join("Cargo.toml"), "").unwrap();
    let error = build(dir, &BuildOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, BuildError::Languages { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("Rust (Cargo.toml) and C (guest.c)"), "{text}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let fails = || build(dir, &BuildOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(fails(), BuildError::NotFound { .. }));
    copy(&repository().join("example-gadgets/trace_open"), dir);
    let edit = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(dir.join(file)).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        fs::write(dir.join(file), text.replacen(from, to, 1)).unwrap();
    };

    edit(
        "program.bpf.c",
        "bpf_ktime_get_boot_ns()",
        "bpf_ktime_get_boot_ns(",
    );
    let error = fails().to_string();
    assert!(
        error.contains("program.bpf.c:") && error.contains("error:"),
        "{error}"
    );
    edit(
        "program.bpf.c",
        "bpf_ktime_get_boot_ns(",
        "bpf_ktime_get_boot_ns()",
    );

    edit("gadget.yaml", "field: proc.pid", "field: proc.pdi");
    let error = fails().to_string();
    assert!(
        error.contains("gadget.yaml:") && error.contains("proc.pid"),
        "{error}"
    );
    edit("gadget.yaml", "field: proc.pdi", "field: proc.pid");

    edit("src/lib.rs", "Outcome::Accepted", "Outcome::Excepted");
    let error = fails().to_string();
    assert!(
        error.contains("src/lib.rs:") && error.contains("Excepted"),
        "{error}"
    );
    edit("src/lib.rs", "Outcome::Excepted", "Outcome::Accepted");

    // Around the generated crate, past the manifest's grants.
    edit(
        "src/lib.rs",
        "Ok(Self)",
        "gadget::sdk::clock::wall();\n        Ok(Self)",
    );
    let error = fails();
    assert!(matches!(error, BuildError::Component { .. }), "{error}");
    assert!(error.to_string().contains("clock"), "{error}");
    edit("src/lib.rs", "gadget::sdk::clock::wall();", "");

    edit("Cargo.toml", "\"cdylib\"", "\"rlib\"");
    assert!(matches!(fails(), BuildError::NoModule { .. }));
    edit("Cargo.toml", "\"rlib\"", "\"cdylib\"");

    edit(
        "program.bpf.c",
        "\tgadget_errno error;",
        "#if defined(__TARGET_ARCH_arm64)\n\t__u32 more;\n#endif\n\tgadget_errno error;",
    );
    assert!(matches!(
        fails(),
        BuildError::Layout {
            arch: Arch::Arm64,
            ..
        }
    ));
}
