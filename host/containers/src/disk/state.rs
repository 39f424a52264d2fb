//! What runc and crun keep of the containers that they run: `ID/state.json` and `ID/status`.

use crate::disk::time;
use crate::files::{self, Root};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A container that a runtime keeps the state of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) id: String,
    pub(crate) crun: bool,
    /// Its cgroup, from the root of the hierarchy, or with where that is mounted in front.
    pub(crate) cgroup: String,
    /// Its first process, by the number that the runtime knows.
    pub(crate) pid: u32,
    /// When that started, in ticks since the boot; 0: not known.
    pub(crate) start: u64,
    /// When the container was made, in nanoseconds since 1970.
    pub(crate) created: Option<i64>,
    pub(crate) bundle: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Runc {
    id: String,
    #[serde(default)]
    init_process_pid: i64,
    #[serde(default)]
    init_process_start: u64,
    created: Option<String>,
    #[serde(default)]
    cgroup_paths: BTreeMap<String, String>,
    config: Option<Config>,
}

#[derive(Debug, Deserialize)]
struct Config {
    labels: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Crun {
    #[serde(default)]
    pid: i64,
    #[serde(default)]
    process_start_time: u64,
    cgroup_path: Option<String>,
    bundle: Option<PathBuf>,
    created: Option<String>,
}

/// All states in a folder, without those that `known` says are known. `line` is the hierarchy, as `/proc/PID/cgroup` calls it.
pub(crate) fn states(
    root: &Root,
    folder: &Path,
    line: &str,
    known: &dyn Fn(&str) -> bool,
) -> Vec<State> {
    let names = root.list(folder);
    let ids = names.iter().filter_map(|name| name.to_str());
    ids.filter(|id| crate::cgroup_path::is_id(id) && !known(id))
        .filter_map(|id| runc(root, folder, line, id).or_else(|| crun(root, folder, id)))
        .collect()
}

fn runc(root: &Root, folder: &Path, line: &str, id: &str) -> Option<State> {
    let path = folder.join(id).join("state.json");
    let state: Runc = root.json(&path, files::ONE).ok()?;
    if state.id != id {
        return None;
    }
    let labels = state.config.and_then(|config| config.labels);
    let bundle = labels
        .iter()
        .flatten()
        .find_map(|label| label.strip_prefix("bundle="));
    Some(State {
        id: state.id,
        crun: false,
        cgroup: state.cgroup_paths.get(line)?.clone(),
        pid: u32::try_from(state.init_process_pid).unwrap_or(0),
        start: state.init_process_start,
        created: state.created.as_deref().and_then(time::parse),
        bundle: bundle.map(PathBuf::from),
    })
}

fn crun(root: &Root, folder: &Path, id: &str) -> Option<State> {
    let path = folder.join(id).join("status");
    let state: Crun = root.json(&path, files::ONE).ok()?;
    Some(State {
        id: id.to_owned(),
        crun: true,
        cgroup: state.cgroup_path.filter(|path| !path.is_empty())?,
        pid: u32::try_from(state.pid).unwrap_or(0),
        start: state.process_start_time,
        created: state.created.as_deref().and_then(time::parse),
        bundle: state.bundle,
    })
}

impl State {
    /// The paths of cgroups that it may mean: its own, and that without the place where the runtime sees the hierarchy.
    /// `line` is the hierarchy, as `/proc/PID/cgroup` calls it.
    pub(crate) fn paths(&self, line: &str) -> impl Iterator<Item = String> {
        let own = format!("/{}", self.cgroup.trim_matches('/'));
        let name = line.strip_prefix("name=").unwrap_or(line);
        let mounts = [
            String::new(),
            "/sys/fs/cgroup/unified".to_owned(),
            "/sys/fs/cgroup".to_owned(),
            format!("/sys/fs/cgroup/{name}"),
        ];
        mounts.into_iter().filter_map(move |mount| {
            let path = own.strip_prefix(&mount)?;
            (path.len() > 1 && path.starts_with('/')).then(|| path.to_owned())
        })
    }
}
