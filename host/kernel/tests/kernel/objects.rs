//! Compiles the eBPF sources beside this file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::RwLock;

use ig_kernel::{LoadOptions, Loaded, Loader};
use ig_object::Object;

/// Held for writing while a process is started: until it executes its program, a child holds copies of all
/// descriptors, so that closing a link detaches nothing. Held for reading where that matters.
pub static STARTING: RwLock<()> = RwLock::new(());

/// The object of `NAME.bpf.c`, compiled with these definitions.
pub fn object(name: &str, definitions: &[&str]) -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unique = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{name}-{}-{unique}.o", std::process::id()));
    let target = if cfg!(target_arch = "x86_64") {
        "x86"
    } else {
        "arm64"
    };
    let starting = STARTING.write();
    let clang = [
        "clang-19", "clang-22", "clang-21", "clang-20", "clang-18", "clang-17", "clang-16", "clang",
    ]
    .into_iter()
    .find(|clang| Command::new(clang).arg("--version").output().is_ok())
    .expect("clang 16 or newer");
    let result = Command::new(clang)
        .args([
            "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-c",
        ])
        .arg(format!("-D__TARGET_ARCH_{target}"))
        .args(definitions)
        .arg("-I")
        .arg(here.join("../../ebpf/include"))
        .arg(here.join(format!("tests/kernel/{name}.bpf.c")))
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    drop(starting);
    assert!(
        result.status.success(),
        "{}",
        String::from_utf8_lossy(&result.stderr)
    );
    let bytes = std::fs::read(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    bytes
}

pub fn load(bytes: &[u8], options: LoadOptions) -> Result<Loaded, ig_kernel::LoadError> {
    let object = Object::parse(bytes).unwrap();
    Loader::new(bytes, &object, options).load()
}

pub fn tid() -> u32 {
    // SAFETY: takes nothing.
    unsafe { libc::gettid() }.cast_unsigned()
}

/// Only the calling thread is seen.
pub fn only_me() -> LoadOptions {
    let mut options = LoadOptions::default();
    options
        .variables
        .insert("gadget_filter_tid".into(), tid().to_ne_bytes().to_vec());
    options
}

pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}
