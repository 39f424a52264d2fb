//! What is known stays as much as there is, whatever came and went.

use super::*;

/// Makes a unit in a cgroup of its own.
fn unit(directory: &Directory, cgroup: u64) -> Handle {
    directory.made(cgroup, Some(1));
    let decision = Decision::Unit(String::new());
    directory.decide(cgroup, "/u", decision).unwrap()
}

/// Forgets what has ended; how many sweeps it took.
fn forget_all(directory: &Directory) -> usize {
    let mut sweeps = 0;
    while !directory.lock().tombstones.is_empty() {
        directory.sweep(u64::MAX);
        sweeps += 1;
    }
    sweeps
}

#[test]
fn owners_that_came_and_went_take_no_memory() {
    let (keep, most) = (0, 100);
    let directory = Arc::new(Directory::new(Tombstones { keep, most }));
    directory.made(1, None);
    directory.decide(1, "/", Decision::Host);
    // One that stays for as long as the machine runs.
    let old = unit(&directory, 2);
    let mut reader = directory.reader();
    let mut last = old;
    for cgroup in 10..1_000_010 {
        let new = unit(&directory, cgroup);
        assert!(new > last, "a number is never another's");
        last = new;
        directory.gone(cgroup, cgroup);
        if cgroup % 1_000 == 0 {
            reader.refresh();
            assert_eq!(reader.by_cgroup(cgroup), Found::Owner(new));
        }
    }
    reader.refresh();
    // The host, the old one, and those that are kept.
    let known = 2 + most;
    assert_eq!(
        (directory.lock().owners.len(), reader.room().0),
        (known, known)
    );
    assert!(directory.lock().owners.capacity() < 10 * most);
    assert!(reader.room().1 < 10_000, "{:?}", reader.room());
    assert!(directory.lock().cgroups.capacity() < 10 * most);
    assert_eq!(directory.owners().len(), 1);
    assert!(reader.owner(old).is_some());
}

#[test]
fn the_memory_of_many_at_once_is_given_back() {
    let directory = Arc::new(Directory::default());
    let mut reader = directory.reader();
    for cgroup in 10..20_010 {
        unit(&directory, cgroup);
    }
    reader.refresh();
    for cgroup in 10..20_000 {
        directory.gone(cgroup, 0);
    }
    forget_all(&directory);
    reader.refresh();
    assert_eq!(reader.room().0, 11);
    let inner = directory.lock();
    let room = [
        inner.owners.capacity(),
        inner.cgroups.capacity(),
        reader.room().1,
    ];
    assert!(room.iter().all(|room| *room < 5_000), "{room:?}");
}

#[test]
fn after_the_largest_number_those_are_given_that_nobody_has() {
    let (directory, mut reader) = directory();
    let first = unit(&directory, 10);
    assert_eq!(first.get(), 2);
    directory.lock().latest = u32::MAX - 2;
    let numbers = [11, 12, 13].map(|cgroup| unit(&directory, cgroup).get());
    assert_eq!(numbers, [u32::MAX - 1, 3, 4]);
    reader.refresh();
    assert_eq!(reader.by_cgroup(10), Found::Owner(first));
}

#[test]
fn cgroups_that_inherit_are_forgotten_one_sweep_after_the_other() {
    let (directory, mut reader) = directory();
    directory.made(10, Some(1));
    for cgroup in 11..100_011 {
        directory.made(cgroup, Some(10));
        directory.decide(cgroup, "/a/b", Decision::Parent);
        // Again, as a scan does.
        directory.decide(cgroup, "/a/b", Decision::Parent);
    }
    assert_eq!(directory.lock().inheriting.len(), 100_000);
    let handle = directory.decide(10, "/a", container("a")).unwrap();
    reader.refresh();
    assert!((11..100_011).all(|c| reader.by_cgroup(c) == Found::Owner(handle)));
    for cgroup in 10..100_011 {
        directory.gone(cgroup, 5);
    }
    assert_eq!(
        forget_all(&directory),
        100_000_usize.div_ceil(MOST_FORGOTTEN)
    );
    let inner = directory.lock();
    assert!(inner.inheriting.is_empty());
    assert_eq!((inner.cgroups.len(), inner.owners.len()), (1, 1));
}

#[test]
fn an_owner_whose_cgroup_turns_out_to_be_anothers_ends_and_is_forgotten() {
    let (directory, mut reader) = directory();
    directory.made(10, Some(1));
    let container = directory.decide(10, "/a", container("a")).unwrap();
    let unit = unit(&directory, 11);
    directory.mount_namespace(77, 11, 5);
    directory.decide(11, "/u", Decision::Same(container));
    assert!(!directory.is_live(unit) && directory.is_live(container));
    directory.gone(11, 10);
    reader.refresh();
    assert!(reader.owner(unit).is_some(), "for rows that come late");
    assert_eq!(reader.by_mount_namespace(77, 9), Found::Owner(unit));
    assert_eq!(reader.by_mount_namespace(77, 10), Found::Unknown);
    directory.sweep(u64::MAX);
    reader.refresh();
    assert!(reader.owner(unit).is_none());
    assert_eq!(
        directory.lock().owners.len(),
        2,
        "the host and the container"
    );
    assert!(directory.lock().former.is_empty());
}
