//! Taking a bundle apart and putting it together wrongly: an OCI image layout in one tar file.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a layer holds, told by its first bytes: media types are the program's own business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// eBPF objects, one an architecture.
    Object,
    /// The guest.
    Component,
    /// `gadget.yaml`.
    Manifest,
}

impl Layer {
    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x7fELF") {
            Some(Self::Object)
        } else if bytes.starts_with(b"\0asm") {
            Some(Self::Component)
        } else if std::str::from_utf8(bytes).is_ok_and(|text| text.contains("name: ")) {
            Some(Self::Manifest)
        } else {
            None
        }
    }
}

/// A bundle's layout, unpacked.
pub struct Layout {
    folder: TempDir,
}

impl Layout {
    /// Unpacks a bundle.
    #[must_use]
    pub fn open(bundle: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a layout");
        let status = Command::new("tar")
            .arg("-xf")
            .arg(bundle)
            .arg("-C")
            .arg(folder.path())
            .status()
            .expect("tar starts");
        assert!(status.success(), "{} is no tar file", bundle.display());
        Self { folder }
    }

    /// Gives every layer of that kind to `change`, and names what comes back by its own digest
    /// everywhere: the bundle stays sound, only its content is another.
    pub fn change(&self, kind: Layer, change: &dyn Fn(Vec<u8>) -> Vec<u8>) {
        let index = self.folder.path().join("index.json");
        let text = std::fs::read(&index).expect("index.json");
        let mut value: Value = serde_json::from_slice(&text).expect("index.json is JSON");
        let changed = self.children(&mut value, kind, change);
        assert!(changed > 0, "no {kind:?} in {value:#}");
        std::fs::write(&index, value.to_string()).expect("index.json can be written");
    }

    /// Writes other bytes over the blob of such a layer, under its old name: its digest is wrong
    /// then.
    pub fn corrupt(&self, kind: Layer) {
        let mut found = Vec::new();
        for path in crate::sources::files(&self.folder.path().join("blobs"), &[""]) {
            let bytes = std::fs::read(&path).expect("a blob");
            if Layer::of(&bytes) == Some(kind) {
                found.push(path);
            }
        }
        assert!(!found.is_empty(), "no {kind:?}");
        for path in found {
            let mut bytes = std::fs::read(&path).expect("a layer");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            std::fs::write(&path, bytes).expect("a blob can be written");
        }
    }

    /// The folder, to change anything else.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Packs it into one tar file again.
    pub fn pack(&self, out: &Path) {
        let mut tar = Command::new("tar");
        tar.args([
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mtime=@0",
        ])
        .args(["--format=ustar", "-cf"])
        .arg(out)
        .arg("-C")
        .arg(self.folder.path())
        .args(["oci-layout", "index.json", "blobs"]);
        assert!(tar.status().expect("tar starts").success());
    }

    /// Goes through the descriptors in `manifests`, `layers` and `config`; gives how many layers
    /// were changed.
    fn children(&self, value: &mut Value, kind: Layer, change: &dyn Fn(Vec<u8>) -> Vec<u8>) -> u32 {
        let mut changed = 0;
        for key in ["manifests", "layers"] {
            for descriptor in value[key].as_array_mut().into_iter().flatten() {
                changed += self.descriptor(descriptor, key, kind, change);
            }
        }
        changed
    }

    fn descriptor(
        &self,
        descriptor: &mut Value,
        key: &str,
        kind: Layer,
        change: &dyn Fn(Vec<u8>) -> Vec<u8>,
    ) -> u32 {
        let digest = descriptor["digest"].as_str().expect("a digest").to_owned();
        let bytes = std::fs::read(self.blob(&digest)).expect("the blob of a descriptor");
        let (bytes, changed) = if key == "manifests" {
            let mut child: Value = serde_json::from_slice(&bytes).expect("a manifest is JSON");
            let changed = self.children(&mut child, kind, change);
            (child.to_string().into_bytes(), changed)
        } else if Layer::of(&bytes) == Some(kind) {
            (change(bytes), 1)
        } else {
            return 0;
        };
        if changed > 0 {
            let digest = sha256(&bytes);
            std::fs::write(self.blob(&digest), &bytes).expect("a blob can be written");
            descriptor["digest"] = json!(digest);
            descriptor["size"] = json!(bytes.len());
        }
        changed
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.folder
            .path()
            .join("blobs")
            .join(digest.replace(':', "/"))
    }
}

/// `sha256:...` of some bytes, by coreutils.
fn sha256(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum starts");
    // Dropped at once: end of file. It prints nothing before that, so neither side waits.
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(bytes)
        .expect("sha256sum reads");
    let output = child.wait_with_output().expect("sha256sum ends");
    let text = String::from_utf8(output.stdout).expect("hex");
    let mut digest = String::from("sha256:");
    write!(
        digest,
        "{}",
        text.split_whitespace().next().expect("a digest")
    )
    .expect("a string");
    digest
}

#[cfg(test)]
mod tests {
    use super::Layer;

    #[test]
    fn a_layer_is_known_by_its_beginning() {
        assert_eq!(Layer::of(b"\x7fELF\x02"), Some(Layer::Object));
        assert_eq!(Layer::of(b"\0asm\x0d"), Some(Layer::Component));
        assert_eq!(Layer::of(b"# x\nname: trace_open\n"), Some(Layer::Manifest));
        assert_eq!(Layer::of(b"{}"), None);
    }

    #[test]
    fn a_digest_is_named_as_oci_names_it() {
        assert_eq!(
            super::sha256(b"abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
