//! The guest of trace_exec. What is a field of the record, the host decodes; what is left lies behind the path, in the
//! record's variable part: the arguments and the working directory.

use gadget::{Gadget, Outcome, Params, Tables, records};

struct TraceExec;

impl Gadget for TraceExec {
    fn init(_: Params) -> Result<Self, String> {
        Ok(Self)
    }

    fn exec(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome {
        let Some((args, cwd)) = variable_part(&record) else {
            return Outcome::Malformed;
        };
        let mut row = tables.exec.row(&record);
        if record.error() != 0 {
            row.error(record.error());
        }
        row.args(arguments(args));
        if let Some(cwd) = cwd {
            row.cwd(cwd);
        }
        Outcome::Accepted
    }
}

/// The arguments, each ended by a NUL, and the working directory if the record has one.
fn variable_part<'a>(record: &records::Event<'a>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let behind_file = record.record_tail().get(record.file_size() as usize..)?;
    let (args, rest) = behind_file.split_at_checked(record.args_size() as usize)?;
    let cwd = rest.get(..record.cwd_size() as usize)?;
    Some((
        args,
        cwd.split(|byte| *byte == 0)
            .next()
            .filter(|cwd| !cwd.is_empty()),
    ))
}

/// The last one may lack its NUL where the record was too short for all of it.
fn arguments(args: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = args.strip_suffix(b"\0").unwrap_or(args);
    (!args.is_empty())
        .then(|| whole.split(|byte| *byte == 0))
        .into_iter()
        .flatten()
}

gadget::export!(TraceExec);
