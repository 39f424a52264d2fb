//! Docker's files: `config.v2.json` and `hostconfig.json` of a container, and the images' names.

use crate::cgroup_path;
use crate::disk::spec::Spec;
use crate::disk::time;
use crate::files::{self, Root};
use crate::owner::{Awaited, Facts};
use crate::runtimes::kubelet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(rename = "ID")]
    id: String,
    name: Option<String>,
    created: Option<String>,
    config: Option<Config>,
    image: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

/// `hostconfig.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Host {
    network_mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Repositories {
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

/// How far above a container's root Docker's folder is looked for.
const MOST_ABOVE: usize = 6;

/// Adds what Docker wrote of a container, which its bundle does not say: the bundle's root lies below Docker's folder.
pub(super) fn learn(root: &Root, spec: &Spec, facts: &mut Facts) {
    facts.awaited = Awaited::ALL;
    let Some(rootfs) = spec.rootfs().filter(|path| path.is_absolute()) else {
        return;
    };
    let found = rootfs.ancestors().take(MOST_ABOVE).find_map(|data| {
        let containers = data.join("containers");
        let own = written(root, &containers, &facts.id)?;
        Some((data, containers, own))
    });
    let Some((data, containers, own)) = found else {
        return;
    };
    facts.awaited = Awaited::IMAGES;
    facts.name = None;
    facts.labels = None;
    facts.learn(own);
    if let Some(pod) = facts.pod.as_ref().filter(|_| !facts.sandbox) {
        let sandbox = written(root, &containers, &pod.sandbox);
        if !sandbox.is_some_and(|sandbox| kubelet::learn_docker_sandbox(facts, &sandbox)) {
            facts.awaited = facts.awaited.with(Awaited::POD_LABELS);
        }
    }
    facts.image_digest = digest(root, data, facts);
}

/// What is written of one container. A label may have given its id.
fn written(root: &Root, containers: &Path, id: &str) -> Option<Facts> {
    if !cgroup_path::is_id(id) {
        return None;
    }
    let own = containers.join(id);
    let container: Container = root.json(&own.join("config.v2.json"), files::ONE).ok()?;
    if container.id != id {
        return None;
    }
    let name = container.name.filter(|name| !name.is_empty());
    let (image, labels) = match container.config {
        // Null where there are none.
        Some(own) => (own.image, Some(own.labels.unwrap_or_default())),
        None => (None, None),
    };
    let host: Option<Host> = root.json(&own.join("hostconfig.json"), files::ONE).ok();
    let mut facts = Facts {
        id: container.id,
        name: name.map(|name| name.strip_prefix('/').unwrap_or(&name).to_owned()),
        image: image.filter(|image| !image.is_empty()),
        image_id: container.image.filter(|id| !id.is_empty()),
        started: container.created.as_deref().and_then(time::parse),
        labels,
        ..Facts::default()
    };
    facts.host_network = match host.and_then(|host| host.network_mode).as_deref() {
        // As the other one has it.
        Some(mode) if mode.starts_with("container:") => None,
        mode => mode.map(|mode| mode == "host"),
    };
    kubelet::learn_docker(&mut facts);
    Some(facts)
}

/// The digest by which the image was pulled, where it was.
fn digest(root: &Root, data: &Path, facts: &Facts) -> Option<String> {
    let (image, id) = (facts.image.as_ref()?, facts.image_id.as_ref()?);
    let names = data.join("image/overlay2/repositories.json");
    let names: Repositories = root.json(&names, files::ALL).ok()?;
    let of_repository = |repository: &BTreeMap<String, String>| {
        let mut pulled = repository.iter().filter(|(_, of)| *of == id);
        pulled.find_map(|(name, _)| Some(name.split_once('@')?.1.to_owned()))
    };
    let (same, other): (Vec<_>, Vec<_>) = names
        .repositories
        .iter()
        .partition(|(name, _)| image.starts_with(name.as_str()));
    same.iter()
        .chain(&other)
        .find_map(|(_, repository)| of_repository(repository))
}
