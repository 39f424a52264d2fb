use super::*;
use ig_containers::{Decision, Facts, Selector};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    Chosen(u64),
    Pending(u64),
}

/// A set with as much room as it is said, in which what is there can be replaced as in the kernel's.
#[derive(Clone, Default)]
struct Small(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    room: usize,
    has: BTreeMap<u64, Has>,
    /// The kernel has no memory for a new entry, be it another's in place of an old one.
    short: bool,
    /// Those before this one are never taken.
    refused: u64,
    calls: usize,
}

impl Small {
    fn new(room: usize) -> Self {
        let small = Self::default();
        small.inner().room = room;
        small
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, cgroup: u64, has: Has) -> Result<(), FilterError> {
        let mut inner = self.inner();
        inner.calls += 1;
        if inner.short || cgroup < inner.refused {
            return Err(FilterError::System {
                action: "add to",
                error: io::Error::from_raw_os_error(12),
            });
        }
        if inner.has.len() >= inner.room && !inner.has.contains_key(&cgroup) {
            let max_entries = u32::try_from(inner.room).unwrap();
            return Err(FilterError::Full { max_entries });
        }
        inner.has.insert(cgroup, has);
        Ok(())
    }

    fn chosen(&self) -> Vec<u64> {
        let inner = self.inner();
        let chosen = inner.has.iter();
        let chosen = chosen.filter(|(_, has)| matches!(has, Has::Chosen(_)));
        chosen.map(|(cgroup, _)| *cgroup).collect()
    }
}

impl Cgroups for Small {
    fn choose(&self, cgroup: u64, owner: u64) -> Result<(), FilterError> {
        self.put(cgroup, Has::Chosen(owner))
    }

    fn pending(&self, cgroup: u64, owner: u64) -> Result<(), FilterError> {
        self.put(cgroup, Has::Pending(owner))
    }

    fn remove(&self, cgroup: u64) -> Result<(), FilterError> {
        self.inner().has.remove(&cgroup);
        Ok(())
    }

    fn has(&self, cgroup: u64) -> bool {
        self.inner().has.contains_key(&cgroup)
    }
}

/// A set that takes so many.
fn set(room: usize) -> (Set<Small>, Small) {
    let small = Small::new(room);
    (Set::new(small.clone(), false, true), small)
}

const YES: Option<Verdict> = Some(Verdict::Yes);
const LATER: Option<Verdict> = Some(Verdict::Later);
const NO: Option<Verdict> = Some(Verdict::No);

#[test]
fn what_found_no_room_gets_in_when_there_is_some_as_it_is_wanted_then() {
    let (mut set, small) = set(2);
    for cgroup in 1..=6 {
        set.change(cgroup, 0, YES);
    }
    assert_eq!((small.chosen(), set.missing), (vec![1, 2], 4));
    set.try_again();
    assert_eq!((small.chosen(), set.missing), (vec![1, 2], 4));
    // One that is not wanted any more, one of another container by now, one that is gone.
    set.change(3, 0, NO);
    set.change(4, 7, YES);
    set.change(5, 0, None);
    assert_eq!((set.missing, set.late.len()), (2, 2));
    set.change(1, 0, None);
    set.change(2, 0, NO);
    set.try_again();
    assert_eq!((small.chosen(), set.missing), (vec![4, 6], 0));
    assert_eq!(small.inner().has.get(&4), Some(&Has::Chosen(7)));
    assert!(set.late.is_empty() && set.due().is_none());
}

#[test]
fn what_is_pending_already_is_late_and_not_missing() {
    let (mut set, small) = set(4);
    set.change(1, 0, LATER);
    small.inner().short = true;
    set.change(1, 9, YES);
    set.change(2, 0, YES);
    set.change(3, 0, LATER);
    assert_eq!((set.late.len(), set.missing), (3, 2));
    assert!(set.problem.contains("add to the set"), "{}", set.problem);
    assert!(set.due().is_some());
    small.inner().short = false;
    set.try_again();
    let has = small.inner().has.clone();
    let expected = [
        (1, Has::Chosen(9)),
        (2, Has::Chosen(0)),
        (3, Has::Pending(0)),
    ];
    assert_eq!(has, BTreeMap::from(expected));
    assert_eq!((set.late.len(), set.missing), (0, 0));
}

