//! The release program, the bundles of the example gadgets, and what the benches measure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, run};
use crate::place::Place;
use crate::setup;

/// Builds `ig` with the release profile.
pub fn release(place: &Place) -> Result<PathBuf> {
    run(cargo().args(["build", "--locked", "--release", "--package", "ig"]))?;
    let ig = place.ig();
    if !ig.is_file() {
        bail!(
            "the build left no {}: is build.target-dir set in a cargo configuration?",
            ig.display()
        );
    }
    Ok(ig)
}

/// Builds one gadget into `target/gadgets/NAME.oci` and gives that path.
pub fn bundle(place: &Place, folder: &Path) -> Result<PathBuf> {
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no name", folder.display()))?;
    let out = place.bundle(name);
    if let Some(parent) = out.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("can't make {}", parent.display()))?;
    }
    let shown = folder.strip_prefix(&place.root).unwrap_or(folder);
    let mut build = Command::new(place.ig());
    build
        .args(["image", "build"])
        .arg(shown)
        .arg("-o")
        .arg(&out);
    if folder.join("guest.py").is_file() {
        build.env("PATH", with_python_guests(place)?);
    }
    run(&mut build)?;
    Ok(out)
}

/// PATH with what makes guests of Python in front.
pub fn with_python_guests(place: &Place) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(setup::componentize(place)?).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("the target folder's name can't stand in PATH")
}

/// Builds every example gadget.
pub fn bundles(place: &Place) -> Result<()> {
    for folder in place.gadgets()? {
        bundle(place, &folder)?;
    }
    Ok(())
}

/// What the benches measure beside the program and its gadgets: the guest `row` as a bundle, and the same sources as a
/// library of this machine, whose path is given.
pub fn bench_guest(place: &Place) -> Result<PathBuf> {
    let folder = place.root.join("tests/bench/row");
    // Also generates what the library is built from.
    bundle(place, &folder)?;
    let target = place.target.join("row");
    run(cargo()
        .args(["build", "--locked", "--release", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target))?;
    Ok(target.join("release/librow.so"))
}
