//! The guest of the bench `guest`, once: a component for the sandbox, and a library of the machine (`native`).
//!
//! Calls that failed are dropped, the others become rows of 3 texts and 3 numbers, one of them a word for some bits.

#[cfg(not(target_family = "wasm"))]
mod native;

use gadget::{Gadget, Outcome, Params, Tables, records};

struct Row {
    origin: bool,
}

impl Gadget for Row {
    fn init(params: Params) -> Result<Self, String> {
        Ok(Self {
            origin: params.origin,
        })
    }

    fn call(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome {
        if record.ret() < 0 {
            return Outcome::Dropped;
        }
        let operation = match record.flags() & 3 {
            0 => "read",
            1 => "write",
            2 => "readwrite",
            _ => "other",
        };
        if self.origin {
            tables.pointed.row(&record).operation(operation);
        } else {
            let mut row = tables.computed.row(&record);
            row.timestamp(record.timestamp_raw())
                .pid(record.proc().pid())
                .ret(record.ret())
                .comm(record.proc().comm())
                .operation(operation)
                .path(record.path());
        }
        Outcome::Accepted
    }
}

gadget::export!(Row);
