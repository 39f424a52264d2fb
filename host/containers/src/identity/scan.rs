//! Looks at every cgroup that is there.

use super::{Identity, Judged, by_path, now, runtime_of_namespace};
use crate::cgroup_path::{self, is_below};
use crate::command_line;
use crate::directory::Decision;
use crate::disk::{self, Claim, Confirmed, State};
use crate::files;
use crate::hierarchy::{Seen, Walk};
use crate::owner::{Facts, Runtime};
use rustix::time::ClockId;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

/// The longest that the states of all containers may take to read.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many more scans look at a cgroup that is no container's yet.
const LOOKS: u8 = 2;
/// Processes of a cgroup that are looked at.
const MOST_PROCESSES: usize = 4;

/// What is looked up while a scan goes on.
struct Machine {
    /// By the path of its cgroup.
    states: HashMap<String, (Claim, State)>,
    /// Where the cgroups' own lists do not serve.
    processes: Option<HashMap<String, Vec<u32>>>,
}

/// What a cgroup turned out to be.
enum Judgement {
    Decided(Decision),
    /// No container's, as far as can be seen; with a process's mount namespace that is not the host's.
    Other(Decision, Option<u64>),
}

/// Nanoseconds within which the kernel shows a cgroup that it has told of.
const SHOWN: u64 = 50_000_000;

impl Identity {
    /// Compares what is known with what is there: decides what is new, parents first, and ends what is gone. Unless there are
    /// cgroups of which no event tells (`untold`), what is pending is left to its event, which says who made it: it may be too
    /// early to see that it is a container's. Between one cgroup and the next `meanwhile` takes in what has happened: on a machine
    /// with many cgroups this takes longer than records wait. False from it ends the scan.
    pub(crate) fn scan(&mut self, untold: bool, meanwhile: &mut dyn FnMut(&mut Self) -> bool) {
        self.removed = Some(HashSet::new());
        self.scan_all(untold, meanwhile);
        self.removed = None;
    }

    fn scan_all(&mut self, untold: bool, meanwhile: &mut dyn FnMut(&mut Self) -> bool) {
        let looks = self.directory.looks_due();
        // Only what was known before may be gone: what is made from now on may be missed below.
        let known: HashSet<u64> = self.directory.cgroups().into_iter().collect();
        let mut hierarchy = self.hierarchy.clone();
        let Walk { found, whole } = hierarchy.walk(&mut || meanwhile(self));
        self.hierarchy = hierarchy;
        if found.is_empty() {
            self.directory.looked(looks);
            return;
        }
        let mut machine = None;
        let mut strays = Vec::new();
        for seen in &found {
            if !meanwhile(self) {
                return;
            }
            if self.was_removed(seen.id) {
                continue;
            }
            self.look(seen, untold, &mut machine, &mut strays);
        }
        // What a container made elsewhere, by the processes in it: now all containers are known.
        for (cgroup, path, namespace) in strays {
            // An event may have said more since it was looked at.
            let known = self.directory.owner_of(cgroup);
            if !self.was_removed(cgroup)
                && !known.is_some_and(|(_, owner)| owner.is_container())
                && let Some(handle) = self.directory.mount_namespace_now(namespace)
                && self
                    .directory
                    .owner(handle)
                    .is_some_and(|owner| owner.is_container())
            {
                self.directory.decide(cgroup, &path, Decision::Same(handle));
            }
        }
        if whole {
            let there: HashSet<u64> = found.iter().map(|seen| seen.id).collect();
            self.remove_missing(known.difference(&there).copied().collect());
        }
        self.directory.looked(looks);
    }

    fn was_removed(&self, cgroup: u64) -> bool {
        let removed = self.removed.as_ref();
        removed.is_some_and(|removed| removed.contains(&cgroup))
    }

    /// Cgroups that are not there: those that were missing a while ago, too, are gone. The kernel tells of one that is made
    /// before it shows it.
    fn remove_missing(&mut self, missing: HashSet<u64>) {
        let at = now(ClockId::Boottime);
        self.missing.retain(|cgroup, _| missing.contains(cgroup));
        for cgroup in missing {
            let since = *self.missing.entry(cgroup).or_insert(at);
            if at.saturating_sub(since) >= SHOWN {
                self.missing.remove(&cgroup);
                self.removed(cgroup, since);
            }
        }
    }

    /// Some cgroups that were found may be a container's after all.
    pub(crate) fn is_unsure(&self) -> bool {
        !self.unsure.is_empty() || !self.missing.is_empty()
    }

