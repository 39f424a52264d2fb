//! The guest of my_gadget. What is a field of the record, the host decodes; what is left is the file's name.

use gadget::{Gadget, Outcome, Params, Tables, records};

struct Guest;

impl Gadget for Guest {
    fn init(_: Params) -> Result<Self, String> {
        Ok(Self)
    }

    fn opens(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome {
        let mut row = tables.opens.row(&record);
        let path = record.path().bytes();
        if let Some(file) = path.rsplit(|byte| *byte == b'/').next() {
            row.file(file);
        }
        Outcome::Accepted
    }
}

gadget::export!(Guest);
