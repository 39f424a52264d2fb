//! Why a bundle is refused.

use super::{Arch, MAX_BUNDLE_BYTES};
use crate::component::ComponentError;
use crate::manifest::ManifestError;
use ig_object::ObjectError;
use std::path::PathBuf;

/// Why a bundle can't be read, written or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The file could not be read or written.
    #[error("{}: can't {action}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any bundle.
    #[error("{path}: {size} bytes is too large for a bundle: at most {MAX_BUNDLE_BYTES}")]
    TooLarge {
        /// The bundle.
        path: String,
        /// Its size in bytes, as far as it was read.
        size: u64,
    },
    /// An entry of the tar file, or the tar file itself where `entry` is empty.
    #[error("{path}: not a bundle: {}{reason}", if entry.is_empty() { String::new() } else { format!("`{entry}`: ") })]
    Archive {
        /// The bundle.
        path: String,
        /// The entry's name.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no eBPF object for the wanted architecture.
    #[error("{path}: nothing in it for {wanted}: it is for {}", if held.is_empty() { "no architecture that this host knows" } else { held })]
    NoPlatform {
        /// The bundle.
        path: String,
        /// The architecture that was wanted.
        wanted: Arch,
        /// Those that it has.
        held: String,
    },
    /// The gadget needs a newer host.
    #[error("{path}: the gadget needs ig {needed} or newer, this is {host}: update ig")]
    HostTooOld {
        /// The bundle.
        path: String,
        /// The lowest version by the manifest.
        needed: String,
        /// The version of this program.
        host: String,
    },
    /// The manifest is wrong in itself or against the eBPF object; the text names file, line and column.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The eBPF object is none.
    #[error("{path}: the eBPF object for {architecture}: {source}")]
    Object {
        /// The bundle.
        path: String,
        /// Whose object it is.
        architecture: Arch,
        /// What is wrong with it.
        source: ObjectError,
    },
    /// The component is none, or not the one that the manifest describes.
    #[error("{path}: the guest: {source}")]
    Component {
        /// The bundle.
        path: String,
        /// What is wrong with it.
        source: ComponentError,
    },
}
