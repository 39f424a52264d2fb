//! The program, and bundles built by it once.

use crate::sources;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

/// The release program: `IG_BIN`, else the one in the target folder.
#[must_use]
pub fn ig() -> PathBuf {
    let path = std::env::var_os("IG_BIN")
        .map_or_else(|| sources::target().join("release/ig"), PathBuf::from);
    assert!(
        path.is_file(),
        "there is no {}: run these tests by `cargo xtask test`, which builds it, or set IG_BIN",
        path.display()
    );
    path
}

/// Copies the program, for who can't reach the target folder. Another process does it: a child that a test beside starts
/// at this moment would hold the copy open for writing, and nobody can run such a file.
pub fn copy_of_ig(to: &Path) {
    let copied = Command::new("cp").arg(ig()).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{to:?}");
}

/// The bundle of a gadget under `example-gadgets/`.
#[must_use]
pub fn bundle(name: &str) -> PathBuf {
    built(
        &sources::root().join("example-gadgets").join(name),
        &sources::target().join("gadgets"),
    )
}

/// The bundle of a gadget made for these tests, under `tests/gadgets/`.
#[must_use]
pub fn gadget(name: &str) -> PathBuf {
    built(
        &sources::root().join("tests/gadgets").join(name),
        &sources::target().join("test-gadgets"),
    )
}

/// `ig image build DIR -o OUT`, as who we are: a test's own folder is closed to the user behind sudo.
#[must_use]
pub fn build(dir: &Path, out: &Path) -> Output {
    let mut command = command(dir, out);
    for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND"] {
        command.env_remove(name);
    }
    command.output().expect("ig starts")
}

fn command(dir: &Path, out: &Path) -> Command {
    let mut command = Command::new(ig());
    command.args(["image", "build"]).arg(dir).arg("-o").arg(out);
    command.env("PATH", path());
    // Of the build that runs this test, not of the one that it starts.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_TARGET_DIR",
        "RUST_RECURSION_COUNT",
    ] {
        command.env_remove(name);
    }
    command
}

/// PATH with the place where xtask puts what makes guests of Python.
pub(crate) fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = sources::target().join("tools/python/bin");
    let folders = std::iter::once(tools).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("a PATH")
}

/// One lock and one result a bundle: tests run in parallel.
type Bundles = Mutex<BTreeMap<PathBuf, Arc<OnceLock<Result<(), String>>>>>;

fn built(dir: &Path, into: &Path) -> PathBuf {
    static BUNDLES: Bundles = Mutex::new(BTreeMap::new());
    let name = dir
        .file_name()
        .expect("a gadget's folder")
        .to_string_lossy();
    let out = into.join(format!("{name}.oci"));
    let once = Arc::clone(
        BUNDLES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(out.clone())
            .or_default(),
    );
    let result = once.get_or_init(|| {
        if fresh(&out, dir) {
            return Ok(());
        }
        std::fs::create_dir_all(into).map_err(|e| format!("{}: {e}", into.display()))?;
        // Under sudo as the calling user: what it leaves in the tree is theirs.
        let output = command(dir, &out).output().map_err(|e| e.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "`ig image build {}` failed ({}):\n{}{}",
            dir.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    out
}

/// Whether a bundle is younger than the program that builds it and than all of its sources.
fn fresh(out: &Path, dir: &Path) -> bool {
    let Some(built) = modified(out) else {
        return false;
    };
    std::iter::once(ig())
        .chain(sources::files(dir, &[""]))
        .all(|path| modified(&path).is_some_and(|changed| changed < built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
