//! What runtimes leave on disk of a container.
//!
//! A [`Claim`] says who a cgroup may be; only a file of the runtime that names this very cgroup, or the runtime's state of it,
//! makes it so. Which file has which key, and when it is there, was measured: under every manager all of it is on disk before the
//! cgroup is made.

mod docker;
mod spec;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod time;

pub(crate) use state::{State, states};

use crate::cgroup_path;
use crate::files::{Root, Unreadable};
use crate::owner::{Facts, Runtime};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Who a cgroup may be, before anything was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) id: String,
    /// As far as it is known.
    pub(crate) runtime: Option<Runtime>,
    /// The folder of `config.json`, where it is known.
    pub(crate) bundle: Option<PathBuf>,
    /// containerd's namespace, where it is known.
    pub(crate) namespace: Option<String>,
    /// The name, from the command line of a monitor.
    pub(crate) name: Option<String>,
}

/// A container that its runtime's files confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confirmed {
    pub(crate) facts: Facts,
    /// Whom to ask for more.
    pub(crate) namespace: Option<String>,
}

/// The folders in which bundles and states lie: the usual ones, and those that command lines told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Hold `NAMESPACE/ID/config.json` of containerd's tasks.
    tasks: BTreeSet<PathBuf>,
    /// Hold `ID/userdata/config.json` of podman's and CRI-O's containers.
    storages: BTreeSet<PathBuf>,
    /// Hold `ID/state.json` of runc or `ID/status` of crun.
    pub(crate) states: BTreeSet<PathBuf>,
    /// Hold a folder as above for each of containerd's namespaces.
    pub(crate) namespaced_states: BTreeSet<PathBuf>,
}

const TASKS: &str = "io.containerd.runtime.v2.task";
/// Places that are learned; a machine has a handful of runtimes.
const MOST_PLACES: usize = 64;

impl Default for Places {
    fn default() -> Self {
        let all = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Self {
            tasks: all(&[
                "/run/containerd/io.containerd.runtime.v2.task",
                "/run/docker/containerd/daemon/io.containerd.runtime.v2.task",
                "/run/k3s/containerd/io.containerd.runtime.v2.task",
            ]),
            storages: all(&[
                "/var/lib/containers/storage/overlay-containers",
                "/run/containers/storage/overlay-containers",
                "/var/lib/containers/storage/vfs-containers",
            ]),
            states: all(&["/run/runc", "/run/crun"]),
            namespaced_states: all(&["/run/containerd/runc", "/run/docker/runtime-runc"]),
        }
    }
}

impl Places {
    /// A bundle was seen: others of its runtime are beside it.
    pub(crate) fn learn_bundle(&mut self, bundle: &Path) {
        match bundle_of(bundle) {
            Some(Bundle::Task { tasks, .. }) => add(&mut self.tasks, tasks),
            Some(Bundle::Storage { storage }) => add(&mut self.storages, storage),
            None => {}
        }
    }

    /// A runtime was seen that keeps its state here.
    pub(crate) fn learn_state(&mut self, root: &Path) {
        let known = |roots: &BTreeSet<PathBuf>, root: Option<&Path>| {
            root.is_some_and(|root| roots.contains(root))
        };
        if !known(&self.namespaced_states, root.parent()) && is_plain(root) {
            add(&mut self.states, root);
        }
    }

    /// The bundles that a container of this id may have.
    fn bundles(&self, root: &Root, claim: &Claim) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let wanted = |runtime: &[Runtime]| {
            claim
                .runtime
                .is_none_or(|claimed| runtime.contains(&claimed))
        };
        if wanted(&[Runtime::Docker, Runtime::Containerd]) {
            for tasks in &self.tasks {
                let namespaces = match &claim.namespace {
                    Some(namespace) => vec![PathBuf::from(namespace)],
                    None => root.list(tasks).into_iter().map(PathBuf::from).collect(),
                };
                found.extend(namespaces.iter().map(|ns| tasks.join(ns).join(&claim.id)));
            }
        }
        if wanted(&[Runtime::Podman, Runtime::Crio]) {
            let bundle = |storage: &PathBuf| storage.join(&claim.id).join("userdata");
            found.extend(self.storages.iter().map(bundle));
        }
        found.retain(|bundle| root.has(&bundle.join("config.json")));
        found
    }
}

