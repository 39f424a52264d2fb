//! A guest that watches containers, behind a pipeline: what it is told, and when.

#[path = "../../../../sandbox/src/tests/guests.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the sandbox's own tests use the rest"
)]
mod guests;

use crate::guest::{GuestHost, Say};
use crate::owners::{AskedOwners, Field, Owners};
use crate::pipeline::{Instance, Now, Pipeline};
use crate::questions::{Answers, RecordedMaps};
use guests::{Wat, words};
use ig_records::span;
use ig_sandbox::{Compiler, Grants, Limits, Sandbox, SandboxOptions};
use ig_table::columns::TerminalOptions;
use ig_table::kinds::words::Words;
use ig_table::output::{Format, Output, OutputOptions, Outputs, QueueLimits, WhenFull};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Containers that come and go, by call of `changes`.
struct Script(VecDeque<(Vec<u32>, Vec<u32>)>);

impl Owners for Script {
    fn by_cgroup(&mut self, _: u64) -> u32 {
        0
    }
    fn by_mount_namespace(&mut self, _: u64, _: u64) -> u32 {
        0
    }
    fn by_id(&mut self, _: &str) -> u32 {
        0
    }
    fn field(&mut self, _: u32, _: Field) -> Option<Cow<'_, str>> {
        None
    }
    fn changes(&mut self, added: &mut Vec<u32>, removed: &mut Vec<u32>) -> bool {
        if let Some((came, went)) = self.0.pop_front() {
            added.extend(came);
            removed.extend(went);
        }
        true
    }
}

/// Logs each call: `process`, or `added` and `removed` with as many dots as there are owners. Told of the owner 13 alone, or
/// of 666, it traps.
fn component() -> Vec<u8> {
    let fields = format!(
        r#"(data (i32.const 1024) "addedremovedprocess")
        (data (i32.const 2048) "{dots}")
        (func $say (param $text i32) (param $size i32) (param $at i32) (param $count i32)
            (call $log (i32.const 2) (local.get $text) (local.get $size))
            (call $log (i32.const 2) (i32.const 2048) (local.get $count)))
        (func $added (param $at i32) (param $count i32)
            (if (i32.and (i32.eq (i32.load (local.get $at)) (i32.const 13))
                    (i32.eq (local.get $count) (i32.const 1))) (then unreachable))
            (if (i32.eq (i32.load (local.get $at)) (i32.const 666)) (then unreachable))
            (call $say (i32.const 1024) (i32.const 5) (local.get $at) (local.get $count)))
        (func $removed (param $at i32) (param $count i32)
            (call $say (i32.const 1029) (i32.const 7) (local.get $at) (local.get $count)))
        (data (i32.const 32) {verdict})"#,
        dots = ".".repeat(1024),
        verdict = words(&[1, 0, 0]),
    );
    Wat {
        uses: &["container-watcher"],
        imports: r#"(import "ig:gadget/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#,
        fields: &fields,
        process: "(call $log (i32.const 2) (i32.const 1036) (i32.const 7)) (i32.const 32)",
        ..Wat::default()
    }
    .component()
}

