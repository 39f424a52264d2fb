//! A guest that keeps what it saw and tells it later, by numbers alone. For tests.

use gadget::{Gadget, Outcome, Params, Tables, clock, records, timers};
use std::collections::VecDeque;
use std::time::Duration;

struct Late {
    delay: u64,
    prefix: Vec<u8>,
    kept: VecDeque<Start>,
}

struct Start {
    at: u64,
    cgroup: u64,
    mntns: u64,
    args: Vec<u8>,
}

impl Late {
    fn tell(&mut self, everything: bool, tables: &mut Tables) {
        let now = clock::boot();
        while let Some(start) = self.kept.front() {
            let age = now.saturating_sub(start.at);
            if age < self.delay && !everything {
                return;
            }
            tables
                .by_cgroup
                .row()
                .timestamp(start.at)
                .cgroup(start.cgroup)
                .mntns(start.mntns)
                .args(words(&start.args))
                .boot(start.at)
                .age(age);
            tables
                .by_mntns
                .row()
                .timestamp(start.at)
                .mntns(start.mntns)
                .args(words(&start.args));
            self.kept.pop_front();
        }
    }
}

fn words(args: &[u8]) -> impl Iterator<Item = &[u8]> {
    args.strip_suffix(b"\0")
        .unwrap_or(args)
        .split(|byte| *byte == 0)
}

impl Gadget for Late {
    fn init(params: Params) -> Result<Self, String> {
        timers::every(Duration::from_millis(50))?;
        Ok(Self {
            delay: params.delay.as_nanos() as u64,
            prefix: params.prefix.as_bytes().to_vec(),
            kept: VecDeque::new(),
        })
    }

    fn starts(&mut self, record: records::Event<'_>, _: &mut Tables) -> Outcome {
        let args = record.args().array();
        let Some(args) = args.get(..record.args_size() as usize) else {
            return Outcome::Malformed;
        };
        if !words(args)
            .last()
            .is_some_and(|last| last.starts_with(&self.prefix))
        {
            return Outcome::Dropped;
        }
        self.kept.push_back(Start {
            at: record.timestamp_raw(),
            cgroup: record.proc().cgroup_id(),
            mntns: record.proc().mntns_id(),
            args: args.to_vec(),
        });
        Outcome::Accepted
    }

    fn tick(&mut self, _: timers::Timer, _: u32, tables: &mut Tables) {
        self.tell(false, tables);
    }

    fn stop(&mut self, tables: &mut Tables) {
        self.tell(true, tables);
    }
}

gadget::export!(Late);
