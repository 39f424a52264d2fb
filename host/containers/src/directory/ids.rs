//! Who has which id.

use super::Handle;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Handles by id. Nearly always one has it; ids that users choose are used twice.
#[derive(Debug, Default)]
pub(super) struct Ids(BTreeMap<String, Named>);

#[derive(Debug)]
struct Named {
    /// Who is meant where nothing but the id is said.
    latest: Handle,
    others: BTreeSet<Handle>,
}

impl Ids {
    /// The latest of this id.
    pub(super) fn get(&self, id: &str) -> Option<Handle> {
        Some(self.0.get(id)?.latest)
    }

    /// The latest of the only id that begins so.
    pub(super) fn beginning(&self, id: &str) -> Option<Handle> {
        let from = (Bound::Included(id), Bound::Unbounded);
        let mut found = self
            .0
            .range::<str, _>(from)
            .take_while(|(known, _)| known.starts_with(id));
        match (found.next(), found.next()) {
            (Some((_, named)), None) => Some(named.latest),
            _ => None,
        }
    }

    /// All of this id, the latest first, then those with the largest number.
    pub(super) fn all(&self, id: &str) -> impl Iterator<Item = Handle> {
        self.0.get(id).into_iter().flat_map(|named| {
            let others = named.others.iter().rev();
            std::iter::once(named.latest).chain(others.copied())
        })
    }

    /// One has this id, and is the latest, unless it is not to be and there is another.
    pub(super) fn add(&mut self, id: &str, handle: Handle, latest: bool) {
        match self.0.get_mut(id) {
            None => {
                let others = BTreeSet::new();
                let named = Named {
                    latest: handle,
                    others,
                };
                self.0.insert(id.to_owned(), named);
            }
            Some(named) if named.latest == handle => {}
            Some(named) if latest => {
                named.others.remove(&handle);
                named.others.insert(named.latest);
                named.latest = handle;
            }
            Some(named) => {
                named.others.insert(handle);
            }
        }
    }

    pub(super) fn remove(&mut self, id: &str, handle: Handle) {
        let Some(named) = self.0.get_mut(id) else {
            return;
        };
        if named.latest != handle {
            named.others.remove(&handle);
        } else if let Some(other) = named.others.pop_last() {
            named.latest = other;
        } else {
            self.0.remove(id);
        }
    }
}
