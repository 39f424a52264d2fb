//! One who answers for a run, for its rows and for its guest.

use super::{Field, Owners};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The one who answers for a run: asked for rows and by the guest, on the same thread.
#[derive(Clone)]
pub(crate) struct SharedOwners(Arc<Mutex<Asked>>);

pub(crate) struct Asked {
    pub owners: Box<dyn Owners>,
    /// How often answers have changed.
    generation: u64,
    /// What nobody was told yet.
    added: Vec<u32>,
    removed: Vec<u32>,
}

impl SharedOwners {
    pub fn new(owners: Box<dyn Owners>) -> Self {
        Self(Arc::new(Mutex::new(Asked {
            owners,
            generation: 0,
            added: Vec::new(),
            removed: Vec::new(),
        })))
    }

    pub fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// Takes over what is new. True: something is.
    pub fn refresh(&mut self) -> bool {
        let changed = self.owners.changes(&mut self.added, &mut self.removed);
        if changed {
            self.generation += 1;
        }
        changed
    }

    /// What was answered at another generation may be answered otherwise now.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Owners for SharedOwners {
    fn by_cgroup(&mut self, cgroup: u64) -> u32 {
        self.lock().owners.by_cgroup(cgroup)
    }

    fn by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32 {
        self.lock().owners.by_mount_namespace(namespace, at)
    }

    fn by_id(&mut self, id: &str) -> u32 {
        self.lock().owners.by_id(id)
    }

    fn by_address(&mut self, address: IpAddr) -> u32 {
        self.lock().owners.by_address(address)
    }

    fn field(&mut self, owner: u32, field: Field) -> Option<Cow<'_, str>> {
        let mut asked = self.lock();
        let text = asked.owners.field(owner, field);
        text.map(|text| Cow::Owned(text.into_owned()))
    }

    fn changes(&mut self, added: &mut Vec<u32>, removed: &mut Vec<u32>) -> bool {
        let mut asked = self.lock();
        let changed = asked.refresh();
        added.append(&mut asked.added);
        removed.append(&mut asked.removed);
        changed
    }
}
