//! The guest of trace_open. What is a field of the record, the host decodes; what is left is which of
//! `fd` and `error` a call has.

use gadget::{Gadget, Outcome, Params, Tables, records};

struct TraceOpen;

impl Gadget for TraceOpen {
    fn init(_: Params) -> Result<Self, String> {
        Ok(Self)
    }

    fn open(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome {
        let mut row = tables.open.row(&record);
        match record.error() {
            0 => row.fd(record.fd()),
            error => row.error(error),
        };
        Outcome::Accepted
    }
}

gadget::export!(TraceOpen);
