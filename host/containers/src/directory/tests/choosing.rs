//! Who is wanted, and what a chooser tells of it.

use super::*;
use crate::selection::{Selector, Verdict};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn selectors(given: &[(Selector, &str)]) -> Arc<Selectors> {
    Arc::new(Selectors::parse(given.iter().copied()).unwrap())
}

fn named(id: &str, name: &str) -> Facts {
    Facts {
        id: id.to_owned(),
        name: Some(name.to_owned()),
        runtime: Some(Runtime::Podman),
        ..Facts::default()
    }
}

fn of(facts: Facts) -> Decision {
    Decision::Container {
        facts: Box::new(facts),
        unit: None,
    }
}

type Told = Vec<(u64, u64, Option<Verdict>)>;

fn told(chooser: &mut Chooser) -> Told {
    let mut all = Vec::new();
    chooser.changes(|cgroup, owner, verdict| all.push((cgroup, owner, verdict)));
    all
}

use Verdict::{Later, No, Yes};

#[test]
fn a_chooser_tells_what_changes_and_nothing_twice() {
    let (directory, _) = directory();
    let mut chooser = directory.chooser(selectors(&[(Selector::Container, "web")]));
    assert_eq!(told(&mut chooser), [(1, 0, Some(No))]);
    assert_eq!(told(&mut chooser), []);
    // Undecided, then waiting for its name, then wanted.
    directory.made(10, Some(1));
    assert_eq!(told(&mut chooser), [(10, 0, Some(Later))]);
    let mut facts = named("a", "a");
    facts.awaited = Awaited::ALL;
    directory.decide(10, "/a", of(facts));
    directory.made(11, Some(10));
    directory.decide(11, "/a/inner", Decision::Parent);
    let now = [(10, 10, Some(Later)), (11, 10, Some(Later))];
    assert_eq!(told(&mut chooser), now);
    directory.learn(named("a", "web"));
    assert_eq!(told(&mut chooser), now.map(|(c, o, _)| (c, o, Some(Yes))));
    // That it is whole and has a process changes nothing.
    directory.whole(Runtime::Podman, "a");
    directory.learn(Facts {
        pid: Some(5),
        ..named("a", "web")
    });
    assert_eq!(told(&mut chooser), []);
    // Renamed, and back.
    directory.learn(named("a", "other"));
    assert_eq!(told(&mut chooser), now.map(|(c, o, _)| (c, o, Some(No))));
    directory.learn(named("a", "web"));
    assert_eq!(told(&mut chooser).len(), 2);
    // What is removed is told once, and not again when it is forgotten.
    directory.gone(11, 5);
    assert_eq!(told(&mut chooser), [(11, 10, None)]);
    directory.gone(10, 6);
    assert_eq!(told(&mut chooser), [(10, 10, None)]);
    directory.sweep(u64::MAX);
    assert_eq!(told(&mut chooser), []);
    // One that came and went in between is not told at all.
    directory.made(12, Some(1));
    directory.decide(12, "/b", of(named("b", "web")));
    directory.gone(12, 7);
    assert_eq!(told(&mut chooser), []);
}

#[test]
fn what_a_silent_runtime_has_not_said_is_not_waited_for() {
    let (directory, _) = directory();
    let mut chooser = directory.chooser(selectors(&[(Selector::Labels, "!x")]));
    told(&mut chooser);
    for (cgroup, id) in [(10, "a"), (11, "b")] {
        directory.made(cgroup, Some(1));
        let awaited = Awaited::LABELS;
        directory.decide(
            cgroup,
            "/x",
            of(Facts {
                awaited,
                ..named(id, id)
            }),
        );
    }
    assert_eq!(told(&mut chooser).len(), 2);
    directory.whole(Runtime::Docker, "a");
    directory.silent(Runtime::Docker);
    assert_eq!(told(&mut chooser), [], "another runtime");
    directory.whole(Runtime::Podman, "a");
    assert_eq!(told(&mut chooser), [(10, 10, Some(Yes))]);
    directory.silent(Runtime::Podman);
    assert_eq!(told(&mut chooser), [(11, 11, Some(Yes))]);
}

