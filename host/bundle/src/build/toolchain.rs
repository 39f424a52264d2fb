//! The programs that building a gadget takes, and how to run them.

use super::BuildError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The newest and the oldest version of LLVM that is looked for by number.
const VERSIONS: std::ops::RangeInclusive<u32> = 14..=22;

/// The program `name` on PATH.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A program of LLVM: the newest of `name-22` to `name-14`, else `name`.
pub(super) fn find_llvm(name: &str) -> Option<PathBuf> {
    VERSIONS
        .rev()
        .find_map(|version| find(&format!("{name}-{version}")))
        .or_else(|| find(name))
}

/// What to say when there is no clang.
pub(super) fn clang() -> Result<PathBuf, BuildError> {
    if let Some(named) = std::env::var_os("CLANG").filter(|named| !named.is_empty()) {
        let file = PathBuf::from(&named);
        let found = if file.components().count() > 1 {
            Some(file)
        } else {
            named.to_str().and_then(find)
        };
        return found.ok_or_else(|| BuildError::Missing {
            tool: format!("{} (named by CLANG)", named.to_string_lossy()),
            purpose: "compiles the eBPF side",
            install: "set CLANG to a clang of version 14 or newer, or leave it unset".to_owned(),
        });
    }
    find_llvm("clang").ok_or_else(|| BuildError::Missing {
        tool: "clang".to_owned(),
        purpose: "compiles the eBPF side",
        install: "apt-get install clang (any version from 14; newer ones as clang-19)".to_owned(),
    })
}

/// `llvm-strip` of the same installation as this clang, else any; building works without, with larger objects.
pub(super) fn strip(clang: &Path) -> Option<PathBuf> {
    sibling(clang, "llvm-strip")
}

/// A program of LLVM: of the same installation as this clang, else any.
pub(super) fn sibling(clang: &Path, name: &str) -> Option<PathBuf> {
    let sibling = clang.file_name()?.to_str()?.replace("clang", name);
    Some(clang.with_file_name(&sibling))
        .filter(|file| is_executable(file))
        .or_else(|| find(&sibling))
        .or_else(|| find_llvm(name))
}

/// Runs a program to its end. What it wrote is in the error when it fails.
pub(super) fn run(command: &mut Command, what: &str) -> Result<Output, BuildError> {
    let program = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|cause| BuildError::NotStarted {
            program: program.to_string_lossy().into_owned(),
            cause,
        })?;
    if output.status.success() {
        return Ok(output);
    }
    Err(BuildError::Tool {
        what: what.to_owned(),
        program: Path::new(&program)
            .file_name()
            .unwrap_or(&program)
            .to_string_lossy()
            .into_owned(),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr)
            .trim_end()
            .to_owned(),
    })
}

/// The first line that `program --version` prints: what the toolchain is called in the bundle.
pub(super) fn version(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned())
}

/// `prefix` and a path, as one argument.
pub(super) fn joined(prefix: &str, path: &Path, suffix: &str) -> OsString {
    let mut argument = OsString::from(prefix);
    argument.push(path);
    argument.push(suffix);
    argument
}