    fn look(
        &mut self,
        seen: &Seen,
        untold: bool,
        machine: &mut Option<Machine>,
        strays: &mut Vec<(u64, String, u64)>,
    ) {
        let again = match self.directory.owner_of(seen.id) {
            Some(_) => {
                if let Some(path) = self.without_namespace.get(&seen.id).cloned() {
                    let machine = machine.get_or_insert_with(|| self.machine());
                    self.find_namespace(seen.id, &path, machine);
                }
                let Some(looks) = self.unsure.get_mut(&seen.id) else {
                    return;
                };
                *looks -= 1;
                if *looks == 0 {
                    self.unsure.remove(&seen.id);
                }
                true
            }
            None => false,
        };
        let machine = machine.get_or_insert_with(|| self.machine());
        let awaited = !untold && self.directory.is_pending(seen.id);
        self.directory.made(seen.id, seen.parent);
        let decision = match self.judge(seen, machine) {
            Judgement::Decided(decision) => {
                self.unsure.remove(&seen.id);
                decision
            }
            Judgement::Other(..) if awaited => return,
            Judgement::Other(decision, namespace) => {
                if let Some(namespace) = namespace {
                    strays.push((seen.id, seen.path.clone(), namespace));
                }
                if again {
                    return;
                }
                self.unsure.insert(seen.id, LOOKS);
                decision
            }
        };
        let container = matches!(decision, Decision::Container { .. });
        self.directory.decide(seen.id, &seen.path, decision);
        if container {
            self.find_namespace(seen.id, &seen.path, machine);
        }
    }

    fn judge(&mut self, seen: &Seen, machine: &Machine) -> Judgement {
        let above = seen
            .parent
            .and_then(|parent| self.directory.owner_of(parent));
        let judged = Judged {
            path: &seen.path,
            maker: Some(seen.maker),
            above: above.map(|(_, owner)| owner),
        };
        if seen.path == "/" {
            return Judgement::Decided(Decision::Host);
        }
        if let Some(decision) = self.inside(&judged, None) {
            return Judgement::Decided(decision);
        }
        if let Some(confirmed) = self.by_state(&seen.path, machine) {
            return Judgement::Decided(self.take(&judged, confirmed));
        }
        let outside = |(pid, namespace): (u32, Option<u64>)| {
            let namespace = namespace?;
            (!self.processes.is_hosts(namespace)).then_some((pid, namespace))
        };
        let pids = self.pids(&seen.path, machine);
        let process = pids
            .into_iter()
            .take(MOST_PROCESSES)
            .map(|pid| (pid, self.processes.mount_namespace(pid)))
            .find_map(outside);
        let confirmed = match process {
            Some((pid, _)) => self.by_parent(&seen.path, pid),
            None => None,
        };
        if let Some(confirmed) = confirmed.or_else(|| self.by_name(&seen.path)) {
            return Judgement::Decided(self.take(&judged, confirmed));
        }
        Judgement::Other(by_path(&judged), process.map(|(_, namespace)| namespace))
    }

    /// Everything that is looked up by path, read once for a scan.
    fn machine(&mut self) -> Machine {
        let (root, places) = (self.root.clone(), self.places.clone());
        let line = self.hierarchy.line.clone();
        let live = self.directory.owners();
        let known: HashSet<String> = live
            .into_iter()
            .map(|(_, owner)| owner.facts.id.clone())
            .collect();
        let read = move || {
            let mut folders: Vec<(PathBuf, Option<String>)> = Vec::new();
            for place in &places.namespaced_states {
                for name in root.list(place) {
                    folders.push((place.join(&name), name.into_string().ok()));
                }
            }
            folders.extend(places.states.iter().map(|place| (place.clone(), None)));
            let mut all = Vec::new();
            for (folder, namespace) in folders {
                let states = disk::states(&root, &folder, &line, &|id| known.contains(id));
                all.extend(states.into_iter().map(|state| (namespace.clone(), state)));
            }
            all
        };
        let all = self
            .patience
            .run_for(PATIENCE, read)
            .done()
            .unwrap_or_default();
        let mut states = HashMap::new();
        for (namespace, state) in all {
            let runtime = match &namespace {
                Some(namespace) => runtime_of_namespace(namespace),
                None if state.crun => Runtime::Crun,
                None => Runtime::Runc,
            };
            let claim = Claim {
                id: state.id.clone(),
                runtime: Some(runtime),
                bundle: state.bundle.clone(),
                namespace,
                name: None,
            };
            for path in state.paths(&self.hierarchy.line) {
                states.insert(path, (claim.clone(), state.clone()));
            }
        }
        let own_lists = self.processes.same_numbers();
        let processes = (!own_lists).then(|| {
            let rooted = |path: &str| self.hierarchy.rooted(path);
            self.processes.by_cgroup(&self.hierarchy.line, rooted)
        });
        Machine { states, processes }
    }

    fn pids(&self, path: &str, machine: &Machine) -> Vec<u32> {
        let mut pids = match &machine.processes {
            Some(all) => all.get(path).cloned().unwrap_or_default(),
            None => self.hierarchy.processes(path),
        };
        pids.retain(|pid| *pid != 0);
        pids
    }

    /// The container whose runtime keeps this cgroup in its state.
    fn by_state(&mut self, path: &str, machine: &Machine) -> Option<Confirmed> {
        let (claim, state) = machine.states.get(path)?;
        let mut confirmed = match self.confirm(claim, path, &[]) {
            Ok(confirmed) => confirmed,
            // Without its bundle; the state is evidence enough.
            Err(_) => {
                let runtime = claim.runtime?;
                let facts = Facts {
                    id: claim.id.clone(),
                    name: Some(claim.id.clone()),
                    runtime: Some(runtime),
                    ..Facts::default()
                };
                Confirmed {
                    facts,
                    namespace: claim.namespace.clone(),
                }
            }
        };
        confirmed.facts.started = confirmed.facts.started.or(state.created);
        confirmed.facts.pid = self.first_process(path, state, machine);
        Some(confirmed)
    }

