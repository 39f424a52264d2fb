//! A guest whose rows are what it is told. For tests.

use gadget::{Gadget, Outcome, Params, Tables, clock, maps, records, timers};
use std::time::Duration;

struct Asking {
    questions: String,
}

/// A key that the eBPF side does not use.
const OURS: u32 = 99;

fn row(tables: &mut Tables, asked: &str, key: Option<u32>, answer: Result<Option<u64>, String>) {
    let (value, error) = match answer {
        Ok(value) => (value, None),
        Err(error) => (None, Some(error)),
    };
    tables
        .answers
        .row()
        .asked(asked)
        .key(key)
        .value(value)
        .error(error.as_deref())
        .boot(clock::boot())
        .wall(clock::wall());
}

impl Gadget for Asking {
    fn init(params: Params) -> Result<Self, String> {
        timers::every(Duration::from_millis(params.period))?;
        Ok(Self {
            questions: params.questions.to_string(),
        })
    }

    fn calls(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome {
        let key = (record.sequence() & 3) as u32;
        row(tables, "call", Some(key), maps::Counts::lookup(key));
        Outcome::Accepted
    }

    fn tick(&mut self, _: timers::Timer, due: u32, tables: &mut Tables) {
        let all = maps::Counts::read_all();
        let sum = all.map(|all| Some(all.iter().map(|(_, count)| count).sum()));
        row(tables, "tick", Some(due), sum);
    }

    fn stop(&mut self, tables: &mut Tables) {
        let mut steps = [0, 1, 2, 3];
        if self.questions == "backwards" {
            steps.reverse();
        }
        for step in steps {
            match step {
                0 => row(
                    tables,
                    "update",
                    Some(OURS),
                    maps::Counts::update(OURS, 7).map(|()| None),
                ),
                2 => row(
                    tables,
                    "delete",
                    Some(OURS),
                    maps::Counts::delete(OURS).map(|there| Some(there.into())),
                ),
                _ => row(tables, "lookup", Some(OURS), maps::Counts::lookup(OURS)),
            }
        }
        if self.questions == "more" {
            row(tables, "more", Some(1000), maps::Counts::lookup(1000));
            row(
                tables,
                "more",
                Some(1000),
                maps::Counts::delete(1000).map(|there| Some(there.into())),
            );
        }
    }
}

gadget::export!(Asking);
