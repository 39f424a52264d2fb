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

    /// What the command says of everything that could keep a right of root; what becomes of it is seen where there is a
    /// root to begin with: `tests::image::under_sudo_it_builds_as_the_calling_user`.
    #[test]
    fn the_command_leaves_nothing_of_root() {
        let text = |words: &mut dyn Iterator<Item = &OsStr>| {
            words
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let ig = Path::new("/bin/ig");
        let arguments = [OsStr::new("image"), OsStr::new("build")];
        for (name, groups, shown) in [
            (Some("nobody"), "--init-groups", "nobody"),
            (None, "--clear-groups", "65534"),
        ] {
            let caller = Caller {
                uid: 65_534,
                gid: 65_533,
                name: name.map(str::to_owned),
                home: PathBuf::from("/nonexistent"),
            };
            let setpriv = Path::new("/usr/bin/setpriv");
            let with = command(ig, &arguments, &caller, Some(setpriv));
            assert_eq!(with.get_program(), setpriv);
            assert_eq!(
                text(&mut with.get_args()),
                format!(
                    "--reuid=65534 --regid=65533 {groups} --inh-caps=-all --ambient-caps=-all \
                     --bounding-set=-all --no-new-privs -- /bin/ig image build"
                )
            );
            let without = command(ig, &arguments, &caller, None);
            assert_eq!(without.get_program(), ig);
            assert_eq!(text(&mut without.get_args()), "image build");
            for command in [with, without] {
                let set = |name: &str| {
                    let mut all = command.get_envs().filter(|(key, _)| *key == name);
                    let (_, value) = all.next()?;
                    Some(value.map(|value| value.to_string_lossy().into_owned()))
                };
                assert_eq!(set("HOME"), Some(Some("/nonexistent".to_owned())));
                assert_eq!(set("USER"), Some(Some(shown.to_owned())));
                // Removed, and not only left alone.
                for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER", "XDG_RUNTIME_DIR"] {
                    assert_eq!(set(name), Some(None), "{name}");
                }
            }
        }
    }
}
