//! A run's own copy of the directory.

use super::spread::{IdHash, give_back};
use super::{Change, Directory, Found, Handle, Interval, Shared};
use crate::owner::Owner;
use crate::selection::{Selectors, Verdict};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// A run's own copy of what the [`Directory`] knows. Look-ups touch nothing that another thread writes; they see what was
/// known at the last [`Reader::refresh`].
#[derive(Debug)]
pub struct Reader {
    directory: Arc<Directory>,
    pub(super) shared: Arc<Shared>,
    pub(super) generation: u64,
    cgroups: HashMap<u64, Place, IdHash>,
    owners: HashMap<Handle, Entry, IdHash>,
    namespaces: HashMap<u64, Vec<Interval>, IdHash>,
    addresses: HashMap<IpAddr, Handle>,
    /// Containers that came and went since somebody asked; None: nobody will.
    news: Option<News>,
    /// Who is wanted; None: all.
    selecting: Option<Selecting>,
}

/// Whose a cgroup is, and whether it is wanted.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// None: pending.
    owner: Option<Handle>,
    verdict: Verdict,
    gone: bool,
}

#[derive(Debug)]
struct Entry {
    owner: Arc<Owner>,
    ended: bool,
    /// The cgroup that was decided to be its.
    cgroup: u64,
    /// Whether it is wanted, whatever its cgroups' paths are; with its own.
    wanted: Verdict,
    with_path: Verdict,
}

/// What is needed to know at once which cgroups change with an owner.
#[derive(Debug)]
struct Selecting {
    selectors: Arc<Selectors>,
    /// The cgroups of each owner but the host, which never changes.
    members: BTreeSet<(Handle, u64)>,
    /// Of cgroups, where paths are asked for.
    paths: HashMap<u64, Arc<str>, IdHash>,
    /// Cgroups of which something may be different, some of them twice; None: nobody asks.
    touched: Option<Vec<u64>>,
}

impl Selecting {
    fn touch(&mut self, cgroup: u64) {
        if let Some(touched) = &mut self.touched {
            touched.push(cgroup);
        }
    }

    fn with_path(&self, wanted: Verdict, cgroup: u64) -> Verdict {
        if !self.selectors.by_path() {
            return wanted;
        }
        let path = self.paths.get(&cgroup).map_or("", |path| path);
        wanted.and(self.selectors.decide_path(path))
    }
}

/// The answer to whether something is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// It is this owner's, who is wanted.
    Yes(Handle),
    /// It is this owner's, who is not.
    No(Handle),
    /// It is not known yet whose it is, or whether that one is wanted.
    Pending,
    /// Nobody heard of it, or it is long gone.
    Unknown,
}

impl Selected {
    fn of(owner: Handle, verdict: Verdict) -> Self {
        match verdict {
            Verdict::Yes => Self::Yes(owner),
            Verdict::No => Self::No(owner),
            Verdict::Later => Self::Pending,
        }
    }
}

#[derive(Debug, Default)]
struct News {
    added: Vec<Handle>,
    removed: Vec<Handle>,
}

impl Reader {
    pub(super) fn new(
        directory: Arc<Directory>,
        shared: Arc<Shared>,
        all: Vec<Change>,
        selectors: Option<Arc<Selectors>>,
        chooses: bool,
    ) -> Self {
        let mut reader = Self {
            directory,
            shared,
            generation: 0,
            cgroups: HashMap::default(),
            owners: HashMap::default(),
            namespaces: HashMap::default(),
            addresses: HashMap::new(),
            news: None,
            selecting: selectors.map(|selectors| Selecting {
                selectors,
                members: BTreeSet::new(),
                paths: HashMap::default(),
                touched: chooses.then(Vec::new),
            }),
        };
        for change in all {
            reader.apply(change);
        }
        reader
    }

