use super::*;
use crate::field::{Field, Value};

fn container(id: &str) -> Decision {
    let facts = Facts {
        id: id.to_owned(),
        name: Some(format!("name-{id}")),
        ..Facts::default()
    };
    Decision::Container {
        facts: Box::new(facts),
        unit: None,
    }
}

fn directory() -> (Arc<Directory>, Reader) {
    let directory = Arc::new(Directory::default());
    directory.made(1, None);
    directory.decide(1, "/", Decision::Host);
    let reader = directory.reader();
    (directory, reader)
}

fn name(reader: &Reader, found: Found) -> Option<String> {
    let Found::Owner(handle) = found else {
        return None;
    };
    let owner = reader.owner(handle)?;
    match Field::Container.of(owner) {
        Value::Text(name) => Some(name.to_owned()),
        _ => None,
    }
}

#[test]
fn a_new_cgroup_is_pending_until_it_is_decided() {
    let (directory, mut reader) = directory();
    assert_eq!(reader.by_cgroup(1), Found::Owner(Handle::HOST));
    assert!(!reader.refresh());
    directory.made(10, Some(1));
    assert_eq!(reader.by_cgroup(10), Found::Unknown, "not refreshed");
    assert!(reader.refresh());
    assert_eq!(reader.by_cgroup(10), Found::Pending);
    assert!(!reader.settled());
    let handle = directory.decide(10, "/docker/a", container("a"));
    assert!(reader.settled() && reader.refresh());
    assert_eq!(
        reader.by_cgroup(10),
        handle.map_or(Found::Unknown, Found::Owner)
    );
    assert_eq!(
        name(&reader, reader.by_cgroup(10)).as_deref(),
        Some("name-a")
    );
    // Again, and it is still the same.
    assert_eq!(directory.decide(10, "/docker/a", container("a")), handle);
    directory.made(10, Some(1));
    assert!(reader.settled());
}

#[test]
fn cgroups_below_are_their_parents_even_when_that_comes_later() {
    let (directory, mut reader) = directory();
    for (id, parent) in [(10, 1), (11, 10), (12, 11), (20, 1)] {
        directory.made(id, Some(parent));
    }
    assert_eq!(directory.decide(12, "/a/b/c", Decision::Parent), None);
    assert_eq!(directory.decide(11, "/a/b", Decision::Parent), None);
    reader.refresh();
    assert_eq!(reader.by_cgroup(12), Found::Pending);
    let handle = directory.decide(10, "/a", container("a"));
    assert_eq!(
        directory.decide(20, "/x", Decision::Parent),
        Some(Handle::HOST)
    );
    reader.refresh();
    for cgroup in [10, 11, 12] {
        assert_eq!(
            reader.by_cgroup(cgroup),
            handle.map_or(Found::Unknown, Found::Owner)
        );
    }
    assert_eq!(reader.by_cgroup(20), Found::Owner(Handle::HOST));
    assert_eq!(directory.pending(), 0);
    // The end of what is below is not the container's.
    directory.gone(12, 5);
    assert_eq!(directory.owners().len(), 1);
    directory.gone(10, 6);
    assert!(directory.owners().is_empty());
}

#[test]
fn what_has_ended_names_its_last_records_until_it_is_forgotten() {
    let directory = Arc::new(Directory::new(Tombstones { keep: 100, most: 3 }));
    let mut reader = directory.reader();
    directory.made(10, None);
    let handle = directory.decide(10, "/a", container("a")).unwrap();
    directory.mount_namespace(77, 10, 5);
    directory.gone(10, 50);
    directory.gone(10, 60);
    reader.refresh();
    assert_eq!(reader.by_cgroup(10), Found::Owner(handle));
    directory.sweep(149);
    reader.refresh();
    assert_eq!(reader.by_cgroup(10), Found::Owner(handle));
    assert_eq!(directory.by_id("a"), Some(handle));
    directory.sweep(150);
    reader.refresh();
    assert_eq!(reader.by_cgroup(10), Found::Unknown);
    assert_eq!(reader.by_mount_namespace(77, 6), Found::Unknown);
    assert!(reader.owner(handle).is_none() && directory.by_id("a").is_none());
    // Too many: the oldest go, and numbers are not used again.
    for id in 20..26 {
        directory.made(id, None);
        let new = directory.decide(id, "/b", container("b")).unwrap();
        assert!(new > handle);
        directory.gone(id, 200);
    }
    reader.refresh();
    let known = (20..26).filter(|id| reader.by_cgroup(*id) != Found::Unknown);
    assert_eq!(known.collect::<Vec<u64>>(), [23, 24, 25]);
}

