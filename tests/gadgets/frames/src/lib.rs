//! A guest whose tables come in frames. For tests.

use gadget::{Gadget, Outcome, Params, Tables, records, timers};

struct Frames {
    /// Calls by how many zeros end their number, counted from 1.
    calls: [u64; 64],
}

impl Frames {
    fn counted(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(self.calls).filter(|(_, calls)| *calls > 0)
    }
}

impl Gadget for Frames {
    fn init(params: Params) -> Result<Self, String> {
        timers::every(params.interval)?;
        Ok(Self { calls: [0; 64] })
    }

    fn calls(&mut self, record: records::Event<'_>, _: &mut Tables) -> Outcome {
        let zeros = (record.sequence() + 1).trailing_zeros() as usize;
        if let Some(calls) = self.calls.get_mut(zeros) {
            *calls += 1;
        }
        Outcome::Accepted
    }

    fn tick(&mut self, _: timers::Timer, _: u32, tables: &mut Tables) {
        for (zeros, calls) in self.counted() {
            tables.live.row().zeros(zeros).calls(calls);
        }
        // A picture also when nothing was called yet.
        tables.live.end_frame();
        if self.counted().next().is_some() {
            tables.now.row().calls(self.calls.iter().sum::<u64>());
        }
    }

    fn stop(&mut self, tables: &mut Tables) {
        if !tables.totals.wants_calls() {
            gadget::info!("nobody wants the calls");
        }
        for (zeros, calls) in self.counted() {
            let parity = if zeros % 2 == 0 { "even" } else { "odd" };
            tables.totals.row().zeros(zeros).calls(calls).parity(parity);
        }
    }
}

gadget::export!(Frames);
