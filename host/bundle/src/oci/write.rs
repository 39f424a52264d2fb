//! Writing a bundle: always the same bytes, and never half a file.

use super::documents::{
    Descriptor, EMPTY_MEDIA_TYPE, IMAGE_MEDIA_TYPE, INDEX_MEDIA_TYPE, ImageManifest, Index,
    LAYOUT_VERSION, LayoutMarker, OciPlatform,
};
use super::tarball::{self, BLOBS, INDEX, LAYOUT};
use super::{
    ARTIFACT_TYPE, Arch, BundleError, DESCRIPTION_ANNOTATION, EBPF_MEDIA_TYPE, MANIFEST_MEDIA_TYPE,
    MAX_BUNDLE_BYTES, RECORDING_MEDIA_TYPE, TITLE_ANNOTATION, VERSION_ANNOTATION, WASM_MEDIA_TYPE,
    digest,
};
use crate::bundle;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What goes into a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The text of `gadget.yaml`.
    pub manifest: String,
    /// An eBPF object by architecture.
    pub objects: BTreeMap<Arch, Vec<u8>>,
    /// The guest, if the gadget has one.
    pub component: Option<Vec<u8>>,
    /// Recordings by the name under which they are replayed.
    pub recordings: BTreeMap<String, Vec<u8>>,
    /// What else to say about the bundle, such as the tools that built it
    /// ([`TOOLCHAIN_ANNOTATION_PREFIX`](super::TOOLCHAIN_ANNOTATION_PREFIX)). Title, version and description come from
    /// the manifest.
    pub annotations: BTreeMap<String, String>,
}

/// A bundle that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// The digest of its index.
    pub digest: String,
    /// The size of the file, in bytes.
    pub size: u64,
}

impl Contents {
    /// Checks that the parts fit together: manifest against every object and the component.
    ///
    /// # Errors
    ///
    /// The first part that does not fit; `name` is what errors call the bundle.
    pub fn check(&self, name: &str, manifest_name: &str) -> Result<(), BundleError> {
        let manifest = crate::manifest::Manifest::parse(manifest_name, &self.manifest)?;
        for (architecture, object) in &self.objects {
            bundle::check(
                name,
                &manifest,
                *architecture,
                object,
                self.component.as_deref(),
            )?;
        }
        if self.objects.is_empty() {
            let reason = "it has no eBPF object".to_owned();
            return Err(BundleError::Archive {
                path: name.to_owned(),
                entry: String::new(),
                reason,
            });
        }
        Ok(())
    }

