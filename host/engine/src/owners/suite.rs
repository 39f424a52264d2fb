//! The recording of the conformance suite's case `containers` (`docs/conformance.md`). No container runtime has to run for
//! it: a machine is made up here, asked what the suite's guest asks, and recorded by what records every run.
//! `IG_BLESS=1 cargo test -p ig-engine suite` writes it anew.

use super::{Field, Owners, PENDING, RecordedOwners, TapedOwners, seen};
use crate::identity::Identity;
use crate::pipeline::Now;
use crate::questions::Answers;
use crate::record::{RecordOptions, Recorder, Tap};
use ig_records::recording::{Call, Entry, Footer, Header, Reader, Source, SourceCounts};
use ig_records::span;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance");
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// The number of a mount namespace that two containers have, one after the other.
const NAMESPACE: u64 = 4_026_532_000;

/// The container `web` (1), which ends, the pod's container `cart` (2), a unit (3), and `späte` (5), which comes.
struct Machine {
    clock: Arc<AtomicU64>,
    /// What is known is of then.
    now: u64,
}

impl Owners for Machine {
    fn by_cgroup(&mut self, cgroup: u64) -> u32 {
        match cgroup {
            100 | 101 => 1,
            200 => 2,
            300 => 3,
            999 if self.now > 5000 => 5,
            999 => PENDING,
            _ => 0,
        }
    }

    fn by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32 {
        match at {
            _ if namespace != NAMESPACE => 0,
            ..5000 => 1,
            6000.. => 2,
            _ => 0,
        }
    }

    fn by_id(&mut self, id: &str) -> u32 {
        if id.len() >= 12 && ID.starts_with(id) {
            2
        } else {
            0
        }
    }

    fn field(&mut self, owner: u32, field: Field) -> Option<Cow<'_, str>> {
        let text = match (owner, field) {
            (1, Field::Container) => "web",
            (1, Field::Image) => "docker.io/library/nginx:1.27",
            (2, Field::Container) => "cart",
            (2, Field::ContainerId) => ID,
            (2, Field::Pod) => "shop-7d9",
            (3, Field::Unit) => "cron.service",
            (5, Field::Container) => "späte",
            // Only the runtime's API knows, which is slow.
            (5, Field::Labels) if self.now == 8000 => "app=shop,tier=web",
            _ => return None,
        };
        Some(Cow::Borrowed(text))
    }

    fn changes(&mut self, added: &mut Vec<u32>, removed: &mut Vec<u32>) -> bool {
        self.now = self.clock.load(Ordering::Relaxed);
        match self.now {
            1000 => added.extend([1, 2]),
            5500 => {
                added.push(5);
                removed.push(1);
            }
            _ => {}
        }
        true
    }
}

/// A record of `program.bpf.c`'s struct `owned`: time, mount namespace, cgroup, letter, argument.
type Owned<'a> = (u64, u64, u64, u8, &'a str);

/// What the guest asks about one record, and is told.
fn ask(owners: &mut dyn Owners, record: Owned<'_>) -> Vec<String> {
    let (time, mount_namespace, cgroup, letter, argument) = record;
    let identity = Identity {
        cgroup,
        mount_namespace,
        time: Some(time),
    };
    let found = match letter {
        b'r' | b'f' | b'k' => vec![seen(owners.by_identity(&identity, 0))],
        b'g' => vec![seen(owners.by_cgroup(cgroup))],
        b'm' => vec![owners.by_mount_namespace(mount_namespace, time)],
        b'i' => vec![owners.by_id(argument)],
        b's' => [cgroup, cgroup + 1, 999]
            .map(|cgroup| seen(owners.by_cgroup(cgroup)))
            .to_vec(),
        _ => Vec::new(),
    };
    let field = match letter {
        b'f' => Field::of_name(argument),
        b's' => Some(Field::Image),
        b'k' => None,
        _ => Some(Field::Container),
    };
    let text = |owner: u32| match field {
        Some(field) => format!("{owner}: {:?}", owners.field(owner, field)),
        None => owner.to_string(),
    };
    found.into_iter().map(text).collect()
}

