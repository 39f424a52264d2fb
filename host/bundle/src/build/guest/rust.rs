//! Rust guests, built by cargo.

use super::Core;
use crate::build::{BuildError, toolchain};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of Rust guests: no WASI.
const TARGET: &str = "wasm32-unknown-unknown";

/// The Rust that Debian builds browsers with: the one in Debian 12 that has a current library's sources.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// How Rust is compiled for the guest's target here.
enum Toolchain {
    /// The target is installed.
    Installed,
    /// Debian's compiler builds the library from its sources.
    Debian { linker: PathBuf },
}

/// What guests would be compiled with here, outside of any folder that chooses a compiler of its own.
pub(super) fn installed() -> Result<String, BuildError> {
    cargo()?;
    let (rustc, how) = match toolchain(Path::new("/"))? {
        Toolchain::Installed => ("rustc", "its library is installed"),
        Toolchain::Debian { .. } => (DEBIAN_RUSTC, "its library is built from sources"),
    };
    let version = toolchain::version(Path::new(rustc)).unwrap_or_else(|| rustc.to_owned());
    Ok(format!("{version}, {TARGET}: {how}"))
}

fn cargo() -> Result<PathBuf, BuildError> {
    std::env::var_os("CARGO")
        .map(PathBuf::from)
        .filter(|cargo| cargo.is_file())
        .or_else(|| toolchain::find("cargo"))
        .ok_or_else(|| BuildError::Missing {
            tool: "cargo".to_owned(),
            purpose: "builds the guest",
            install:
                "install Rust from https://rustup.rs, then rustup target add wasm32-unknown-unknown"
                    .to_owned(),
        })
}

/// Compiles the guest in `folder`.
pub(super) fn compile(folder: &Path) -> Result<Core, BuildError> {
    let cargo = cargo()?;
    let toolchain = toolchain(folder)?;
    let manifest = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest)
        .map_err(|cause| BuildError::io("reading", &manifest, cause))?;
    let mut command = Command::new(cargo);
    command.current_dir(folder).args([
        "build",
        "--release",
        "--lib",
        "--message-format",
        "json-render-diagnostics",
    ]);
    command.args(["--target", TARGET]);
    if !text.lines().any(|line| line.trim() == "[profile.release]") {
        // Names are kept, so that a trap can say where it was.
        for setting in [
            "opt-level=3",
            "lto=true",
            "codegen-units=1",
            "panic='abort'",
            "strip='debuginfo'",
        ] {
            command.args(["--config", &format!("profile.release.{setting}")]);
        }
    }
    command.env("CARGO_TARGET_DIR", folder.join(".ig/target"));
    command.env("CARGO_ENCODED_RUSTFLAGS", remaps(folder));
    for variable in [
        "RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        command.env_remove(variable);
    }
    let rustc = match toolchain {
        Toolchain::Installed => PathBuf::from("rustc"),
        Toolchain::Debian { linker } => {
            command.args(["-Z", "build-std=std,panic_abort"]);
            command
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            PathBuf::from(DEBIAN_RUSTC)
        }
    };
    let output = toolchain::run(&mut command, "building the guest failed")?;
    let module = artifact(&output.stdout, &manifest).ok_or_else(|| BuildError::NoModule {
        manifest: manifest.clone(),
    })?;
    let module =
        std::fs::read(&module).map_err(|cause| BuildError::io("reading", &module, cause))?;
    let compiler = toolchain::version(&rustc).unwrap_or_else(|| "rustc".to_owned());
    Ok(Core { module, compiler })
}

/// Flags that take the places of this machine out of what is compiled.
fn remaps(folder: &Path) -> OsString {
    let mut flags = toolchain::joined("--remap-path-prefix=", folder, "=.");
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cargo = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(home?.join(".cargo")));
    if let Some(cargo) = cargo {
        flags.push("\u{1f}");
        flags.push(toolchain::joined("--remap-path-prefix=", &cargo, "=cargo"));
    }
    flags
}

/// The module that cargo says it has built for this manifest.
fn artifact(messages: &[u8], manifest: &Path) -> Option<PathBuf> {
    let lines = messages.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let mut modules = messages.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["manifest_path"].as_str().map(Path::new) == Some(manifest)
    });
    modules.find_map(|message| {
        let files = message["filenames"].as_array()?;
        let mut files = files
            .iter()
            .filter_map(|file| file.as_str())
            .filter(|file| file.ends_with(".wasm"));
        files.next().map(PathBuf::from)
    })
}

fn toolchain(folder: &Path) -> Result<Toolchain, BuildError> {
    // Asked in the folder, where a rust-toolchain.toml may choose another one.
    let mut command = Command::new("rustc");
    command
        .current_dir(folder)
        .args(["--print", "target-libdir", "--target", TARGET]);
    if let Ok(output) = toolchain::run(&mut command, "asking rustc for its target") {
        let libraries = String::from_utf8_lossy(&output.stdout);
        let has_core = std::fs::read_dir(libraries.trim()).is_ok_and(|mut entries| {
            entries.any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
            })
        });
        if has_core {
            return Ok(Toolchain::Installed);
        }
    }
    if Path::new(DEBIAN_RUSTC).is_file()
        && Path::new(DEBIAN_SOURCES).is_file()
        && let Some(linker) = toolchain::find_llvm("wasm-ld").or_else(|| rust_lld(folder))
    {
        return Ok(Toolchain::Debian { linker });
    }
    Err(BuildError::Missing {
        tool: format!("Rust's library for {TARGET}"),
        purpose: "builds the guest",
        install: format!(
            "rustup target add {TARGET}, or on Debian: apt-get install rustc-web rust-web-src lld-22"
        ),
    })
}

/// The linker that rustup's toolchain brings.
pub(super) fn rust_lld(folder: &Path) -> Option<PathBuf> {
    let mut command = Command::new("rustc");
    command
        .current_dir(folder)
        .args(["--print", "target-libdir"]);
    let output = toolchain::run(&mut command, "asking rustc for its library").ok()?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let linker = libraries.parent()?.join("bin/rust-lld");
    linker.is_file().then_some(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_one_of_the_gadgets_own_package() {
        let messages = br#"{"reason":"compiler-artifact","manifest_path":"/g/.ig/gen/rust/Cargo.toml","filenames":["/t/libgadget.rlib"]}
not json
{"reason":"compiler-artifact","manifest_path":"/g/Cargo.toml","filenames":["/t/trace.d","/t/trace_open.wasm"]}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(
            artifact(messages, Path::new("/g/Cargo.toml")),
            Some(PathBuf::from("/t/trace_open.wasm"))
        );
        assert_eq!(artifact(messages, Path::new("/h/Cargo.toml")), None);
    }
}
