//! Whose each cgroup is: who made it decides, or for those that are found, what its runtime's files and its processes say.

mod scan;
#[cfg(test)]
mod tests;

use crate::cgroup_path::{self, is_below};
use crate::command_line;
use crate::directory::{Decision, Directory, Entered, Handle};
use crate::disk::{self, Claim, Confirmed, Places, Unconfirmed};
use crate::files::{self, Patience, Ran, Root};
use crate::hierarchy::Hierarchy;
use crate::options::Options;
use crate::owner::{Awaited, Facts, Owner, Runtime};
use crate::process::Processes;
use crate::runtimes::{Runtimes, Said};
use crate::service::{Event, Maker};
use rustix::time::{ClockId, clock_gettime};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// The longest that the files of one container may take.
const PATIENCE: Duration = Duration::from_millis(250);

/// What has to be done after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    /// The event does not say enough.
    Scan,
}

/// What the identity thread knows and works with.
#[derive(Debug)]
pub(crate) struct Identity {
    directory: Arc<Directory>,
    runtimes: Arc<Runtimes>,
    hierarchy: Hierarchy,
    processes: Processes,
    root: Root,
    places: Places,
    patience: Patience,
    /// When the cgroup of a container was made: its mount namespace is not older.
    made: HashMap<u64, u64>,
    /// Containers whose mount namespace is not known, with the paths of their cgroups.
    without_namespace: HashMap<u64, String>,
    /// Cgroups that a scan found to be no container's, and how many more scans look again: it may have come too early.
    unsure: HashMap<u64, u8>,
    /// Known cgroups that a scan did not find, and when that was.
    missing: HashMap<u64, u64>,
    /// Those that were removed since the scan that goes on began: it has found some of them.
    removed: Option<HashSet<u64>>,
    /// What took too long, bounded by how many may hang.
    late: Vec<Late>,
}

/// Files of a container that are still being read.
#[derive(Debug)]
struct Late {
    /// The cgroup that they have to name.
    path: String,
    answer: mpsc::Receiver<Result<Confirmed, Unconfirmed>>,
}

/// The cgroup that is judged.
struct Judged<'a> {
    path: &'a str,
    /// The user that may make it; none: what is above it is gone.
    maker: Option<u32>,
    /// Whose the cgroup above is.
    above: Option<Arc<Owner>>,
}

impl Identity {
    pub(crate) fn new(
        options: &Options,
        hierarchy: Hierarchy,
        directory: Arc<Directory>,
        runtimes: Arc<Runtimes>,
    ) -> std::io::Result<Self> {
        let processes = Processes::new(&options.host_root);
        if let Some(namespace) = processes.hosts().filter(|_| !hierarchy.unified) {
            directory.host_is_in(namespace);
        }
        Ok(Self {
            directory,
            runtimes,
            hierarchy,
            processes,
            root: Root::open(&options.host_root)?,
            places: Places::default(),
            patience: Patience::new(PATIENCE),
            made: HashMap::new(),
            without_namespace: HashMap::new(),
            unsure: HashMap::new(),
            missing: HashMap::new(),
            removed: None,
            late: Vec::new(),
        })
    }

    /// Takes in an event; a new cgroup is already in the directory.
    pub(crate) fn told(&mut self, event: Event) -> Next {
        match event {
            Event::Made {
                truncated: true, ..
            }
            | Event::Lost { .. } => return Next::Scan,
            Event::Made {
                at,
                cgroup,
                parent,
                path,
                maker,
                ..
            } => self.made(at, cgroup, parent, &String::from_utf8_lossy(&path), &maker),
            Event::FirstExec {
                at,
                cgroup,
                mount_ns,
                mount_ns_id,
                pid,
            } => self.executed(at, cgroup, (mount_ns, mount_ns_id), pid),
            Event::Emptied { at, cgroup } => self.directory.emptied(cgroup, at),
            Event::Removed { at, cgroup } => self.removed(cgroup, at),
        }
        Next::Nothing
    }

