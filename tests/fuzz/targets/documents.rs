//! The documents of a bundle, with digests and sizes that are right: what a hash would otherwise keep a fuzzer from.
//!
//! The input is text files with a line of `---` between them: `oci-layout`, `index.json`, then the blobs. In each,
//! `@N` becomes the digest of file N and `#N` its size, if N is a later file.
#![no_main]

use ig_bundle::Bundle;
use ig_bundle::oci::{Arch, Archive, digest};
use libfuzzer_sys::fuzz_target;

const FILES: usize = 9;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut files: Vec<String> = text.splitn(FILES, "\n---\n").map(str::to_owned).collect();
    let mut known: Vec<(usize, String, usize)> = Vec::new();
    for at in (0..files.len()).rev() {
        for (number, digest, size) in &known {
            files[at] = files[at]
                .replace(&format!("@{number}"), digest)
                .replace(&format!("#{number}"), &size.to_string());
        }
        known.push((at, digest(files[at].as_bytes()), files[at].len()));
    }
    let mut tar = tar::Builder::new(Vec::new());
    for (number, digest, size) in known.iter().rev() {
        let name = match number {
            0 => "oci-layout".to_owned(),
            1 => "index.json".to_owned(),
            _ => digest.replace("sha256:", "blobs/sha256/"),
        };
        let mut header = tar::Header::new_ustar();
        header.set_size(*size as u64);
        header.set_mode(0o644);
        if tar
            .append_data(&mut header, name, files[*number].as_bytes())
            .is_err()
        {
            return;
        }
    }
    let Ok(bytes) = tar.into_inner() else {
        return;
    };
    if Archive::parse("fuzz.oci", &bytes).is_ok() {
        let _ =
            Bundle::parse("fuzz.oci", &bytes, Arch::Amd64).map(|bundle| bundle.object().is_ok());
    }
});