/// What the guest asks about containers that it is told of, and of the one whose record it kept.
fn ask_names(owners: &mut dyn Owners, of: &[u32]) -> Vec<String> {
    let name = |owner: &u32| format!("{owner}: {:?}", owners.field(*owner, Field::Container));
    of.iter().map(name).collect()
}

/// The owner whose record the guest keeps until the end.
const KEPT: [u32; 1] = [1];

/// The run, as it is recorded.
struct Run<'a> {
    owners: TapedOwners,
    clock: Arc<AtomicU64>,
    tap: &'a Tap,
    /// By call.
    answers: Vec<Vec<String>>,
}

impl Run<'_> {
    fn call(&mut self, boot: u64, call: Call<'_>, answers: Vec<String>) {
        let now = Now {
            boot,
            wall_offset: 1_700_000_000_000_000_000,
        };
        self.tap.call(now, &[], call);
        self.answers.push(answers);
    }

    fn told(&mut self, boot: u64) {
        self.clock.store(boot, Ordering::Relaxed);
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        self.owners.changes(&mut added, &mut removed);
        for (owners, call) in [
            (&added, Call::Added(&added)),
            (&removed, Call::Removed(&removed)),
        ] {
            if !owners.is_empty() {
                let answers = ask_names(&mut self.owners, owners);
                self.call(boot, call, answers);
            }
        }
    }

    fn process(&mut self, boot: u64, records: &[Owned<'_>]) {
        self.told(boot);
        let mut bytes = Vec::new();
        let mut answers = Vec::new();
        for record in records {
            answers.extend(ask(&mut self.owners, *record));
            let (time, namespace, cgroup, letter, argument) = record;
            let numbers = [*time, *namespace, *cgroup].map(u64::to_le_bytes);
            let parts = [numbers.as_flattened(), &[*letter], argument.as_bytes()];
            span::push(&mut bytes, &parts).unwrap();
        }
        let call = Call::Process {
            source: 1,
            span: &bytes,
        };
        self.call(boot, call, answers);
    }
}

/// All calls of the run, with what was answered in each.
fn run(tap: &Tap) -> Vec<Vec<String>> {
    let clock = Arc::new(AtomicU64::new(0));
    let machine = Machine {
        clock: clock.clone(),
        now: 0,
    };
    let mut run = Run {
        owners: TapedOwners::new(Box::new(machine), tap.clone()),
        clock,
        tap,
        answers: Vec::new(),
    };
    run.call(1000, Call::Init, Vec::new());
    run.told(1000);
    run.process(
        2000,
        &[
            (1500, NAMESPACE, 100, b'r', ""),
            (1510, NAMESPACE, 101, b'r', ""),
            (1520, NAMESPACE, 0, b'r', ""),
            (1530, NAMESPACE, 200, b'g', ""),
            (1540, NAMESPACE, 999, b'r', ""),
            (1550, NAMESPACE, 0, b'm', ""),
        ],
    );
    run.told(5500);
    run.process(
        7000,
        &[
            (6500, NAMESPACE, 0, b'r', ""),
            (4999, NAMESPACE, 0, b'r', ""),
            (6510, 7, 999, b'r', ""),
            (6520, 7, 999, b'f', "labels"),
        ],
    );
    // It traps, and the new instance is told of all that are there.
    run.process(7500, &[(7400, 7, 200, b'b', "")]);
    run.process(
        8000,
        &[
            (7900, 7, 999, b'f', "labels"),
            (7910, 7, 200, b'f', "k8s.podName"),
            (7920, 7, 100, b'f', "colour"),
            (7930, 7, 0, b'i', &ID[..12]),
            (7940, 7, 0, b'i', "0123"),
            (7950, 7, 100, b's', ""),
            (7960, 7, 100, b'k', ""),
            (7970, 7, 300, b'f', "unit"),
        ],
    );
    let answers = ask_names(&mut run.owners, &KEPT);
    run.call(9000, Call::Stop, answers);
    run.answers
}