#[test]
fn a_pods_containers_have_the_labels_that_its_sandbox_is_known_to_have() {
    let (directory, _) = directory();
    let mut reader = directory.reader_selecting(selectors(&[(Selector::PodLabels, "app=web")]));
    let pod = |label: Option<&str>| Pod {
        name: "p".to_owned(),
        sandbox: "s".to_owned(),
        labels: label.map(app),
        ..Pod::default()
    };
    let mut sandbox = named("s", "p");
    sandbox.sandbox = true;
    sandbox.pod = Some(pod(None));
    sandbox.awaited = Awaited::POD_LABELS;
    let mut container = named("c", "server");
    container.pod = Some(pod(None));
    container.awaited = Awaited::POD_LABELS;
    directory.made(10, Some(1));
    directory.decide(10, "/s", of(sandbox.clone()));
    directory.made(11, Some(1));
    directory.decide(11, "/c", of(container.clone()));
    reader.refresh();
    assert_eq!(reader.selected(11), Selected::Pending);
    sandbox.pod = Some(pod(Some("web")));
    directory.learn(sandbox);
    // The next one has them at once; the first when anything is said of it.
    directory.made(12, Some(1));
    let second = Facts {
        id: "d".to_owned(),
        ..container
    };
    let second = directory.decide(12, "/d", of(second)).unwrap();
    let first = directory.learn(named("c", "server")).unwrap();
    reader.refresh();
    assert_eq!(reader.selected(12), Selected::Yes(second));
    assert_eq!(reader.selected(11), Selected::Yes(first));
    // A sandbox is not meant, unless somebody says so.
    assert!(matches!(reader.selected(10), Selected::No(_)));
}

/// Whoever does not know the labels takes none away, and whoever knows that there are none takes all.
#[test]
fn a_container_or_pod_that_loses_its_last_label_is_judged_anew() {
    let (directory, _) = directory();
    let own = |label: Option<&str>| Facts {
        labels: label.map(app),
        ..named("a", "web")
    };
    let of_pod = |label: Option<&str>| Facts {
        pod: Some(Pod {
            name: "p".to_owned(),
            labels: label.map(app),
            ..Pod::default()
        }),
        ..named("b", "server")
    };
    directory.made(10, Some(1));
    directory.decide(10, "/a", of(own(Some("web"))));
    directory.made(11, Some(1));
    directory.decide(11, "/b", of(of_pod(Some("web"))));
    let chooser = |selector, text| {
        let mut chooser = directory.chooser(selectors(&[(selector, text)]));
        told(&mut chooser);
        chooser
    };
    for (cgroup, selector, said) in [
        (10, Selector::Labels, &own as &dyn Fn(Option<&str>) -> Facts),
        (11, Selector::PodLabels, &of_pod),
    ] {
        let mut with = chooser(selector, "app=web");
        let mut without = chooser(selector, "!app");
        let mut other = chooser(selector, "app,app notin (web)");
        let mut learn = |facts: Facts| {
            directory.learn(facts);
            [&mut with, &mut without, &mut other].map(|chooser| {
                let all = told(chooser).into_iter();
                let own = all.filter(|(told, ..)| *told == cgroup);
                own.map(|(.., verdict)| verdict).collect::<Vec<_>>()
            })
        };
        let (yes, no, same) = (vec![Some(Yes)], vec![Some(No)], Vec::new());
        assert_eq!(
            learn(said(None)),
            [same.clone(), same.clone(), same.clone()]
        );
        assert_eq!(
            learn(said(Some("db"))),
            [no.clone(), same.clone(), yes.clone()]
        );
        assert_eq!(
            learn(said(Some(""))),
            [same.clone(), yes.clone(), no.clone()]
        );
        assert_eq!(
            learn(said(None)),
            [same.clone(), same.clone(), same.clone()]
        );
        assert_eq!(learn(said(Some("web"))), [yes, no, same]);
    }
}

