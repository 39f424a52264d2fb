//! Building as the user who called sudo: compilers and build scripts run with that user's rights, and what they
//! write belongs to that user.

use super::{BuildError, toolchain};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// A user to build as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's id.
    pub uid: u32,
    /// The id of the user's first group.
    pub gid: u32,
    /// The user's name, if the id has one.
    pub name: Option<String>,
    /// The user's home.
    pub home: PathBuf,
}

/// Runs `program` (this program's own file) with `arguments` as `caller`: ids, groups, `HOME` and `USER` are the
/// caller's, and no privilege is kept or can come back. Input and output are this process's.
///
/// # Errors
///
/// It does not start. How it ended is in the answer.
pub fn build_as_caller(
    program: &Path,
    arguments: &[&OsStr],
    caller: &Caller,
) -> Result<ExitStatus, BuildError> {
    let mut command = command(
        program,
        arguments,
        caller,
        toolchain::find("setpriv").as_deref(),
    );
    command.status().map_err(|cause| BuildError::NotStarted {
        program: command.get_program().to_string_lossy().into_owned(),
        cause,
    })
}

fn command(
    program: &Path,
    arguments: &[&OsStr],
    caller: &Caller,
    setpriv: Option<&Path>,
) -> Command {
    let mut command = match setpriv {
        // util-linux, which every Debian and Ubuntu has: also sets the groups and forbids to gain privileges again.
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command
                .arg(format!("--reuid={}", caller.uid))
                .arg(format!("--regid={}", caller.gid));
            command.arg(if caller.name.is_some() {
                "--init-groups"
            } else {
                "--clear-groups"
            });
            command.args([
                "--inh-caps=-all",
                "--ambient-caps=-all",
                "--bounding-set=-all",
                "--no-new-privs",
                "--",
            ]);
            command.arg(program);
            command
        }
        // Drops the groups as well, and the kernel the capabilities with the user id.
        None => {
            let mut command = Command::new(program);
            command.uid(caller.uid).gid(caller.gid);
            command
        }
    };
    command.args(arguments);
    command.env("HOME", &caller.home);
    let name = caller
        .name
        .clone()
        .unwrap_or_else(|| caller.uid.to_string());
    command.env("USER", &name).env("LOGNAME", &name);
    for variable in [
        "SUDO_UID",
        "SUDO_GID",
        "SUDO_USER",
        "SUDO_COMMAND",
        "SUDO_HOME",
        "XDG_RUNTIME_DIR",
        "XDG_CACHE_HOME",
    ] {
        command.env_remove(variable);
    }
    // sudo's PATH leaves out where rustup puts cargo.
    let cargo = std::env::var_os("CARGO_HOME")
        .map_or_else(|| caller.home.join(".cargo"), PathBuf::from)
        .join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(cargo).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_root_is_left() {
        use std::os::unix::fs::MetadataExt as _;
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            return;
        }
        let caller = Caller {
            uid: 65_534,
            gid: 65_534,
            name: Some("nobody".to_owned()),
            home: PathBuf::from("/nonexistent"),
        };
        let script = "grep -E '^(Uid|Gid|CapEff|CapBnd|NoNewPrivs):' /proc/self/status; echo $HOME $USER $SUDO_UID";
        for setpriv in [toolchain::find("setpriv"), None] {
            let arguments = [OsStr::new("-c"), OsStr::new(script)];
            let mut command = command(
                Path::new("/bin/sh"),
                &arguments,
                &caller,
                setpriv.as_deref(),
            );
            let output = command.env("SUDO_UID", "").output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains("Uid:\t65534\t65534\t65534\t65534"), "{text}");
            assert!(text.contains("Gid:\t65534\t65534\t65534\t65534"), "{text}");
            assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
            assert!(text.contains("/nonexistent nobody"), "{text}");
            if setpriv.is_some() {
                assert!(
                    text.contains("CapBnd:\t0000000000000000") && text.contains("NoNewPrivs:\t1"),
                    "{text}"
                );
            }
        }
    }
}
