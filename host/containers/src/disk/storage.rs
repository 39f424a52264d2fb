//! podman's store: `containers.json` and `images.json`.

use crate::disk::spec::Spec;
use crate::disk::time;
use crate::files::{self, Root};
use crate::owner::{Facts, Pod};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Deserialize)]
struct Container {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    created: Option<String>,
    /// JSON in a string.
    metadata: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    image_name: Option<String>,
    image_id: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Image {
    id: String,
    digest: Option<String>,
}

/// Adds what the store says of a container. `storage` is the folder `DRIVER-containers` in which its bundle lies.
pub(super) fn learn(root: &Root, storage: &Path, spec: &Spec, path: &str, facts: &mut Facts) {
    let lists = ["containers.json", "volatile-containers.json"];
    let found = lists.iter().find_map(|list| {
        let all: Vec<Container> = root.json(&storage.join(list), files::ALL).ok()?;
        all.into_iter().find(|container| container.id == facts.id)
    });
    let Some(container) = found else {
        return;
    };
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let metadata = container
        .metadata
        .and_then(|json| serde_json::from_str(&json).ok());
    let metadata: Metadata = metadata.unwrap_or_default();
    let first = container.names.and_then(|names| names.into_iter().next());
    facts.name = some(metadata.name).or(some(first)).or(facts.name.take());
    facts.image = some(metadata.image_name);
    let id = some(metadata.image_id).or(some(container.image));
    facts.image_digest = id.as_ref().and_then(|id| digest(root, storage, spec, id));
    facts.image_id = id.map(|id| time::with_algorithm(&id));
    let created = container.created.as_deref().and_then(time::parse);
    facts.started = facts.started.or(created);
    let infra = infra_of(path, facts);
    if let Some(pod) = infra {
        facts.sandbox = true;
        facts.pod = Some(Pod {
            sandbox: pod,
            ..Pod::default()
        });
    }
}

/// What holds a podman pod's namespaces is called by the pod's id, which is in its cgroup's path.
fn infra_of(path: &str, facts: &Facts) -> Option<String> {
    let start = facts.name.as_ref()?.strip_suffix("-infra")?;
    let hash = start.len() == 12 && start.bytes().all(|b| b.is_ascii_hexdigit());
    let in_path = path.split('/').any(|part| part.contains(start));
    (hash && in_path).then(|| facts.id.clone())
}

fn digest(root: &Root, storage: &Path, spec: &Spec, id: &str) -> Option<String> {
    let driver = storage.file_name()?.to_str()?.strip_suffix("-containers")?;
    // With its own graph root beside the bundle's, or with the store of the container's files.
    let beside = storage.with_file_name(format!("{driver}-images"));
    let store = spec.rootfs().and_then(|rootfs| {
        let mut above = rootfs
            .ancestors()
            .filter(|path| path.file_name() == Some(driver.as_ref()));
        Some(above.next()?.with_file_name(format!("{driver}-images")))
    });
    let lists: Vec<PathBuf> = [Some(beside), store].into_iter().flatten().collect();
    lists.iter().find_map(|folder| {
        let all: Vec<Image> = root.json(&folder.join("images.json"), files::ALL).ok()?;
        let image = all.into_iter().find(|image| image.id == id)?;
        image.digest.filter(|digest| !digest.is_empty())
    })
}
