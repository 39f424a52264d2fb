//! The well-behaved guest, and what the process holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use ig_sandbox::{ColumnView, EmitError, Grants, Host, Level, Limits, MapError, Sandbox, Verdict};

use crate::guests::Wat;

const RECORDS: u32 = 200;

/// A guest that finds the records of a span and emits a row for each.
pub fn component() -> Vec<u8> {
    Wat {
        imports: r#"(import "ig:gadget/tables@0.1.0" "emit"
            (func $emit (param i32 i32 i32 i32 i32 i32 i32)))"#,
        fields: "(global $n (mut i32) (i32.const 0))
            (func $walk (param $at i32) (param $len i32) (result i32)
                (local $p i32) (local $n i32)
                (block $done (loop $next
                    (br_if $done (i32.ge_u (local.get $p) (local.get $len)))
                    (i32.store
                        (i32.add (i32.const 1024) (i32.mul (local.get $n) (i32.const 4)))
                        (local.get $p))
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (local.set $p (i32.add (local.get $p) (i32.add (i32.const 8) (i32.and
                        (i32.add (i32.load (i32.add (local.get $at) (local.get $p))) (i32.const 7))
                        (i32.const -8)))))
                    (br $next)))
                (local.get $n))",
        process: "(global.set $n (call $walk (local.get $at) (local.get $len)))
            (call $emit (i32.const 0) (global.get $n) (i32.const 1024) (global.get $n)
                (i32.const 0) (i32.const 0) (i32.const 128))
            (i32.store (i32.const 32) (global.get $n)) (i32.const 32)",
        ..Wat::default()
    }
    .component()
}

/// Takes rows and gives nothing.
#[derive(Default)]
pub struct Taker {
    /// Rows and origins of the last `emit`.
    pub last: (u32, Vec<u8>),
    /// Bytes that were logged, and the longest text.
    pub logged: (usize, usize),
    /// What `params.get` gives.
    pub param: String,
    /// Records that are being processed; they begin with one at 0.
    pub records: u32,
}

impl Host for Taker {
    fn emit(
        &mut self,
        _: u16,
        rows: u32,
        origin: &[u8],
        _: &[ColumnView<'_>],
    ) -> Result<(), EmitError> {
        self.last.0 = rows;
        self.last.1.clear();
        self.last.1.extend_from_slice(origin);
        Ok(())
    }
    fn end_frame(&mut self, _: u16) -> Result<(), EmitError> {
        Ok(())
    }
    fn wanted(&mut self, _: u16) -> Result<Vec<u16>, EmitError> {
        Ok(vec![0])
    }
    fn log(&mut self, _: Level, text: &str) {
        self.logged = (self.logged.0 + text.len(), self.logged.1.max(text.len()));
    }
    fn param(&mut self, _: u16) -> Result<String, EmitError> {
        Ok(self.param.clone())
    }
    fn boot(&mut self) -> u64 {
        1
    }
    fn wall(&mut self) -> u64 {
        1
    }
    fn map_lookup(&mut self, grant: u16, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        match grant {
            0 if key.len() == 4 => Ok(None),
            0 => Err(MapError::Failed("the key has 4 bytes".into())),
            _ => Err(MapError::Unknown),
        }
    }
    fn map_update(&mut self, _: u16, _: &[u8], _: &[u8]) -> Result<(), MapError> {
        Err(MapError::Denied("lookup alone is granted".into()))
    }
    fn map_delete(&mut self, _: u16, _: &[u8]) -> Result<bool, MapError> {
        Err(MapError::Denied("lookup alone is granted".into()))
    }
    fn map_read_all(&mut self, _: u16) -> Result<Vec<u8>, MapError> {
        Ok(vec![7; 1 << 20])
    }
    fn timer_every(&mut self, _: u64) -> Result<u32, String> {
        Err("64 timers are running".into())
    }
    fn timer_once(&mut self, _: u64) -> Result<u32, String> {
        Err("64 timers are running".into())
    }
    fn timer_cancel(&mut self, _: u32) {}
    fn owners_of_records(&mut self, offsets: &[u32]) -> Result<Vec<u32>, EmitError> {
        let broken = |what: &str| Err(EmitError::Broken(format!("of-records: {what}")));
        match (&self.records, offsets) {
            (0, _) => broken("no records are being processed"),
            (_, []) => Ok(Vec::new()),
            (_, [0, rest @ ..]) if rest.iter().all(|offset| *offset == 0) => {
                Ok(vec![1; offsets.len()])
            }
            _ => broken("no record begins there"),
        }
    }
    fn owners_by_cgroup(&mut self, cgroups: &[u64]) -> Vec<u32> {
        vec![0; cgroups.len()]
    }
    fn owner_by_mount_namespace(&mut self, _: u64, _: u64) -> u32 {
        0
    }
    fn owner_by_id(&mut self, _: &str) -> u32 {
        0
    }
    fn owner_fields(&mut self, owners: &[u32], name: &str) -> Result<Vec<Option<String>>, String> {
        match name {
            "c" => Ok(vec![None; owners.len()]),
            _ => Err("no field of this name".into()),
        }
    }
}

/// The well-behaved guest at work on a thread of its own, in the same sandbox.
pub struct Bystander {
    thread: JoinHandle<()>,
    calls: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Bystander {
    pub fn start(sandbox: &Sandbox) -> Self {
        let program = sandbox.load(&component()).unwrap();
        let mut guest = program
            .instantiate(Taker::default(), Limits::default(), Grants::default())
            .unwrap();
        let (mut span, mut offsets) = (Vec::new(), Vec::new());
        for number in 0..RECORDS {
            offsets.extend(u32::try_from(span.len()).unwrap().to_le_bytes());
            let body = vec![7; number as usize % 40];
            ig_records::span::push(&mut span, &[&number.to_le_bytes(), &body]).unwrap();
        }
        let (calls, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, end) = (Arc::clone(&calls), Arc::clone(&stop));
        let work = move || {
            guest.init().unwrap().unwrap();
            let all = Verdict {
                accepted: RECORDS,
                ..Verdict::default()
            };
            while !end.load(Ordering::Relaxed) {
                assert_eq!(guest.process(0, &span).unwrap(), all);
                assert_eq!(guest.host().last, (RECORDS, offsets.clone()));
                count.fetch_add(1, Ordering::Relaxed);
            }
            guest.stop().unwrap();
        };
        Self {
            thread: std::thread::spawn(work),
            calls,
            stop,
        }
    }

    /// Returns once it has done more work; it ends with a panic if any of it is wrong.
    pub fn goes_on(&self, beside: &str) {
        let before = self.calls.load(Ordering::Relaxed);
        while self.calls.load(Ordering::Relaxed) < before + 10 {
            assert!(!self.thread.is_finished(), "beside {beside}");
            std::thread::yield_now();
        }
    }

    pub fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// What this process holds.
#[derive(Debug)]
pub struct Footprint {
    /// Bytes of memory of its own.
    pub resident: u64,
    /// Bytes of address space.
    pub addresses: u64,
    /// Open files.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Child processes, zombies too.
    pub children: usize,
}

impl Footprint {
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            words[1].parse::<u64>().unwrap() << 10
        };
        let tasks: Vec<_> = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .map(|task| task.unwrap().path())
            .collect();
        let children = |task: &std::path::PathBuf| {
            let list = std::fs::read_to_string(task.join("children")).unwrap_or_default();
            list.split_whitespace().count()
        };
        Self {
            resident: kib("RssAnon:"),
            addresses: kib("VmSize:"),
            files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            threads: tasks.len(),
            children: tasks.iter().map(children).sum(),
        }
    }
}
