//! Which cgroup, mount namespace and address is whose, at which time.
//!
//! The [`Directory`] has one lock, taken by the threads that find out, never per record. A run has a [`Reader`], its own
//! copy: whether there is something new is one atomic load, and a look-up touches nothing that others write.

mod chooser;
mod ids;
mod inner;
mod namespaces;
mod reader;
mod spread;
#[cfg(test)]
mod tests;

pub use chooser::{Chooser, Ender};
pub use namespaces::Entered;
pub use reader::{Reader, Selected};

use crate::owner::{Awaited, Facts, Kind, Owner, Runtime};
use crate::selection::Selectors;
use inner::{Cgroup, Inner, Known, State, may_be_same};
use namespaces::Interval;
use spread::IdHash;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// An owner's number, which no other ever has: rows that come late, and guests, keep it for as long as they like. (After four
/// billion owners it begins anew.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(NonZeroU32);

impl Handle {
    /// Everything that is no container, unit or session.
    pub const HOST: Self = Self(NonZeroU32::MIN);

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The handle of a number; none for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }
}

/// The answer to whose something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This owner's.
    Owner(Handle),
    /// It is new, and somebody is finding out.
    Pending,
    /// Nobody heard of it, or it is long gone.
    Unknown,
}

/// Whose a new cgroup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A container's: what is known of it so far, its id at least. `sandbox` in the facts tells a pod's sandbox.
    Container {
        /// What is known.
        facts: Box<Facts>,
        /// The systemd unit in which it runs.
        unit: Option<String>,
    },
    /// A systemd unit's, by its name.
    Unit(String),
    /// A user's session's or user manager's, by the name of its unit.
    Session(String),
    /// Whoever's the cgroup above it is.
    Parent,
    /// This owner's: one of its processes made it, elsewhere than below its own.
    Same(Handle),
    /// Nobody's in particular.
    Host,
}

/// How long what has ended is kept, for its last records and for rows that come late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstones {
    /// Nanoseconds after its end.
    pub keep: u64,
    /// How many cgroups that have ended; beyond, the oldest are forgotten earlier.
    pub most: usize,
}

impl Default for Tombstones {
    /// Ten minutes, 100,000 cgroups: some 30 MiB at most.
    fn default() -> Self {
        Self {
            keep: 600 * 1_000_000_000,
            most: 100_000,
        }
    }
}

/// Something that readers have to hear.
#[derive(Clone, Debug)]
enum Change {
    /// Whose a cgroup is; None: pending. And its path, where that is known.
    Cgroup(u64, Option<Handle>, Option<Arc<str>>),
    /// It was removed.
    CgroupGone(u64),
    CgroupForgotten(u64),
    /// What is known of an owner now, and the cgroup that was decided to be its.
    Owner(Handle, Arc<Owner>, u64),
    Ended(Handle),
    OwnerForgotten(Handle),
    /// All intervals of a mount namespace.
    Namespace(u64, Vec<Interval>),
    Address(IpAddr, Option<Handle>),
}

/// What a reader has not taken yet.
#[derive(Debug, Default)]
struct Queue {
    changes: Vec<Change>,
    /// They became too many: it takes everything anew.
    resync: bool,
    /// Somebody sleeps until there are some.
    waiting: bool,
    /// Nobody is to sleep any more.
    ended: bool,
}

/// A reader's side of the directory.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Counts what was put into the queue, which is locked meanwhile.
    generation: AtomicU64,
    /// For who sleeps.
    told: Condvar,
}

/// Changes that wait for one reader; a reader that is further behind takes everything anew.
const MOST_WAITING: usize = 1 << 16;
/// Cgroups that one sweep forgets, under the lock; the next one goes on.
const MOST_FORGOTTEN: usize = 1 << 12;
/// Containers that an API told of and whose cgroup was not seen.
const MOST_UNPLACED: usize = 1 << 16;

/// Everything that is known of whose a record is.
#[derive(Debug)]
pub struct Directory {
    inner: Mutex<Inner>,
    /// Cgroups that are pending, looks at the machine that are due, and first programs that are not taken note of.
    pending: AtomicUsize,
    looks: AtomicUsize,
    /// The host's own mount namespace, where it tells whose records are.
    host: OnceLock<u64>,
    limits: Tombstones,
}

