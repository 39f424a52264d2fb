//! Starting programs: printed, bounded in time, tried again where that helps.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A command that may take at most `seconds`: coreutils' `timeout` in front of it.
///
/// It stays in the foreground, so that Ctrl-C reaches it.
pub fn bounded(seconds: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "--kill-after=15", &seconds.to_string()])
        .arg(program);
    command
}

/// Cargo of the toolchain that built this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Prints and runs a command; anything but success is an error that names it.
pub fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    // What we print must not come after what the child prints.
    std::io::stdout().flush().ok();
    let status = command
        .status()
        .with_context(|| format!("can't start `{}`", command.get_program().display()))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(124) if command.get_program() == "timeout" => {
            bail!("took too long: {}", shown(command))
        }
        _ => bail!("failed ({status}): {}", shown(command)),
    }
}

/// Runs a command quietly and gives what it wrote to stdout, or `None` when it failed or is not
/// there.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    String::from_utf8(output.stdout).ok()
}

/// Tries up to `times` times, with a growing pause in between; the last error is kept.
pub fn tried(times: u32, what: &str, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let mut number = 1;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) if number >= times => {
                return Err(error.context(format!("{what}: given up after {times} tries")));
            }
            Err(error) => {
                let pause = Duration::from_secs(u64::from(number) * 5);
                println!(
                    "xtask: {what}: try {number} of {times} failed ({error:#}); again in {pause:?}"
                );
                std::thread::sleep(pause);
                number += 1;
            }
        }
    }
}

/// Whether a program of that name is in PATH (or in `/usr/sbin`, which PATH of a user lacks).
pub fn in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_so_that_it_can_be_pasted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'a b'", "", "x=1"]);
        assert_eq!(shown(&command), r"sh -c 'echo '\''a b'\''' '' x=1");
    }

    #[test]
    fn a_command_that_takes_too_long_is_an_error_that_says_so() {
        let error = run(bounded(1, "sleep").arg("60")).unwrap_err().to_string();
        assert_eq!(
            error,
            "took too long: timeout --foreground --kill-after=15 1 sleep 60"
        );
    }

    #[test]
    fn the_last_error_comes_out_after_the_last_try() {
        let mut calls = 0;
        let result = tried(1, "apt", || {
            calls += 1;
            bail!("no network")
        });
        assert_eq!(calls, 1);
        assert_eq!(
            format!("{:#}", result.unwrap_err()),
            "apt: given up after 1 tries: no network"
        );
    }
}
