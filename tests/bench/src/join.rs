//! What it costs a record that the host joins whose it is: the same recording replayed, trace_open's guest and lines of JSON
//! included, with the columns that are shown when nobody chooses, against the same run without those of containers. Once they
//! are made and not written, so that both write the same lines: a filter looks whether there is something in them. Once they are
//! written, which makes the lines half as long again.
//!
//! Records of 64 containers come in runs of 4, as from as many busy ones; each of them has a name and an image.

use crate::figures::{Figure, median};
use crate::process::Setup;
use anyhow::{Context as _, Result, anyhow, ensure};
use ig_bundle::{Arch, Bundle};
use ig_containers::{Decision, Directory, Facts, Runtime};
use ig_engine::options::{Fields, GuestLimits, OutputOptions, Place, SinkOptions};
use ig_engine::output::{Format, TerminalOptions};
use ig_engine::recording::Recording;
use ig_engine::replay::{ReplayOptions, replay};
use ig_engine::stop::Stop;
use ig_object::btf::Layout;
use ig_records::recording::{
    Call, Chunk, Effort, Footer, Header, Machine, Moment, Param, Source, Writer,
};
use ig_records::span;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::Duration;

const CONTAINERS: u64 = 64;
/// Records one behind the other that belong to the same one.
const RUN: u64 = 4;
const PER_SPAN: u64 = 256;
const SPANS: u64 = 2_000;
/// The first container's cgroup.
const FIRST: u64 = 5_000;
const PATH: &[u8] = b"/usr/lib/x86_64-linux-gnu/libc.so.6\0";

fn put(record: &mut [u8], layout: &Layout, path: &str, value: &[u8]) -> Result<()> {
    let found = layout.field(path).with_context(|| format!("no {path}"))?;
    let at = usize::try_from(found.bit_offset / 8)?;
    let field = record.get_mut(at..at + value.len());
    field
        .context("a field outside of its record")?
        .copy_from_slice(value);
    Ok(())
}

fn recording(layout: &Layout, params: Vec<Param>) -> Result<Vec<u8>> {
    let header = Header {
        machine: Machine {
            architecture: Arch::host().as_str().to_owned(),
            ..Machine::default()
        },
        sources: vec![Source {
            name: "open".to_owned(),
            record: "event".to_owned(),
            size: layout.size,
        }],
        params,
        ..Header::default()
    };
    let mut writer = Writer::new(Vec::new(), &header)?;
    let mut chunk = Chunk::default();
    let mut when = Moment::default();
    chunk.call(when, &[], Call::Init)?;
    let mut n = 0;
    let mut bytes = Vec::new();
    for _ in 0..SPANS {
        bytes.clear();
        for _ in 0..PER_SPAN {
            let mut record = vec![0; usize::try_from(layout.size)?];
            let cgroup = FIRST + n / RUN % CONTAINERS;
            put(
                &mut record,
                layout,
                "timestamp_raw",
                &(n * 1_000).to_le_bytes(),
            )?;
            put(&mut record, layout, "proc.cgroup_id", &cgroup.to_le_bytes())?;
            put(&mut record, layout, "proc.comm", b"python3")?;
            put(
                &mut record,
                layout,
                "proc.pid",
                &(1_000 + (n as u32 % 500)).to_le_bytes(),
            )?;
            put(&mut record, layout, "fd", &3_u32.to_le_bytes())?;
            span::push(&mut bytes, &[&record, PATH])?;
            n += 1;
        }
        when.boot = n * 1_000;
        let span = &bytes;
        chunk.call(when, &[], Call::Process { source: 0, span })?;
        if chunk.is_full() {
            writer.write(&mut chunk, Effort::Store)?;
            chunk.clear();
        }
    }
    chunk.call(when, &[], Call::Stop)?;
    writer.write(&mut chunk, Effort::Store)?;
    Ok(writer.finish(Footer::default())?.0)
}

fn directory() -> Arc<Directory> {
    let directory = Arc::new(Directory::default());
    for i in 0..CONTAINERS {
        directory.made(FIRST + i, None);
        let facts = Facts {
            id: format!("{i:064x}"),
            runtime: Some(Runtime::Docker),
            name: Some(format!("container-{i}")),
            image: Some("docker.io/library/busybox:1.36".to_owned()),
            ..Facts::default()
        };
        let decision = Decision::Container {
            facts: Box::new(facts),
            unit: None,
        };
        directory.decide(FIRST + i, "/x", decision);
    }
    directory
}

/// Nanoseconds of CPU time of all threads for a record.
fn cost(
    setup: &Setup,
    bytes: &[u8],
    directory: &Arc<Directory>,
    fields: Option<&str>,
    filter: Option<&str>,
) -> Result<f64> {
    let path = setup.bundle("trace_open");
    let sink = SinkOptions {
        name: "json".to_owned(),
        format: Format::Json,
        place: Place::Writer(Box::new(std::io::sink()), TerminalOptions::default()),
    };
    let options = ReplayOptions {
        bundle: Bundle::open(&path, Arch::host())?,
        recording: Recording::parse("join", bytes.to_vec())?,
        params: Vec::new(),
        limits: GuestLimits {
            cpu_per_call: Duration::from_secs(1),
            memory: 64 << 20,
            host_calls: 100_000,
            staging: 8 << 20,
            max_traps: 3,
        },
        output: OutputOptions {
            main: sink,
            others: Vec::new(),
            table: None,
            fields: fields.map_or(Fields::Shown, |text| Fields::Named(text.to_owned())),
            filter: filter.map(str::to_owned),
            sort: None,
            max_rows: None,
            interval: None,
            redact: Vec::new(),
        },
        directory: Some(Arc::clone(directory)),
        cache: Some(setup.program("components")),
        verbose: false,
        stop: Arc::new(Stop::new()?),
        say: Arc::new(|_| {}),
    };
    let cpu = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime));
    let before = cpu()?;
    let outcome = replay(options)?;
    let took = cpu()? - before;
    let rows = outcome.summary.rows.get("open").map(|rows| rows.written);
    let records = SPANS * PER_SPAN;
    ensure!(rows == Some(records), "{rows:?} rows of {records}");
    Ok(took.as_nanos() as f64 / records as f64)
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let bundle = Bundle::open(&setup.bundle("trace_open"), Arch::host())?;
    let object = bundle.object().map_err(|e| anyhow!("{e}"))?;
    let resolved = bundle.resolve(&object)?;
    let source = resolved.sources.first().context("no source")?;
    let bytes = recording(&source.layout, Vec::new())?;
    let directory = directory();
    // Fills the cache of compiled guests.
    cost(setup, &bytes, &directory, None, None)?;
    let own = Some("-container,-image,-namespace,-pod");
    // Both sides filter, and by as many columns.
    let others = Some("comm is not null, path is not null, pid is not null, fd is not null");
    let there = Some("container is not null, image is not null, namespace is null, pod is null");
    let (mut none, mut made, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.rounds() {
        none.push(cost(setup, &bytes, &directory, own, others)?);
        made.push(cost(setup, &bytes, &directory, own, there)?);
        written.push(cost(setup, &bytes, &directory, None, None)?);
    }
    let none = median(&none);
    let figure = |name, ours: &[f64]| {
        let against = "the same without these columns";
        Figure::ratio(name, "ns/rec", median(ours), against, none, 1.1)
    };
    Ok(vec![
        figure("join.made", &made),
        Figure {
            goal: None,
            ..figure("join.written", &written)
        },
    ])
}
