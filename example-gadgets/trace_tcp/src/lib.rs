//! The guest of trace_tcp. What is a field of the record, the host decodes; what is left are quantities that only some
//! rows have, and of those only where the beginning of the connection was seen.

use gadget::{Gadget, Outcome, Params, Tables, records};

struct TraceTcp;

impl Gadget for TraceTcp {
    fn init(_: Params) -> Result<Self, String> {
        Ok(Self)
    }

    fn connections(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome {
        let mut row = tables.connections.row(&record);
        if record.duration() != 0 {
            row.duration(record.duration());
        }
        if record.counted() {
            row.sent(record.sent()).received(record.received());
        }
        Outcome::Accepted
    }
}

gadget::export!(TraceTcp);