    /// The bundle's bytes and the digest of its index. The same contents always give the same bytes.
    ///
    /// # Errors
    ///
    /// A manifest that can't be read, or contents that are too large.
    pub fn archive(&self, name: &str) -> Result<(Vec<u8>, String), BundleError> {
        let manifest =
            crate::manifest::Manifest::parse(crate::manifest::FILE_NAME, &self.manifest)?;
        let mut annotations = self.annotations.clone();
        annotations.insert(TITLE_ANNOTATION.to_owned(), manifest.name);
        annotations.insert(VERSION_ANNOTATION.to_owned(), manifest.version);
        if !manifest.description.is_empty() {
            annotations.insert(DESCRIPTION_ANNOTATION.to_owned(), manifest.description);
        }
        let (files, digest) = self.files(annotations).map_err(|e| broken(name, &e))?;
        let bytes = tarball::write(&files).map_err(|e| broken(name, &e))?;
        if bytes.len() as u64 > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge {
                path: name.to_owned(),
                size: bytes.len() as u64,
            });
        }
        Ok((bytes, digest))
    }

    fn files(
        &self,
        annotations: BTreeMap<String, String>,
    ) -> Result<(BTreeMap<String, Vec<u8>>, String), serde_json::Error> {
        let mut files = BTreeMap::new();
        let mut blob = |media_type: &str, bytes: &[u8]| {
            let digest = digest(bytes);
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            files.insert(format!("{BLOBS}{hex}"), bytes.to_vec());
            Descriptor {
                media_type: media_type.to_owned(),
                artifact_type: None,
                digest,
                size: bytes.len() as u64,
                platform: None,
                annotations: BTreeMap::new(),
            }
        };
        let config = blob(EMPTY_MEDIA_TYPE, b"{}");
        let mut manifests = Vec::new();
        for (architecture, object) in &self.objects {
            let mut layers = vec![blob(EBPF_MEDIA_TYPE, object)];
            layers.extend(
                self.component
                    .as_ref()
                    .map(|component| blob(WASM_MEDIA_TYPE, component)),
            );
            layers.push(blob(MANIFEST_MEDIA_TYPE, self.manifest.as_bytes()));
            for (name, recording) in &self.recordings {
                let mut layer = blob(RECORDING_MEDIA_TYPE, recording);
                let title = (TITLE_ANNOTATION.to_owned(), name.clone());
                layer.annotations = BTreeMap::from([title]);
                layers.push(layer);
            }
            let image = ImageManifest {
                schema_version: 2,
                media_type: Some(IMAGE_MEDIA_TYPE.to_owned()),
                artifact_type: Some(ARTIFACT_TYPE.to_owned()),
                config: config.clone(),
                layers,
                annotations: annotations.clone(),
            };
            let mut descriptor = blob(IMAGE_MEDIA_TYPE, &serde_json::to_vec(&image)?);
            descriptor.artifact_type = Some(ARTIFACT_TYPE.to_owned());
            descriptor.platform = Some(OciPlatform::linux(*architecture));
            manifests.push(descriptor);
        }
        let index = Index {
            schema_version: 2,
            media_type: Some(INDEX_MEDIA_TYPE.to_owned()),
            artifact_type: Some(ARTIFACT_TYPE.to_owned()),
            manifests,
            annotations,
        };
        let mut descriptor = blob(INDEX_MEDIA_TYPE, &serde_json::to_vec(&index)?);
        descriptor.artifact_type = Some(ARTIFACT_TYPE.to_owned());
        let digest = descriptor.digest.clone();
        let outer = Index {
            schema_version: 2,
            media_type: Some(INDEX_MEDIA_TYPE.to_owned()),
            artifact_type: None,
            manifests: vec![descriptor],
            annotations: BTreeMap::new(),
        };
        files.insert(INDEX.to_owned(), serde_json::to_vec(&outer)?);
        let marker = LayoutMarker {
            image_layout_version: LAYOUT_VERSION.to_owned(),
        };
        files.insert(LAYOUT.to_owned(), serde_json::to_vec(&marker)?);
        Ok((files, digest))
    }

    /// Writes the bundle to `path`, whole or not at all: into a new file in the same folder, which takes the name once
    /// its content is on disk.
    ///
    /// # Errors
    ///
    /// Contents that do not fit together ([`Contents::check`]), and whatever stops the file from being written.
    pub fn write(&self, path: &Path) -> Result<Written, BundleError> {
        let name = path.display().to_string();
        self.check(&name, crate::manifest::FILE_NAME)?;
        let (bytes, digest) = self.archive(&name)?;
        replace(path, &bytes).map_err(|source| BundleError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        })?;
        Ok(Written {
            path: path.to_owned(),
            digest,
            size: bytes.len() as u64,
        })
    }
}

fn broken(name: &str, error: &dyn std::error::Error) -> BundleError {
    BundleError::Archive {
        path: name.to_owned(),
        entry: String::new(),
        reason: format!("can't be put together: {error}"),
    }
}

/// Puts a file with this content at `path`, in one step.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(file_name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path names no file",
        ));
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let (temporary, mut file) = new_file(folder, &file_name.to_string_lossy())?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error counts; a left-over is only untidy.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    // The name itself is on disk once the folder is.
    File::open(folder)?.sync_all()
}

fn new_file(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let mut tries = 0;
    loop {
        let path = folder.join(format!(".{name}.{}.{tries}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < 16 => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
