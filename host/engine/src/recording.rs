//! Recordings as the engine makes and takes them: what their header and footer say of a run.

use crate::ledger::{FILTER, LeftOut, ProgramRuns, RecordLedger, RecordingSummary, Summary};
use crate::options::{GuestLimits, RunError};
use crate::pipeline::Now;
use crate::plan::{Plan, PlannedTable};
use ig_bundle::{Arch, Bundle};
use ig_records::recording::{
    Entry, Footer, Gadget, Instant, KERNEL_SYMBOLS, Limits, Machine, Param, Reader, RecordingError,
    Source, SourceCounts, TableColumns, Written, check,
};
use ig_table::Kind;
use ig_table::Zone;
use ig_table::kallsyms::WithKernelSymbols;
use ig_table::kinds::words::Words;
use ig_table::names::{Names, Passwd};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use crate::contents::{Contents, Records};
pub use ig_records::recording::{EXTENSION, Header};

/// The offsets of the time zone are recorded for this many seconds from the beginning on: ten years.
const ZONE_SECONDS: i64 = 10 * 366 * 86_400;

/// What is known of a run before its first call.
pub(crate) fn header(
    bundle: &Bundle,
    plan: &Plan,
    limits: &GuestLimits,
    names: &Passwd,
    zone: &Zone,
    now: Now,
) -> Header {
    let manifest = &bundle.manifest;
    let seconds = |ns: i64| ns.div_euclid(1_000_000_000);
    // Records may tell of anything since the machine started.
    let started = seconds(now.wall_offset);
    let began = seconds(now.wall_offset.saturating_add_unsigned(now.boot));
    let GuestLimits {
        cpu_per_call,
        memory,
        host_calls,
        staging,
        max_traps,
    } = *limits;
    let wanted = |table: &PlannedTable| {
        let columns = table.table.columns.iter().zip(&table.wanted);
        let wanted = columns.filter(|(_, wanted)| **wanted);
        wanted.map(|(column, _)| column.name.clone()).collect()
    };
    Header {
        owners: plan.tables.iter().any(|table| !table.join.is_empty())
            || manifest.guest.asks_about_containers(),
        watches: manifest.guest.watch,
        ig: env!("CARGO_PKG_VERSION").to_owned(),
        gadget: Gadget {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            bundle: bundle.digest.clone(),
        },
        machine: Machine {
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            architecture: bundle.architecture.as_str().to_owned(),
            zone: zone.offsets(started, began.saturating_add(ZONE_SECONDS)),
            users: names.users().to_vec(),
            groups: names.groups().to_vec(),
        },
        began: Instant {
            boot_ns: now.boot,
            wall_offset_ns: now.wall_offset,
        },
        sources: plan
            .sources
            .iter()
            .map(|source| Source {
                name: source.name.clone(),
                record: source.layout.name.clone(),
                size: source.layout.size,
            })
            .collect(),
        tables: plan
            .tables
            .iter()
            .map(|table| TableColumns {
                name: table.table.name.clone(),
                wanted: wanted(table),
            })
            .collect(),
        params: plan
            .params
            .iter()
            .map(|(name, value)| Param {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        maps: plan.grants.iter().map(|(name, _)| name.clone()).collect(),
        limits: Limits {
            cpu_ns: u64::try_from(cpu_per_call.as_nanos()).unwrap_or(u64::MAX),
            memory,
            host_calls,
            staging,
            max_traps,
        },
    }
}

/// What is known of a run at its end. `left` are the records of each source that were never taken out of its ring.
pub(crate) fn footer(summary: &Summary, left: &BTreeMap<String, u64>) -> Footer {
    let sources = summary.records.iter().map(|(name, ledger)| {
        let counts = SourceCounts {
            attempted: ledger.attempted,
            not_reserved: ledger.not_reserved,
            undecided: left.get(name).copied().unwrap_or(0),
            excluded: excluded(ledger),
        };
        (name.clone(), counts)
    });
    let programs = summary.programs.iter();
    let skipped = programs.filter(|p| p.recursion_misses > 0);
    Footer {
        ended_by: summary.ended_by.clone(),
        duration_ns: summary.duration_ns,
        sources: sources.collect(),
        skipped_runs: skipped
            .map(|p| (p.program.clone(), p.recursion_misses))
            .collect(),
        left_out: summary
            .left_out
            .iter()
            .map(|l| (l.program.clone(), l.reason.clone()))
            .collect(),
        ..Footer::default()
    }
}

/// What was left out before it was recorded: not by `--filter`, which a replay has of its own.
fn excluded(ledger: &RecordLedger) -> BTreeMap<String, u64> {
    let excluded = ledger.excluded_before_guest.iter();
    let before = excluded.filter(|(cause, _)| *cause != FILTER);
    before.map(|(cause, n)| (cause.clone(), *n)).collect()
}

/// What the kernel counted then, for a replay's summary.
pub(crate) fn recount(footer: &Footer, summary: &mut Summary) {
    summary.duration_ns = footer.duration_ns;
    for (name, ledger) in &mut summary.records {
        let SourceCounts {
            attempted,
            not_reserved,
            undecided,
            excluded,
        } = match footer.sources.get(name) {
            Some(counts) => counts.clone(),
            // A source that the gadget did not have then.
            None => SourceCounts {
                attempted: Some(0),
                not_reserved: Some(0),
                ..SourceCounts::default()
            },
        };
        for (cause, records) in &excluded {
            ledger.exclude(cause, *records);
        }
        let RecordLedger {
            attempted: all,
            not_reserved: without_room,
            undecided_at_exit,
            ..
        } = ledger;
        (*all, *without_room) = (attempted, not_reserved);
        *undecided_at_exit += undecided;
    }
    let programs = footer.skipped_runs.iter();
    summary.programs = programs
        .map(|(program, misses)| ProgramRuns {
            program: program.clone(),
            recursion_misses: *misses,
        })
        .collect();
    let left_out = footer.left_out.iter();
    summary.left_out = left_out
        .map(|(program, reason)| LeftOut {
            program: program.clone(),
            reason: reason.clone(),
        })
        .collect();
}

/// What the summary says of a recording that was made.
pub(crate) fn made(path: &Path, written: Written) -> RecordingSummary {
    let Written { counts, bytes } = written;
    RecordingSummary {
        path: path.display().to_string(),
        calls: counts.calls,
        records: counts.records,
        answers: counts.answers,
        bytes,
    }
}

/// The header, and the kernel's functions if they are there.
fn beginning(from: impl Read) -> Result<(Header, Symbols), RecordingError> {
    let mut reader = Reader::new(from)?;
    let mut symbols = None;
    while let Some(Entry::Answer { kind, answer, .. }) = reader.next()? {
        if kind == KERNEL_SYMBOLS {
            symbols = Some(answer.into());
        }
    }
    Ok((reader.header().clone(), symbols))
}

/// Whether a column of the run needs the names of the kernel's functions.
pub(crate) fn needs_kernel_symbols(plan: &Plan) -> bool {
    let tables = plan.tables.iter();
    let mut columns = tables.flat_map(|table| &table.table.columns);
    columns.any(|column| column.kind == Kind::KernelStack)
}

/// The kernel's functions out of `/proc/kallsyms`: no variables, and nothing of a text that shows no addresses.
pub(crate) fn functions(mut text: impl BufRead) -> std::io::Result<Vec<u8>> {
    /// A tenth of it is usual.
    const MOST: usize = 48 << 20;
    let mut functions = Vec::new();
    let mut line = Vec::new();
    while text.read_until(b'\n', &mut line)? > 0 && functions.len() < MOST {
        let mut words = line.split(|byte| *byte == b' ');
        let shown = words.next().is_some_and(|at| at.iter().any(|c| *c != b'0'));
        if shown && matches!(words.next(), Some(b"t" | b"T" | b"w" | b"W")) {
            functions.extend_from_slice(&line);
        }
        line.clear();
    }
    Ok(functions)
}

/// A recording that is whole: every checksum is right and its end is there.
#[derive(Debug)]
pub struct Recording {
    name: String,
    bytes: Bytes,
    header: Header,
    /// The kernel's functions, as `/proc/kallsyms` lists them.
    symbols: Symbols,
}

/// The kernel's functions, if they were recorded.
type Symbols = Option<Arc<[u8]>>;

#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Recording {
    /// Opens a file and reads it once to its end, without looking into it.
    ///
    /// # Errors
    /// It can't be read, is none, is cut off, damaged, or of a newer program; the text says where.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let name = path.display().to_string();
        let wrong = |e: RecordingError| RunError::Recording(format!("{name}: {e}"));
        let io = |e: std::io::Error| RunError::Recording(format!("{name}: can't be read: {e}"));
        let mut file = File::open(path).map_err(io)?;
        check(BufReader::new(&file)).map_err(wrong)?;
        file.rewind().map_err(io)?;
        let (header, symbols) = beginning(BufReader::new(&file)).map_err(wrong)?;
        file.rewind().map_err(io)?;
        Ok(Self {
            name,
            bytes: Bytes::File(file),
            header,
            symbols,
        })
    }

    /// Takes a recording from its bytes, such as those of a bundle's layer; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn parse(name: &str, bytes: Vec<u8>) -> Result<Self, RunError> {
        let wrong = |e: RecordingError| RunError::Recording(format!("{name}: {e}"));
        check(bytes.as_slice()).map_err(wrong)?;
        let (header, symbols) = beginning(bytes.as_slice()).map_err(wrong)?;
        Ok(Self {
            name: name.to_owned(),
            bytes: Bytes::Memory(bytes),
            header,
            symbols,
        })
    }

    /// What errors call it: its path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is of.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whose eBPF object made its records: a replay needs the bundle's parts for this architecture.
    ///
    /// # Errors
    /// One that this program does not know.
    pub fn architecture(&self) -> Result<Arch, RunError> {
        let architecture = &self.header.machine.architecture;
        let parsed = architecture.parse();
        parsed.map_err(|e| RunError::Recording(format!("{}: {e}", self.name)))
    }

    /// What the guest could use.
    #[must_use]
    pub fn limits(&self) -> GuestLimits {
        let Limits {
            cpu_ns,
            memory,
            host_calls,
            staging,
            max_traps,
        } = self.header.limits;
        GuestLimits {
            cpu_per_call: Duration::from_nanos(cpu_ns),
            memory,
            host_calls,
            staging,
            max_traps,
        }
    }

    /// What turns numbers into words, as it was then and there.
    pub(crate) fn words(&self) -> Result<Words, RunError> {
        let machine = &self.header.machine;
        let arch = match self.architecture()? {
            Arch::Amd64 => ig_table::Arch::X86_64,
            Arch::Arm64 => ig_table::Arch::Aarch64,
        };
        let people = Passwd::of(
            machine.users.iter().cloned(),
            machine.groups.iter().cloned(),
        );
        let names: Arc<dyn Names> = match self.symbols.clone() {
            Some(symbols) => {
                let open = move || Ok(Box::new(Cursor::new(symbols.clone())) as Box<dyn BufRead>);
                Arc::new(WithKernelSymbols::new(people, Box::new(open)))
            }
            None => Arc::new(people),
        };
        let zone = Zone::of_offsets(machine.zone.clone());
        Ok(Words::new(names, arch, zone))
    }

    /// Reads it from its beginning.
    pub(crate) fn reader(self) -> Result<Reader<Box<dyn Read>>, RecordingError> {
        Reader::new(match self.bytes {
            Bytes::File(file) => Box::new(BufReader::with_capacity(1 << 17, file)),
            Bytes::Memory(bytes) => Box::new(Cursor::new(bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ig_records::recording::{Call, Chunk, Effort, Moment, Writer};

    #[test]
    fn the_kernel_s_functions_are_those_of_the_recording() {
        let text =
            "ffffffff81000000 T vfs_open\nffffffff81000010 D data\n0000000000000000 t hidden\n";
        let functions = functions(text.as_bytes()).unwrap();
        assert_eq!(functions, b"ffffffff81000000 T vfs_open\n");
        let mut chunk = Chunk::default();
        chunk.answer(KERNEL_SYMBOLS, &[], &functions).unwrap();
        chunk.call(Moment::default(), &[], Call::Init).unwrap();
        let header = Header {
            machine: Machine {
                architecture: "amd64".to_owned(),
                ..Machine::default()
            },
            ..Header::default()
        };
        let mut writer = Writer::new(Vec::new(), &header).unwrap();
        writer.write(&mut chunk, Effort::Compress).unwrap();
        let (bytes, _) = writer.finish(Footer::default()).unwrap();
        let recording = Recording::parse("a.igrec", bytes).unwrap();
        assert_eq!(recording.symbols.as_deref(), Some(functions.as_slice()));
        assert_eq!(recording.architecture().unwrap(), Arch::Amd64);
        recording.words().unwrap();
    }
}
