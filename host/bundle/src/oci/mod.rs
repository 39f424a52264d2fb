//! A bundle's outside: an OCI image layout in one tar file.
//!
//! `docs/bundle-format.md` describes the format; the media types and annotations there are the constants here.

mod archive;
mod documents;
mod error;
mod tarball;
mod write;

pub use crate::bundle::Bundle;
pub use archive::{Archive, Layer, Platform, RecordingLayer};
pub use error::BundleError;
pub use write::{Contents, Written};

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// What the artifact is; stands on every manifest of a bundle.
pub const ARTIFACT_TYPE: &str = "application/vnd.ig.gadget.v1";
/// The layer with the eBPF object of one architecture.
pub const EBPF_MEDIA_TYPE: &str = "application/vnd.ig.gadget.ebpf.v1";
/// The layer with the guest, a WebAssembly component.
pub const WASM_MEDIA_TYPE: &str = "application/wasm";
/// The layer with `gadget.yaml`.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.ig.gadget.manifest.v1+yaml";
/// A layer with a recording; its title is the name under which it is replayed.
pub const RECORDING_MEDIA_TYPE: &str = "application/vnd.ig.gadget.recording.v1";

/// The gadget's name; of a recording's layer, the recording's.
pub const TITLE_ANNOTATION: &str = "org.opencontainers.image.title";
/// The gadget's version.
pub const VERSION_ANNOTATION: &str = "org.opencontainers.image.version";
/// The gadget's description.
pub const DESCRIPTION_ANNOTATION: &str = "org.opencontainers.image.description";
/// Begins the annotations that name the tools that built the bundle: `io.ig.toolchain.clang`.
pub const TOOLCHAIN_ANNOTATION_PREFIX: &str = "io.ig.toolchain.";

/// The largest bundle that is read, in bytes.
pub const MAX_BUNDLE_BYTES: u64 = 64 << 20;
/// The most entries that a bundle's tar file may have.
pub const MAX_ENTRIES: usize = 256;
/// The largest index or manifest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// A machine that a bundle can hold an eBPF object for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86, 64 bits.
    Amd64,
    /// Arm, 64 bits.
    Arm64,
}

impl Arch {
    /// Every architecture, in the order of a bundle's index.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The architecture that this program was built for. Where there is no gadget for it, the first: enough to
    /// look at one, and nothing more can be done there.
    #[must_use]
    pub fn host() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Arm64
        } else {
            Self::Amd64
        }
    }

    /// Its name in OCI platforms.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No architecture has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an architecture of bundles: amd64 or arm64")]
pub struct ArchError(String);

impl FromStr for Arch {
    type Err = ArchError;

    fn from_str(text: &str) -> Result<Self, ArchError> {
        Self::ALL
            .into_iter()
            .find(|arch| arch.as_str() == text)
            .ok_or_else(|| ArchError(text.to_owned()))
    }
}

/// The digest of bytes as OCI writes it: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
