//! What a fresh Debian 12 or 13 or Ubuntu 24.04 machine lacks, and how it gets it.
//!
//! Only apt, rustup and, in environments of their own, pip are used; what is there already is left as it is. Downloads are bounded in
//! time and tried again, because a mirror that hangs must not hang a build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{answer, bounded, cargo, in_path, run, tried};
use crate::place::Place;
use crate::root::as_root;

/// The oldest clang whose BPF back end builds the headers.
const OLDEST_CLANG: u32 = 16;

/// Versions of clang to ask the release for: the one that everything is tested with, then the
/// newest first.
const CLANG_VERSIONS: [u32; 7] = [19, 22, 21, 20, 18, 17, 16];

/// Versions of lld to ask for: for guests in C, and in Rust when they are built with Debian's own compiler.
const LLD_VERSIONS: [u32; 5] = [22, 21, 20, 19, 18];

/// The licence check that CI runs; pinned, so that the same tree gives the same answer.
const CARGO_DENY: &str = "0.20.2";

/// What builds the fuzz targets.
const CARGO_FUZZ: &str = "0.13.2";

/// What reads our Arrow streams and Parquet files in tests, and what filters are measured against; pinned, because what
/// they print and take is compared.
const READERS: [(&str, &str); 3] = [
    ("duckdb", "2.0.0"),
    ("polars", "2.1.0"),
    ("pyarrow", "26.0.1"),
];

/// What makes guests of Python; `ig image build` takes this version and no other.
const COMPONENTIZE_PY: (&str, &str) = ("componentize-py", "0.25.1");

/// Seconds: one refresh of apt's lists, one download, one installation.
const UPDATE_SECONDS: u32 = 300;
const DOWNLOAD_SECONDS: u32 = 900;
const INSTALL_SECONDS: u32 = 1200;

/// The target that guests are built for.
const GUEST_TARGET: &str = "wasm32-unknown-unknown";

/// The compiler of the package `rustc-web`, and where `rust-web-src` puts the library's source.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_RUST_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// Everything that building the host, the bundles and the tests takes.
pub fn build_tools(place: &Place) -> Result<()> {
    let mut wanted = Vec::new();
    if clang().is_none() {
        let version = Apt::newest("clang", &CLANG_VERSIONS)?;
        wanted.push(format!("clang-{version}"));
        wanted.push(format!("llvm-{version}"));
    } else if !in_path("llvm-strip") && versioned("llvm-strip", OLDEST_CLANG).is_none() {
        wanted.push(format!("llvm-{}", Apt::newest("llvm", &CLANG_VERSIONS)?));
    }
    // The linker of every Rust program, and the C side of the benches.
    if !in_path("cc") {
        wanted.push("gcc".into());
    }
    for (file, package) in [
        ("include/stdio.h", "libc6-dev"),
        ("include/linux/bpf.h", "linux-libc-dev"),
        ("include/bpf/bpf_helpers.h", "libbpf-dev"),
        ("include/libelf.h", "libelf-dev"),
        ("include/zlib.h", "zlib1g-dev"),
    ] {
        if !Path::new("/usr").join(file).is_file() {
            wanted.push(package.into());
        }
    }
    for (program, package) in [
        ("pkg-config", "pkg-config"),
        // What makes the runtimes' messages of their descriptions.
        ("protoc", "protobuf-compiler"),
        ("setpriv", "util-linux"),
    ] {
        if !in_path(program) {
            wanted.push(package.into());
        }
    }
    // Guests in C; the linker that rustup brings does as well.
    if !links_guests() {
        wanted.push(format!("lld-{}", Apt::newest("lld", &LLD_VERSIONS)?));
    }
    Apt::install(&wanted)?;
    let Some(clang) = clang() else {
        bail!(
            "no clang {OLDEST_CLANG} or newer after the installation: install one, then run this again"
        );
    };
    println!("xtask: eBPF with {clang}");
    wasm_target(place)
}

/// What the benches compare with: bpftrace, and callgrind for counts that a noisy machine does
/// not move. bpftool helps to look into what is loaded, and is left out where the release has none.
pub fn bench_tools() -> Result<()> {
    let mut wanted = Vec::new();
    for name in ["bpftrace", "valgrind"] {
        if !in_path(name) {
            wanted.push(name.to_owned());
        }
    }
    if !in_path("column") {
        wanted.push("bsdextrautils".to_owned());
    }
    if !in_path("bpftool") && Apt::has("bpftool") {
        wanted.push("bpftool".into());
    }
    Apt::install(&wanted)
}