struct Bench {
    pipeline: Pipeline,
    said: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new(script: &[(&[u32], &[u32])]) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let say: Say = {
            let said = said.clone();
            Arc::new(move |line: &str| said.lock().unwrap().push(line.to_owned()))
        };
        let maps = Box::new(RecordedMaps {
            names: Vec::new(),
            answers: Answers::default(),
        });
        let (tables, params, grants) = (Vec::new(), Vec::new(), Vec::new());
        let mut host = GuestHost::new("g", tables, params, grants, maps, 8 << 20, say.clone());
        let script = script.iter();
        let script = script.map(|(came, went)| (came.to_vec(), went.to_vec()));
        host.owners = AskedOwners::new(Box::new(Script(script.collect())), vec![None], 1000);
        let sandbox = Sandbox::new(SandboxOptions {
            compiler: Compiler::InProcess,
            ..SandboxOptions::default()
        });
        let program = sandbox.unwrap().load(&component()).unwrap();
        let guest = program.instantiate(host, Limits::default(), Grants::ALL);
        let output = OutputOptions {
            format: Format::Json,
            tables: Vec::new(),
            words: Words::fixed(),
            terminal: TerminalOptions::default(),
            limits: QueueLimits::default(),
            when_full: WhenFull::Lose,
        };
        let outputs = Outputs::new(Output::start(output, Box::new(std::io::sink())).unwrap());
        let instance = Instance::new(guest.ok().unwrap(), 3);
        let pipeline = Pipeline::new(Vec::new(), outputs, 1, Some(instance), None, None, say);
        let mut bench = Self { pipeline, said };
        bench.pipeline.init(Now::default()).unwrap();
        bench
    }

    /// What was said since the last time: calls with the number of owners, and traps.
    fn said(&self) -> Vec<String> {
        let mut said: Vec<String> = Vec::new();
        for line in self.said.lock().unwrap().drain(..) {
            let text = line.strip_prefix("g: info: ").unwrap_or("trap");
            match said.last_mut() {
                Some(last) if text.starts_with('.') => last.push_str(&format!(" {}", text.len())),
                _ => said.push(text.to_owned()),
            }
        }
        said
    }

    fn deliver(&mut self) -> bool {
        let mut bytes = Vec::new();
        span::push(&mut bytes, &[b"record"]).unwrap();
        let delivered = self.pipeline.deliver(0, &bytes, 1, 0, Now::default());
        delivered.is_ok()
    }
}

#[test]
fn containers_are_told_between_spans_and_before_their_records() {
    let many: Vec<u32> = (1..=2500).collect();
    let mut bench = Bench::new(&[
        (&many, &[]),
        (&[], &[]),
        (&[2501], &[7, 2501]),
        (&[], &many[10..13]),
    ]);
    assert_eq!(
        bench.said(),
        [""; 0],
        "nobody is told before the first span, or look"
    );
    assert!(bench.deliver());
    assert_eq!(
        bench.said(),
        ["added 1024", "added 1024", "added 452", "process"]
    );
    assert!(bench.deliver());
    assert_eq!(bench.said(), ["process"]);
    assert!(bench.deliver());
    assert_eq!(bench.said(), ["added 1", "removed 2", "process"]);
    // Without a span.
    assert!(bench.pipeline.tell_of_containers(Now::default()).is_ok());
    assert_eq!(bench.said(), ["removed 3"]);
    assert!(bench.pipeline.tell_of_containers(Now::default()).is_ok());
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn a_new_instance_is_told_of_all_that_are_there_and_no_record_is_lost_to_a_trap_of_the_watcher() {
    let mut bench = Bench::new(&[(&[1, 2, 3], &[]), (&[], &[2]), (&[13], &[]), (&[666], &[])]);
    assert!(bench.deliver());
    assert!(bench.deliver());
    assert_eq!(bench.said(), ["added 3", "process", "removed 1", "process"]);
    // 13 was told together with 1 and 3, to an instance that can take it.
    assert!(bench.deliver());
    assert_eq!(bench.said(), ["trap", "added 3", "process"]);
    // 666 is the greatest, so that no instance is told of it first: the next one can live with it.
    assert!(bench.deliver());
    assert_eq!(bench.said(), ["trap", "added 4", "process"]);
    let finished = bench.pipeline.finish();
    assert_eq!(finished.records[0].accepted, 4);
    assert_eq!(finished.guest.unwrap().restarts, 2);
}

#[test]
fn a_guest_that_can_not_bear_to_be_told_ends_and_its_records_are_undecided() {
    let mut bench = Bench::new(&[(&[666], &[])]);
    assert!(!bench.deliver());
    assert_eq!(bench.said(), ["trap", "trap", "trap"]);
    assert!(bench.pipeline.tell_of_containers(Now::default()).is_ok());
    let finished = bench.pipeline.finish();
    assert_eq!(finished.records[0].undecided_at_exit, 1);
    assert_eq!(finished.records[0].accounted(), 1);
}