/// What somebody told, until it is known.
#[derive(Debug)]
pub(crate) struct Told(Arc<Directory>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Release);
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new(Tombstones::default())
    }
}

impl Directory {
    /// One that knows nothing but the host.
    #[must_use]
    pub fn new(limits: Tombstones) -> Self {
        let host = Known {
            owner: Arc::new(Owner::default()),
            cgroup: 0,
            ended: false,
            namespaces: Vec::new(),
        };
        let inner = Inner {
            owners: HashMap::from_iter([(Handle::HOST, host)]),
            latest: Handle::HOST.get(),
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            pending: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
            host: OnceLock::new(),
            limits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing here panics in the middle of a change, and what is kept must stay readable.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run's own copy, complete.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Reader {
        self.reader_of(None, false)
    }

    /// The same, which also knows who is wanted ([`Reader::selected`]).
    #[must_use]
    pub fn reader_selecting(self: &Arc<Self>, selectors: Arc<Selectors>) -> Reader {
        self.reader_of(Some(selectors), false)
    }

    /// Tells in which cgroups those are that are wanted, as that changes.
    #[must_use]
    pub fn chooser(self: &Arc<Self>, selectors: Arc<Selectors>) -> Chooser {
        Chooser::new(self.reader_of(Some(selectors), true))
    }

    fn reader_of(self: &Arc<Self>, selectors: Option<Arc<Selectors>>, chooses: bool) -> Reader {
        let shared = Arc::new(Shared::default());
        let mut inner = self.lock();
        inner.readers.retain(|reader| reader.strong_count() > 0);
        inner.readers.push(Arc::downgrade(&shared));
        let all = inner.everything();
        drop(inner);
        Reader::new(Arc::clone(self), shared, all, selectors, chooses)
    }

    /// Cgroups of which nobody knows yet whose they are, looks at the machine that are due because there may be others, and
    /// first programs whose mount namespaces are not told yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// So many cgroups are pending no more. Readers were told of it before: whoever finds nothing pending, and then takes up
    /// what is new, has every decision.
    fn decided(&self, cgroups: usize) {
        self.pending.fetch_sub(cgroups, Ordering::Release);
    }

    /// There may be cgroups that nobody told of: until [`Directory::looked`] something is pending.
    pub(crate) fn look_due(&self) {
        self.looks.fetch_add(1, Ordering::Release);
        self.pending.fetch_add(1, Ordering::Release);
    }

    /// Cgroups do not tell what is the host's: what is in this mount namespace is.
    pub(crate) fn host_is_in(&self, namespace: u64) {
        let _ = self.host.set(namespace);
    }

    /// Something was told that is not known yet: until what this gives is dropped something is pending.
    pub(crate) fn is_told(self: &Arc<Self>) -> Told {
        self.pending.fetch_add(1, Ordering::Release);
        Told(Arc::clone(self))
    }

    /// A look begins, for so many that are due.
    pub(crate) fn looks_due(&self) -> usize {
        self.looks.load(Ordering::Acquire)
    }

    /// The look that began for so many is over.
    pub(crate) fn looked(&self, looks: usize) {
        self.looks.fetch_sub(looks, Ordering::Release);
        self.pending.fetch_sub(looks, Ordering::Release);
    }

    /// A cgroup was made. It is pending until it is decided, unless it is known already.
    pub fn made(&self, cgroup: u64, parent: Option<u64>) {
        let mut inner = self.lock();
        if inner.cgroups.contains_key(&cgroup) {
            return;
        }
        let entry = Cgroup {
            parent,
            state: State::Pending,
            gone: false,
            path: None,
        };
        inner.cgroups.insert(cgroup, entry);
        self.pending.fetch_add(1, Ordering::Release);
        let mut changes = vec![Change::Cgroup(cgroup, None, None)];
        // What is below may have been told before: it was the host's as long as nobody knew of this one.
        inner.tell_below(cgroup, &mut changes);
        inner.tell(&changes);
    }

    /// Says whose a cgroup is, and with it those below that inherit. The path is the cgroup's from the root of its
    /// hierarchy. What was decided before is decided anew: a container that turns out to be one, or a unit that does.
    /// Gives the owner, None if that is still open (its parent's is).
    pub fn decide(&self, cgroup: u64, path: &str, decision: Decision) -> Option<Handle> {
        let mut inner = self.lock();
        let Some(entry) = inner.cgroups.get_mut(&cgroup) else {
            // Forgotten, or never made.
            return None;
        };
        if !path.is_empty() && entry.path.as_deref() != Some(path) {
            entry.path = Some(path.into());
        }
        let (before, gone) = (entry.state, entry.gone);
        let own = inner.own(cgroup);
        let mut changes = Vec::new();
        let owner = |kind, unit, facts| Owner {
            kind,
            cgroup: path.to_owned(),
            unit,
            facts,
        };
        let state = match decision {
            Decision::Host => State::Owner(Handle::HOST),
            Decision::Parent => State::Inherits,
            Decision::Same(handle) => State::Owner(handle),
            Decision::Unit(unit) => {
                let owner = owner(Kind::Unit, Some(unit), Facts::default());
                State::Owner(inner.place(cgroup, before, owner, gone, &mut changes))
            }
            Decision::Session(unit) => {
                let owner = owner(Kind::Session, Some(unit), Facts::default());
                State::Owner(inner.place(cgroup, before, owner, gone, &mut changes))
            }
            Decision::Container { facts, unit } => {
                let mut facts = *facts;
                let waiting = inner.unplaced.get(&facts.id);
                if waiting.is_some_and(|more| may_be_same(&facts, path, more))
                    && let Some(more) = inner.unplaced.remove(&facts.id)
                {
                    facts.learn(more);
                }
                facts.bound();
                inner.learn_from_sandbox(&mut facts);
                let kind = if facts.sandbox {
                    Kind::Sandbox
                } else {
                    Kind::Container
                };
                let owner = owner(kind, unit, facts);
                State::Owner(inner.place(cgroup, before, owner, gone, &mut changes))
            }
        };
        if let Some(own) = own.filter(|own| state != State::Owner(*own)) {
            inner.end(own, &mut changes);
            inner.former.entry(cgroup).or_default().push(own);
        }
        inner.settle(cgroup, state, &mut changes);
        let found = inner.resolve(cgroup);
        inner.tell(&changes);
        self.decided(usize::from(before == State::Pending));
        found
    }

    /// What some source says of a container. Gives its handle, None when its cgroup was not seen yet: then it is kept
    /// for when it is.
    pub fn learn(&self, facts: Facts) -> Option<Handle> {
        let mut inner = self.lock();
        let Some(handle) = inner.named(&facts) else {
            if inner.unplaced.len() < MOST_UNPLACED || inner.unplaced.contains_key(&facts.id) {
                inner
                    .unplaced
                    .entry(facts.id.clone())
                    .or_default()
                    .learn(facts);
            }
            return None;
        };
        inner.learn(handle, facts);
        Some(handle)
    }

    /// What some source says of a container whose handle is known.
    pub fn learn_of(&self, handle: Handle, facts: Facts) {
        self.lock().learn(handle, facts);
    }

    /// A container's runtime has said all that it will: nothing of it is awaited any more.
    pub fn whole(&self, runtime: Runtime, id: &str) {
        let mut inner = self.lock();
        let facts = Facts {
            id: id.to_owned(),
            runtime: Some(runtime),
            ..Facts::default()
        };
        if let Some(handle) = inner.named(&facts) {
            inner.await_nothing(handle);
        }
    }

    /// A runtime does not answer: nothing is awaited of its containers any more.
    pub fn silent(&self, runtime: Runtime) {
        let mut inner = self.lock();
        let awaits =
            |facts: &Facts| facts.runtime == Some(runtime) && facts.awaited != Awaited::NONE;
        let all = inner.owners.iter();
        let awaited = all.filter(|(_, known)| awaits(&known.owner.facts));
        let awaited: Vec<Handle> = awaited.map(|(handle, _)| *handle).collect();
        for handle in awaited {
            inner.await_nothing(handle);
        }
    }

    /// A runtime says that it has this container no more: what was kept for it is thrown away. A cgroup that is still there
    /// keeps its owner.
    pub fn removed(&self, id: &str) {
        self.lock().unplaced.remove(id);
    }

    /// A runtime says that it has these containers alone: what was kept for others of it is thrown away.
    pub fn only(&self, runtime: Runtime, ids: &HashSet<String>) {
        let gone = |id: &String, facts: &Facts| facts.runtime == Some(runtime) && !ids.contains(id);
        self.lock().unplaced.retain(|id, facts| !gone(id, facts));
    }

    /// A cgroup was removed at `at`: its owner has ended, and stays known for a while.
    pub fn gone(&self, cgroup: u64, at: u64) {
        let mut inner = self.lock();
        let mut changes = Vec::new();
        let Some(entry) = inner.cgroups.get_mut(&cgroup).filter(|entry| !entry.gone) else {
            return;
        };
        entry.gone = true;
        changes.push(Change::CgroupGone(cgroup));
        for handle in inner.owners_of(cgroup) {
            inner.close_namespaces(handle, at, &mut changes);
            inner.end(handle, &mut changes);
        }
        inner.tombstones.push_back((at, cgroup));
        let mut decided = 0;
        while inner.tombstones.len() > self.limits.most {
            decided += inner.forget_oldest(&mut changes);
        }
        inner.tell(&changes);
        self.decided(decided);
    }

    /// Forgets what ended too long before `now`, some thousands at most: it is called again.
    pub fn sweep(&self, now: u64) {
        let mut inner = self.lock();
        let mut changes = Vec::new();
        let keep = self.limits.keep;
        let over = |(at, _): &(u64, u64)| at.saturating_add(keep) <= now;
        let mut decided = 0;
        for _ in 0..MOST_FORGOTTEN {
            if !inner.tombstones.front().is_some_and(over) {
                break;
            }
            decided += inner.forget_oldest(&mut changes);
        }
        inner.tell(&changes);
        self.decided(decided);
    }

    /// Whose a cgroup is; none if nobody knows. For those who find out: a run has its [`Reader`].
    #[must_use]
    pub fn owner_of(&self, cgroup: u64) -> Option<(Handle, Arc<Owner>)> {
        let inner = self.lock();
        let handle = inner.resolve(cgroup)?;
        Some((handle, Arc::clone(&inner.known(handle)?.owner)))
    }

    /// Whether it is still open whose a cgroup is that somebody told of.
    pub(crate) fn is_pending(&self, cgroup: u64) -> bool {
        let inner = self.lock();
        let entry = inner.cgroups.get(&cgroup);
        entry.is_some_and(|entry| matches!(entry.state, State::Pending))
    }

    /// The container that some source's facts are of, by id, runtime and cgroup; none if its cgroup was not seen.
    #[must_use]
    pub fn named(&self, facts: &Facts) -> Option<Handle> {
        self.lock().named(facts)
    }

    /// Whether an owner has not ended.
    #[must_use]
    pub fn is_live(&self, handle: Handle) -> bool {
        self.lock().known(handle).is_some_and(|known| !known.ended)
    }

    /// What is known of an owner; none if it is forgotten.
    #[must_use]
    pub fn owner(&self, handle: Handle) -> Option<Arc<Owner>> {
        Some(Arc::clone(&self.lock().known(handle)?.owner))
    }

    /// Every cgroup that is there, ended ones left out: to compare with what the machine has.
    #[must_use]
    pub fn cgroups(&self) -> Vec<u64> {
        let inner = self.lock();
        let live = inner.cgroups.iter().filter(|(_, entry)| !entry.gone);
        live.map(|(id, _)| *id).collect()
    }

    /// Every owner but the host that has not ended, by handle.
    #[must_use]
    pub fn owners(&self) -> Vec<(Handle, Arc<Owner>)> {
        let inner = self.lock();
        let all = inner.owners.iter();
        let live = all.filter(|(handle, known)| **handle != Handle::HOST && !known.ended);
        let mut owners: Vec<_> = live
            .map(|(handle, known)| (*handle, Arc::clone(&known.owner)))
            .collect();
        drop(inner);
        owners.sort_unstable_by_key(|(handle, _)| *handle);
        owners
    }

    /// The latest container of this id, or of the only one that begins so: 12 characters at least.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<Handle> {
        let inner = self.lock();
        let whole = inner.ids.get(id);
        whole.or_else(|| inner.ids.beginning(id).filter(|_| id.len() >= 12))
    }
}