#[test]
fn a_sandbox_that_has_no_labels_says_so_for_its_containers() {
    let (directory, _) = directory();
    let mut reader = directory.reader_selecting(selectors(&[(Selector::PodLabels, "!app")]));
    let pod = |labels| Pod {
        name: "p".to_owned(),
        sandbox: "s".to_owned(),
        labels,
        ..Pod::default()
    };
    let sandbox = |labels| Facts {
        sandbox: true,
        pod: Some(pod(labels)),
        awaited: Awaited::POD_LABELS,
        ..named("s", "p")
    };
    let container = Facts {
        pod: Some(pod(None)),
        awaited: Awaited::POD_LABELS,
        ..named("c", "server")
    };
    directory.made(10, Some(1));
    directory.decide(10, "/s", of(sandbox(None)));
    directory.made(11, Some(1));
    directory.decide(11, "/c", of(container));
    reader.refresh();
    assert_eq!(reader.selected(11), Selected::Pending);
    directory.learn(sandbox(Some(app(""))));
    let container = directory.learn(named("c", "server")).unwrap();
    reader.refresh();
    assert_eq!(reader.selected(11), Selected::Yes(container));
}

/// The label `app` with this value; without any if it is empty.
fn app(value: &str) -> BTreeMap<String, String> {
    let label = ("app".to_owned(), value.to_owned());
    Some(label)
        .filter(|_| !value.is_empty())
        .into_iter()
        .collect()
}

#[test]
fn the_verdict_goes_with_cgroups_namespaces_and_ends() {
    let (directory, mut plain) = directory();
    let mut reader = directory.reader_selecting(selectors(&[(Selector::Container, "web")]));
    directory.made(10, Some(1));
    assert_eq!(reader.selected(10), Selected::Unknown);
    reader.refresh();
    assert_eq!(reader.selected(10), Selected::Pending);
    let web = directory.decide(10, "/a", of(named("a", "web"))).unwrap();
    directory.mount_namespace(77, 10, 5);
    directory.made(11, Some(10));
    directory.decide(11, "/a/b", Decision::Parent);
    directory.gone(10, 50);
    reader.refresh();
    plain.refresh();
    for cgroup in [10, 11] {
        assert_eq!(reader.selected(cgroup), Selected::Yes(web));
    }
    assert_eq!(reader.selected(1), Selected::No(Handle::HOST));
    assert_eq!(plain.selected(1), Selected::Yes(Handle::HOST));
    let at = |reader: &Reader, at| reader.selected_by_mount_namespace(77, at);
    assert_eq!(at(&reader, 6), Selected::Yes(web));
    assert_eq!(at(&reader, 50), Selected::Unknown);
    directory.learn(named("a", "other"));
    reader.refresh();
    assert_eq!(at(&reader, 6), Selected::No(web));
    assert_eq!(reader.selected(11), Selected::No(web));
}

#[test]
fn cgroups_are_wanted_by_their_own_paths_whoever_has_them() {
    let (directory, _) = directory();
    let mut reader =
        directory.reader_selecting(selectors(&[(Selector::Cgroup, "/u/x.service/in")]));
    for (cgroup, parent, path) in [
        (10, 1, "/u"),
        (12, 11, "/u/x.service/in"),
        (13, 12, "/u/x.service/in/n"),
    ] {
        directory.made(cgroup, Some(parent));
        directory.decide(cgroup, path, Decision::Parent);
    }
    directory.made(11, Some(10));
    let unit = Decision::Unit("x.service".to_owned());
    let unit = directory.decide(11, "/u/x.service", unit).unwrap();
    reader.refresh();
    let all = [10, 11, 12, 13].map(|cgroup| reader.selected(cgroup));
    let host = Selected::No(Handle::HOST);
    assert_eq!(
        all,
        [
            host,
            Selected::No(unit),
            Selected::Yes(unit),
            Selected::Yes(unit)
        ]
    );
}

#[test]
fn who_waits_is_woken_by_news_and_can_be_ended() {
    let (directory, _) = directory();
    let mut chooser = directory.chooser(selectors(&[]));
    assert!(chooser.wait(None), "there is all to tell at first");
    told(&mut chooser);
    assert!(!chooser.wait(Some(Instant::now())));
    let ender = chooser.ender();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let woken = chooser.wait(None);
            let first = told(&mut chooser);
            // Each is woken by what comes, or finds it there.
            let ended = chooser.wait(Some(Instant::now() + Duration::from_secs(60)));
            (woken, first, ended, chooser.has_ended())
        });
        directory.made(10, Some(1));
        // Not before the first was told.
        ender_when_told(&directory, &ender);
        let (woken, first, ended, has) = waiter.join().unwrap();
        assert!(woken && has && !ended);
        assert_eq!(first, [(10, 0, Some(Later))]);
    });
}

