//! Containers that come and go, for a guest that watches them.

use super::{Now, Pipeline, TooManyTraps};
use crate::guest::GuestHost;
use ig_records::recording::Call;
use ig_sandbox::{Guest, Trap};
use std::collections::BTreeSet;

/// Owners that the guest is told of in one call.
const MOST_TOLD: usize = 1024;

/// What the guest was told, and what it will be.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Containers that are there: a new instance is told of all of them.
    present: BTreeSet<u32>,
    /// Empty but while the guest is told of them.
    added: Vec<u32>,
    removed: Vec<u32>,
}

impl Pipeline {
    /// Whether the guest wants to be told of containers.
    pub fn watches(&self) -> bool {
        let instance = self.instance.as_ref().filter(|i| !i.over);
        instance.is_some_and(|i| i.guest.has_watcher())
    }

    /// Takes up what has become known about owners, and tells the guest of containers that came and went if it watches them.
    /// Between calls of the guest alone, and before each span, so that a container is told before its first record.
    pub fn tell_of_containers(&mut self, now: Now) -> Result<(), TooManyTraps> {
        let mut added = std::mem::take(&mut self.watched.added);
        let mut removed = std::mem::take(&mut self.watched.removed);
        let mut result = Ok(());
        if let Some(guest) = self.guest() {
            let owners = &mut guest.host_mut().owners.owners;
            owners.changes(&mut added, &mut removed);
            if guest.has_watcher() {
                let mut added = added.chunks(MOST_TOLD);
                let mut removed = removed.chunks(MOST_TOLD);
                result = added
                    .try_for_each(|owners| self.added(owners, now))
                    .and_then(|()| removed.try_for_each(|owners| self.removed(owners, now)));
            }
        }
        // The lists go back with their memory.
        added.clear();
        removed.clear();
        self.watched.added = added;
        self.watched.removed = removed;
        result
    }

    /// Tells the guest of containers that are there now, if it watches them.
    pub fn added(&mut self, owners: &[u32], now: Now) -> Result<(), TooManyTraps> {
        self.watched.present.extend(owners);
        let call = Call::Added(owners);
        self.told("added", call, now, |guest| guest.added(owners))
    }

    /// Tells the guest of containers that are gone, if it watches them.
    pub fn removed(&mut self, owners: &[u32], now: Now) -> Result<(), TooManyTraps> {
        for owner in owners {
            self.watched.present.remove(owner);
        }
        let call = Call::Removed(owners);
        self.told("removed", call, now, |guest| guest.removed(owners))
    }

    fn told(
        &mut self,
        during: &str,
        call: Call<'_>,
        now: Now,
        tell: impl FnOnce(&mut Guest<GuestHost>) -> Result<(), Trap>,
    ) -> Result<(), TooManyTraps> {
        self.note_overdue(now);
        let Some(guest) = self.guest().filter(|guest| guest.has_watcher()) else {
            return Ok(());
        };
        guest.host_mut().begin(now.clocks(), None);
        let result = tell(guest);
        let result = self.ended(during, result, now);
        self.record(now, call);
        result
    }

    /// Tells a new instance of all containers that are there. What it emits is committed.
    pub(super) fn tell_all(&mut self, now: Now) -> Result<(), Trap> {
        if !self.guest().is_some_and(|guest| guest.has_watcher()) {
            return Ok(());
        }
        let present: Vec<u32> = self.watched.present.iter().copied().collect();
        for owners in present.chunks(MOST_TOLD) {
            let Some(guest) = self.guest() else {
                break;
            };
            guest.host_mut().begin(now.clocks(), None);
            guest.added(owners)?;
            self.commit(None, now)
                .map_err(|what| Trap::broken("added", &what))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
