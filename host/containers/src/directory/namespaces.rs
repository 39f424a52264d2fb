//! Whose a mount namespace is, and when.

use super::inner::Inner;
use super::{Change, Directory, Handle};

/// Intervals of one mount namespace's number; the oldest are forgotten.
const MOST_INTERVALS: usize = 64;

/// When a mount namespace's number was whose, in nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) from: u64,
    /// None: it goes on.
    pub(super) until: Option<u64>,
    /// None: it can't be said, because two claim it.
    pub(super) owner: Option<Handle>,
    /// The number of this mount namespace that no other ever has; None: not known.
    pub(super) unique: Option<u64>,
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
    pub(super) fn is_over_and_nobodys(&self) -> bool {
        self.owner.is_none() && self.until.is_some()
    }
}

impl Directory {
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
        if let Some(known) = inner.owners.get_mut(&handle)
            && !known.namespaces.contains(&namespace)
        {
            known.namespaces.push(namespace);
        }
        inner.tell(&[Change::Namespace(namespace, all)]);
    }

    /// The last process left a cgroup at `at`: from then on the numbers of its mount namespaces may be another's.
    pub fn emptied(&self, cgroup: u64, at: u64) {
        let mut inner = self.lock();
        let mut changes = Vec::new();
        for handle in inner.owners_of(cgroup) {
            inner.close_namespaces(handle, at, &mut changes);
        }
        inner.tell(&changes);
    }

    /// Whose a mount namespace is now; none if nobody knows, or several have it.
    #[must_use]
    pub fn mount_namespace_now(&self, namespace: u64) -> Option<Handle> {
        let inner = self.lock();
        let last = inner.namespaces.get(&namespace)?.last()?;
        last.owner.filter(|_| last.until.is_none())
    }
}

impl Inner {
    pub(super) fn close_namespaces(&mut self, handle: Handle, at: u64, changes: &mut Vec<Change>) {
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
}