    /// The first process of a container: by the number in its runtime's state, if that is it, else the one that has this number
    /// in a pid namespace of its own, else the oldest.
    fn first_process(&self, path: &str, state: &State, machine: &Machine) -> Option<u32> {
        let its = |pid: u32| {
            let own = self.hierarchy.of(&self.processes, pid);
            own.is_some_and(|own| own == path || is_below(&own, path))
        };
        let stat = self.processes.stat(state.pid);
        let same = stat.is_some_and(|stat| state.start == 0 || stat.start == state.start);
        if same && its(state.pid) {
            return Some(state.pid);
        }
        let pids = self.pids(path, machine);
        let numbered = |pid: &&u32| self.processes.numbers(**pid).contains(&state.pid);
        let oldest = |pid: &&u32| {
            self.processes
                .stat(**pid)
                .map_or(u64::MAX, |stat| stat.start)
        };
        let numbered = pids.iter().find(numbered).copied();
        numbered.or_else(|| pids.iter().min_by_key(oldest).copied())
    }

    /// The container that a process is in, by the process's parent: a shim, a monitor or the runtime itself. It must be root's
    /// and outside of all containers; and the bundle that it stands for must name the cgroup.
    pub(super) fn by_parent(&mut self, path: &str, pid: u32) -> Option<Confirmed> {
        let parent = self.processes.stat(pid)?.parent;
        let line = self.processes.command_line(parent);
        let hinted = cgroup_path::hint(path).map(|hint| hint.id.to_owned());
        let claim = if let Some(shim) = command_line::shim(&line) {
            let own = self.processes.cwd(parent)?;
            // All containers of a pod have one shim; the bundles lie side by side.
            let id = hinted.unwrap_or_else(|| shim.id.to_owned());
            Claim {
                bundle: Some(own.parent()?.join(&id)),
                id,
                runtime: Some(runtime_of_namespace(shim.namespace)),
                namespace: Some(shim.namespace.to_owned()),
                name: None,
            }
        } else if let Some(conmon) = command_line::conmon(&line) {
            Claim {
                id: conmon.id.to_owned(),
                runtime: Some(Runtime::Podman),
                bundle: Some(conmon.bundle?.to_owned()),
                namespace: None,
                name: conmon.name.map(str::to_owned),
            }
        } else {
            self.claim_of_call(&line, parent, None)?
        };
        if !self.processes.user(parent).is_some_and(files::trusted) {
            return None;
        }
        let own = self.hierarchy.of(&self.processes, parent)?;
        let owner = self.directory.owner_of(self.hierarchy.id(&own)?);
        if owner.is_some_and(|(_, owner)| owner.is_container()) {
            return None;
        }
        if let Some(bundle) = &claim.bundle {
            self.places.learn_bundle(bundle);
        }
        let mut confirmed = self.confirm(&claim, path, &[parent]).ok()?;
        confirmed.facts.pid = Some(pid);
        Some(confirmed)
    }

    /// The container that a cgroup's name hints at, if a bundle of containerd's names it: such a one is there only while the
    /// container is, and so is its cgroup. podman's are there after the end, too: they are no evidence.
    fn by_name(&mut self, path: &str) -> Option<Confirmed> {
        let hint = cgroup_path::hint(path)?;
        let runtimes = [Runtime::Docker, Runtime::Containerd];
        if hint
            .runtime
            .is_some_and(|runtime| !runtimes.contains(&runtime))
        {
            return None;
        }
        let id = hint.id.to_owned();
        let claim = Claim {
            runtime: hint.runtime.or(Some(Runtime::Containerd)),
            id,
            ..Claim::default()
        };
        let confirmed = self.confirm(&claim, path, &[]).ok()?;
        (!self.is_taken(&confirmed)).then_some(confirmed)
    }

    /// Looks for the mount namespace of a container among its processes.
    fn find_namespace(&mut self, cgroup: u64, path: &str, machine: &Machine) {
        let owner = self.directory.owner_of(cgroup);
        let first = owner.and_then(|(_, owner)| owner.facts.pid);
        let pids = first.into_iter().chain(self.pids(path, machine));
        let found = pids.take(MOST_PROCESSES).find_map(|pid| {
            let namespace = self.processes.mount_namespace(pid)?;
            let start = self.processes.stat(pid)?.start_time();
            (!self.processes.is_hosts(namespace)).then_some((namespace, start))
        });
        match found {
            Some((namespace, start)) => {
                self.directory.mount_namespace(namespace, cgroup, start);
                self.without_namespace.remove(&cgroup);
            }
            None => {
                self.without_namespace.insert(cgroup, path.to_owned());
            }
        }
    }
}
