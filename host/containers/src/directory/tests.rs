mod bounds;
mod choosing;

use super::*;
use crate::field::{Field, Value};
use crate::owner::Pod;

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
    assert!(!reader.settled(), "it is decided, and not in the copy yet");
    assert!(reader.refresh() && reader.settled());
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
    reader.refresh();
    assert!(reader.settled());
}

#[test]
fn a_cgroup_is_pending_until_every_reader_was_told() {
    let (directory, reader) = directory();
    let late = directory.reader();
    directory.made(10, Some(1));
    directory.made(11, Some(1));
    directory.gone(11, 5);
    let told = |reader: &Reader| reader.shared.generation.load(Ordering::Acquire);
    let each: [fn(&Directory); 2] = [
        |directory| {
            directory.decide(10, "/a", Decision::Host);
        },
        // What nobody decided is forgotten.
        |directory| directory.sweep(u64::MAX),
    ];
    for (left, change) in [1, 0].into_iter().zip(each) {
        let before = told(&reader);
        std::thread::scope(|scope| {
            let queue = late.shared.queue.lock().unwrap();
            let thread = scope.spawn(|| change(&directory));
            while told(&reader) == before {
                std::thread::yield_now();
            }
            // One was told, and the other one waits here.
            assert_eq!(directory.pending(), left + 1);
            drop(queue);
            thread.join().unwrap();
        });
        assert_eq!(directory.pending(), left);
    }
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

#[test]
fn where_cgroups_tell_nothing_the_host_is_known_by_its_mount_namespace() {
    let (directory, mut reader) = directory();
    assert_eq!(reader.by_mount_namespace(7, 1), Found::Unknown);
    directory.host_is_in(7);
    directory.made(10, Some(1));
    directory.decide(10, "/x", container("a"));
    directory.mount_namespace(77, 10, 100);
    reader.refresh();
    let of = |namespace| reader.by_mount_namespace(namespace, 200);
    assert_eq!(of(7), Found::Owner(Handle::HOST));
    assert_eq!([of(77), of(8)], [reader.by_cgroup(10), Found::Unknown]);
    let given = [(crate::selection::Selector::Scope, "host")];
    let selectors = Selectors::parse(given.iter().copied()).unwrap();
    let selecting = directory.reader_selecting(Arc::new(selectors));
    let selected = |namespace| selecting.selected_by_mount_namespace(namespace, 200);
    assert_eq!(selected(7), Selected::Yes(Handle::HOST));
    assert!(matches!(selected(77), Selected::No(_)));
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

#[test]
fn what_a_runtime_says_may_come_before_or_after_the_cgroup() {
    let (directory, mut reader) = directory();
    let facts = |id: &str, image: &str| Facts {
        id: id.to_owned(),
        image: Some(image.to_owned()),
        addresses: Some(vec![IpAddr::from([10, 0, 0, 1])]),
        ..Facts::default()
    };
    assert_eq!(directory.learn(facts("a", "first")), None);
    directory.made(10, Some(1));
    let handle = directory.decide(10, "/a", container("a")).unwrap();
    reader.refresh();
    let image = |reader: &Reader| reader.owner(handle).and_then(|o| o.facts.image.clone());
    assert_eq!(image(&reader).as_deref(), Some("first"));
    assert_eq!(reader.by_address(IpAddr::from([10, 0, 0, 1])), Some(handle));
    assert_eq!(directory.learn(facts("a", "second")), Some(handle));
    reader.refresh();
    assert_eq!(image(&reader).as_deref(), Some("second"));
    assert!(directory.learn(facts("a", "second")).is_some() && !reader.refresh());
    // It has left its network; somebody may say later that it is there again.
    let left = Facts {
        addresses: Some(Vec::new()),
        ..facts("a", "second")
    };
    directory.learn(left);
    reader.refresh();
    assert_eq!(reader.by_address(IpAddr::from([10, 0, 0, 1])), None);
    directory.learn(facts("a", "second"));
    reader.refresh();
    assert_eq!(reader.by_address(IpAddr::from([10, 0, 0, 1])), Some(handle));
    // Late, but still of use for late rows.
    directory.gone(10, 1);
    directory.learn(facts("a", "third"));
    reader.refresh();
    assert_eq!(image(&reader).as_deref(), Some("third"));
    assert_eq!(reader.by_address(IpAddr::from([10, 0, 0, 1])), None);
    directory.learn(facts("b", "never placed"));
    directory.removed("b");
    directory.made(11, Some(1));
    let other = directory.decide(11, "/b", container("b")).unwrap();
    reader.refresh();
    assert_eq!(
        reader.owner(other).and_then(|o| o.facts.image.clone()),
        None
    );
}

#[test]
fn ids_are_found_by_a_prefix_that_is_the_only_one() {
    let (directory, _) = directory();
    for (cgroup, id) in [
        (10, "0123456789abcdef"),
        (11, "0123456789abffff"),
        (12, "short"),
    ] {
        directory.made(cgroup, Some(1));
        directory.decide(cgroup, "/", container(id));
    }
    assert!(directory.by_id("0123456789abcdef").is_some());
    assert!(directory.by_id("0123456789abc").is_some());
    assert!(directory.by_id("0123456789ab").is_none(), "two");
    assert!(directory.by_id("0123456789a").is_none(), "too short");
    assert!(directory.by_id("short").is_some());
}

#[test]
fn who_watches_hears_of_containers_alone_and_of_each_once() {
    let (directory, mut reader) = directory();
    directory.made(10, Some(1));
    let first = directory.decide(10, "/a", container("a")).unwrap();
    reader.refresh();
    assert_eq!(reader.news(), (vec![], vec![]), "nobody watches");
    reader.watch();
    directory.made(11, Some(1));
    let unit = directory
        .decide(11, "/u", Decision::Unit("u.service".to_owned()))
        .unwrap();
    directory.made(12, Some(1));
    let second = directory.decide(12, "/b", container("b")).unwrap();
    directory.learn(Facts {
        id: "b".to_owned(),
        pid: Some(1),
        ..Facts::default()
    });
    directory.gone(10, 1);
    reader.refresh();
    assert_eq!(reader.news(), (vec![first, second], vec![first]));
    assert_eq!(reader.news(), (vec![], vec![]));
    // A unit that turns out to be a container.
    directory.decide(11, "/u", container("u"));
    reader.refresh();
    assert_eq!(reader.news(), (vec![unit], vec![]));
}

#[test]
fn a_reader_that_is_far_behind_takes_everything_anew() {
    let directory = Arc::new(Directory::new(Tombstones { keep: 0, most: 10 }));
    let mut reader = directory.reader();
    directory.made(5, None);
    let gone = directory.decide(5, "/old", container("old")).unwrap();
    reader.refresh();
    reader.watch();
    assert_eq!(reader.news().0, [gone]);
    directory.gone(5, 0);
    for i in 0..(MOST_WAITING as u64) {
        directory.made(100 + i, None);
        directory.decide(100 + i, "/n", container(&format!("{i}")));
        directory.gone(100 + i, i);
    }
    directory.made(6, None);
    let new = directory.decide(6, "/new", container("new")).unwrap();
    reader.refresh();
    assert_eq!(reader.by_cgroup(6), Found::Owner(new));
    assert_eq!(reader.by_cgroup(5), Found::Unknown);
    let (added, removed) = reader.news();
    assert!(added.contains(&new) && removed.contains(&gone));
    assert!(!reader.refresh() && reader.settled());
    directory.gone(6, 1);
    assert!(reader.refresh());
}

#[test]
fn containers_of_one_id_are_told_apart_by_runtime_and_cgroup() {
    let (directory, _) = directory();
    let of = |runtime: Runtime| {
        let facts = Facts {
            id: "c1".to_owned(),
            runtime: Some(runtime),
            ..Facts::default()
        };
        Decision::Container {
            facts: Box::new(facts),
            unit: None,
        }
    };
    for cgroup in 10..14 {
        directory.made(cgroup, Some(1));
    }
    let first = directory
        .decide(10, "/default/c1", of(Runtime::Containerd))
        .unwrap();
    let second = directory
        .decide(11, "/other/c1", of(Runtime::Containerd))
        .unwrap();
    // One that lives keeps its id against another runtime's.
    let third = directory.decide(12, "/c1", of(Runtime::Podman)).unwrap();
    assert_eq!(directory.by_id("c1"), Some(second));
    let learn = |runtime: Runtime, cgroup: Option<&str>| {
        directory.learn(Facts {
            id: "c1".to_owned(),
            runtime: Some(runtime),
            cgroup: cgroup.map(str::to_owned),
            ..Facts::default()
        })
    };
    assert_eq!(learn(Runtime::Containerd, Some("/default/c1")), Some(first));
    assert_eq!(learn(Runtime::Containerd, Some("/other/c1")), Some(second));
    assert_eq!(learn(Runtime::Containerd, None), Some(second));
    assert_eq!(learn(Runtime::Podman, None), Some(third));
    assert_eq!(learn(Runtime::Docker, None), None);
    // What waits for Docker's goes to nobody else.
    let crio = directory.decide(13, "/crio-c1", of(Runtime::Crio)).unwrap();
    let runtime = directory.owner(crio).and_then(|owner| owner.facts.runtime);
    assert_eq!(runtime, Some(Runtime::Crio));
    directory.gone(11, 5);
    directory.decide(12, "/c1", of(Runtime::Podman));
    assert_eq!(directory.by_id("c1"), Some(third));
    // Whoever is left keeps the id.
    directory.gone(12, 6);
    directory.sweep(u64::MAX);
    assert_eq!(directory.by_id("c1"), Some(crio));
    assert_eq!(learn(Runtime::Containerd, None), Some(first));
    for cgroup in [10, 13] {
        directory.gone(cgroup, 7);
    }
    directory.sweep(u64::MAX);
    assert_eq!(directory.by_id("c1"), None);
}
