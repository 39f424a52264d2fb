//! Benches of the program as users have it, and of its rooms, against what others would write.
//!
//! `ig-bench [--quick] [--only NAME]` prints a table and writes `IG_BENCH_JSON` (or `target/bench.json`). Each figure
//! is the median of several runs of A and B that take turns, so that a noisy machine disturbs both alike. A goal that is
//! missed is said and does not fail the run; a bench that can't run does.

mod boundary;
mod containers;
mod decode;
mod delay;
mod end_to_end;
mod figures;
mod filter;
mod guest;
mod host;
mod hostile;
mod join;
mod namespaces;
mod native;
mod process;
mod replay;
mod ring;
mod select;
mod start;
mod write;

use anyhow::{Context as _, Result, bail};
use figures::Figure;
use process::Setup;
use std::path::PathBuf;
use std::process::ExitCode;

type Bench = fn(&Setup) -> Result<Vec<Figure>>;

const BENCHES: [(&str, Bench); 15] = [
    ("start", start::run),
    ("boundary", boundary::run),
    ("guest", guest::run),
    ("hostile", hostile::run),
    ("decode", decode::run),
    ("write", write::run),
    ("filter", filter::run),
    ("replay", replay::run),
    ("containers", containers::run),
    ("join", join::run),
    ("delay", delay::run),
    ("ring", ring::run),
    ("select", select::run),
    ("namespaces", namespaces::run),
    ("end-to-end", end_to_end::run),
];

fn main() -> ExitCode {
    // Guests are compiled by a child, as in the program.
    if let Some(code) = ig_sandbox::compile_child() {
        return code;
    }
    if let Some(code) = containers::memory_child() {
        return code;
    }
    match benches() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn benches() -> Result<()> {
    let mut quick = false;
    let mut only = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => quick = true,
            "--only" => only = args.next(),
            _ => bail!("unknown argument {arg}; ig-bench [--quick] [--only NAME]"),
        }
    }
    if let Some(name) = &only
        && BENCHES.iter().all(|(bench, _)| bench != name)
    {
        let names: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        bail!("no bench is named {name}; there are {}", names.join(", "));
    }
    let setup = Setup::new(quick)?;
    let mut figures = Vec::new();
    for (name, bench) in BENCHES {
        if only.as_deref().is_none_or(|only| only == name) {
            eprintln!("bench: {name}");
            figures.extend(bench(&setup).with_context(|| format!("the bench {name}"))?);
        }
    }
    print!("{}", figures::table(&figures));
    let path = std::env::var_os("IG_BENCH_JSON")
        .map_or_else(|| PathBuf::from("target/bench.json"), PathBuf::from);
    std::fs::write(&path, figures::json(&figures))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}
