//! Who we are, and how to become root where something needs it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;

/// Whether this process runs as root.
pub fn is_root() -> bool {
    // Field 2 of "Uid:" is the effective id (proc_pid_status(5)).
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().nth(1))
            == Some("0")
    })
}

/// A command as root: as it is when we are root, else through sudo with the variables that builds
/// and tests go by (sudo drops the environment and sets a PATH of its own).
pub fn as_root(program: impl Into<OsString>) -> Result<Command> {
    let program = program.into();
    if is_root() {
        return Ok(Command::new(program));
    }
    if !command::in_path("sudo") {
        bail!("this needs root and there is no sudo: run the same command as root");
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("env");
    for (name, value) in kept(std::env::vars_os()) {
        let mut pair = name;
        pair.push("=");
        pair.push(value);
        sudo.arg(pair);
    }
    sudo.arg(program);
    Ok(sudo)
}

/// The variables that go through sudo. The folders of cargo and rustup are named, because HOME
/// becomes root's.
fn kept(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let mut home = None;
    let mut kept = Vec::new();
    for (name, value) in all {
        let Some(text) = name.to_str() else { continue };
        if text == "HOME" {
            home = Some(value);
        } else if matches!(
            text,
            "PATH" | "TERM" | "NO_COLOR" | "TMPDIR" | "CARGO" | "RUSTC"
        ) || ["IG_", "CARGO_", "RUST_", "RUSTUP_", "RUSTC_"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            kept.push((name, value));
        }
    }
    if let Some(home) = home {
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if !kept.iter().any(|(given, _)| given == name) {
                let path = std::path::Path::new(&home).join(folder);
                kept.push((name.into(), path.into_os_string()));
            }
        }
    }
    kept.sort();
    kept
}

/// `xtask as-root PROGRAM ARGS`: the runner of `cargo test` for a user who is not root. Does not
/// return unless it fails.
pub fn run_as_root(words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("as-root: no program named")?;
    let error = as_root(program)?.args(arguments).exec();
    Err(error).with_context(|| format!("can't start {program}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn sudo_keeps_the_toolchain_and_nothing_else() {
        let given = pairs(&[
            ("HOME", "/home/ann"),
            ("PATH", "/usr/bin"),
            ("LD_PRELOAD", "/tmp/x.so"),
            ("CARGO_HOME", "/opt/cargo"),
            ("IG_BIN", "/t/ig"),
            ("SSH_AUTH_SOCK", "/tmp/s"),
        ]);
        let expected = pairs(&[
            ("CARGO_HOME", "/opt/cargo"),
            ("IG_BIN", "/t/ig"),
            ("PATH", "/usr/bin"),
            ("RUSTUP_HOME", "/home/ann/.rustup"),
        ]);
        assert_eq!(kept(given.into_iter()), expected);
    }
}
