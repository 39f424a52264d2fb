//! What the sandbox costs a guest: records in, rows out, against the same source as a library of this machine.
//!
//! Both sides get the same spans, and the same host takes the rows of both: it copies the columns into Arrow's arrays
//! and, where rows point back at their records, decodes the others. In the sandbox there are also the call itself and
//! the copy of the span into the guest's memory.

use crate::figures::{Figure, median};
use crate::host::{Staged, Staging};
use crate::native::Native;
use crate::process::Setup;
use anyhow::{Context as _, Result, bail, ensure};
use arrow_array::ArrayRef;
use ig_bundle::manifest::{ColumnSource, Resolved};
use ig_bundle::{Arch, Bundle};
use ig_records::decode::{Decoder, FieldSpec, Picked};
use ig_records::span;
use ig_sandbox::{Grants, Guest, Limits, Sandbox, SandboxOptions, Verdict};
use std::hint::black_box;
use std::time::Instant;

/// The most that the program hands over in one call.
const SPAN: usize = 64 << 10;
/// As many as fill the ring of 4 MiB that a gadget gets at least: records come from farther away than the processor's
/// own caches, as in a ring that another processor writes.
const SPANS: usize = 64;
/// Spans of one turn, walked over again and again.
const QUICK: usize = 800;
const FULL: usize = 8_000;
/// Turns of each side, also in the quick form: this is cheap.
const TURNS: usize = 9;

const COMMANDS: [&str; 4] = ["cat", "systemd-journal", "bash", "kworker/u8:3"];
const PATHS: [&str; 8] = [
    "/etc/passwd",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/proc/self/status",
    "/sys/fs/cgroup/system.slice/cron.service/memory.current",
    "/usr/share/zoneinfo/Europe/Amsterdam",
    "/var/lib/docker/overlay2/5c0d7a4e1b/merged/etc/hosts",
    "/home/user/src/project/target/release/deps/libserde.rlib",
    "/dev/null",
];

/// Spans of records in the form of `struct event` of `row/program.bpf.c`, always the same. One of eight failed.
pub fn spans() -> Result<Vec<Vec<u8>>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    let mut spans = Vec::new();
    for _ in 0..SPANS {
        let mut span = Vec::with_capacity(SPAN);
        loop {
            let name = |list: &[&'static str], at: usize| list.get(at).copied().unwrap_or_default();
            let mut fixed = [0u8; 96];
            let mut put = |at: usize, bytes: &[u8]| {
                for (to, from) in fixed.iter_mut().skip(at).zip(bytes) {
                    *to = *from;
                }
            };
            let ret: i32 = if random(8) == 0 { -2 } else { 3 };
            put(0, &(random(1 << 30) as u64).to_le_bytes()); // timestamp_raw
            put(8, name(&COMMANDS, random(4)).as_bytes()); // proc.comm
            put(24, &(random(1 << 22) as u32).to_le_bytes()); // proc.pid
            put(28, &(random(1 << 22) as u32).to_le_bytes()); // proc.tid
            put(80, &ret.to_le_bytes()); // ret
            put(84, &(random(1 << 20) as u32).to_le_bytes()); // flags
            let path = name(&PATHS, random(PATHS.len()));
            let before = span.len();
            span::push(&mut span, &[&fixed, path.as_bytes(), &[0]])?;
            if span.len() > SPAN {
                span.truncate(before);
                break;
            }
        }
        spans.push(span);
    }
    Ok(spans)
}

/// What the host knows about the tables.
pub struct Host {
    resolved: Resolved,
    /// By table: what decodes its columns, and by the decoder's index the column's.
    decoders: Vec<(Decoder, Vec<usize>)>,
}

impl Host {
    /// Of a bundle.
    pub fn new(bundle: &Bundle) -> Result<Self> {
        let resolved = bundle.resolve(&bundle.object()?)?;
        let layout = &resolved.sources.first().context("no source")?.layout;
        let mut decoders = Vec::new();
        for table in &resolved.tables {
            let (mut specs, mut places) = (Vec::new(), Vec::new());
            for (place, from) in table.columns.iter().enumerate() {
                if let ColumnSource::Field { source: _, path } = from {
                    let column = table.table.columns.get(place).context("a column")?;
                    specs.push(FieldSpec {
                        path: path.clone(),
                        data_type: Some(column.data_type.clone()),
                        kind: column.kind,
                    });
                    places.push(place);
                }
            }
            decoders.push((Decoder::new(layout, &specs)?, places));
        }
        Ok(Self { resolved, decoders })
    }

