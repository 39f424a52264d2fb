//! Which cgroup, mount namespace and address is whose, at which time.
//!
//! The [`Directory`] has one lock, taken by the threads that find out, never per record. A run has a [`Reader`], its own
//! copy: whether there is something new is one atomic load, and a look-up touches nothing that others write.

mod chooser;
mod reader;
#[cfg(test)]
mod tests;

pub use chooser::{Chooser, Ender};
pub use reader::{Reader, Selected};

use crate::cgroup_path;
use crate::owner::{Awaited, Facts, Kind, Owner, Runtime};
use crate::selection::Selectors;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// An owner's number. Never reused.
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

    fn index(self) -> usize {
        self.0.get() as usize
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

/// When a mount namespace's number was whose, in nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    from: u64,
    /// None: it goes on.
    until: Option<u64>,
    /// None: it can't be said, because two claim it.
    owner: Option<Handle>,
    /// The number of this mount namespace that no other ever has; None: not known.
    unique: Option<u64>,
}

/// A mount namespace in which an owner's program was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// Its number, which goes to another one soon after its end.
    pub namespace: u64,
    /// Its number that no other ever has; None: not known.
    pub unique: Option<u64>,
    /// The owner may have been in it since then, in nanoseconds of CLOCK_BOOTTIME.
    pub from: u64,
    /// It was then, in the same clock.
    pub at: u64,
}

impl Entered {
    fn is_another_than(&self, open: &Interval) -> bool {
        matches!((self.unique, open.unique), (Some(this), Some(other)) if this != other)
    }

    fn interval(&self, from: u64, ended: bool, owner: Handle) -> Interval {
        Interval {
            from,
            until: ended.then_some(from),
            owner: Some(owner),
            unique: self.unique,
        }
    }
}

impl Interval {
    fn is_over_and_nobodys(&self) -> bool {
        self.owner.is_none() && self.until.is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    /// Whoever's the parent is.
    Inherits,
    Owner(Handle),
}

#[derive(Debug)]
struct Cgroup {
    parent: Option<u64>,
    state: State,
    gone: bool,
    /// From the root of the hierarchy, where it is known.
    path: Option<Arc<str>>,
}

#[derive(Debug)]
struct Known {
    owner: Arc<Owner>,
    /// The cgroup that was decided to be its; those below inherit.
    cgroup: u64,
    ended: bool,
    namespaces: Vec<u64>,
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
/// Containers that an API told of and whose cgroup was not seen.
const MOST_UNPLACED: usize = 1 << 16;
/// Intervals of one mount namespace's number; the oldest are forgotten.
const MOST_INTERVALS: usize = 64;

#[derive(Debug, Default)]
struct Inner {
    cgroups: HashMap<u64, Cgroup, IdHash>,
    /// Cgroups that wait for their parent's decision.
    waiting: HashMap<u64, Vec<u64>>,
    /// By handle; the first two are nobody and the host.
    owners: Vec<Option<Known>>,
    /// By id: the handle of the latest of it. Ordered, to find by prefix.
    ids: BTreeMap<String, Handle>,
    /// Facts that came before the cgroup.
    unplaced: HashMap<String, Facts>,
    namespaces: HashMap<u64, Vec<Interval>, IdHash>,
    /// Who has a mount namespace of which it can't be said whose it is.
    shared: HashMap<u64, Vec<Handle>, IdHash>,
    addresses: HashMap<IpAddr, Handle>,
    /// Ended cgroups, oldest first, with the time of their end.
    tombstones: VecDeque<(u64, u64)>,
    readers: Vec<std::sync::Weak<Shared>>,
}

/// Everything that is known of whose a record is.
#[derive(Debug)]
pub struct Directory {
    inner: Mutex<Inner>,
    /// Cgroups that are pending, and looks at the machine that are due.
    pending: AtomicUsize,
    looks: AtomicUsize,
    limits: Tombstones,
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
            owners: vec![None, Some(host)],
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            pending: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
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

