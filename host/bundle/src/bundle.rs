//! A bundle as it is run: the parts for one architecture, checked against each other.

use crate::component::Component;
use crate::manifest::{Manifest, Resolved, version};
use crate::oci::{Arch, Archive, BundleError, Contents, RecordingLayer};
use ig_object::Object;
use std::path::Path;

/// The parts of a gadget for one architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// What errors call the bundle: its path.
    pub name: String,
    /// What the gadget declares.
    pub manifest: Manifest,
    /// The manifest's text.
    pub manifest_text: String,
    /// Whose the object is.
    pub architecture: Arch,
    /// The eBPF object's bytes.
    pub object: Vec<u8>,
    /// The guest's bytes, if the gadget has one.
    pub component: Option<Vec<u8>>,
    /// The digest of the guest, under which compiled code is kept.
    pub component_digest: Option<String>,
    /// Recordings of the gadget.
    pub recordings: Vec<RecordingLayer>,
    /// The digest of the bundle's index.
    pub digest: String,
}

impl Bundle {
    /// Reads the bundle at `path` and takes what it holds for `architecture`.
    ///
    /// # Errors
    ///
    /// Anything that [`Archive::open`] refuses; nothing for this architecture; a wrong manifest; a newer host needed;
    /// an eBPF object or component that does not fit the manifest.
    pub fn open(path: &Path, architecture: Arch) -> Result<Self, BundleError> {
        Self::of(
            &path.display().to_string(),
            Archive::open(path)?,
            architecture,
        )
    }

    /// Reads a bundle from its bytes; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// As [`Bundle::open`].
    pub fn parse(name: &str, bytes: &[u8], architecture: Arch) -> Result<Self, BundleError> {
        Self::of(name, Archive::parse(name, bytes)?, architecture)
    }

    fn of(name: &str, archive: Archive, architecture: Arch) -> Result<Self, BundleError> {
        let Some(platform) = archive
            .platforms
            .iter()
            .find(|p| p.architecture == architecture)
        else {
            let held: Vec<&str> = archive
                .platforms
                .iter()
                .map(|p| p.architecture.as_str())
                .collect();
            return Err(BundleError::NoPlatform {
                path: name.to_owned(),
                wanted: architecture,
                held: held.join(", "),
            });
        };
        let (manifest, manifest_text) = read_manifest(name, &archive)?;
        let component = archive
            .component
            .as_ref()
            .map(|layer| layer.bytes.as_slice());
        check(
            name,
            &manifest,
            architecture,
            &platform.object.bytes,
            component,
        )?;
        Ok(Self {
            name: name.to_owned(),
            manifest,
            manifest_text,
            architecture,
            object: platform.object.bytes.clone(),
            component_digest: archive.component.as_ref().map(|layer| layer.digest.clone()),
            component: archive.component.map(|layer| layer.bytes),
            recordings: archive.recordings,
            digest: archive.digest,
        })
    }

    /// The manifest with what the object adds to it.
    ///
    /// # Errors
    ///
    /// None for a bundle that [`Bundle::open`] gave, as long as `object` is its own.
    pub fn resolve(&self, object: &Object<'_>) -> Result<Resolved, BundleError> {
        Ok(self.manifest.resolve(object)?)
    }

    /// The eBPF side, read from the bundle's bytes.
    ///
    /// # Errors
    ///
    /// None for a bundle that [`Bundle::open`] gave.
    pub fn object(&self) -> Result<Object<'_>, BundleError> {
        parse_object(&self.name, self.architecture, &self.object)
    }
}

impl Contents {
    /// The bundle that these contents make, without writing it.
    ///
    /// # Errors
    ///
    /// As [`Bundle::open`].
    pub fn bundle(&self, name: &str, architecture: Arch) -> Result<Bundle, BundleError> {
        Bundle::parse(name, &self.archive(name)?.0, architecture)
    }
}

/// The manifest of a bundle: read, and not for a newer host than this one.
pub(crate) fn read_manifest(
    name: &str,
    archive: &Archive,
) -> Result<(Manifest, String), BundleError> {
    let file = format!("{name}: {}", crate::manifest::FILE_NAME);
    let text = match std::str::from_utf8(&archive.manifest.bytes) {
        Ok(text) => text,
        Err(_) => {
            let reason = "the manifest is not UTF-8".to_owned();
            return Err(BundleError::Archive {
                path: name.to_owned(),
                entry: archive.manifest.digest.clone(),
                reason,
            });
        }
    };
    // What a newer host's manifest says besides may not be understood here, so this comes before other complaints.
    let manifest = Manifest::parse(&file, text);
    if let Some(needed) = min_host(&manifest, text)
        && let (Some(lowest), Some(host)) = (version(&needed), version(env!("CARGO_PKG_VERSION")))
        && lowest > host
    {
        let host = env!("CARGO_PKG_VERSION").to_owned();
        return Err(BundleError::HostTooOld {
            path: name.to_owned(),
            needed,
            host,
        });
    }
    Ok((manifest?, text.to_owned()))
}

/// The lowest host by the manifest, or by its line alone when the rest can't be read.
fn min_host(
    manifest: &Result<Manifest, crate::manifest::ManifestError>,
    text: &str,
) -> Option<String> {
    match manifest {
        Ok(manifest) => manifest.min_host.clone(),
        Err(_) => text.lines().find_map(|line| {
            let value = line.strip_prefix("min-host:")?.split('#').next()?;
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        }),
    }
}

/// Checks one architecture's parts against each other.
pub(crate) fn check(
    name: &str,
    manifest: &Manifest,
    architecture: Arch,
    object: &[u8],
    component: Option<&[u8]>,
) -> Result<(), BundleError> {
    let object = parse_object(name, architecture, object)?;
    match component {
        Some(bytes) => {
            let wrap = |source| BundleError::Component {
                path: name.to_owned(),
                source,
            };
            Component::parse(bytes)
                .map_err(wrap)?
                .check(manifest)
                .map_err(wrap)?;
        }
        None => manifest.check_without_guest()?,
    }
    manifest.resolve(&object)?;
    Ok(())
}

pub(crate) fn parse_object<'a>(
    name: &str,
    architecture: Arch,
    bytes: &'a [u8],
) -> Result<Object<'a>, BundleError> {
    Object::parse(bytes).map_err(|source| BundleError::Object {
        path: name.to_owned(),
        architecture,
        source,
    })
}