/// Ends a chooser as soon as its queue is taken.
fn ender_when_told(directory: &Directory, ender: &Ender) {
    loop {
        let empty = {
            let inner = directory.lock();
            inner
                .readers
                .iter()
                .filter_map(std::sync::Weak::upgrade)
                .all(|shared| shared.queue.lock().unwrap().changes.is_empty())
        };
        if empty {
            ender.end();
            return;
        }
        std::thread::yield_now();
    }
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Made(u64, u64),
    Container(u64, u8),
    Awaits(u64, u8),
    Unit(u64),
    Parent(u64),
    Same(u64, u64),
    Rename(u8, u8),
    Relabel(u8, u8),
    Whole(u8),
    Silent,
    Gone(u64),
    Sweep,
    Overflow,
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let cgroup = 2..14_u64;
    prop_oneof![
        4 => (cgroup.clone(), 1..14_u64).prop_map(|(c, p)| Step::Made(c, p)),
        3 => (cgroup.clone(), 0..4_u8).prop_map(|(c, id)| Step::Container(c, id)),
        2 => (cgroup.clone(), 0..4_u8).prop_map(|(c, id)| Step::Awaits(c, id)),
        1 => cgroup.clone().prop_map(Step::Unit),
        3 => cgroup.clone().prop_map(Step::Parent),
        1 => (cgroup.clone(), cgroup.clone()).prop_map(|(c, o)| Step::Same(c, o)),
        3 => (0..4_u8, 0..3_u8).prop_map(|(id, name)| Step::Rename(id, name)),
        2 => (0..4_u8, 0..3_u8).prop_map(|(id, label)| Step::Relabel(id, label)),
        1 => (0..4_u8).prop_map(Step::Whole),
        1 => Just(Step::Silent),
        2 => cgroup.prop_map(Step::Gone),
        1 => Just(Step::Sweep),
        1 => Just(Step::Overflow),
        4 => Just(Step::Take),
    ]
}

fn path(cgroup: u64) -> String {
    format!(
        "/{}/c{cgroup}",
        if cgroup.is_multiple_of(2) {
            "even"
        } else {
            "odd"
        }
    )
}

fn facts_of(id: u8, awaited: Awaited) -> Facts {
    let id = format!("id{id}");
    Facts {
        awaited,
        ..named(&id, &id)
    }
}

fn happen(directory: &Directory, step: &Step, time: u64) {
    match step {
        // A parent is older than its child.
        Step::Made(cgroup, parent) if parent < cgroup => directory.made(*cgroup, Some(*parent)),
        Step::Made(..) | Step::Take => {}
        Step::Container(cgroup, id) => {
            let decision = of(facts_of(*id, Awaited::NONE));
            directory.decide(*cgroup, &path(*cgroup), decision);
        }
        Step::Awaits(cgroup, id) => {
            let decision = of(facts_of(*id, Awaited::ALL));
            directory.decide(*cgroup, &path(*cgroup), decision);
        }
        Step::Unit(cgroup) => {
            let unit = Decision::Unit("x.service".to_owned());
            directory.decide(*cgroup, &path(*cgroup), unit);
        }
        Step::Parent(cgroup) => {
            directory.decide(*cgroup, &path(*cgroup), Decision::Parent);
        }
        Step::Same(cgroup, other) => {
            if let Some((handle, _)) = directory.owner_of(*other) {
                directory.decide(*cgroup, &path(*cgroup), Decision::Same(handle));
            }
        }
        Step::Rename(id, name) => {
            directory.learn(named(&format!("id{id}"), &format!("name{name}")));
        }
        Step::Relabel(id, label) => {
            directory.learn(Facts {
                name: None,
                labels: Some(match label {
                    0 => BTreeMap::new(),
                    label => app(&format!("label{label}")),
                }),
                ..named(&format!("id{id}"), "")
            });
        }
        Step::Whole(id) => directory.whole(Runtime::Podman, &format!("id{id}")),
        Step::Silent => directory.silent(Runtime::Podman),
        Step::Gone(cgroup) => {
            // What is below goes first.
            let mut all = vec![*cgroup];
            let inner = directory.lock();
            let mut at = 0;
            while let Some(above) = all.get(at).copied() {
                let below = inner
                    .cgroups
                    .iter()
                    .filter(|(_, c)| c.parent == Some(above));
                all.extend(below.map(|(id, _)| *id));
                at += 1;
            }
            drop(inner);
            for cgroup in all.into_iter().rev() {
                directory.gone(cgroup, time);
            }
        }
        Step::Sweep => directory.sweep(u64::MAX),
        Step::Overflow => {
            let mut inner = directory.lock();
            let many = vec![Change::CgroupForgotten(u64::MAX); MOST_WAITING + 1];
            inner.tell(&many);
        }
    }
}

