//! The tar file around an OCI layout: strictly bounded reading, writing that always gives the same bytes.

use super::{MAX_ENTRIES, digest};
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use tar::{Archive, Builder, EntryType, Header};

/// Where blobs lie; the rest of the name is the digest in hexadecimal.
pub(super) const BLOBS: &str = "blobs/sha256/";
pub(super) const INDEX: &str = "index.json";
pub(super) const LAYOUT: &str = "oci-layout";

/// What is wrong, and with which entry; an empty name is the file itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TarError {
    pub entry: String,
    pub reason: String,
}

/// Text from the file, for a message: it may be of any length and hold what a terminal would act on.
fn shown(text: &str) -> String {
    text.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

fn error<T>(entry: &str, reason: impl Into<String>) -> Result<T, TarError> {
    Err(TarError {
        entry: shown(entry),
        reason: reason.into(),
    })
}

/// Reads all files of a tar file and hashes every blob. Nothing in the result is larger than the bytes themselves.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, TarError> {
    let mut files = BTreeMap::new();
    let broken = |e: io::Error| TarError {
        entry: String::new(),
        reason: format!("broken tar file: {}", shown(&e.to_string())),
    };
    let mut archive = Archive::new(bytes);
    for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        if count >= MAX_ENTRIES {
            return error("", format!("more than {MAX_ENTRIES} entries"));
        }
        let name = match String::from_utf8(entry.path_bytes().into_owned()) {
            Ok(name) => name,
            Err(bad) => {
                return error(
                    &String::from_utf8_lossy(bad.as_bytes()),
                    "the name is not UTF-8",
                );
            }
        };
        let plain = name
            .strip_prefix("./")
            .unwrap_or(&name)
            .trim_end_matches('/')
            .to_owned();
        match entry.header().entry_type() {
            EntryType::Directory
                if ["", ".", "blobs", "blobs/sha256"].contains(&plain.as_str()) =>
            {
                continue;
            }
            EntryType::Directory => return error(&name, "no such folder is part of a bundle"),
            EntryType::Regular => {}
            EntryType::Link | EntryType::Symlink => {
                return error(&name, "links are not allowed in a bundle");
            }
            EntryType::GNUSparse => {
                return error(&name, "sparse files are not allowed in a bundle");
            }
            _ => return error(&name, "only plain files are allowed in a bundle"),
        }
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return error(&name, "the name leads out of the bundle");
        }
        let blob = plain.strip_prefix(BLOBS);
        let known = blob.is_some_and(|hex| {
            hex.len() == 64
                && hex
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        if !known && plain != INDEX && plain != LAYOUT {
            return error(&name, "no such file is part of a bundle");
        }
        if files.contains_key(&plain) {
            return error(&name, "stands in the file twice");
        }
        let size = entry.size();
        if size > bytes.len() as u64 {
            return error(
                &name,
                format!(
                    "{size} bytes by its header, but the whole file has {}",
                    bytes.len()
                ),
            );
        }
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        match entry.read_to_end(&mut content) {
            Ok(length) if length as u64 == size => {}
            Ok(length) => {
                return error(
                    &name,
                    format!("cut short: {length} of {size} bytes are there"),
                );
            }
            Err(e) => return error(&name, format!("can't be read: {e}")),
        }
        if let Some(hex) = blob {
            let found = digest(&content);
            if found.strip_prefix("sha256:") != Some(hex) {
                return error(
                    &name,
                    format!("the content is not what the name says: its digest is {found}"),
                );
            }
        }
        files.insert(plain, content);
    }
    Ok(files)
}

/// A tar file with these files, sorted by name, with nothing in it about who wrote it or when.
pub(super) fn write(files: &BTreeMap<String, Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = Header::new_ustar();
        header.set_path(name)?;
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        builder.append(&header, content.as_slice())?;
    }
    builder.into_inner()
}
