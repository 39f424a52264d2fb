//! Reading a bundle: every blob hashed, every size and reference checked.

use super::documents::{
    Descriptor, IMAGE_MEDIA_TYPE, INDEX_MEDIA_TYPE, ImageManifest, Index, LAYOUT_VERSION,
    LayoutMarker,
};
use super::tarball::{self, BLOBS, INDEX, LAYOUT, TarError};
use super::{
    ARTIFACT_TYPE, Arch, BundleError, EBPF_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, MAX_BUNDLE_BYTES,
    MAX_DOCUMENT_BYTES, RECORDING_MEDIA_TYPE, TITLE_ANNOTATION, WASM_MEDIA_TYPE,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A whole bundle: what it holds for every architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The digest of the bundle's index, which names everything in it.
    pub digest: String,
    /// The size of the file, in bytes.
    pub size: u64,
    /// What the index says about the gadget and the tools that built it.
    pub annotations: BTreeMap<String, String>,
    /// The text of `gadget.yaml`, the same for every architecture.
    pub manifest: Layer,
    /// The guest, the same for every architecture.
    pub component: Option<Layer>,
    /// Recordings, the same for every architecture.
    pub recordings: Vec<RecordingLayer>,
    /// What differs by architecture, in the order of the index.
    pub platforms: Vec<Platform>,
}

/// What a bundle holds for one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Whose it is.
    pub architecture: Arch,
    /// The digest of the architecture's image manifest.
    pub digest: String,
    /// The eBPF object.
    pub object: Layer,
    /// Layers that this host does not know, by media type and digest: newer hosts may.
    pub others: Vec<(String, String)>,
}

/// A recording in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordingLayer {
    /// The name under which it is replayed.
    pub name: String,
    /// Its content.
    #[serde(flatten)]
    pub layer: Layer,
}

/// What is the same for every architecture.
#[derive(PartialEq)]
struct Shared {
    manifest: Layer,
    component: Option<Layer>,
    recordings: Vec<RecordingLayer>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// `sha256:...` over the content.
    pub digest: String,
    /// The content.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

impl Archive {
    /// Reads the bundle at `path`.
    ///
    /// # Errors
    ///
    /// A file that can't be read or is too large, and all that [`Archive::parse`] refuses.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let io = |source| BundleError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.take(MAX_BUNDLE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// Reads a bundle from its bytes; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// Anything that is not an OCI layout of a gadget in one tar file, with the entry that is wrong: other names,
    /// links, repeated names, content that its digest or size contradicts, documents that do not fit together.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() as u64 > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge {
                path: name.to_owned(),
                size: bytes.len() as u64,
            });
        }
        let wrap = |TarError { entry, reason }| BundleError::Archive {
            path: name.to_owned(),
            entry,
            reason,
        };
        let files = tarball::read(bytes).map_err(wrap)?;
        Reader { files }.archive(bytes.len() as u64).map_err(wrap)
    }

    /// What the bundle holds for an architecture.
    #[must_use]
    pub fn platform(&self, architecture: Arch) -> Option<&Platform> {
        self.platforms
            .iter()
            .find(|platform| platform.architecture == architecture)
    }
}

struct Reader {
    files: BTreeMap<String, Vec<u8>>,
}

fn fail<T>(entry: &str, reason: impl Into<String>) -> Result<T, TarError> {
    Err(TarError {
        entry: entry.to_owned(),
        reason: reason.into(),
    })
}

impl Reader {
    fn archive(&self, size: u64) -> Result<Archive, TarError> {
        let marker: LayoutMarker = self.document(LAYOUT)?;
        if marker.image_layout_version != LAYOUT_VERSION {
            return fail(
                LAYOUT,
                format!(
                    "version {:?} of the OCI layout is not {LAYOUT_VERSION:?}",
                    marker
                        .image_layout_version
                        .chars()
                        .take(40)
                        .collect::<String>()
                ),
            );
        }
        let outer: Index = self.document(INDEX)?;
        let [bundle] = outer.manifests.as_slice() else {
            return fail(
                INDEX,
                format!("{} images in it: a bundle is one", outer.manifests.len()),
            );
        };
        if bundle.media_type != INDEX_MEDIA_TYPE {
            return fail(
                INDEX,
                format!("it leads to `{}`, not to an image index", bundle.media_type),
            );
        }
        let name = self.blob(INDEX, bundle)?.0;
        let index: Index = self.document(&name)?;
        if index.schema_version != 2 {
            return fail(
                &name,
                format!("schema version {} is not 2", index.schema_version),
            );
        }
        let mut shared: Option<Shared> = None;
        let mut platforms: Vec<Platform> = Vec::new();
        for descriptor in &index.manifests {
            let Some(architecture) = architecture(&name, descriptor)? else {
                continue;
            };
            if platforms
                .iter()
                .any(|other| other.architecture == architecture)
            {
                return fail(&name, format!("two manifests for {architecture}"));
            }
            let (platform, parts) = self.platform(&name, descriptor, architecture)?;
            let other = |what: &str| {
                fail(
                    &name,
                    format!("{architecture} has {what} than the architecture before it"),
                )
            };
            match &shared {
                None => shared = Some(parts),
                Some(first) if first.manifest != parts.manifest => {
                    return other("another gadget.yaml");
                }
                Some(first) if first.component != parts.component => {
                    return other("another guest");
                }
                Some(first) if first.recordings != parts.recordings => {
                    return other("other recordings");
                }
                Some(_) => {}
            }
            platforms.push(platform);
        }
        let Some(Shared {
            manifest,
            component,
            recordings,
        }) = shared
        else {
            return fail(
                &name,
                "nothing in it for any architecture that this host knows",
            );
        };
        Ok(Archive {
            digest: bundle.digest.clone(),
            size,
            annotations: index.annotations,
            manifest,
            component,
            recordings,
            platforms,
        })
    }