    fn made(&mut self, at: u64, cgroup: u64, parent: u64, path: &str, maker: &Maker) {
        if let Some((_, owner)) = self.directory.owner_of(cgroup)
            && owner.is_container()
            && owner.cgroup == path
        {
            // A scan was faster.
            self.made.insert(cgroup, at);
            return;
        }
        let judged = Judged {
            path,
            maker: self.hierarchy.user(cgroup_path::above(path)),
            above: self.directory.owner_of(parent).map(|(_, owner)| owner),
        };
        self.unsure.remove(&cgroup);
        let decision = match self.inside(&judged, Some(maker)) {
            Some(decision) => decision,
            None => match self.made_by(&judged, maker) {
                Some(mut confirmed) => {
                    confirmed.facts.started.get_or_insert_with(|| wall(at));
                    self.made.insert(cgroup, at);
                    self.take(&judged, confirmed)
                }
                None => by_path(&judged),
            },
        };
        self.directory.decide(cgroup, path, decision);
    }

    /// The decision for what is made inside a container, below its cgroup or elsewhere by one of its processes, and for what a
    /// user's own programs may call as they like.
    fn inside(&self, judged: &Judged<'_>, maker: Option<&Maker>) -> Option<Decision> {
        let container =
            |owner: &Owner| owner.is_container() && is_below(judged.path, &owner.cgroup);
        if judged.above.as_deref().is_some_and(container) {
            return Some(Decision::Parent);
        }
        if let Some(handle) = maker.and_then(|maker| self.container_of(maker)) {
            return Some(Decision::Same(handle));
        }
        let users = judged.maker.is_some_and(|user| !files::trusted(user));
        users.then_some(Decision::Parent)
    }

    /// The container that a process is in.
    fn container_of(&self, maker: &Maker) -> Option<Handle> {
        if let Some((handle, owner)) = self.directory.owner_of(maker.cgroup)
            && owner.is_container()
        {
            return Some(handle);
        }
        if maker.mount_ns == 0 || self.processes.is_hosts(maker.mount_ns) {
            return None;
        }
        self.directory.mount_namespace_now(maker.mount_ns)
    }

    /// The container that a new cgroup is, by the command line of who made it, or by its name if that was systemd for
    /// a runtime.
    fn made_by(&mut self, judged: &Judged<'_>, maker: &Maker) -> Option<Confirmed> {
        let mut line = maker.argv.clone();
        if line.is_empty() || maker.argv_truncated {
            let whole = self.processes.command_line(maker.pid);
            if !whole.is_empty() {
                line = whole;
            }
        }
        if let Some(claim) = self.claim_of_call(&line, maker.pid, Some(maker.ppid)) {
            let roots = [maker.pid, maker.ppid];
            match self.confirm(&claim, judged.path, &roots) {
                Ok(confirmed) => return Some(confirmed),
                Err(Unconfirmed::Others) => return None,
                Err(Unconfirmed::NotThere) => {}
            }
            // The files are gone already, or out of reach: the name and who may make it there have to do.
            let named = cgroup_path::is_meant(None, judged.path, &claim.id)
                || cgroup_path::hint(judged.path).is_some_and(|hint| hint.id == claim.id);
            let known = named && judged.maker.is_some() && cgroup_path::is_id(&claim.id);
            return claim.runtime.filter(|_| known).map(|runtime| Confirmed {
                facts: Facts {
                    name: Some(claim.name.clone().unwrap_or_else(|| claim.id.clone())),
                    runtime: Some(runtime),
                    id: claim.id,
                    awaited: Awaited::ALL,
                    ..Facts::default()
                },
                namespace: claim.namespace,
            });
        }
        let hint = cgroup_path::hint(judged.path)?;
        let claim = Claim {
            id: hint.id.to_owned(),
            runtime: hint.runtime,
            ..Claim::default()
        };
        let confirmed = self.confirm(&claim, judged.path, &[]).ok()?;
        (!self.is_taken(&confirmed)).then_some(confirmed)
    }

    /// Whether a container that only a name hints at has its cgroup already.
    fn is_taken(&self, confirmed: &Confirmed) -> bool {
        let known = self.directory.named(&confirmed.facts);
        known.is_some_and(|handle| self.directory.is_live(handle))
    }

