//! Puts what a gadget is built from into the program: the contract, the headers and the SDK's sources.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let folders = [
        ("WIT", "wit", "wit"),
        ("HEADERS", "ebpf/include", "h"),
        ("RUST_SDK", "guest-sdk/rust", "rs toml"),
        ("PYTHON_SDK", "guest-sdk/python", "py typed"),
        ("C_SDK", "guest-sdk/c", "h c"),
    ];
    let mut text = String::new();
    for (name, folder, extensions) in folders {
        let folder = root.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        if folder.is_dir() {
            walk(&folder, "", &mut files)?;
        }
        files.retain(|(name, _)| {
            name.rsplit_once('.')
                .is_some_and(|(_, end)| extensions.split(' ').any(|e| e == end))
        });
        files.sort();
        let _ = writeln!(
            text,
            "/// All files of `{}`.\npub const {name}: &[File] = &[",
            folder.file_name().unwrap_or_default().to_string_lossy()
        );
        for (name, path) in files {
            let path = path.canonicalize()?;
            let _ = writeln!(
                text,
                "    File {{ name: {name:?}, text: include_str!({path:?}) }},"
            );
        }
        text.push_str("];\n");
    }
    fs::write(
        PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs"),
        text,
    )
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                walk(&entry.path(), &format!("{name}/"), files)?;
            }
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}
