//! What the directory knows, behind its lock.

use super::ids::Ids;
use super::namespaces::Interval;
use super::spread::{IdHash, give_back};
use super::{Change, Handle, MOST_WAITING, Shared};
use crate::cgroup_path;
use crate::owner::{Awaited, Facts, Kind, Owner, Runtime};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// The largest number of an owner: one less, for who needs another number to say something else.
const LAST: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    /// Whoever's the parent is.
    Inherits,
    Owner(Handle),
}

#[derive(Debug)]
pub(super) struct Cgroup {
    pub(super) parent: Option<u64>,
    pub(super) state: State,
    pub(super) gone: bool,
    /// From the root of the hierarchy, where it is known.
    pub(super) path: Option<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) owner: Arc<Owner>,
    /// The cgroup that was decided to be its; those below inherit.
    pub(super) cgroup: u64,
    pub(super) ended: bool,
    pub(super) namespaces: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) cgroups: HashMap<u64, Cgroup, IdHash>,
    /// Parents, each with a cgroup that inherits from it.
    pub(super) inheriting: BTreeSet<(u64, u64)>,
    /// Those that live, and those that are not forgotten yet. Not by place: numbers are not used again, and a few old owners
    /// would keep the places of all that came after them.
    pub(super) owners: HashMap<Handle, Known, IdHash>,
    /// Owners whose cgroup turned out to be another's, by that cgroup: they are forgotten with it.
    pub(super) former: HashMap<u64, Vec<Handle>, IdHash>,
    /// The number that was given last.
    pub(super) latest: u32,
    pub(super) ids: Ids,
    /// Facts that came before the cgroup.
    pub(super) unplaced: HashMap<String, Facts>,
    pub(super) namespaces: HashMap<u64, Vec<Interval>, IdHash>,
    /// Who has a mount namespace of which it can't be said whose it is.
    pub(super) shared: HashMap<u64, Vec<Handle>, IdHash>,
    pub(super) addresses: HashMap<IpAddr, Handle>,
    /// Ended cgroups, oldest first, with the time of their end.
    pub(super) tombstones: VecDeque<(u64, u64)>,
    pub(super) readers: Vec<std::sync::Weak<Shared>>,
}

impl Inner {
    /// Whose a cgroup is.
    pub(super) fn resolve(&self, cgroup: u64) -> Option<Handle> {
        let mut at = cgroup;
        loop {
            let entry = self.cgroups.get(&at)?;
            match (entry.state, entry.parent) {
                (State::Owner(handle), _) => return Some(handle),
                (State::Pending, _) => return None,
                // A parent that was never heard of, or is forgotten: the hierarchy's root is the host's.
                (State::Inherits, None) => return Some(Handle::HOST),
                (State::Inherits, Some(parent)) if !self.cgroups.contains_key(&parent) => {
                    return Some(Handle::HOST);
                }
                (State::Inherits, Some(parent)) => at = parent,
            }
        }
    }

    /// The owner of which this is the cgroup; not one that it inherits.
    pub(super) fn own(&self, cgroup: u64) -> Option<Handle> {
        match self.cgroups.get(&cgroup)?.state {
            State::Owner(handle) if self.known(handle)?.cgroup == cgroup => Some(handle),
            _ => None,
        }
    }

    /// The same, and those of which it was taken to be before.
    pub(super) fn owners_of(&self, cgroup: u64) -> Vec<Handle> {
        let former = self.former.get(&cgroup).into_iter().flatten().copied();
        self.own(cgroup).into_iter().chain(former).collect()
    }

    pub(super) fn known(&self, handle: Handle) -> Option<&Known> {
        self.owners.get(&handle)
    }

    /// A number that nobody has.
    fn number(&mut self) -> Handle {
        loop {
            self.latest = match self.latest {
                LAST.. => Handle::HOST.get(),
                number => number + 1,
            };
            match Handle::new(self.latest) {
                Some(handle) if !self.owners.contains_key(&handle) => return handle,
                _ => {}
            }
        }
    }

    /// Makes an owner of a cgroup, or makes another of the one that it has.
    pub(super) fn place(
        &mut self,
        cgroup: u64,
        before: State,
        owner: Owner,
        gone: bool,
        changes: &mut Vec<Change>,
    ) -> Handle {
        if let State::Owner(handle) = before
            && self
                .known(handle)
                .is_some_and(|known| known.cgroup == cgroup)
        {
            self.replace(handle, owner, changes);
            return handle;
        }
        let handle = self.number();
        let known = Known {
            owner: Arc::new(Owner::default()),
            cgroup,
            ended: gone,
            namespaces: Vec::new(),
        };
        self.owners.insert(handle, known);
        self.replace(handle, owner, changes);
        if gone {
            changes.push(Change::Ended(handle));
        }
        handle
    }