    fn platform(
        &self,
        from: &str,
        descriptor: &Descriptor,
        architecture: Arch,
    ) -> Result<(Platform, Shared), TarError> {
        let name = self.blob(from, descriptor)?.0;
        let image: ImageManifest = self.document(&name)?;
        if image.schema_version != 2 {
            return fail(
                &name,
                format!("schema version {} is not 2", image.schema_version),
            );
        }
        match image.artifact_type.as_deref() {
            Some(ARTIFACT_TYPE) => {}
            Some(other) => {
                return fail(
                    &name,
                    format!("the artifact type `{other}` is not {ARTIFACT_TYPE}: not a gadget"),
                );
            }
            None => return fail(&name, "an image without an artifact type: not a gadget"),
        }
        self.blob(&name, &image.config)?;
        let (mut object, mut component, mut manifest) = (None, None, None);
        let mut recordings: Vec<RecordingLayer> = Vec::new();
        let mut others = Vec::new();
        for layer in &image.layers {
            let (_, bytes) = self.blob(&name, layer)?;
            let content = || Layer {
                digest: layer.digest.clone(),
                bytes: bytes.to_vec(),
            };
            let place = match layer.media_type.as_str() {
                EBPF_MEDIA_TYPE => &mut object,
                WASM_MEDIA_TYPE => &mut component,
                MANIFEST_MEDIA_TYPE => &mut manifest,
                RECORDING_MEDIA_TYPE => {
                    let Some(title) = layer.annotations.get(TITLE_ANNOTATION) else {
                        return fail(&name, "a recording without a title");
                    };
                    if recordings.iter().any(|other| other.name == *title) {
                        return fail(
                            &name,
                            format!("two recordings called {}", title.escape_debug()),
                        );
                    }
                    recordings.push(RecordingLayer {
                        name: title.clone(),
                        layer: content(),
                    });
                    continue;
                }
                other => {
                    others.push((other.to_owned(), layer.digest.clone()));
                    continue;
                }
            };
            if place.is_some() {
                return fail(&name, format!("two layers of type {}", layer.media_type));
            }
            *place = Some(content());
        }
        let Some(object) = object else {
            return fail(
                &name,
                format!("no layer of type {EBPF_MEDIA_TYPE}: the eBPF object is missing"),
            );
        };
        let Some(manifest) = manifest else {
            return fail(
                &name,
                format!("no layer of type {MANIFEST_MEDIA_TYPE}: gadget.yaml is missing"),
            );
        };
        Ok((
            Platform {
                architecture,
                digest: descriptor.digest.clone(),
                object,
                others,
            },
            Shared {
                manifest,
                component,
                recordings,
            },
        ))
    }

    /// A document by its entry's name.
    fn document<T: DeserializeOwned>(&self, name: &str) -> Result<T, TarError> {
        let Some(bytes) = self.files.get(name) else {
            return fail(name, "is missing");
        };
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return fail(
                name,
                format!(
                    "{} bytes is too large for a document: at most {MAX_DOCUMENT_BYTES}",
                    bytes.len()
                ),
            );
        }
        serde_json::from_slice(bytes).or_else(|e| fail(name, format!("not the expected JSON: {e}")))
    }

    /// The name and the content of the blob that a descriptor in the entry `from` names.
    fn blob(&self, from: &str, descriptor: &Descriptor) -> Result<(String, &[u8]), TarError> {
        let Some(hex) = descriptor.digest.strip_prefix("sha256:") else {
            return fail(
                from,
                format!(
                    "`{}` is not a sha256 digest",
                    descriptor.digest.escape_debug()
                ),
            );
        };
        let name = format!("{BLOBS}{hex}");
        let Some(bytes) = self.files.get(&name) else {
            return fail(
                from,
                format!(
                    "it names `{}`, which is missing",
                    descriptor.digest.escape_debug()
                ),
            );
        };
        if bytes.len() as u64 != descriptor.size {
            return fail(
                &name,
                format!(
                    "{} bytes, but `{from}` says {}",
                    bytes.len(),
                    descriptor.size
                ),
            );
        }
        Ok((name, bytes))
    }
}

/// Whose a manifest is; none: not for any machine that this host knows.
fn architecture(from: &str, descriptor: &Descriptor) -> Result<Option<Arch>, TarError> {
    let Some(platform) = &descriptor.platform else {
        return fail(
            from,
            "a manifest in it does not say for which platform it is",
        );
    };
    if descriptor.media_type != IMAGE_MEDIA_TYPE || platform.os != "linux" {
        return Ok(None);
    }
    Ok(platform.architecture.parse().ok())
}