    /// Who a runtime that runs, or ran, makes: by its command line and its parent's.
    fn claim_of_call(&mut self, line: &[u8], pid: u32, parent: Option<u32>) -> Option<Claim> {
        let call = command_line::call(line)?;
        let bundle = match call.bundle {
            Some(bundle) if bundle.is_absolute() => Some(bundle.to_owned()),
            bundle => self
                .processes
                .cwd(pid)
                .map(|cwd| bundle.map_or_else(|| cwd.clone(), |bundle| cwd.join(bundle))),
        };
        if let Some(root) = call.root {
            self.places.learn_state(root);
        }
        if let Some(bundle) = &bundle {
            self.places.learn_bundle(bundle);
        }
        let mut claim = Claim {
            id: call.id.to_owned(),
            runtime: Some(if call.crun {
                Runtime::Crun
            } else {
                Runtime::Runc
            }),
            bundle,
            ..Claim::default()
        };
        let above = parent.map(|parent| self.processes.command_line(parent));
        let above = above.unwrap_or_default();
        if let Some(shim) = command_line::shim(&above) {
            claim.runtime = Some(runtime_of_namespace(shim.namespace));
            claim.namespace = Some(shim.namespace.to_owned());
        } else if let Some(conmon) = command_line::conmon(&above) {
            claim.runtime = Some(Runtime::Podman);
            claim.name = conmon.name.map(str::to_owned);
        }
        Some(claim)
    }

    /// What the files say of a claim, in the host's tree or in what one of these processes has for its root.
    fn confirm(
        &mut self,
        claim: &Claim,
        path: &str,
        pids: &[u32],
    ) -> Result<Confirmed, Unconfirmed> {
        let roots: Vec<PathBuf> = pids.iter().map(|pid| self.processes.root(*pid)).collect();
        let (root, places) = (self.root.clone(), self.places.clone());
        let (claim, own) = (claim.clone(), path.to_owned());
        let look = move || {
            let mut result = disk::confirm(&root, &places, &claim, &own);
            for root in roots.iter().filter_map(|path| Root::open(path).ok()) {
                if result.is_ok() {
                    break;
                }
                result = disk::confirm(&root, &places, &claim, &own).or(result);
            }
            result
        };
        match self.patience.run(look) {
            Ran::Done(confirmed) => confirmed,
            Ran::Late(answer) => {
                self.late.push(Late {
                    path: path.to_owned(),
                    answer,
                });
                Err(Unconfirmed::NotThere)
            }
            Ran::Not => Err(Unconfirmed::NotThere),
        }
    }

    /// Takes in what files said that took too long when they were asked.
    pub(crate) fn catch_up(&mut self) {
        let mut come = Vec::new();
        self.late.retain(|late| match late.answer.try_recv() {
            Ok(Ok(confirmed)) => {
                come.push((late.path.clone(), confirmed));
                false
            }
            Err(mpsc::TryRecvError::Empty) => true,
            Ok(Err(_)) | Err(mpsc::TryRecvError::Disconnected) => false,
        });
        for (path, confirmed) in come {
            self.confirmed_late(&path, confirmed);
        }
    }

    fn confirmed_late(&mut self, path: &str, confirmed: Confirmed) {
        let its = |owner: &Owner| owner.is_container() && owner.cgroup == path;
        if let Some(handle) = self.directory.named(&confirmed.facts)
            && let Some(owner) = self.directory.owner(handle).filter(|owner| its(owner))
        {
            let mut facts = confirmed.facts;
            // What its runtime has said since stands: it may be renamed and relabelled.
            if owner.facts.name.as_ref() != Some(&owner.facts.id) {
                facts.name = None;
            }
            if owner.facts.labels.is_some() {
                facts.labels = None;
            }
            self.directory.learn_of(handle, facts);
            return;
        }
        // It was taken for no container's; or it has gone.
        let Some(cgroup) = self.hierarchy.id(path) else {
            return;
        };
        let known = self.directory.owner_of(cgroup).map(|(_, owner)| owner);
        let judged = Judged {
            path,
            maker: self.hierarchy.user(cgroup_path::above(path)),
            above: None,
        };
        if known.is_some_and(|owner| !owner.is_container()) && self.inside(&judged, None).is_none()
        {
            self.unsure.remove(&cgroup);
            let decision = self.take(&judged, confirmed);
            self.directory.decide(cgroup, path, decision);
        }
    }

