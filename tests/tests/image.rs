//! `ig image build` and `ig image inspect`.

use ig_tests::{
    Ig, build, bundle,
    layout::{Layer, Layout},
    sources,
};
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// A copy of a gadget's folder without what a build left in it.
fn copy(gadget: &str, into: &Path) {
    let from = sources::root().join(gadget);
    for path in sources::files(&from, &[""]) {
        let to = into.join(path.strip_prefix(&from).expect("a file of that folder"));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder can be made");
        std::fs::copy(&path, &to).expect("a source can be copied");
    }
}

#[test]
fn the_same_sources_give_the_same_bytes_from_any_folder() {
    let one = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    let deeper = other.path().join("some/where/else");
    let mut bytes = Vec::new();
    for folder in [one.path(), &deeper] {
        let folder = folder.join("trace_open");
        copy("example-gadgets/trace_open", &folder);
        let out = folder.with_extension("oci");
        let output = build::build(&folder, &out);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        bytes.push(std::fs::read(out).expect("a bundle"));
    }
    assert!(bytes[0] == bytes[1], "the two bundles differ");
    assert!(
        !String::from_utf8_lossy(&bytes[0]).contains(one.path().to_str().expect("UTF-8")),
        "the folder's name is in the bundle"
    );
}

#[test]
fn inspect_shows_everything_without_running_any_of_it() {
    let finished = Ig::new()
        .args(&["image", "inspect"])
        .arg(bundle("trace_open"))
        .args(&["-o", "json"])
        .finish();
    finished.expect_code(0);
    assert!(finished.held.programs.is_empty());
    let shown: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let text = shown.to_string();
    for word in [
        "trace_open",
        "amd64",
        "arm64",
        "sys_exit_openat",
        "failed-only",
        "fname",
        "ig:gadget/",
    ] {
        assert!(text.contains(word), "no {word} in {shown:#}");
    }
    let plain = Ig::new()
        .args(&["image", "inspect"])
        .arg(bundle("trace_open"))
        .finish();
    plain.expect_code(0);
    for word in ["trace_open", "failed-only", "path"] {
        assert!(
            plain.stdout.contains(word),
            "no {word} in:\n{}",
            plain.stdout
        );
    }
}

#[test]
fn a_bundle_is_one_oci_layout() {
    let layout = Layout::open(&bundle("trace_exec"));
    let version: Value = serde_json::from_slice(
        &std::fs::read(layout.path().join("oci-layout")).expect("oci-layout"),
    )
    .expect("JSON");
    assert_eq!(version["imageLayoutVersion"], "1.0.0");
    // Changing nothing and packing it with another tar gives a bundle that runs as before.
    layout.change(Layer::Component, &|bytes| bytes);
    let out = layout.path().join("again.oci");
    layout.pack(&out);
    let finished = Ig::run(&out).json().args(&["--", "/bin/true"]).finish();
    finished.expect_code(0);
    assert_eq!(finished.rows().len(), 1);
}

#[test]
fn a_folder_runs_like_its_bundle() {
    let folder = tempfile::tempdir().expect("a folder");
    copy("example-gadgets/trace_exec", folder.path());
    let finished = Ig::run(folder.path())
        .json()
        .args(&["--", "/bin/true"])
        .finish();
    finished.expect_code(0);
    assert_eq!(finished.rows().len(), 1, "{}", finished.stderr);
}

#[test]
fn a_wrong_key_is_told_with_its_place_and_the_nearest_right_one() {
    let folder = tempfile::tempdir().expect("a folder");
    copy("example-gadgets/trace_open", folder.path());
    let manifest = folder.path().join("gadget.yaml");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let line = text
        .lines()
        .position(|line| line.starts_with("tables:"))
        .expect("tables")
        + 1;
    std::fs::write(&manifest, text.replacen("\ntables:", "\ntabels:", 1)).expect("ours");
    let output = build::build(folder.path(), &folder.path().join("x.oci"));
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for word in [
        format!("gadget.yaml:{line}:1"),
        "tabels".into(),
        "`tables`".into(),
    ] {
        assert!(said.contains(&word), "no {word} in:\n{said}");
    }
    assert!(!folder.path().join("x.oci").exists());
}

#[test]
fn a_field_that_the_record_lacks_is_told_with_the_nearest_one() {
    let folder = tempfile::tempdir().expect("a folder");
    copy("example-gadgets/trace_open", folder.path());
    let manifest = folder.path().join("gadget.yaml");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    assert!(text.contains("field: fname"), "{text}");
    std::fs::write(&manifest, text.replace("field: fname", "field: fnam")).expect("ours");
    let output = build::build(folder.path(), &folder.path().join("x.oci"));
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for word in ["gadget.yaml:", "fnam", "fname"] {
        assert!(said.contains(word), "no {word} in:\n{said}");
    }
}

#[test]
fn an_error_of_the_compiler_is_shown_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    copy("example-gadgets/trace_open", folder.path());
    let source = folder.path().join("program.bpf.c");
    let text = std::fs::read_to_string(&source).expect("a source");
    std::fs::write(
        &source,
        text + "\nint broken(void) { return no_such_thing; }\n",
    )
    .expect("ours");
    let output = build::build(folder.path(), &folder.path().join("x.oci"));
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no_such_thing") && said.contains("program.bpf.c:"),
        "{said}"
    );
}

/// Under sudo nothing in the author's folder becomes root's, and the compiler has nothing of root. With C alone:
/// another user may have no Rust.
#[test]
fn under_sudo_it_builds_as_the_calling_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("plain");
    copy("tests/gadgets/plain", &dir);
    // A compiler that says with which rights it runs.
    let status = folder.path().join("status");
    let clang = folder.path().join("clang");
    let names = (14..=22)
        .rev()
        .map(|n| format!("clang-{n} "))
        .collect::<String>();
    let script = format!(
        "#!/bin/sh\ncat /proc/self/status >'{}'\nfor clang in {names}clang; do\n  \
         command -v $clang >/dev/null && exec $clang \"$@\"\ndone\n",
        status.display()
    );
    std::fs::write(&clang, script).expect("a script");
    std::fs::set_permissions(&clang, Permissions::from_mode(0o755)).expect("a mode");
    let chown = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(folder.path())
        .status();
    assert!(chown.is_ok_and(|status| status.success()));
    let finished = Ig::new()
        .args(&["image", "build"])
        .arg(&dir)
        .arg("-o")
        .arg(folder.path().join("x.oci"))
        .env("SUDO_UID", "65534")
        .env("SUDO_GID", "65534")
        .env("SUDO_USER", "nobody")
        .env("CLANG", clang.to_str().expect("UTF-8"))
        .finish();
    finished.expect_code(0);
    let status = std::fs::read_to_string(status).expect("the compiler ran");
    for line in [
        "Uid:\t65534\t65534\t65534\t65534",
        "Gid:\t65534\t65534\t65534\t65534",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.lines().any(|l| l == line), "{line}\n{status}");
    }
    let roots = Command::new("find")
        .arg(folder.path())
        .args(["-uid", "0"])
        .output()
        .expect("find starts");
    assert_eq!(String::from_utf8_lossy(&roots.stdout), "");
}
