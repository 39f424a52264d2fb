//! The objects that tests of this crate read, compiled from `tests/c`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

static COMPILED: Mutex<BTreeMap<&str, &[u8]>> = Mutex::new(BTreeMap::new());

/// The compiled `tests/c/NAME.bpf.c`.
pub(crate) fn object(name: &'static str) -> &'static [u8] {
    let mut compiled = COMPILED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    compiled
        .entry(name)
        .or_insert_with(|| Vec::leak(compile(name)))
}

fn compile(name: &str) -> Vec<u8> {
    let clang = [
        "clang-19", "clang-22", "clang-21", "clang-20", "clang-18", "clang-17", "clang-16", "clang",
    ]
    .into_iter()
    .find(|clang| Command::new(clang).arg("--version").output().is_ok())
    .expect("clang 16 or newer");
    let (target, include) = if cfg!(target_arch = "x86_64") {
        ("-D__TARGET_ARCH_x86", "/usr/include/x86_64-linux-gnu")
    } else {
        ("-D__TARGET_ARCH_arm64", "/usr/include/aarch64-linux-gnu")
    };
    let source = format!("tests/c/{name}.bpf.c");
    let result = Command::new(clang)
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall"])
        .args([target, "-I", include, "-c", "-o", "-"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{errors}");
    result.stdout
}

/// The section `.BTF` of an object.
pub(crate) fn types(object: &[u8]) -> &[u8] {
    crate::elf::Elf::parse(object)
        .unwrap()
        .section(".BTF")
        .unwrap()
        .data
}