    pub(super) fn replace(&mut self, handle: Handle, owner: Owner, changes: &mut Vec<Change>) {
        let owner = Arc::new(owner);
        let Some(known) = self.owners.get_mut(&handle) else {
            return;
        };
        let before = std::mem::replace(&mut known.owner, Arc::clone(&owner));
        let (ended, cgroup) = (known.ended, known.cgroup);
        if before.facts.id != owner.facts.id {
            self.ids.remove(&before.facts.id, handle);
        }
        let taken = self.ids.get(&owner.facts.id).and_then(|h| self.known(h));
        let anothers = taken
            .is_some_and(|other| !other.ended && !same_runtime(&other.owner.facts, &owner.facts));
        if !owner.facts.id.is_empty() {
            self.ids.add(&owner.facts.id, handle, !anothers);
        }
        let addresses = owner.facts.addresses.as_deref().unwrap_or_default();
        for address in before.facts.addresses.iter().flatten() {
            if !addresses.contains(address) {
                self.release(*address, handle, changes);
            }
        }
        if !ended {
            for address in addresses {
                self.addresses.insert(*address, handle);
                changes.push(Change::Address(*address, Some(handle)));
            }
        }
        changes.push(Change::Owner(handle, owner, cgroup));
    }

    pub(super) fn learn(&mut self, handle: Handle, facts: Facts) {
        let Some(known) = self.known(handle) else {
            return;
        };
        let mut owner = Owner::clone(&known.owner);
        owner.facts.learn(facts);
        self.learn_from_sandbox(&mut owner.facts);
        if owner.facts.sandbox {
            owner.kind = Kind::Sandbox;
        }
        self.replace_if_other(handle, owner);
    }

    /// Sets the state of a cgroup, and tells whose it and those below it are.
    pub(super) fn settle(&mut self, cgroup: u64, state: State, changes: &mut Vec<Change>) {
        let Some(entry) = self.cgroups.get_mut(&cgroup) else {
            return;
        };
        entry.state = state;
        let path = entry.path.clone();
        if let Some(parent) = entry.parent.filter(|_| state == State::Inherits) {
            self.inheriting.insert((parent, cgroup));
        }
        changes.push(Change::Cgroup(cgroup, self.resolve(cgroup), path));
        self.tell_below(cgroup, changes);
    }

    /// Whose all are that inherit from a cgroup, at any depth. A cycle can't be: a parent is older than its child.
    pub(super) fn tell_below(&self, cgroup: u64, changes: &mut Vec<Change>) {
        let below = |cgroup| {
            let all = self.inheriting.range((cgroup, 0)..=(cgroup, u64::MAX));
            all.map(|(_, below)| *below)
        };
        let mut open: Vec<u64> = below(cgroup).collect();
        while let Some(cgroup) = open.pop() {
            let Some(entry) = self.cgroups.get(&cgroup) else {
                continue;
            };
            let path = entry.path.clone();
            changes.push(Change::Cgroup(cgroup, self.resolve(cgroup), path));
            open.extend(below(cgroup));
        }
    }

    pub(super) fn replace_if_other(&mut self, handle: Handle, owner: Owner) {
        if self
            .known(handle)
            .is_some_and(|known| *known.owner != owner)
        {
            let mut changes = Vec::new();
            self.replace(handle, owner, &mut changes);
            self.tell(&changes);
        }
    }

    /// A container's pod has the labels of its sandbox, where those are known.
    pub(super) fn learn_from_sandbox(&self, facts: &mut Facts) {
        let Some(pod) = facts.pod.as_mut().filter(|_| !facts.sandbox) else {
            return;
        };
        if !facts.awaited.has(Awaited::POD_LABELS) || pod.labels.is_some() {
            return;
        }
        let sandbox = self.ids.get(&pod.sandbox).and_then(|h| self.known(h));
        let Some(known) = sandbox.map(|known| &known.owner.facts) else {
            return;
        };
        if !known.sandbox || known.runtime != facts.runtime {
            return;
        }
        if let Some(theirs) = &known.pod
            && (theirs.labels.is_some() || !known.awaited.has(Awaited::POD_LABELS))
        {
            pod.labels.clone_from(&theirs.labels);
            if pod.owner.is_none() {
                pod.owner.clone_from(&theirs.owner);
            }
            facts.awaited = facts.awaited.without(Awaited::POD_LABELS);
        }
    }

    pub(super) fn await_nothing(&mut self, handle: Handle) {
        let Some(known) = self.known(handle) else {
            return;
        };
        let mut owner = Owner::clone(&known.owner);
        owner.facts.awaited = Awaited::NONE;
        self.replace_if_other(handle, owner);
    }