/// What a chooser should have told by now, from nothing: by owners and paths as the directory has them.
fn anew(directory: &Arc<Directory>, selectors: &Selectors) -> BTreeMap<u64, (u64, Verdict)> {
    let inner = directory.lock();
    let live = inner.cgroups.iter().filter(|(_, cgroup)| !cgroup.gone);
    live.map(|(id, cgroup)| {
        let Some(handle) = inner.resolve(*id) else {
            return (*id, (0, Later));
        };
        let known = inner.known(handle);
        let nobody = Owner::default();
        let owner = known.map_or(&nobody, |known| &*known.owner);
        let verdict = selectors.decide_owner(owner);
        let path = cgroup.path.as_deref().unwrap_or_default();
        let outermost = known.filter(|known| known.owner.is_container());
        let outermost = outermost.map_or(0, |known| known.cgroup);
        (*id, (outermost, verdict.and(selectors.decide_path(path))))
    })
    .collect()
}

proptest! {
    #[test]
    fn a_chooser_always_has_what_a_look_at_everything_gives(
        steps in proptest::collection::vec(step(), 1..80),
        which in 0..6_usize,
    ) {
        let given: [&[(Selector, &str)]; 6] = [
            &[(Selector::Container, "name1,id2")],
            &[(Selector::Container, "!name1")],
            &[(Selector::Labels, "app=label1")],
            &[(Selector::Labels, "!app")],
            &[(Selector::Cgroup, "/even"), (Selector::Container, "!name1"), (Selector::Scope, "all")],
            &[(Selector::Unit, "!x")],
        ];
        let selectors = selectors(given[which]);
        let (directory, _) = directory();
        let mut chooser = directory.chooser(Arc::clone(&selectors));
        let mut reader = directory.reader_selecting(Arc::clone(&selectors));
        let mut kept = BTreeMap::new();
        let last = [Step::Take];
        for (time, step) in steps.iter().chain(&last).enumerate() {
            happen(&directory, step, time as u64);
            if !matches!(step, Step::Take) {
                continue;
            }
            let mut seen = std::collections::BTreeSet::new();
            let mut wrong = None;
            chooser.changes(|cgroup, owner, verdict| {
                let before = match verdict {
                    Some(verdict) => kept.insert(cgroup, (owner, verdict)),
                    None => kept.remove(&cgroup),
                };
                let nothing_new = verdict.map(|verdict| (owner, verdict)) == before;
                if nothing_new || !seen.insert(cgroup) {
                    wrong = Some(cgroup);
                }
            });
            prop_assert_eq!(wrong, None, "told twice, or nothing");
            let expected = anew(&directory, &selectors);
            prop_assert_eq!(&kept, &expected);
            reader.refresh();
            for (cgroup, (_, verdict)) in &expected {
                let selected = match reader.selected(*cgroup) {
                    Selected::Yes(_) => Some(Yes),
                    Selected::No(_) => Some(No),
                    Selected::Pending => Some(Later),
                    Selected::Unknown => None,
                };
                prop_assert_eq!(selected, Some(*verdict), "cgroup {}", cgroup);
            }
        }
    }
}