    /// The decision for a container; its runtime is asked for the rest.
    fn take(&mut self, judged: &Judged<'_>, confirmed: Confirmed) -> Decision {
        let Confirmed {
            mut facts,
            namespace,
        } = confirmed;
        match facts.runtime {
            Some(runtime) if self.runtimes.may_answer(runtime) => {
                self.runtimes.ask(runtime, &facts.id, namespace.as_deref());
            }
            _ => facts.awaited = Awaited::NONE,
        }
        Decision::Container {
            facts: Box::new(facts),
            unit: cgroup_path::unit(judged.path).map(|unit| unit.name.to_owned()),
        }
    }

    /// The first program in a container: its mount namespace is that of the container from the beginning.
    fn executed(&mut self, at: u64, cgroup: u64, namespace: (u64, Option<u64>), pid: u32) {
        let (mount_ns, mount_ns_id) = namespace;
        if mount_ns == 0 || self.processes.is_hosts(mount_ns) {
            return;
        }
        let Some((mut handle, mut owner)) = self.directory.owner_of(cgroup) else {
            return;
        };
        if !owner.is_container()
            && let Some(path) = self.hierarchy.of(&self.processes, pid)
            && self.hierarchy.id(&path) == Some(cgroup)
            && let Some(found) = self.again(cgroup, &path, pid)
        {
            (handle, owner) = found;
        }
        if !owner.is_container() {
            return;
        }
        let made = self.made.get(&cgroup).copied();
        let entered = Entered {
            namespace: mount_ns,
            unique: mount_ns_id,
            from: made.map_or(at, |made| at.min(made)),
            at,
        };
        self.directory.entered(cgroup, entered);
        // The container's own cgroup, not one below it.
        let own = self.without_namespace.remove(&cgroup).is_some() || made.is_some();
        // runc's state has the number of a process that makes the first one, until that is there.
        let known = owner.facts.pid.filter(|known| {
            let path = self.hierarchy.of(&self.processes, *known);
            path.is_some_and(|path| path == owner.cgroup || is_below(&path, &owner.cgroup))
        });
        if own && known.is_none() {
            let facts = Facts {
                pid: Some(pid),
                ..Facts::default()
            };
            self.directory.learn_of(handle, facts);
        }
    }

    /// A cgroup that was no container's has a process of one, by its parent.
    fn again(&mut self, cgroup: u64, path: &str, pid: u32) -> Option<(Handle, Arc<Owner>)> {
        let judged = Judged {
            path,
            maker: self.hierarchy.user(cgroup_path::above(path)),
            above: None,
        };
        if self.inside(&judged, None).is_some() {
            return None;
        }
        let confirmed = self.by_parent(path, pid)?;
        let decision = self.take(&judged, confirmed);
        self.directory.decide(cgroup, path, decision);
        self.directory.owner_of(cgroup)
    }

    fn removed(&mut self, cgroup: u64, at: u64) {
        if let Some(removed) = &mut self.removed {
            removed.insert(cgroup);
        }
        if self.directory.owner_of(cgroup).is_none() {
            // Nobody will find out any more.
            self.directory.decide(cgroup, "", Decision::Parent);
        }
        self.directory.gone(cgroup, at);
        self.made.remove(&cgroup);
        self.without_namespace.remove(&cgroup);
        self.unsure.remove(&cgroup);
    }

    /// Forgets what ended long ago.
    pub(crate) fn sweep(&self) {
        self.directory.sweep(now(ClockId::Boottime));
    }

    /// What a runtime's API says.
    pub(crate) fn said(&mut self, said: Said) {
        match said {
            Said::Listed(runtime, all) => {
                let ids: HashSet<String> = all.iter().map(|facts| facts.id.clone()).collect();
                self.directory.only(runtime, &ids);
                all.into_iter().for_each(|facts| self.learn(facts));
            }
            Said::Changed(facts) => self.learn(facts),
            Said::Removed(_, id) => self.directory.removed(&id),
            Said::Whole(runtime, id) => self.directory.whole(runtime, &id),
            Said::Silent(runtime) => self.directory.silent(runtime),
            Said::Lost(..) | Said::Found(_) => {}
        }
    }

