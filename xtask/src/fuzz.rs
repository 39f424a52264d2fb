//! The fuzz targets of `tests/fuzz`: built with cargo-fuzz, run side by side for a while each.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{run, shown};
use crate::place::Place;
use crate::setup;

/// How long each target runs, in seconds.
const SECONDS: u32 = 60;
const FULL_SECONDS: u32 = 600;

/// What one input may take: seconds, and MiB.
const TIMEOUT: u32 = 10;
const MEMORY: u32 = 2048;

/// `cargo xtask fuzz`.
pub fn fuzz(place: &Place, full: bool) -> Result<()> {
    let sources = place.root.join("tests/fuzz");
    let build = place.target.join("fuzz");
    run(Command::new(setup::cargo_fuzz(place)?)
        .args(["build", "--fuzz-dir", "tests/fuzz", "--target-dir"])
        .arg(&build)
        // Optimized in parts: half the time to build.
        .args(["--codegen-units", "16"])
        // The sanitizers are the stable compiler's own, behind its switch for what is not stable.
        .env("RUSTC_BOOTSTRAP", "1")
        // Its flags are cargo-fuzz's own.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_INCREMENTAL"))?;
    let mut waiting = VecDeque::from(targets(&sources)?);
    let all = waiting.len();
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "xtask: {all} fuzz targets, {} s each, {at_once} at once",
        seconds(full)
    );
    let mut running = Vec::new();
    let mut failed = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < at_once
            && let Some(name) = waiting.pop_front()
        {
            running.push(Target::start(name, &sources, &build, full)?);
        }
        let mut index = 0;
        while let Some(target) = running.get_mut(index) {
            match target.child.try_wait().context("waiting for a target")? {
                None => index += 1,
                Some(status) => {
                    let target = running.swap_remove(index);
                    println!("xtask: {:<10} {}", target.name, target.told());
                    if !status.success() {
                        failed.push(target);
                    }
                }
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    for target in &failed {
        let text = fs::read_to_string(&target.log).unwrap_or_default();
        let from = text.len().saturating_sub(6000);
        let from = (from..text.len()).find(|at| text.is_char_boundary(*at));
        println!("\n== {}\n{}", target.name, &text[from.unwrap_or(0)..]);
        println!(
            "again with what broke it: {} FILE",
            target.program.display()
        );
    }
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = failed.iter().map(|target| target.name.as_str()).collect();
    bail!(
        "fuzzing broke {}; what did it lies in {}",
        names.join(", "),
        build.join("artifacts").display()
    )
}

fn seconds(full: bool) -> u32 {
    if full { FULL_SECONDS } else { SECONDS }
}

/// The names of the targets, sorted.
fn targets(sources: &Path) -> Result<Vec<String>> {
    let folder = sources.join("targets");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("can't list {}", folder.display()))?
    {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A target that runs.
struct Target {
    name: String,
    program: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Target {
    /// Starts a target over its corpus: the seeds in the tree, and what former runs found.
    fn start(name: String, sources: &Path, build: &Path, full: bool) -> Result<Self> {
        let program = build.join("x86_64-unknown-linux-gnu/release").join(&name);
        let found = build.join("corpus").join(&name);
        let artifacts = build.join("artifacts");
        for folder in [&found, &artifacts] {
            fs::create_dir_all(folder)
                .with_context(|| format!("can't make {}", folder.display()))?;
        }
        let log = artifacts.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
        let mut command = Command::new(&program);
        command.arg(&found);
        let seeds = sources.join("corpus").join(&name);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        command
            .arg(format!("-max_total_time={}", seconds(full)))
            // The short form goes the same way each time, so that what it finds was there to be found before; the long
            // form goes a new one.
            .arg(if full { "-seed=0" } else { "-seed=1" })
            .arg(format!("-timeout={TIMEOUT}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-artifact_prefix={}/{name}-", artifacts.display()))
            .arg("-print_final_stats=1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let child = command
            .spawn()
            .with_context(|| format!("can't start `{}`", shown(&command)))?;
        Ok(Self {
            name,
            program,
            log,
            child,
        })
    }

    /// How many inputs were tried.
    fn told(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let number = text
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        match number {
            Some(number) => format!("{} inputs", number.trim()),
            None => format!("ended early: {}", self.log.display()),
        }
    }
}