    /// Cgroups of which nobody knows yet whose they are, and looks at the machine that are due because there may be others.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// There may be cgroups that nobody told of: until [`Directory::looked`] something is pending.
    pub(crate) fn look_due(&self) {
        self.looks.fetch_add(1, Ordering::Release);
        self.pending.fetch_add(1, Ordering::Release);
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
        self.settle(&mut inner, cgroup, state, &mut changes);
        let found = inner.resolve(cgroup);
        inner.tell(&changes);
        found
    }

    /// Sets the state of a cgroup, and tells whose it and those below it are.
    fn settle(&self, inner: &mut Inner, cgroup: u64, state: State, changes: &mut Vec<Change>) {
        let was_pending = |state| state == State::Pending;
        let Some(entry) = inner.cgroups.get_mut(&cgroup) else {
            return;
        };
        if was_pending(entry.state) && !was_pending(state) {
            self.pending.fetch_sub(1, Ordering::Release);
        }
        entry.state = state;
        let parent = entry.parent;
        if state == State::Inherits
            && let Some(parent) = parent
        {
            let waiting = inner.waiting.entry(parent).or_default();
            if !waiting.contains(&cgroup) {
                waiting.push(cgroup);
            }
        }
        let path = entry.path.clone();
        let owner = inner.resolve(cgroup);
        changes.push(Change::Cgroup(cgroup, owner, path));
        inner.tell_below(cgroup, changes);
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
        let all = inner.owners.iter().enumerate();
        let awaited: Vec<Handle> = all
            .filter_map(|(i, known)| {
                let facts = &known.as_ref()?.owner.facts;
                let awaits = facts.runtime == Some(runtime) && facts.awaited != Awaited::NONE;
                u32::try_from(i)
                    .ok()
                    .and_then(Handle::new)
                    .filter(|_| awaits)
            })
            .collect();
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

    /// From `from` on (nanoseconds of CLOCK_BOOTTIME) this mount namespace is that of the owner of this cgroup; if it was
    /// another's until later than that, from then on. The host's own namespaces are not told.
    pub fn mount_namespace(&self, namespace: u64, cgroup: u64, from: u64) {
        let entered = Entered {
            namespace,
            unique: None,
            from,
            at: from,
        };
        self.entered(cgroup, entered);
    }

    /// A program of this cgroup's owner was seen in a mount namespace, which is the owner's from then on, or from earlier on if
    /// nobody had its number. The host's own namespaces are not told.
    pub fn entered(&self, cgroup: u64, entered: Entered) {
        let mut inner = self.lock();
        let Some(handle) = inner.resolve(cgroup) else {
            return;
        };
        let ended = inner.known(handle).is_none_or(|known| known.ended);
        let inner = &mut *inner;
        let namespace = entered.namespace;
        let intervals = inner.namespaces.entry(namespace).or_default();
        let open = intervals.last_mut().filter(|last| last.until.is_none());
        match open {
            Some(last) if last.owner == Some(handle) => return,
            // The other one is over, and was not noticed to end. Until when it had the number is not known.
            Some(last) if entered.is_another_than(last) => {
                let from = last.from.max(entered.from);
                last.until = Some(from);
                let nobodys = Interval {
                    from,
                    until: Some(entered.at),
                    owner: None,
                    unique: None,
                };
                if from < entered.at {
                    intervals.push(nobodys);
                }
                intervals.push(entered.interval(entered.at.max(from), ended, handle));
                inner.shared.remove(&namespace);
            }
            _ if ended && open.is_some() => return,
            // Both live: it is shared, and no one's.
            Some(last) => {
                let sharers = inner.shared.entry(namespace).or_default();
                sharers.extend(last.owner);
                if !sharers.contains(&handle) {
                    sharers.push(handle);
                }
                if last.owner.is_some() {
                    let unique = last.unique.or(entered.unique);
                    last.until = Some(entered.from);
                    intervals.push(Interval {
                        from: entered.from,
                        until: None,
                        owner: None,
                        unique,
                    });
                }
            }
            None => {
                let before = intervals.last().and_then(|last| last.until);
                let from = entered.from.max(before.unwrap_or(0));
                intervals.push(entered.interval(from, ended, handle));
            }
        }
        if intervals.len() > MOST_INTERVALS {
            intervals.remove(0);
        }
        let all = intervals.clone();
        if let Some(Some(known)) = inner.owners.get_mut(handle.index())
            && !known.namespaces.contains(&namespace)
        {
            known.namespaces.push(namespace);
        }
        inner.tell(&[Change::Namespace(namespace, all)]);
    }

    /// The last process left a cgroup at `at`: from then on the numbers of its mount namespaces may be another's.
    pub fn emptied(&self, cgroup: u64, at: u64) {
        let mut inner = self.lock();
        if let Some(handle) = inner.own(cgroup) {
            let mut changes = Vec::new();
            inner.close_namespaces(handle, at, &mut changes);
            inner.tell(&changes);
        }
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
        if let Some(handle) = inner.own(cgroup) {
            inner.close_namespaces(handle, at, &mut changes);
            inner.end(handle, &mut changes);
        }
        inner.tombstones.push_back((at, cgroup));
        while inner.tombstones.len() > self.limits.most {
            self.forget_oldest(&mut inner, &mut changes);
        }
        inner.tell(&changes);
    }

    /// Forgets what ended too long before `now`.
    pub fn sweep(&self, now: u64) {
        let mut inner = self.lock();
        let mut changes = Vec::new();
        while inner
            .tombstones
            .front()
            .is_some_and(|(at, _)| at.saturating_add(self.limits.keep) <= now)
        {
            self.forget_oldest(&mut inner, &mut changes);
        }
        inner.tell(&changes);
    }

    fn forget_oldest(&self, inner: &mut Inner, changes: &mut Vec<Change>) {
        let Some((_, cgroup)) = inner.tombstones.pop_front() else {
            return;
        };
        let own = inner.own(cgroup);
        inner.waiting.remove(&cgroup);
        if let Some(entry) = inner.cgroups.remove(&cgroup) {
            if entry.state == State::Pending {
                self.pending.fetch_sub(1, Ordering::Release);
            }
            if let Some(siblings) = entry.parent.and_then(|p| inner.waiting.get_mut(&p)) {
                siblings.retain(|other| *other != cgroup);
            }
        }
        changes.push(Change::CgroupForgotten(cgroup));
        if let Some(handle) = own {
            inner.forget(handle, changes);
        }
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

    /// Whose a mount namespace is now; none if nobody knows, or several have it.
    #[must_use]
    pub fn mount_namespace_now(&self, namespace: u64) -> Option<Handle> {
        let inner = self.lock();
        let last = inner.namespaces.get(&namespace)?.last()?;
        last.owner.filter(|_| last.until.is_none())
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
        let all = inner
            .owners
            .iter()
            .enumerate()
            .skip(Handle::HOST.index() + 1);
        all.filter_map(|(i, known)| {
            let known = known.as_ref().filter(|known| !known.ended)?;
            let handle = Handle::new(u32::try_from(i).ok()?)?;
            Some((handle, Arc::clone(&known.owner)))
        })
        .collect()
    }

    /// The latest container of this id, or of the only one that begins so: 12 characters at least.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<Handle> {
        let inner = self.lock();
        if let Some(handle) = inner.ids.get(id) {
            return Some(*handle);
        }
        if id.len() < 12 {
            return None;
        }
        let from = (Bound::Included(id), Bound::Unbounded);
        let mut found = inner
            .ids
            .range::<str, _>(from)
            .take_while(|(known, _)| known.starts_with(id));
        match (found.next(), found.next()) {
            (Some((_, handle)), None) => Some(*handle),
            _ => None,
        }
    }
}

impl Inner {
    /// Whose a cgroup is.
    fn resolve(&self, cgroup: u64) -> Option<Handle> {
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
    fn own(&self, cgroup: u64) -> Option<Handle> {
        match self.cgroups.get(&cgroup)?.state {
            State::Owner(handle) if self.known(handle)?.cgroup == cgroup => Some(handle),
            _ => None,
        }
    }

    fn known(&self, handle: Handle) -> Option<&Known> {
        self.owners.get(handle.index())?.as_ref()
    }

    /// Makes an owner of a cgroup, or makes another of the one that it has.
    fn place(
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
        let number = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        let handle = Handle::new(number).unwrap_or(Handle::HOST);
        self.owners.push(Some(Known {
            owner: Arc::new(Owner::default()),
            cgroup,
            ended: gone,
            namespaces: Vec::new(),
        }));
        self.replace(handle, owner, changes);
        if gone {
            changes.push(Change::Ended(handle));
        }
        handle
    }

    fn replace(&mut self, handle: Handle, owner: Owner, changes: &mut Vec<Change>) {
        let owner = Arc::new(owner);
        let Some(Some(known)) = self.owners.get_mut(handle.index()) else {
            return;
        };
        let before = std::mem::replace(&mut known.owner, Arc::clone(&owner));
        let (ended, cgroup) = (known.ended, known.cgroup);
        if before.facts.id != owner.facts.id && self.ids.get(&before.facts.id) == Some(&handle) {
            self.ids.remove(&before.facts.id);
        }
        let taken = self.ids.get(&owner.facts.id).and_then(|h| self.known(*h));
        let anothers = taken
            .is_some_and(|other| !other.ended && !same_runtime(&other.owner.facts, &owner.facts));
        if !owner.facts.id.is_empty() && !anothers {
            self.ids.insert(owner.facts.id.clone(), handle);
        }
        for address in &before.facts.addresses {
            if !owner.facts.addresses.contains(address) {
                self.release(*address, handle, changes);
            }
        }
        if !ended {
            for address in &owner.facts.addresses {
                self.addresses.insert(*address, handle);
                changes.push(Change::Address(*address, Some(handle)));
            }
        }
        changes.push(Change::Owner(handle, owner, cgroup));
    }

    fn learn(&mut self, handle: Handle, facts: Facts) {
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

    /// Whose all are that inherit from a cgroup, at any depth. A cycle can't be: a parent is older than its child.
    fn tell_below(&self, cgroup: u64, changes: &mut Vec<Change>) {
        let mut open: Vec<u64> = self.waiting.get(&cgroup).cloned().unwrap_or_default();
        while let Some(cgroup) = open.pop() {
            let Some(entry) = self.cgroups.get(&cgroup) else {
                continue;
            };
            let path = entry.path.clone();
            changes.push(Change::Cgroup(cgroup, self.resolve(cgroup), path));
            if let Some(below) = self.waiting.get(&cgroup) {
                open.extend(below);
            }
        }
    }

    fn replace_if_other(&mut self, handle: Handle, owner: Owner) {
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
    fn learn_from_sandbox(&self, facts: &mut Facts) {
        let Some(pod) = facts.pod.as_mut().filter(|_| !facts.sandbox) else {
            return;
        };
        if !facts.awaited.has(Awaited::POD_LABELS) || !pod.labels.is_empty() {
            return;
        }
        let sandbox = self.ids.get(&pod.sandbox).and_then(|h| self.known(*h));
        let Some(known) = sandbox.map(|known| &known.owner.facts) else {
            return;
        };
        if !known.sandbox || known.runtime != facts.runtime {
            return;
        }
        if let Some(theirs) = &known.pod
            && (!theirs.labels.is_empty() || !known.awaited.has(Awaited::POD_LABELS))
        {
            pod.labels.clone_from(&theirs.labels);
            if pod.owner.is_none() {
                pod.owner.clone_from(&theirs.owner);
            }
            facts.awaited = facts.awaited.without(Awaited::POD_LABELS);
        }
    }

    fn await_nothing(&mut self, handle: Handle) {
        let Some(known) = self.known(handle) else {
            return;
        };
        let mut owner = Owner::clone(&known.owner);
        owner.facts.awaited = Awaited::NONE;
        self.replace_if_other(handle, owner);
    }

    /// The container that some source means: the latest of its id, if its runtime and cgroup can be the same, else another one
    /// of this id. Ids that users choose are used twice: by namespaces of containerd, by folders of runc.
    fn named(&self, facts: &Facts) -> Option<Handle> {
        let same = |handle: &Handle| {
            self.known(*handle)
                .is_some_and(|known| may_be_same(&known.owner.facts, &known.owner.cgroup, facts))
        };
        let latest = *self.ids.get(&facts.id)?;
        if same(&latest) {
            return Some(latest);
        }
        let others = (0..self.owners.len()).rev().filter_map(|i| {
            let handle = u32::try_from(i).ok().and_then(Handle::new)?;
            (self.known(handle)?.owner.facts.id == facts.id).then_some(handle)
        });
        others.into_iter().find(same)
    }

    fn release(&mut self, address: IpAddr, handle: Handle, changes: &mut Vec<Change>) {
        if self.addresses.get(&address) == Some(&handle) {
            self.addresses.remove(&address);
            changes.push(Change::Address(address, None));
        }
    }

    fn close_namespaces(&mut self, handle: Handle, at: u64, changes: &mut Vec<Change>) {
        let Some(known) = self.known(handle) else {
            return;
        };
        for namespace in known.namespaces.clone() {
            let Some(intervals) = self.namespaces.get_mut(&namespace) else {
                continue;
            };
            let open = intervals
                .iter_mut()
                .filter(|interval| interval.owner == Some(handle) && interval.until.is_none());
            let mut closed = 0;
            for interval in open {
                interval.until = Some(at);
                closed += 1;
            }
            // One that is shared ends with the last of those who have it.
            if let Some(sharers) = self.shared.get_mut(&namespace) {
                sharers.retain(|other| *other != handle);
                if sharers.is_empty() {
                    self.shared.remove(&namespace);
                    let last = intervals.last_mut().filter(|last| last.until.is_none());
                    if let Some(last) = last {
                        last.until = Some(at);
                        closed += 1;
                    }
                }
            }
            if closed > 0 {
                changes.push(Change::Namespace(namespace, intervals.clone()));
            }
        }
    }

    fn end(&mut self, handle: Handle, changes: &mut Vec<Change>) {
        let Some(Some(known)) = self.owners.get_mut(handle.index()) else {
            return;
        };
        known.ended = true;
        let owner = Arc::clone(&known.owner);
        for address in &owner.facts.addresses {
            self.release(*address, handle, changes);
        }
        changes.push(Change::Ended(handle));
    }

    fn forget(&mut self, handle: Handle, changes: &mut Vec<Change>) {
        let Some(known) = self.owners.get_mut(handle.index()).and_then(Option::take) else {
            return;
        };
        let id = &known.owner.facts.id;
        if self.ids.get(id) == Some(&handle) {
            self.ids.remove(id);
        }
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

    fn tell(&mut self, changes: &[Change]) {
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
    fn everything(&self) -> Vec<Change> {
        let mut all = Vec::with_capacity(self.cgroups.len() + self.owners.len());
        for (i, known) in self.owners.iter().enumerate() {
            let handle = u32::try_from(i).ok().and_then(Handle::new);
            let (Some(handle), Some(known)) = (handle, known) else {
                continue;
            };
            all.push(Change::Owner(
                handle,
                Arc::clone(&known.owner),
                known.cgroup,
            ));
            if known.ended {
                all.push(Change::Ended(handle));
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
fn may_be_same(known: &Facts, path: &str, more: &Facts) -> bool {
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

fn same_runtime(known: &Facts, more: &Facts) -> bool {
    match (known.runtime, more.runtime) {
        (None | Some(Runtime::Runc | Runtime::Crun), _) | (_, None) => true,
        (Some(known), Some(more)) => known == more,
    }
}

/// Ids of cgroups and namespaces are numbers that the kernel counts up: one multiplication spreads them.
#[derive(Clone, Copy, Debug, Default)]
struct Spread(u64);

type IdHash = BuildHasherDefault<Spread>;

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // 2^64 / golden ratio; the table takes its tag from the top bits and the place from the low ones.
        self.0 = (self.0 ^ id)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
}
