//! `config.json` of a bundle: what a runtime is told to make.

use crate::disk::time;
use crate::files::{self, Root, Unreadable};
use crate::owner::{Awaited, Facts, Pod};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    annotations: Option<BTreeMap<String, String>>,
    linux: Linux,
    root: Option<Rootfs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linux {
    cgroups_path: Option<String>,
    namespaces: Option<Vec<Namespace>>,
}

#[derive(Debug, Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rootfs {
    path: PathBuf,
}

pub(super) fn read(root: &Root, bundle: &Path) -> Result<Spec, Unreadable> {
    root.json(&bundle.join("config.json"), files::ONE)
}

impl Spec {
    pub(super) fn cgroups_path(&self) -> Option<&str> {
        self.linux.cgroups_path.as_deref()
    }

    /// None: the file does not say. A network that was there before is a pod's, another container's or, with Docker, the
    /// host's.
    pub(super) fn host_network(&self) -> Option<bool> {
        let namespaces = self.linux.namespaces.as_ref()?;
        let network = namespaces
            .iter()
            .find(|namespace| namespace.kind == "network");
        match network.map(|network| network.path.as_deref()) {
            None => Some(true),
            Some(None | Some("")) => Some(false),
            Some(_) => None,
        }
    }

    /// The folder that is the container's root; its files are never read.
    pub(super) fn rootfs(&self) -> Option<&Path> {
        self.root.as_ref().map(|root| root.path.as_path())
    }

    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        self.annotations.clone().unwrap_or_default()
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        let value = self.annotations.as_ref()?.get(key)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// podman's or CRI-O's word for itself.
    pub(super) fn manager(&self) -> Option<&str> {
        self.annotation("io.container.manager")
    }

    /// ctr's labels, or what containerd's Kubernetes plugin writes.
    pub(super) fn learn_containerd(&self, facts: &mut Facts) {
        let cri = |key: &str| self.annotation(&format!("io.kubernetes.cri.{key}"));
        let text = |key| cri(key).map(str::to_owned);
        let Some(kind) = cri("container-type") else {
            let labels = self.annotations();
            facts.name = labels.get("nerdctl/name").cloned();
            facts.labels = some(labels);
            facts.awaited = Awaited::ALL.without(Awaited::PODS);
            return;
        };
        facts.awaited = Awaited::IMAGES
            .with(Awaited::LABELS)
            .with(Awaited::POD_LABELS);
        facts.sandbox = kind == "sandbox";
        let owned = |key| text(key).unwrap_or_default();
        facts.pod = Some(Pod {
            name: owned("sandbox-name"),
            namespace: owned("sandbox-namespace"),
            uid: owned("sandbox-uid"),
            container: owned("container-name"),
            sandbox: owned("sandbox-id"),
            ..Pod::default()
        });
        facts.image = text("image-name");
        // What the host shares is left out for a pod.
        facts.host_network = facts.host_network.or(Some(false));
        facts.name = text("container-name").or_else(|| text("sandbox-name"));
    }

    pub(super) fn learn_crio(&self, facts: &mut Facts) {
        let text = |key: &str| self.annotation(key).map(str::to_owned);
        let crio = |key: &str| text(&format!("io.kubernetes.cri-o.{key}"));
        facts.sandbox = crio("ContainerType").as_deref() == Some("sandbox");
        // The labels of the container, or of the pod: Kubernetes' own ones are among them.
        let labels: Option<BTreeMap<String, String>> =
            crio("Labels").and_then(|json| serde_json::from_str(&json).ok());
        let owned = |key: &str| {
            let label = || labels.as_ref()?.get(key).cloned();
            text(key).or_else(label).unwrap_or_default()
        };
        let pod = Pod {
            name: owned("io.kubernetes.pod.name"),
            namespace: owned("io.kubernetes.pod.namespace"),
            uid: owned("io.kubernetes.pod.uid"),
            container: match facts.sandbox {
                true => String::new(),
                false => owned("io.kubernetes.container.name"),
            },
            sandbox: crio("SandboxID").unwrap_or_default(),
            ..Pod::default()
        };
        facts.name = [&pod.container, &pod.name]
            .into_iter()
            .find(|name| !name.is_empty())
            .cloned();
        facts.pod = Some(pod);
        facts.awaited = Awaited::IMAGES.with(Awaited::POD_LABELS);
        facts.labels = labels;
        facts.image = crio("ImageName").or_else(|| crio("Image"));
        facts.image_id = crio("ImageRef").map(|id| time::with_algorithm(&id));
        facts.started = crio("Created").and_then(|text| time::parse(&text));
    }

    pub(super) fn learn_podman(&self, facts: &mut Facts) {
        facts.awaited = Awaited::ALL;
        let created = self.annotation("io.kubernetes.cri-o.Created");
        facts.started = created.and_then(time::parse);
        let own = [
            "io.container.manager",
            "io.kubernetes.cri-o.",
            "io.podman.",
            "org.opencontainers.image.stopSignal",
        ];
        let mut labels = self.annotations();
        labels.retain(|key, _| !own.iter().any(|prefix| key.starts_with(prefix)));
        facts.labels = some(labels);
    }
}

/// Labels as far as annotations tell of them: without any it is not known whether there are some.
fn some(labels: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    Some(labels).filter(|labels| !labels.is_empty())
}