    /// The container that some source means: the latest of its id, if its runtime and cgroup can be the same, else another one
    /// of this id. Ids that users choose are used twice: by namespaces of containerd, by folders of runc.
    pub(super) fn named(&self, facts: &Facts) -> Option<Handle> {
        self.ids.all(&facts.id).find(|handle| {
            self.known(*handle)
                .is_some_and(|known| may_be_same(&known.owner.facts, &known.owner.cgroup, facts))
        })
    }

    pub(super) fn release(&mut self, address: IpAddr, handle: Handle, changes: &mut Vec<Change>) {
        if self.addresses.get(&address) == Some(&handle) {
            self.addresses.remove(&address);
            changes.push(Change::Address(address, None));
        }
    }

    pub(super) fn end(&mut self, handle: Handle, changes: &mut Vec<Change>) {
        let Some(known) = self.owners.get_mut(&handle) else {
            return;
        };
        known.ended = true;
        let owner = Arc::clone(&known.owner);
        for address in owner.facts.addresses.iter().flatten() {
            self.release(*address, handle, changes);
        }
        changes.push(Change::Ended(handle));
    }

    /// Forgets the cgroup that ended first; how many are pending no more.
    pub(super) fn forget_oldest(&mut self, changes: &mut Vec<Change>) -> usize {
        let Some((_, cgroup)) = self.tombstones.pop_front() else {
            return 0;
        };
        let owners = self.owners_of(cgroup);
        self.former.remove(&cgroup);
        let mut pending = 0;
        if let Some(entry) = self.cgroups.remove(&cgroup) {
            pending = usize::from(entry.state == State::Pending);
            if let Some(parent) = entry.parent {
                self.inheriting.remove(&(parent, cgroup));
            }
        }
        give_back(&mut self.cgroups);
        changes.push(Change::CgroupForgotten(cgroup));
        for handle in owners {
            self.forget(handle, changes);
        }
        pending
    }

    fn forget(&mut self, handle: Handle, changes: &mut Vec<Change>) {
        let Some(known) = self.owners.remove(&handle) else {
            return;
        };
        give_back(&mut self.owners);
        self.ids.remove(&known.owner.facts.id, handle);
        for namespace in known.namespaces {
            if let Some(intervals) = self.namespaces.get_mut(&namespace) {
                intervals.retain(|interval| interval.owner != Some(handle));
                if intervals.iter().all(Interval::is_over_and_nobodys) {
                    intervals.clear();
                }
                changes.push(Change::Namespace(namespace, intervals.clone()));
                if intervals.is_empty() {
                    self.namespaces.remove(&namespace);
                }
            }
        }
        changes.push(Change::OwnerForgotten(handle));
    }

    pub(super) fn tell(&mut self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        self.readers.retain(|reader| {
            let Some(shared) = reader.upgrade() else {
                return false;
            };
            let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if !queue.resync {
                queue.changes.extend_from_slice(changes);
                if queue.changes.len() > MOST_WAITING {
                    queue.changes = Vec::new();
                    queue.resync = true;
                }
            }
            shared.generation.fetch_add(1, Ordering::Release);
            let waiting = std::mem::take(&mut queue.waiting);
            drop(queue);
            if waiting {
                shared.told.notify_all();
            }
            true
        });
    }

    /// All that a reader has to know, as changes.
    pub(super) fn everything(&self) -> Vec<Change> {
        let mut all = Vec::with_capacity(self.cgroups.len() + self.owners.len());
        for (handle, known) in &self.owners {
            all.push(Change::Owner(
                *handle,
                Arc::clone(&known.owner),
                known.cgroup,
            ));
            if known.ended {
                all.push(Change::Ended(*handle));
            }
        }
        for (id, cgroup) in &self.cgroups {
            let path = cgroup.path.clone();
            all.push(Change::Cgroup(*id, self.resolve(*id), path));
            if cgroup.gone {
                all.push(Change::CgroupGone(*id));
            }
        }
        let namespaces = self.namespaces.iter();
        all.extend(namespaces.map(|(ns, intervals)| Change::Namespace(*ns, intervals.clone())));
        let addresses = self.addresses.iter();
        all.extend(addresses.map(|(address, owner)| Change::Address(*address, Some(*owner))));
        all
    }
}

/// Whether `more`, of the same id, can be said of a container that is known. The runtime below (runc, crun) may be known before
/// the one above.
pub(super) fn may_be_same(known: &Facts, path: &str, more: &Facts) -> bool {
    let there = match &more.cgroup {
        Some(cgroup) if !path.is_empty() => {
            // Its processes may be further below.
            cgroup_path::is_meant(Some(cgroup), path, &more.id)
                || cgroup_path::is_below(cgroup, path)
        }
        _ => true,
    };
    there && same_runtime(known, more)
}

pub(super) fn same_runtime(known: &Facts, more: &Facts) -> bool {
    match (known.runtime, more.runtime) {
        (None | Some(Runtime::Runc | Runtime::Crun), _) | (_, None) => true,
        (Some(known), Some(more)) => known == more,
    }
}
