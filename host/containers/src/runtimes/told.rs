//! What one source has told of its containers, and how a list and what came beside it become one.

use super::MOST_CONTAINERS;
use crate::owner::{Facts, Runtime};
use std::collections::BTreeMap;

/// What one source told.
#[derive(Debug, Default)]
pub(super) struct Told {
    containers: BTreeMap<String, Facts>,
    /// By id, what came since a list was asked for: it is newer than the list. None: no list is under way.
    since: Option<BTreeMap<String, Since>>,
}

/// What came of one container beside a list.
#[derive(Debug)]
enum Since {
    /// More is known of it.
    More {
        facts: Box<Facts>,
        /// Its process has ended.
        stopped: bool,
    },
    /// It was removed; what is known of one of this id came after.
    Removed,
}

impl Told {
    /// A list is about to be asked for.
    pub(super) fn begin(&mut self) {
        self.since = Some(BTreeMap::new());
    }

    /// All containers, as they were at some time since [`Self::begin`].
    pub(super) fn listed(&mut self, runtime: Runtime, all: impl IntoIterator<Item = Facts>) {
        let mut listed: BTreeMap<String, Facts> = BTreeMap::new();
        for mut facts in all.into_iter().take(MOST_CONTAINERS) {
            facts.bound();
            facts.runtime = Some(runtime);
            listed.insert(facts.id.clone(), facts);
        }
        let mut before = std::mem::take(&mut self.containers);
        let mut since = self.since.take().unwrap_or_default();
        for (id, mut facts) in listed {
            let newer = since.remove(&id);
            if matches!(newer, Some(Since::Removed)) {
                self.containers.extend(before.remove_entry(&id));
                continue;
            }
            // Details that a list does not have were asked for before; only the process may be another now.
            if let Some(mut known) = before.remove(&id) {
                known.pid = None;
                known.learn(facts);
                facts = known;
            }
            if let Some(Since::More {
                facts: more,
                stopped,
            }) = newer
            {
                if stopped {
                    facts.pid = None;
                }
                facts.learn(*more);
            }
            self.containers.insert(id, facts);
        }
        // They came when the list had been made.
        for id in since.into_keys() {
            if self.containers.len() < MOST_CONTAINERS {
                self.containers.extend(before.remove_entry(&id));
            }
        }
    }

    /// Something is known of a container; gives all that is known of it now, if that is more.
    pub(super) fn changed(&mut self, facts: Facts) -> Option<Facts> {
        if self.containers.len() >= MOST_CONTAINERS && !self.containers.contains_key(&facts.id) {
            return None;
        }
        if let Some(Since::More { facts: more, .. }) = self.newer(&facts.id) {
            more.learn(facts.clone());
        }
        let before = self.containers.entry(facts.id.clone()).or_default();
        let mut now = before.clone();
        now.learn(facts);
        if now == *before {
            return None;
        }
        before.clone_from(&now);
        Some(now)
    }

    /// A container's process has ended; the container may go on with another.
    pub(super) fn stopped(&mut self, id: &str) {
        let Some(known) = self.containers.get_mut(id) else {
            return;
        };
        known.pid = None;
        if let Some(Since::More { facts, stopped }) = self.newer(id) {
            facts.pid = None;
            *stopped = true;
        }
    }

    /// There is no container of this id any more; says whether there was one.
    pub(super) fn removed(&mut self, id: &str) -> bool {
        if let Some(newer) = self.newer(id) {
            *newer = Since::Removed;
        }
        self.containers.remove(id).is_some()
    }

    /// What is known of a container.
    pub(super) fn get(&self, id: &str) -> Option<&Facts> {
        self.containers.get(id)
    }

    /// All that are known.
    pub(super) fn all(&self) -> impl Iterator<Item = &Facts> {
        self.containers.values()
    }

    /// Where what is newer than the list is kept, if there is a list under way and room.
    fn newer(&mut self, id: &str) -> Option<&mut Since> {
        let since = self.since.as_mut()?;
        if since.len() >= MOST_CONTAINERS && !since.contains_key(id) {
            return None;
        }
        let more = || Since::More {
            facts: Box::default(),
            stopped: false,
        };
        Some(since.entry(id.to_owned()).or_insert_with(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str, pid: Option<u32>, image: Option<&str>) -> Facts {
        Facts {
            id: id.to_owned(),
            pid,
            image: image.map(str::to_owned),
            ..Facts::default()
        }
    }

    fn known(told: &Told) -> Vec<(&str, Option<u32>, Option<&str>)> {
        told.all()
            .map(|facts| (facts.id.as_str(), facts.pid, facts.image.as_deref()))
            .collect()
    }

    fn list(told: &mut Told, all: &[Facts]) {
        told.listed(Runtime::Containerd, all.iter().cloned());
    }

    #[test]
    fn what_came_while_a_list_was_under_way_is_newer_than_the_list() {
        let mut told = Told::default();
        for id in ["gone", "old", "stopped", "unlisted"] {
            told.changed(of(id, Some(1), Some("a")));
        }
        told.begin();
        // Made, changed, stopped and removed after the runtime had put its list together.
        told.changed(of("new", Some(7), None));
        told.changed(of("old", Some(2), Some("b")));
        told.stopped("stopped");
        assert!(told.removed("gone"));
        assert!(told.removed("unlisted"));
        let listed = ["gone", "old", "stopped"].map(|id| of(id, Some(1), Some("a")));
        list(&mut told, &listed);
        let expected = [
            ("new", Some(7), None),
            ("old", Some(2), Some("b")),
            ("stopped", None, Some("a")),
        ];
        assert_eq!(known(&told), expected);
        // What follows finds it.
        assert!(told.get("new").is_some());

        // The next list is newer than all of that.
        told.begin();
        list(&mut told, &[of("old", None, Some("c"))]);
        assert_eq!(known(&told), [("old", None, Some("c"))]);
    }

    #[test]
    fn one_of_an_id_that_was_removed_meanwhile_is_another() {
        let mut told = Told::default();
        told.changed(of("again", Some(1), Some("a")));
        told.begin();
        told.removed("again");
        told.changed(of("again", Some(2), None));
        list(&mut told, &[of("again", Some(1), Some("a"))]);
        assert_eq!(known(&told), [("again", Some(2), None)]);
    }

    #[test]
    fn a_list_keeps_what_only_details_say_but_not_the_process() {
        let mut told = Told::default();
        told.changed(of("c", Some(1), Some("a")));
        told.begin();
        told.changed(of("c", None, None));
        list(&mut told, &[of("c", None, None)]);
        assert_eq!(known(&told), [("c", None, Some("a"))]);
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut told = Told::default();
        let many = |from: usize| {
            (from..from + MOST_CONTAINERS).map(|i| of(&format!("{i:06}"), None, None))
        };
        told.begin();
        for facts in many(0) {
            assert!(told.changed(facts).is_some());
        }
        assert_eq!(told.changed(of("one more", None, None)), None);
        told.removed("one more");
        told.listed(Runtime::Containerd, many(MOST_CONTAINERS));
        assert_eq!(told.all().count(), MOST_CONTAINERS);
    }
}