    /// What one guest has of it.
    pub fn staging(&self, origin: bool) -> Staging {
        let types = |table: &ig_bundle::manifest::ResolvedTable| {
            let columns = table.columns.iter().zip(&table.table.columns);
            columns
                .map(|(from, column)| {
                    (*from == ColumnSource::Guest).then(|| column.data_type.clone())
                })
                .collect()
        };
        Staging {
            tables: self.resolved.tables.iter().map(types).collect(),
            param: origin.to_string(),
            staged: Vec::new(),
            quiet: false,
        }
    }

    /// The columns of staged rows, with those that the host decodes.
    pub fn columns(&self, staged: Staged, span: &[u8]) -> Result<Vec<Option<ArrayRef>>> {
        let Staged {
            table,
            rows: _,
            origin,
            mut columns,
        } = staged;
        let (decoder, places) = self.decoders.get(table).context("no such table")?;
        if !decoder.is_empty() {
            let picked = Picked::origins(span, &origin)?;
            for (index, place) in places.iter().enumerate() {
                if let Some(slot) = columns.get_mut(*place) {
                    *slot = Some(decoder.decode(index, &picked)?);
                }
            }
        }
        Ok(columns)
    }
}

/// Records of a span to its rows, by either side.
pub trait Side {
    /// Rows are added to `staged`.
    fn process(&mut self, span: &[u8], staged: &mut Vec<Staged>) -> Result<Verdict>;
}

impl Side for Guest<Staging> {
    fn process(&mut self, span: &[u8], staged: &mut Vec<Staged>) -> Result<Verdict> {
        let verdict = Guest::process(self, 0, span)?;
        staged.append(&mut self.host_mut().staged);
        Ok(verdict)
    }
}

impl Side for Native {
    fn process(&mut self, span: &[u8], staged: &mut Vec<Staged>) -> Result<Verdict> {
        Native::process(self, span, staged)
    }
}

/// Nanoseconds a record, over `count` spans.
fn walk(host: &Host, side: &mut dyn Side, spans: &[Vec<u8>], count: usize) -> Result<f64> {
    let mut staged = Vec::new();
    let mut records = 0;
    let begin = Instant::now();
    for span in spans.iter().cycle().take(count) {
        let verdict = side.process(black_box(span), &mut staged)?;
        for rows in staged.drain(..) {
            black_box(host.columns(rows, span)?);
        }
        records += verdict.accepted + verdict.dropped;
    }
    Ok(begin.elapsed().as_nanos() as f64 / f64::from(records))
}

/// Both sides must say and emit the same of every span.
fn agree(
    host: &Host,
    one: &mut dyn Side,
    other: &mut dyn Side,
    spans: &[Vec<u8>],
    origin: bool,
) -> Result<()> {
    for span in spans {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let verdict = one.process(span, &mut a)?;
        ensure!(
            verdict == other.process(span, &mut b)?,
            "the sandboxed and the native guest count differently"
        );
        ensure!(
            verdict.malformed == 0 && verdict.accepted > verdict.dropped && verdict.dropped > 0,
            "the spans are not what they should be: {verdict:?}"
        );
        let (Some(a), Some(b)) = (a.pop(), b.pop()) else {
            bail!("a guest emitted nothing");
        };
        ensure!(
            a.rows == verdict.accepted as usize && a.table == usize::from(origin),
            "{} rows of table {} for {verdict:?}",
            a.rows,
            a.table
        );
        let (a, b) = (host.columns(a, span)?, host.columns(b, span)?);
        ensure!(
            a.len() == 6 && a.iter().all(Option::is_some) && a == b,
            "the sandboxed and the native guest emit different rows"
        );
    }
    Ok(())
}

/// Both figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let bundle = Bundle::open(&setup.bundle("row"), Arch::host())?;
    let host = Host::new(&bundle)?;
    let component = bundle.component.as_deref().context("no guest")?;
    let program = Sandbox::new(SandboxOptions::default())?.load(component)?;
    let spans = spans()?;
    let count = if setup.quick { QUICK } else { FULL };
    let against = "the same guest, native";
    let mut figures = Vec::new();
    for (name, origin, goal) in [("guest.row", false, 2.0), ("guest.origin", true, 1.2)] {
        let grants = Grants {
            params: true,
            ..Grants::default()
        };
        let mut guest = program.instantiate(host.staging(origin), Limits::default(), grants)?;
        if let Err(error) = guest.init()? {
            bail!("the guest's init: {error}");
        }
        let mut native = Native::start(&setup.native, host.staging(origin), origin)?;
        agree(&host, &mut guest, &mut native, &spans, origin)?;
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            them.push(walk(&host, &mut native, &spans, count)?);
            us.push(walk(&host, &mut guest, &spans, count)?);
        }
        let (us, them) = (median(&us), median(&them));
        figures.push(Figure::ratio(name, "ns/rec", us, against, them, goal));
    }
    Ok(figures)
}