    /// Takes over what is new; one atomic load if nothing is. True: something was.
    pub fn refresh(&mut self) -> bool {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation == self.generation {
            return false;
        }
        let queue = self.shared.queue.lock();
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        self.generation = self.shared.generation.load(Ordering::Acquire);
        let (changes, resync) = (std::mem::take(&mut queue.changes), queue.resync);
        drop(queue);
        let changes = if resync { self.anew() } else { changes };
        for change in changes {
            self.apply(change);
        }
        true
    }

    /// Everything, in place of changes that became too many.
    fn anew(&mut self) -> Vec<Change> {
        let inner = self.directory.lock();
        let all = inner.everything();
        // Nobody tells while the directory is locked: this is newer than all that was told.
        let queue = self.shared.queue.lock();
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        queue.changes = Vec::new();
        queue.resync = false;
        self.generation = self.shared.generation.load(Ordering::Acquire);
        drop(queue);
        drop(inner);
        if let Some(selecting) = &mut self.selecting {
            if let Some(touched) = &mut selecting.touched {
                touched.extend(self.cgroups.keys());
            }
            selecting.members.clear();
            selecting.paths.clear();
        }
        self.cgroups.clear();
        self.namespaces.clear();
        self.addresses.clear();
        // Who is no more in there has ended unseen.
        let known: HashSet<Handle, IdHash> = all
            .iter()
            .filter_map(|change| match change {
                Change::Owner(handle, ..) => Some(*handle),
                _ => None,
            })
            .collect();
        let before = self.owners.keys().filter(|owner| !known.contains(owner));
        for handle in before.copied().collect::<Vec<_>>() {
            self.apply(Change::Ended(handle));
            self.apply(Change::OwnerForgotten(handle));
        }
        all
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Cgroup(cgroup, owner, path) => self.place(cgroup, owner, path),
            Change::CgroupGone(cgroup) => {
                if let Some(place) = self.cgroups.get_mut(&cgroup) {
                    place.gone = true;
                }
                if let Some(selecting) = &mut self.selecting {
                    selecting.touch(cgroup);
                }
            }
            Change::CgroupForgotten(cgroup) => {
                let before = self.cgroups.remove(&cgroup);
                give_back(&mut self.cgroups);
                if let Some(selecting) = &mut self.selecting {
                    if let Some(owner) = before.and_then(|place| place.owner) {
                        selecting.members.remove(&(owner, cgroup));
                    }
                    selecting.paths.remove(&cgroup);
                    selecting.touch(cgroup);
                }
            }
            Change::Owner(handle, owner, cgroup) => self.learn(handle, owner, cgroup),
            Change::Ended(handle) => {
                let entry = self.owners.get_mut(&handle);
                if let Some(entry) = entry.filter(|entry| !entry.ended) {
                    entry.ended = true;
                    if let Some(news) = self.news.as_mut().filter(|_| entry.owner.is_container()) {
                        news.removed.push(handle);
                    }
                }
            }
            Change::OwnerForgotten(handle) => {
                self.owners.remove(&handle);
                give_back(&mut self.owners);
                self.judge_members(handle, None);
            }
            Change::Namespace(namespace, intervals) => {
                if intervals.is_empty() {
                    self.namespaces.remove(&namespace);
                } else {
                    self.namespaces.insert(namespace, intervals);
                }
            }
            Change::Address(address, Some(owner)) => {
                self.addresses.insert(address, owner);
            }
            Change::Address(address, None) => {
                self.addresses.remove(&address);
            }
        }
    }

    fn place(&mut self, cgroup: u64, owner: Option<Handle>, path: Option<Arc<str>>) {
        let before = self.cgroups.get(&cgroup).copied();
        let mut verdict = Verdict::Yes;
        if let Some(selecting) = &mut self.selecting {
            if let Some(path) = path.filter(|_| selecting.selectors.by_path()) {
                selecting.paths.insert(cgroup, path);
            }
            let entry = owner.and_then(|owner| self.owners.get(&owner));
            verdict = match (owner, entry) {
                (None, _) => Verdict::Later,
                (Some(_), Some(entry)) => selecting.with_path(entry.wanted, cgroup),
                // Whose it was is forgotten, and so it is nobody's.
                (Some(_), None) => {
                    let nobody = selecting.selectors.decide_owner(&Owner::default());
                    selecting.with_path(nobody, cgroup)
                }
            };
            let old = before.and_then(|place| place.owner);
            if old != owner {
                if let Some(old) = old {
                    selecting.members.remove(&(old, cgroup));
                }
                if let Some(owner) = owner.filter(|owner| *owner != Handle::HOST) {
                    selecting.members.insert((owner, cgroup));
                }
            }
            selecting.touch(cgroup);
        }
        let place = Place {
            owner,
            verdict,
            gone: before.is_some_and(|place| place.gone),
        };
        self.cgroups.insert(cgroup, place);
    }

    fn learn(&mut self, handle: Handle, owner: Arc<Owner>, cgroup: u64) {
        let before = self.owners.get(&handle);
        let was = before.is_some_and(|entry| entry.owner.is_container());
        let ended = before.is_some_and(|entry| entry.ended);
        if let Some(news) = self.news.as_mut().filter(|_| !was && owner.is_container()) {
            news.added.push(handle);
        }
        let (mut wanted, mut with_path) = (Verdict::Yes, Verdict::Yes);
        let mut changed = false;
        if let Some(selecting) = &mut self.selecting {
            wanted = selecting.selectors.decide_owner(&owner);
            with_path = wanted.and(selecting.selectors.decide_path(&owner.cgroup));
            let same = before.is_some_and(|entry| {
                entry.wanted == wanted && entry.cgroup == cgroup && was == owner.is_container()
            });
            changed = !same;
        }
        let entry = Entry {
            owner,
            ended,
            cgroup,
            wanted,
            with_path,
        };
        self.owners.insert(handle, entry);
        if changed {
            self.judge_members(handle, Some(wanted));
        }
    }

    /// An owner's cgroups have another verdict; None: it is forgotten, and they are nobody's.
    fn judge_members(&mut self, handle: Handle, wanted: Option<Verdict>) {
        let Some(selecting) = &mut self.selecting else {
            return;
        };
        let nobodys = || selecting.selectors.decide_owner(&Owner::default());
        let wanted = wanted.unwrap_or_else(nobodys);
        let all = (handle, 0)..=(handle, u64::MAX);
        let members: Vec<u64> = selecting.members.range(all).map(|(_, c)| *c).collect();
        for cgroup in members {
            if let Some(place) = self.cgroups.get_mut(&cgroup) {
                place.verdict = selecting.with_path(wanted, cgroup);
            }
            selecting.touch(cgroup);
        }
    }

    /// From now on containers that come and go are noted for [`Reader::news`], those that are there first.
    pub fn watch(&mut self) {
        let mut news = News::default();
        let live = self.owners.iter();
        let live = live.filter(|(_, entry)| !entry.ended && entry.owner.is_container());
        news.added.extend(live.map(|(handle, _)| *handle));
        self.news = Some(news);
    }

    /// Containers that came, and such that went, since the last call, by handle; empty unless [`Reader::watch`] was called.
    /// One may be in both.
    pub fn news(&mut self) -> (Vec<Handle>, Vec<Handle>) {
        let news = self.news.as_mut().map(std::mem::take).unwrap_or_default();
        let News {
            mut added,
            mut removed,
        } = news;
        added.sort_unstable();
        removed.sort_unstable();
        (added, removed)
    }

    /// Whose a cgroup is.
    #[must_use]
    pub fn by_cgroup(&self, cgroup: u64) -> Found {
        match self.cgroups.get(&cgroup).map(|place| place.owner) {
            Some(Some(handle)) => Found::Owner(handle),
            Some(None) => Found::Pending,
            None => Found::Unknown,
        }
    }

    /// Whether what is in a cgroup is wanted; everything is, unless this is a reader of [`Directory::reader_selecting`].
    #[must_use]
    pub fn selected(&self, cgroup: u64) -> Selected {
        match self.cgroups.get(&cgroup) {
            Some(Place {
                owner: Some(owner),
                verdict,
                ..
            }) => Selected::of(*owner, *verdict),
            Some(_) => Selected::Pending,
            None => Selected::Unknown,
        }
    }

    /// The same by mount namespace and time: see [`Reader::by_mount_namespace`].
    #[must_use]
    pub fn selected_by_mount_namespace(&self, namespace: u64, at: u64) -> Selected {
        match self.by_mount_namespace(namespace, at) {
            Found::Owner(owner) => {
                let entry = self.owners.get(&owner);
                let verdict = entry.map_or(Verdict::No, |entry| entry.with_path);
                Selected::of(owner, verdict)
            }
            Found::Pending => Selected::Pending,
            Found::Unknown => Selected::Unknown,
        }
    }

    /// What a cgroup that is there is to a chooser: the verdict, and the outermost cgroup of its container.
    pub(super) fn choice(&self, cgroup: u64) -> Option<(u64, Verdict)> {
        let place = self.cgroups.get(&cgroup).filter(|place| !place.gone)?;
        let Some(owner) = place.owner else {
            return Some((0, Verdict::Later));
        };
        let entry = self.owners.get(&owner);
        let container = entry.filter(|entry| entry.owner.is_container());
        Some((container.map_or(0, |entry| entry.cgroup), place.verdict))
    }

    /// The cgroups of which something may be different since the last call, each once.
    pub(super) fn touched(&mut self) -> Vec<u64> {
        let touched = self.selecting.as_mut().and_then(|s| s.touched.as_mut());
        let mut touched = touched.map(std::mem::take).unwrap_or_default();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    pub(super) fn has_touched(&self) -> bool {
        let touched = self.selecting.as_ref().and_then(|s| s.touched.as_ref());
        touched.is_some_and(|touched| !touched.is_empty())
    }

    /// Whose a mount namespace was at a time, in nanoseconds of CLOCK_BOOTTIME. The host's own is not known, but where there
    /// are cgroups of version 1 alone.
    #[must_use]
    pub fn by_mount_namespace(&self, namespace: u64, at: u64) -> Found {
        let intervals = self
            .namespaces
            .get(&namespace)
            .map_or(&[][..], Vec::as_slice);
        let at_that_time = intervals
            .iter()
            .rev()
            .find(|interval| interval.from <= at && interval.until.is_none_or(|until| at < until));
        match at_that_time.and_then(|interval| interval.owner) {
            Some(handle) => Found::Owner(handle),
            None if self.directory.host.get() == Some(&namespace) => Found::Owner(Handle::HOST),
            None => Found::Unknown,
        }
    }

    /// Whose an address is now.
    #[must_use]
    pub fn by_address(&self, address: IpAddr) -> Option<Handle> {
        self.addresses.get(&address).copied()
    }

    /// See [`Directory::by_id`]. The one look-up that takes the lock.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<Handle> {
        self.directory.by_id(id)
    }

    /// What is known of an owner; none if it is forgotten.
    #[must_use]
    pub fn owner(&self, handle: Handle) -> Option<&Arc<Owner>> {
        Some(&self.owners.get(&handle)?.owner)
    }

    /// Owners that it has, and for how many there is room.
    #[cfg(test)]
    pub(super) fn room(&self) -> (usize, usize) {
        (self.owners.len(), self.owners.capacity())
    }

    /// No cgroup waits for its decision, as far as the directory was told, and this copy has all decisions.
    #[must_use]
    pub fn settled(&self) -> bool {
        // In this order: a decision that is no more pending was told before, and is in the generation.
        self.directory.pending() == 0
            && self.shared.generation.load(Ordering::Acquire) == self.generation
    }
}