#[test]
fn an_attempt_is_bounded_and_passes_over_none() {
    let (mut set, small) = set(0);
    let bound = u64::from(FAILURES);
    for cgroup in 0..bound * 3 {
        set.change(cgroup, 0, YES);
    }
    small.inner().calls = 0;
    set.try_again();
    assert_eq!(small.inner().calls, FAILURES as usize);
    // Those that come first stand in nobody's way.
    small.inner().room = usize::MAX;
    small.inner().refused = bound * 2;
    for _ in 0..3 {
        set.try_again();
    }
    assert!(small.chosen().into_iter().eq(bound * 2..bound * 3));
    assert_eq!(set.missing as u64, bound * 2);
    small.inner().refused = 0;
    set.try_again();
    assert!(small.chosen().into_iter().eq(0..bound * 3));
    assert_eq!(set.missing, 0);
}

#[test]
fn what_is_missing_is_said_when_it_begins_doubles_and_ends_and_never_often() {
    let mut told = Told::new(true);
    let begin = Instant::now();
    let mut at = |seconds: u64, missing| {
        let now = begin + Duration::from_secs(seconds);
        let sentence = told.sentence(missing, "it is full", now);
        let due = told.due(missing).map(|due| (due - begin).as_secs());
        (sentence, due)
    };
    assert_eq!(at(0, 0), (None, None));
    let first = at(1, 3).0.unwrap();
    assert!(first.starts_with("it is full; it lacks 3 "), "{first}");
    // Too soon after that: it is due when the pause is over, if it is still so.
    assert_eq!(at(2, 0), (None, Some(11)));
    assert_eq!(at(3, 100), (None, None));
    assert!(at(11, 6).0.unwrap().contains("lacks 6"));
    assert_eq!(at(40, 11).0, None);
    assert_eq!(at(50, 2).0, None);
    let last = at(60, 0).0.unwrap();
    assert_eq!(last, "the set of selected cgroups lacks none any more");
    assert_eq!(at(100, 0), (None, None));
    assert!(at(101, 1).0.is_some());

    let only_limits = Told::new(false).sentence(1, "it is full", begin).unwrap();
    assert!(only_limits.contains("limit"), "{only_limits}");
}

/// Without any news: nobody but the clock has it tried again.
#[test]
fn the_keeper_tries_again_until_the_kernel_takes_it() {
    let directory = Arc::new(Directory::default());
    for (cgroup, name) in [(10, "web"), (11, "db"), (12, "web")] {
        directory.made(cgroup, None);
        let facts = Facts {
            id: format!("id-of-{cgroup}"),
            name: Some(name.to_owned()),
            ..Facts::default()
        };
        let facts = Box::new(facts);
        directory.decide(cgroup, "/x", Decision::Container { facts, unit: None });
    }
    let selectors = Arc::new(Selectors::parse([(Selector::Container, "web")]).unwrap());
    let small = Small::new(1);
    let said = Arc::new(Mutex::new(Vec::new()));
    let say: Say = {
        let said = Arc::clone(&said);
        Arc::new(move |text: &str| {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push(text.to_owned());
        })
    };
    let set = Set::new(small.clone(), false, true);
    let keeper = Keeper::start_with(&directory, &selectors, set, say).unwrap();
    // Of both, the directory tells in any order.
    assert_eq!(small.chosen().len(), 1);
    small.inner().room = 2;
    let end = Instant::now() + Duration::from_secs(60);
    while small.chosen() != [10, 12] {
        assert!(Instant::now() < end, "{:?}", small.chosen());
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(keeper);
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("is full (1 cgroups)") && said[0].contains("lacks 1 "),
        "{said:?}"
    );
}
