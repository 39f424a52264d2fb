//! The machine's containers, as the directory of `ig-containers` has them.

use super::{Owners, PENDING};
use ig_containers::{Field, Found, Handle, Owner, Reader, Value};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// A run's own copy of the directory.
pub(crate) struct LiveOwners {
    reader: Reader,
    /// Records' cgroup ids are those of the directory: there is a hierarchy of version 2.
    unified: bool,
    /// The last text that had to be made.
    text: String,
}

impl LiveOwners {
    /// Owners out of a directory. `unified`: see `ig_containers::Service::unified`. `watch`: somebody is told of containers
    /// that come and go, those that are there first.
    pub fn new(mut reader: Reader, unified: bool, watch: bool) -> Self {
        if watch {
            reader.watch();
        }
        Self {
            reader,
            unified,
            text: String::new(),
        }
    }
}

impl LiveOwners {
    /// All that is known of an owner.
    pub fn owner(&self, handle: Handle) -> Option<&Arc<Owner>> {
        self.reader.owner(handle)
    }
}

fn number(found: Found) -> u32 {
    match found {
        Found::Owner(handle) => handle.get(),
        Found::Pending => PENDING,
        Found::Unknown => 0,
    }
}

impl Owners for LiveOwners {
    fn by_cgroup(&mut self, cgroup: u64) -> u32 {
        if self.unified {
            number(self.reader.by_cgroup(cgroup))
        } else {
            0
        }
    }

    fn by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32 {
        number(self.reader.by_mount_namespace(namespace, at))
    }

    fn by_id(&mut self, id: &str) -> u32 {
        self.reader.by_id(id).map_or(0, Handle::get)
    }

    fn by_address(&mut self, address: IpAddr) -> u32 {
        self.reader.by_address(address).map_or(0, Handle::get)
    }

    fn field(&mut self, owner: u32, field: Field) -> Option<Cow<'_, str>> {
        let owner = self.reader.owner(Handle::new(owner)?)?;
        match field.of(owner) {
            Value::None => None,
            Value::Text(text) => Some(Cow::Borrowed(text)),
            other => {
                self.text.clear();
                other.write(&mut self.text);
                Some(Cow::Borrowed(&self.text))
            }
        }
    }

    fn changes(&mut self, added: &mut Vec<u32>, removed: &mut Vec<u32>) -> bool {
        let changed = self.reader.refresh();
        let (came, went) = self.reader.news();
        added.extend(came.into_iter().map(Handle::get));
        removed.extend(went.into_iter().map(Handle::get));
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ig_containers::{Decision, Directory, Facts, Tombstones};

    fn changes(owners: &mut LiveOwners) -> (Vec<u32>, Vec<u32>) {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        owners.changes(&mut added, &mut removed);
        (added, removed)
    }

    #[test]
    fn a_container_is_told_when_it_is_known_and_stands_still_in_between() {
        let directory = Arc::new(Directory::new(Tombstones::default()));
        let id = "0123456789abcdef".repeat(4);
        let facts = Facts {
            id: id.clone(),
            name: Some("web".to_owned()),
            pid: Some(42),
            ..Facts::default()
        };
        let mut owners = LiveOwners::new(directory.reader(), true, true);
        directory.made(100, None);
        assert_eq!(changes(&mut owners), (vec![], vec![]));
        assert_eq!(owners.by_cgroup(100), PENDING);
        let container = Decision::Container {
            facts: Box::new(facts),
            unit: None,
        };
        let handle = directory.decide(100, "/docker/x", container).unwrap().get();
        directory.mount_namespace(7, 100, 1000);
        assert_eq!(owners.by_cgroup(100), PENDING, "until the next call");
        assert_eq!(changes(&mut owners), (vec![handle], vec![]));
        assert_eq!(changes(&mut owners), (vec![], vec![]));
        assert_eq!(owners.by_cgroup(100), handle);
        assert_eq!(owners.by_mount_namespace(7, 1000), handle);
        assert_eq!(owners.by_mount_namespace(7, 999), 0);
        assert_eq!(owners.by_id(&id[..12]), handle);
        assert_eq!(
            owners.field(handle, Field::Container).as_deref(),
            Some("web")
        );
        assert_eq!(
            owners.field(handle, Field::ContainerPid).as_deref(),
            Some("42")
        );
        assert_eq!(owners.field(handle, Field::Image), None);
        for wild in [0, handle + 1, u32::MAX] {
            assert_eq!(owners.field(wild, Field::Scope), None, "{wild}");
        }
        directory.gone(100, 2000);
        assert_eq!(changes(&mut owners), (vec![], vec![handle]));
        assert_eq!(
            owners.field(handle, Field::Container).as_deref(),
            Some("web"),
            "a late row can name it"
        );

        // Without a hierarchy of version 2, a record's cgroup id is of none that the directory has.
        let mut other = LiveOwners::new(directory.reader(), false, false);
        assert_eq!(changes(&mut other), (vec![], vec![]));
        assert_eq!(other.by_cgroup(100), 0);
        assert_eq!(other.by_mount_namespace(7, 1500), handle);
    }
}