fn add(places: &mut BTreeSet<PathBuf>, place: &Path) {
    if places.len() < MOST_PLACES && is_plain(place) {
        places.insert(place.to_owned());
    }
}

/// From the root, with no way back up.
fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}

/// Whose a bundle is, by its path.
enum Bundle<'a> {
    Task { tasks: &'a Path, namespace: &'a str },
    Storage { storage: &'a Path },
}

fn bundle_of(bundle: &Path) -> Option<Bundle<'_>> {
    let above = bundle.parent()?;
    let further = above.parent()?;
    if further.file_name().is_some_and(|name| name == TASKS) {
        return Some(Bundle::Task {
            tasks: further,
            namespace: above.file_name()?.to_str()?,
        });
    }
    let storage = further.file_name()?.to_str()?.ends_with("-containers");
    (storage && bundle.file_name()? == "userdata").then_some(Bundle::Storage { storage: further })
}

/// Why a claim does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unconfirmed {
    /// There is no file to read.
    NotThere,
    /// There is, and it names another cgroup.
    Others,
}

/// What is on disk of the container that a claim says this cgroup is, if something there names this cgroup.
pub(crate) fn confirm(
    root: &Root,
    places: &Places,
    claim: &Claim,
    path: &str,
) -> Result<Confirmed, Unconfirmed> {
    if !cgroup_path::is_id(&claim.id) {
        return Err(Unconfirmed::Others);
    }
    let bundles = match &claim.bundle {
        Some(bundle) => vec![bundle.clone()],
        None => places.bundles(root, claim),
    };
    let mut result = Err(Unconfirmed::NotThere);
    for bundle in &bundles {
        match bundled(root, claim, bundle, path) {
            Err(Unconfirmed::NotThere) => {}
            Err(Unconfirmed::Others) => result = Err(Unconfirmed::Others),
            Ok(confirmed) => return Ok(confirmed),
        }
    }
    result
}

fn bundled(
    root: &Root,
    claim: &Claim,
    bundle: &Path,
    path: &str,
) -> Result<Confirmed, Unconfirmed> {
    let spec = spec::read(root, bundle).map_err(|error| match error {
        Unreadable::Refused => Unconfirmed::Others,
        Unreadable::Missing | Unreadable::Failed => Unconfirmed::NotThere,
    })?;
    if !cgroup_path::is_meant(spec.cgroups_path(), path, &claim.id) {
        return Err(Unconfirmed::Others);
    }
    let mut facts = Facts {
        id: claim.id.clone(),
        name: claim.name.clone(),
        runtime: claim.runtime,
        host_network: spec.host_network(),
        ..Facts::default()
    };
    let mut namespace = claim.namespace.clone();
    let build = bundle
        .to_str()
        .is_some_and(|path| path.contains("/buildkit/") && path.contains("/executor/"));
    match bundle_of(bundle) {
        // Of a step of a build Docker's API knows nothing.
        _ if build => facts.runtime = Some(Runtime::Docker),
        Some(Bundle::Task { namespace: ns, .. }) => {
            namespace = Some(ns.to_owned());
            if ns == "moby" {
                facts.runtime = Some(Runtime::Docker);
                docker::learn(root, &spec, &mut facts);
            } else {
                facts.runtime = Some(Runtime::Containerd);
                spec.learn_containerd(&mut facts);
            }
        }
        Some(Bundle::Storage { storage }) => {
            if spec.manager() == Some("cri-o") {
                facts.runtime = Some(Runtime::Crio);
                spec.learn_crio(&mut facts);
            } else {
                facts.runtime = Some(Runtime::Podman);
                spec.learn_podman(&mut facts);
                storage::learn(root, storage, &spec, path, &mut facts);
            }
        }
        None => facts.labels = Some(spec.annotations()),
    }
    facts.name.get_or_insert_with(|| claim.id.clone());
    facts.bound();
    Ok(Confirmed { facts, namespace })
}