fn header() -> Header {
    let other = File::open(Path::new(SUITE).join("params.igrec")).unwrap();
    let header = Reader::new(other).unwrap().header().clone();
    let source = |name: &str, record: &str, size| Source {
        name: name.to_owned(),
        record: record.to_owned(),
        size,
    };
    Header {
        sources: vec![source("cases", "event", 48), source("owned", "owned", 64)],
        owners: true,
        watches: true,
        ..header
    }
}

fn footer() -> Footer {
    let counts = SourceCounts {
        attempted: Some(19),
        not_reserved: Some(0),
        ..SourceCounts::default()
    };
    Footer {
        ended_by: "command".to_owned(),
        duration_ns: 8000,
        sources: BTreeMap::from([
            (
                "cases".to_owned(),
                SourceCounts {
                    attempted: Some(0),
                    ..counts.clone()
                },
            ),
            ("owned".to_owned(), counts),
        ]),
        ..Footer::default()
    }
}

/// Every entry of a recording, as text; `asked` gets each answer, and each call.
fn read(path: &Path, mut asked: impl FnMut(&Entry<'_>)) -> (Header, Vec<String>) {
    let mut reader = Reader::new(File::open(path).unwrap()).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        asked(&entry);
        entries.push(format!("{entry:?}"));
    }
    (reader.header().clone(), entries)
}

/// One record of the span, as the run had it.
fn record(payload: &[u8]) -> Owned<'_> {
    let number = |at: usize| u64::from_le_bytes(*payload[at..].first_chunk().unwrap());
    let argument = std::str::from_utf8(&payload[25..]).unwrap();
    (number(0), number(8), number(16), payload[24], argument)
}

#[test]
fn a_replay_answers_as_the_run_did_and_the_suite_has_this_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("containers.igrec");
    let options = RecordOptions {
        path: path.clone(),
        owner: None,
    };
    let recorder = Recorder::start(options, header()).unwrap();
    let answered = run(&recorder.tap());
    recorder.finish(footer()).unwrap();

    let answers = Answers::default();
    let mut owners = RecordedOwners::new(answers.clone());
    let mut replayed = Vec::new();
    let recorded = read(&path, |entry| match entry {
        Entry::Answer {
            kind,
            question,
            answer,
        } => answers.lock().add(*kind, question, answer).unwrap(),
        Entry::Call { call, .. } => {
            replayed.push(match call {
                Call::Process { span, .. } => {
                    let records = span::Span(span).iter().map(|it| record(it.payload));
                    records
                        .flat_map(|record| ask(&mut owners, record))
                        .collect()
                }
                Call::Added(of) | Call::Removed(of) => ask_names(&mut owners, of),
                Call::Stop => ask_names(&mut owners, &KEPT),
                Call::Init | Call::Tick => Vec::new(),
            });
            answers.lock().next_call();
        }
    });
    assert_eq!(replayed, answered);
    assert_eq!(answers.lock().unanswered, BTreeMap::new());
    // The same question is in it once, unless it was answered otherwise.
    let (_, entries) = &recorded;
    let calls = answered.len();
    assert!(entries.len() - calls < 30, "{entries:#?}");

    let suite = Path::new(SUITE).join("containers.igrec");
    if std::env::var_os("IG_BLESS").is_some() {
        std::fs::copy(&path, &suite).unwrap();
    }
    let committed = read(&suite, |_| {});
    assert!(
        committed == recorded,
        "IG_BLESS=1 writes {} anew",
        suite.display()
    );
    // What nobody asked then is not known, and counted.
    assert_eq!(owners.by_cgroup(12_345), 0);
    assert_eq!(owners.by_mount_namespace(12_345, 0), 0);
    assert_eq!(owners.field(2, Field::Unit), None);
    assert_eq!(owners.field(0, Field::Unit), None);
    assert_eq!(
        answers.lock().unanswered,
        BTreeMap::from([
            ("owner of a cgroup".to_owned(), 1),
            ("owner of a mount namespace".to_owned(), 1),
            ("unit of an owner".to_owned(), 1),
        ])
    );
}
