//! A run's own copy of the directory.

use super::{Change, Directory, Found, Handle, IdHash, Interval, Queue, Shared};
use crate::owner::Owner;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// A run's own copy of what the [`Directory`] knows. Look-ups touch nothing that another thread writes; they see what was
/// known at the last [`Reader::refresh`].
#[derive(Debug)]
pub struct Reader {
    directory: Arc<Directory>,
    shared: Arc<Shared>,
    generation: u64,
    /// Whose each cgroup is; None: pending.
    cgroups: HashMap<u64, Option<Handle>, IdHash>,
    /// By handle.
    owners: Vec<Option<Entry>>,
    namespaces: HashMap<u64, Vec<Interval>, IdHash>,
    addresses: HashMap<IpAddr, Handle>,
    /// Containers that came and went since somebody asked; None: nobody will.
    news: Option<News>,
}

#[derive(Debug)]
struct Entry {
    owner: Arc<Owner>,
    ended: bool,
}

#[derive(Debug, Default)]
struct News {
    added: Vec<Handle>,
    removed: Vec<Handle>,
}

impl Reader {
    pub(super) fn new(directory: Arc<Directory>, shared: Arc<Shared>, all: Vec<Change>) -> Self {
        let mut reader = Self {
            directory,
            shared,
            generation: 0,
            cgroups: HashMap::default(),
            owners: Vec::new(),
            namespaces: HashMap::default(),
            addresses: HashMap::new(),
            news: None,
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
        self.generation = generation;
        let queue = self.shared.queue.lock();
        let Queue { changes, resync } =
            std::mem::take(&mut *queue.unwrap_or_else(PoisonError::into_inner));
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
        *queue.unwrap_or_else(PoisonError::into_inner) = Queue::default();
        drop(inner);
        self.cgroups.clear();
        self.namespaces.clear();
        self.addresses.clear();
        // Who is no more in there has ended unseen.
        let known: Vec<Handle> = all
            .iter()
            .filter_map(|change| match change {
                Change::Owner(handle, _) => Some(*handle),
                _ => None,
            })
            .collect();
        for i in 0..self.owners.len() {
            if let Some(handle) = u32::try_from(i).ok().and_then(Handle::new)
                && known.binary_search(&handle).is_err()
            {
                self.apply(Change::Ended(handle));
                self.apply(Change::OwnerForgotten(handle));
            }
        }
        all
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Cgroup(cgroup, owner) => {
                self.cgroups.insert(cgroup, owner);
            }
            Change::CgroupForgotten(cgroup) => {
                self.cgroups.remove(&cgroup);
            }
            Change::Owner(handle, owner) => self.learn(handle, owner),
            Change::Ended(handle) => {
                let entry = self.owners.get_mut(handle.index()).and_then(Option::as_mut);
                if let Some(entry) = entry.filter(|entry| !entry.ended) {
                    entry.ended = true;
                    if let Some(news) = self.news.as_mut().filter(|_| entry.owner.is_container()) {
                        news.removed.push(handle);
                    }
                }
            }
            Change::OwnerForgotten(handle) => {
                if let Some(slot) = self.owners.get_mut(handle.index()) {
                    *slot = None;
                }
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

    fn learn(&mut self, handle: Handle, owner: Arc<Owner>) {
        if self.owners.len() <= handle.index() {
            self.owners.resize_with(handle.index() + 1, || None);
        }
        let Some(slot) = self.owners.get_mut(handle.index()) else {
            return;
        };
        let was = slot
            .as_ref()
            .is_some_and(|entry| entry.owner.is_container());
        if let Some(news) = self.news.as_mut().filter(|_| !was && owner.is_container()) {
            news.added.push(handle);
        }
        let ended = slot.as_ref().is_some_and(|entry| entry.ended);
        *slot = Some(Entry { owner, ended });
    }

    /// From now on containers that come and go are noted for [`Reader::news`], those that are there first.
    pub fn watch(&mut self) {
        let mut news = News::default();
        for (i, entry) in self.owners.iter().enumerate() {
            let live = entry
                .as_ref()
                .is_some_and(|e| !e.ended && e.owner.is_container());
            if let Some(handle) = u32::try_from(i).ok().and_then(Handle::new).filter(|_| live) {
                news.added.push(handle);
            }
        }
        self.news = Some(news);
    }

    /// Containers that came, and such that went, since the last call; empty unless [`Reader::watch`] was called. One may
    /// be in both.
    pub fn news(&mut self) -> (Vec<Handle>, Vec<Handle>) {
        match &mut self.news {
            Some(news) => (
                std::mem::take(&mut news.added),
                std::mem::take(&mut news.removed),
            ),
            None => (Vec::new(), Vec::new()),
        }
    }

    /// Whose a cgroup is.
    #[must_use]
    pub fn by_cgroup(&self, cgroup: u64) -> Found {
        match self.cgroups.get(&cgroup) {
            Some(Some(handle)) => Found::Owner(*handle),
            Some(None) => Found::Pending,
            None => Found::Unknown,
        }
    }

    /// Whose a mount namespace was at a time, in nanoseconds of CLOCK_BOOTTIME.
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
        let entry = self.owners.get(handle.index())?.as_ref()?;
        Some(&entry.owner)
    }

    /// No cgroup waits for its decision, as far as the directory was told.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.directory.pending() == 0
    }
}