    fn learn(&mut self, mut facts: Facts) {
        facts.bound();
        if !cgroup_path::is_id(&facts.id) {
            return;
        }
        if let Some(pid) = facts.pid {
            // The number may be another pid namespace's, or the process is gone and the number another's.
            let path = self.hierarchy.of(&self.processes, pid);
            let known = self.directory.named(&facts);
            let is_its = |owner: &Owner| {
                let path = path.as_deref();
                path.is_some_and(|path| path == owner.cgroup || is_below(path, &owner.cgroup))
            };
            match known.and_then(|handle| self.directory.owner(handle)) {
                Some(owner) if is_its(&owner) => {}
                Some(_) => facts.pid = None,
                None => {
                    let placed = path.and_then(|path| self.place(&facts, pid, &path));
                    if placed.is_none() {
                        facts.pid = None;
                    }
                }
            }
        }
        self.directory.learn(facts);
    }

    /// A container that only its runtime told of, found by its first process: that has to be the container's own by the name or
    /// path of its cgroup, or by its parent.
    fn place(&mut self, facts: &Facts, pid: u32, path: &str) -> Option<Handle> {
        let before = self.processes.stat(pid)?;
        let named = path.match_indices('/').skip(1).map(|(at, _)| at);
        let named = named.chain([path.len()]).filter_map(|end| path.get(..end));
        let own = named.into_iter().find(|path| {
            let hinted = cgroup_path::hint(path).is_some_and(|hint| hint.id == facts.id);
            let said = facts.cgroup.as_deref();
            hinted || said.is_some_and(|said| cgroup_path::is_meant(Some(said), path, &facts.id))
        });
        let own = match own {
            Some(own) => own,
            None => {
                let line = self.processes.command_line(before.parent);
                let shim = command_line::shim(&line).map(|shim| shim.id);
                let conmon = command_line::conmon(&line).map(|conmon| conmon.id);
                [shim, conmon]
                    .contains(&Some(facts.id.as_str()))
                    .then_some(path)?
            }
        };
        let host = self.processes.mount_namespace(pid)?;
        let cgroup = self.hierarchy.id(own)?;
        let judged = Judged {
            path: own,
            maker: self.hierarchy.user(cgroup_path::above(own)),
            above: self.directory.owner_of(cgroup).map(|(_, owner)| owner),
        };
        let others = judged
            .above
            .as_ref()
            .is_some_and(|owner| owner.is_container());
        if own == "/"
            || others
            || self.processes.is_hosts(host)
            || self.inside(&judged, None).is_some()
            || self.processes.stat(pid)? != before
        {
            return None;
        }
        self.unsure.remove(&cgroup);
        self.directory.made(cgroup, None);
        let decision = Decision::Container {
            facts: Box::new(facts.clone()),
            unit: cgroup_path::unit(own).map(|unit| unit.name.to_owned()),
        };
        let handle = self.directory.decide(cgroup, own, decision)?;
        self.directory
            .mount_namespace(host, cgroup, before.start_time());
        Some(handle)
    }
}

/// The decision for what is no container's, by its name.
fn by_path(judged: &Judged<'_>) -> Decision {
    match cgroup_path::unit(judged.path) {
        _ if judged.path == "/" => Decision::Host,
        Some(unit) if unit.own && judged.maker.is_some() => {
            let name = unit.name.to_owned();
            match unit.session {
                true => Decision::Session(name),
                false => Decision::Unit(name),
            }
        }
        _ => Decision::Parent,
    }
}

/// Docker's namespace of containerd has its name from Docker's first project.
fn runtime_of_namespace(namespace: &str) -> Runtime {
    match namespace {
        "moby" => Runtime::Docker,
        _ => Runtime::Containerd,
    }
}

/// A clock, in nanoseconds.
fn now(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A time of CLOCK_BOOTTIME, in nanoseconds since 1970.
fn wall(at: u64) -> i64 {
    let since = now(ClockId::Boottime).saturating_sub(at);
    i64::try_from(now(ClockId::Realtime).saturating_sub(since)).unwrap_or(i64::MAX)
}