/// The container runtimes that the tests start themselves, each with folders and a socket of its own; no daemon of theirs
/// is started by their installation.
pub fn runtimes() -> Result<()> {
    let mut wanted = Vec::new();
    for (program, package) in [
        ("containerd", "containerd"),
        ("runc", "runc"),
        ("crun", "crun"),
        ("dockerd", "docker.io"),
        ("podman", "podman"),
        ("conmon", "conmon"),
        ("busybox", "busybox-static"),
        ("ip", "iproute2"),
        ("systemd-nspawn", "systemd-container"),
        ("mmdebstrap", "mmdebstrap"),
    ] {
        if !in_path(program) && !Path::new("/usr/sbin").join(program).is_file() {
            wanted.push(package.to_owned());
        }
    }
    // Since Debian 13 the client is a package of its own.
    if !in_path("docker") && Apt::has("docker-cli") {
        wanted.push("docker-cli".into());
    }
    if !Path::new("/usr/lib/cni/bridge").is_file() {
        wanted.push("containernetworking-plugins".into());
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let policy = NoDaemons::set()?;
    let installed = Apt::install(&wanted);
    drop(policy);
    installed
}

/// While it lives, no installation starts a daemon: by the file that Debian's packages ask for that.
struct NoDaemons {
    own: bool,
}

impl NoDaemons {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn set() -> Result<Self> {
        // One that is there is the machine's own.
        let own = !Path::new(Self::POLICY).exists();
        if own {
            let script = format!(
                "printf '#!/bin/sh\\nexit 101\\n' > {0} && chmod 755 {0}",
                Self::POLICY
            );
            run(as_root("sh")?.args(["-c", &script]))?;
        }
        Ok(Self { own })
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.own
            && let Ok(mut remove) = as_root("rm")
        {
            run(remove.args(["-f", Self::POLICY])).ok();
        }
    }
}

/// A Python with what reads our Arrow and Parquet, in `target/tools`; gives the program to call.
pub fn readers(place: &Place) -> Result<PathBuf> {
    environment(&place.target.join("tools/readers"), &READERS)
}

/// What makes guests of Python, in `target/tools`; gives the folder with its program.
pub fn componentize(place: &Place) -> Result<PathBuf> {
    let folder = place.target.join("tools/python");
    environment(&folder, &[COMPONENTIZE_PY])?;
    Ok(folder.join("bin"))
}

/// A Python environment with these packages; gives its Python.
fn environment(folder: &Path, packages: &[(&str, &str)]) -> Result<PathBuf> {
    let python = folder.join("bin/python3");
    let wanted: Vec<String> = packages
        .iter()
        .map(|(name, version)| format!("{name}=={version}"))
        .collect();
    let there = || {
        let listed = answer(Command::new(&python).args(["-m", "pip", "freeze", "--local"]));
        listed.is_some_and(|text| {
            let has = |package: &String| text.lines().any(|line| line == package);
            wanted.iter().all(has)
        })
    };
    if there() {
        return Ok(python);
    }
    // Debian's Python makes no environment without this package.
    let can = answer(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if can.is_none() {
        Apt::install(&["python3".into(), "python3-venv".into()])?;
    }
    run(bounded(INSTALL_SECONDS, "python3")
        .args(["-m", "venv", "--clear"])
        .arg(folder))?;
    tried(3, "pip install", || {
        run(bounded(DOWNLOAD_SECONDS, &python)
            .args(["-m", "pip", "install", "--quiet", "--only-binary=:all:"])
            .arg("--disable-pip-version-check")
            .args(&wanted))
    })?;
    if !there() {
        bail!(
            "pip installed {}, but does not list them",
            wanted.join(", ")
        );
    }
    Ok(python)
}

/// The newest usable clang in PATH, preferring the one that everything is tested with.
fn clang() -> Option<String> {
    if in_path("clang-19") {
        return Some("clang-19".into());
    }
    if let Some(found) = versioned("clang", OLDEST_CLANG) {
        return Some(found);
    }
    let text = answer(Command::new("clang").arg("--version"))?;
    (clang_version(&text)? >= OLDEST_CLANG).then(|| "clang".into())
}

/// `NAME-VERSION` of the newest version from `oldest` on that is in PATH.
fn versioned(name: &str, oldest: u32) -> Option<String> {
    (oldest..60)
        .rev()
        .map(|version| format!("{name}-{version}"))
        .find(|program| in_path(program))
}

/// The major version in what `clang --version` prints.
fn clang_version(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("clang version ")?;
    rest.split('.').next()?.trim().parse().ok()
}

/// Makes sure that guests can be built, by rustup if that answers, else from Debian's packages.
fn wasm_target(place: &Place) -> Result<()> {
    if has_guest_target() {
        return Ok(());
    }
    if debian_way() {
        return Ok(());
    }
    if in_path("rustup") {
        let added = tried(3, "rustup target add", || {
            // In the workspace, so that the toolchain it pins gets the target.
            run(bounded(180, "rustup")
                .args(["target", "add", GUEST_TARGET])
                .current_dir(&place.root))
        });
        match added {
            Ok(()) if has_guest_target() => return Ok(()),
            Ok(()) => {
                println!("xtask: rustup added {GUEST_TARGET} to another toolchain than cargo's");
            }
            Err(error) => println!("xtask: {error:#}"),
        }
        println!("xtask: falling back to the distribution's compiler for guests");
    }
    if !Apt::has("rustc-web") {
        Apt::update()?;
    }
    if !Apt::has("rustc-web") {
        bail!(
            "no {GUEST_TARGET}: `rustup target add {GUEST_TARGET}` did not work, and this release \
             has no package rustc-web; try again when rustup can download"
        );
    }
    let lld = Apt::newest("lld", &LLD_VERSIONS)?;
    Apt::install(&[
        "rustc-web".into(),
        "rust-web-src".into(),
        format!("lld-{lld}"),
    ])?;
    if !debian_way() {
        bail!("rustc-web, rust-web-src and lld-{lld} are installed, but no compiler came of it");
    }
    Ok(())
}

/// Whether the toolchain of this workspace has a core library for guests.
fn has_guest_target() -> bool {
    let Some(folder) =
        answer(Command::new("rustc").args(["--print", "target-libdir", "--target", GUEST_TARGET]))
    else {
        return false;
    };
    let Ok(mut entries) = std::fs::read_dir(folder.trim()) else {
        return false;
    };
    entries.any(|entry| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// Whether there is a linker for guests in C: LLVM's, or the one in a toolchain of rustup.
fn links_guests() -> bool {
    let in_toolchain = || {
        let folder = answer(Command::new("rustc").args(["--print", "target-libdir"]))?;
        let linker = Path::new(folder.trim()).parent()?.join("bin/rust-lld");
        linker.is_file().then_some(())
    };
    in_path("wasm-ld") || versioned("wasm-ld", 14).is_some() || in_toolchain().is_some()
}

/// Whether Debian's compiler is there with its sources and a linker: `ig image build` finds them by
/// itself.
fn debian_way() -> bool {
    Path::new(DEBIAN_RUST_SOURCE).is_file()
        && Path::new(DEBIAN_RUSTC).is_file()
        && (versioned("wasm-ld", 18).is_some() || in_path("wasm-ld"))
}

/// The pinned `cargo deny`, in `target/tools`; gives the program to call.
pub fn cargo_deny(place: &Place) -> Result<PathBuf> {
    // Without its default features it can't fetch advisories, which is never asked of it, and needs no TLS.
    installed(place, "cargo-deny", CARGO_DENY, &["--no-default-features"])
}

/// The pinned `cargo fuzz`, in `target/tools`; gives the program to call.
pub fn cargo_fuzz(place: &Place) -> Result<PathBuf> {
    // What libFuzzer is compiled with.
    if !in_path("c++") {
        Apt::install(&["g++".into()])?;
    }
    installed(place, "cargo-fuzz", CARGO_FUZZ, &[])
}

/// A program of the registry at this version: the user's, else built into `target/tools`.
fn installed(place: &Place, name: &str, version: &str, features: &[&str]) -> Result<PathBuf> {
    let wanted = format!("{name} {version}");
    let tools = place.target.join("tools");
    let own = tools.join("bin").join(name);
    for candidate in [own.as_path(), Path::new(name)] {
        if answer(Command::new(candidate).arg("--version"))
            .is_some_and(|text| text.trim() == wanted)
        {
            return Ok(candidate.to_path_buf());
        }
    }
    tried(2, name, || {
        // Unoptimized, because it works for two seconds and builds for minutes.
        run(bounded(1500, cargo().get_program())
            .args(["install", "--locked"])
            .args(features)
            .arg(format!("{name}@{version}"))
            .arg("--root")
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build"))
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"))
    })?;
    // The build folder is large and of no further use.
    std::fs::remove_dir_all(tools.join("build")).ok();
    Ok(own)
}

/// The distribution's package manager.
struct Apt;

impl Apt {
    /// Whether the release has a package of that name.
    fn has(package: &str) -> bool {
        answer(Command::new("apt-cache").args(["policy", package]))
            .is_some_and(|text| has_candidate(&text))
    }

    /// The first of `versions` for which the release has `NAME-VERSION`.
    fn newest(name: &str, versions: &[u32]) -> Result<u32> {
        let find = || {
            versions
                .iter()
                .copied()
                .find(|version| Self::has(&format!("{name}-{version}")))
        };
        if let Some(version) = find() {
            return Ok(version);
        }
        // A fresh image has no package lists at all.
        Self::update()?;
        match find() {
            Some(version) => Ok(version),
            None => bail!("this release has no {name} among the versions {versions:?}"),
        }
    }

    /// Refreshes the package lists.
    fn update() -> Result<()> {
        Self::there()?;
        tried(3, "apt-get update", || {
            run(as_root("timeout")?
                .args(["--foreground", &UPDATE_SECONDS.to_string()])
                .args(["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "update"]))
        })
    }

    /// Installs packages; none is fine. The download is apart, because only that may be cut off.
    fn install(packages: &[String]) -> Result<()> {
        if packages.is_empty() {
            return Ok(());
        }
        println!("xtask: missing: {}", packages.join(" "));
        Self::there()?;
        if packages.iter().any(|package| !Self::has(package)) {
            Self::update()?;
        }
        for package in packages {
            if !Self::has(package) {
                bail!(
                    "this release has no package {package}; its package sources may be incomplete"
                );
            }
        }
        let get = |seconds: u32, download: bool| -> Result<()> {
            let mut command = as_root("timeout")?;
            command
                .args(["--foreground", &seconds.to_string()])
                .args([
                    "env",
                    "DEBIAN_FRONTEND=noninteractive",
                    "apt-get",
                    "-q",
                    "-y",
                ])
                .args(["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"])
                .args(["install", "--no-install-recommends"]);
            if download {
                command.arg("--download-only");
            }
            run(command.args(packages))
        };
        tried(3, "apt-get download", || {
            get(DOWNLOAD_SECONDS, true).or_else(|error| {
                // Lists older than the mirror name files that are gone.
                Self::update()?;
                Err(error)
            })
        })?;
        get(INSTALL_SECONDS, false)
    }

    fn there() -> Result<()> {
        if in_path("apt-get") {
            return Ok(());
        }
        bail!(
            "no apt-get: this sets up Debian and Ubuntu; elsewhere install clang {OLDEST_CLANG} or \
             newer, llvm-strip, protoc, the headers of libbpf, libelf and zlib, gcc and pkg-config first"
        )
    }
}

/// Whether `apt-cache policy` names a version that can be installed.
fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|version| version.trim() != "(none)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_clang_is_read_in_every_distribution_s_form() {
        assert_eq!(
            clang_version("Debian clang version 19.1.7 (3~deb12u1)\nTarget: x"),
            Some(19)
        );
        assert_eq!(
            clang_version("Ubuntu clang version 18.1.3 (1ubuntu1)"),
            Some(18)
        );
        assert_eq!(clang_version("clang version 16.0.6"), Some(16));
        assert_eq!(clang_version("gcc 12"), None);
    }

    #[test]
    fn a_package_without_candidate_can_not_be_installed() {
        assert!(has_candidate(
            "clang-19:\n  Installed: (none)\n  Candidate: 1:19.1.7\n"
        ));
        assert!(!has_candidate(
            "bpftool:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_candidate(""));
    }
}
