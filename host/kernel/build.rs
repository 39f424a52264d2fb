//! Compiles the host's own eBPF: `ebpf/host/NAME.bpf.c` becomes `OUT_DIR/NAME.bpf.o`, for the architecture that this
//! crate is built for.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest and the newest clang that is looked for by number; the newest one found is taken.
const VERSIONS: std::ops::RangeInclusive<u32> = 14..=22;

fn main() {
    if let Err(error) = build("cgroups") {
        println!("cargo::error={}", error.replace('\n', " | "));
    }
}

fn build(name: &str) -> Result<(), String> {
    let variable = |name: &str| env::var_os(name).unwrap_or_default();
    let ebpf = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../../ebpf");
    let source = format!("host/{name}.bpf.c");
    for input in [source.as_str(), "include"] {
        println!("cargo::rerun-if-changed={}", ebpf.join(input).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CLANG");
    let target = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => "x86",
        Ok("aarch64") => "arm64",
        other => return Err(format!("the host's eBPF can't be built for {other:?}")),
    };
    let clang = clang()?;
    let object = PathBuf::from(variable("OUT_DIR")).join(format!("{name}.bpf.o"));
    // Everything is named relative to the folder: BTF keeps the names of files.
    let mut compile = Command::new(&clang);
    compile
        .current_dir(&ebpf)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-std=gnu11"])
        .args(["-Wall", "-Werror", "-fdebug-compilation-dir=."])
        .arg(format!("-D__TARGET_ARCH_{target}"))
        .args(["-I", "include", "-c", &source, "-o"])
        .arg(&object);
    run(&mut compile).map_err(|error| {
        format!("cannot compile ebpf/{source}: {error} (where bpf/bpf_helpers.h is missing: cargo xtask setup)")
    })?;
    // DWARF goes, BTF stays. Without the tool the program is a few KiB larger.
    let strip = clang.replace("clang", "llvm-strip");
    let _ = run(Command::new(strip).arg("-g").arg(&object));
    Ok(())
}

/// The one that `CLANG` names, else the newest.
fn clang() -> Result<String, String> {
    if let Some(named) = env::var_os("CLANG").filter(|named| !named.is_empty()) {
        return named
            .into_string()
            .map_err(|named| format!("CLANG is no text: {}", named.display()));
    }
    let starts = |clang: &String| Command::new(clang).arg("--version").output().is_ok();
    VERSIONS
        .rev()
        .map(|version| format!("clang-{version}"))
        .chain(["clang".to_owned()])
        .find(starts)
        .ok_or_else(|| {
            "no clang, which compiles the host's own eBPF: `cargo xtask setup` installs it, or \
             apt-get install clang libbpf-dev, or set CLANG"
                .to_owned()
        })
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command
        .output()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", text.trim_end()))
}