#[test]
fn a_mount_namespace_is_one_only_with_its_time() {
    let (directory, mut reader) = directory();
    for (id, cgroup, from) in [("a", 10, 100), ("b", 11, 200), ("c", 12, 300)] {
        directory.made(cgroup, Some(1));
        directory.decide(cgroup, "/x", container(id));
        directory.mount_namespace(77, cgroup, from);
        if cgroup != 12 {
            directory.emptied(cgroup, from + 50);
            // The cgroup stays a while.
            directory.gone(cgroup, from + 120);
        }
    }
    reader.refresh();
    let at = |at| name(&reader, reader.by_mount_namespace(77, at));
    let named = [99, 100, 149, 150, 199, 200, 249, 250, 300, 10_000].map(at);
    let named = named.map(|name| name.map(|n| n.replace("name-", "")));
    let named: Vec<&str> = named.iter().map(|n| n.as_deref().unwrap_or("-")).collect();
    assert_eq!(named, ["-", "a", "a", "-", "-", "b", "b", "-", "c", "c"]);
    // Two that live have the same: it says nothing any more, until both have ended.
    for (id, cgroup, from) in [("d", 13, 400), ("e", 14, 500)] {
        directory.made(cgroup, Some(1));
        directory.decide(cgroup, "/y", container(id));
        directory.mount_namespace(77, cgroup, from);
    }
    reader.refresh();
    assert_eq!(reader.by_mount_namespace(77, 350), reader.by_cgroup(12));
    assert_eq!(reader.by_mount_namespace(77, 401), Found::Unknown);
    for cgroup in [13, 12] {
        directory.emptied(cgroup, 600);
    }
    directory.made(15, Some(1));
    directory.decide(15, "/z", container("f"));
    directory.mount_namespace(77, 15, 610);
    reader.refresh();
    assert_eq!(
        reader.by_mount_namespace(77, 620),
        Found::Unknown,
        "the third is there"
    );
    for cgroup in [14, 15] {
        directory.gone(cgroup, 650);
    }
    directory.made(16, Some(1));
    directory.decide(16, "/z", container("g"));
    directory.mount_namespace(77, 16, 640);
    reader.refresh();
    assert_eq!(reader.by_mount_namespace(77, 649), Found::Unknown);
    assert_eq!(reader.by_mount_namespace(77, 650), reader.by_cgroup(16));
}

/// The kernel gives the number to the next one as soon as the namespace is over, which can be before it tells that the last
/// process is.
#[test]
fn another_mount_namespace_of_the_same_number_ends_what_had_it() {
    let (directory, mut reader) = directory();
    let enter = |cgroup, unique, from, at| {
        directory.made(cgroup, Some(1));
        directory.decide(cgroup, "/x", container("a"));
        let entered = Entered {
            namespace: 77,
            unique,
            from,
            at,
        };
        directory.entered(cgroup, entered);
    };
    enter(10, Some(1000), 100, 110);
    enter(11, Some(1001), 200, 210);
    directory.emptied(10, 220);
    reader.refresh();
    assert_eq!(reader.by_mount_namespace(77, 199), reader.by_cgroup(10));
    // It may have been either's.
    assert_eq!(reader.by_mount_namespace(77, 205), Found::Unknown);
    for time in [210, 300] {
        assert_eq!(reader.by_mount_namespace(77, time), reader.by_cgroup(11));
    }
    // The same one is shared; so is one of which that is not known.
    enter(12, Some(1001), 400, 410);
    reader.refresh();
    assert_eq!(reader.by_mount_namespace(77, 420), Found::Unknown);
    enter(13, None, 500, 510);
    reader.refresh();
    assert_eq!(reader.by_mount_namespace(77, 520), Found::Unknown);
    // What is shared can be over as well.
    enter(14, Some(1002), 600, 610);
    reader.refresh();
    assert_eq!(reader.by_mount_namespace(77, 620), reader.by_cgroup(14));
    assert_eq!(
        directory.mount_namespace_now(77),
        directory.owner_of(14).map(|o| o.0)
    );
    for cgroup in 10..15 {
        directory.gone(cgroup, 700);
    }
    directory.sweep(u64::MAX);
    reader.refresh();
    assert_eq!(reader.by_mount_namespace(77, 620), Found::Unknown);
    assert!(directory.lock().namespaces.is_empty() && directory.lock().shared.is_empty());
}
