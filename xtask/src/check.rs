//! Formatting, lints, licences.

use anyhow::{Result, anyhow};

use crate::command::{cargo, run};
use crate::place::Place;
use crate::setup;

/// Formats the workspace and what lies outside of it.
pub fn fmt(place: &Place) -> Result<()> {
    format(place, false)
}

fn format(place: &Place, check: bool) -> Result<()> {
    let extra: &[&str] = if check { &["--check"] } else { &[] };
    run(cargo().args(["fmt", "--all"]).args(extra))?;
    for manifest in place.outside_manifests()? {
        // Not `cargo fmt`: it would also format the generated package that a guest depends on,
        // and fails where that was not generated yet.
        let Some(folder) = manifest.parent() else {
            continue;
        };
        let mut sources = Vec::new();
        rust_sources(&folder.join("src"), &mut sources)?;
        if !sources.is_empty() {
            run(std::process::Command::new("rustfmt")
                .args(["--edition", "2024"])
                .args(extra)
                .args(sources))?;
        }
    }
    Ok(())
}

fn rust_sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            rust_sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

/// What CI checks without running anything: all of it is run, then the failures are told.
pub fn check(place: &Place) -> Result<()> {
    setup::build_tools(place)?;
    let clippy = || {
        run(cargo().args([
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    };
    let deny = || {
        // Advisories are left out: the database would have to be fetched.
        run(std::process::Command::new(setup::cargo_deny(place)?).args([
            "--locked",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ]))
    };
    let failed: Vec<String> = [format(place, true), clippy(), deny()]
        .into_iter()
        .filter_map(|result| result.err().map(|error| format!("{error:#}")))
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(anyhow!(failed.join("\n  and ")))
    }
}
