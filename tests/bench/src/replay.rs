//! What a replay takes, by the language of the guest, against one without a guest; how large recordings are; how long the
//! tests of the example gadgets take.
//!
//! The records are one recording of trace_open. Rows go out as JSON, in all cases the same columns. The guests in C and
//! Python do what trace_open's does.
#![expect(
    unsafe_code,
    reason = "the CPU time of children; the one place proves why"
)]

use crate::figures::{Figure, median};
use crate::process::{Setup, Storm, end, root, settled};
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Records of the recording, and how many a second: slow enough that none is lost while it is made.
const QUICK: u64 = 200_000;
const FULL: u64 = 1_000_000;
const RATE: u64 = 200_000;

/// User and system time of all children that have ended, in nanoseconds.
fn children_ns() -> Result<f64> {
    // SAFETY: a struct of numbers alone, of which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a struct of ours, which the call fills.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    ensure!(
        failed == 0,
        "getrusage: {}",
        std::io::Error::last_os_error()
    );
    let ns = |time: libc::timeval| time.tv_sec as f64 * 1e9 + time.tv_usec as f64 * 1e3;
    Ok(ns(usage.ru_utime) + ns(usage.ru_stime))
}

/// Runs it to its end, which must be a good one; what it said is in the error.
fn done(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}\n{said}", output.status);
    }
    Ok(())
}

/// Records opens of a storm.
fn record(setup: &Setup, count: u64, path: &Path) -> Result<()> {
    let storm = Storm::new(setup, RATE, count)?;
    let mut ig = Command::new(&setup.ig)
        .arg("record")
        .arg(setup.bundle("trace_open"))
        .args(["--tid", &storm.tid().to_string(), "-o"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    settled(&mut ig)?;
    storm.run()?;
    end(&mut ig)
}

/// Millions of records that one core replays in a second.
fn rate(setup: &Setup, bundle: &Path, recording: &Path, count: u64) -> Result<f64> {
    let summary = setup.program("replay.json");
    let mut ig = Command::new(&setup.ig);
    ig.arg("run")
        .arg(bundle)
        .arg("--replay")
        .arg(recording)
        .args(["-o", "json", "--summary"])
        .arg(format!("json:{}", summary.display()));
    let before = children_ns()?;
    done(&mut ig)?;
    let took = children_ns()? - before;
    let said: serde_json::Value = serde_json::from_slice(&std::fs::read(&summary)?)?;
    let accepted = said["records"]["open"]["accepted"].as_u64();
    let written = said["rows"]["open"]["written"].as_u64();
    ensure!(
        accepted.is_some_and(|n| n >= count) && accepted == written,
        "{}: {accepted:?} records and {written:?} rows of {count}",
        bundle.display()
    );
    Ok(count as f64 / took * 1e3)
}

/// Seconds that the tests of all example gadgets take, built before.
fn tests(setup: &Setup) -> Result<f64> {
    let mut command = Command::new(&setup.ig);
    command.arg("test");
    for entry in std::fs::read_dir(root().join("example-gadgets"))? {
        let path = entry?.path();
        if path.join("gadget.yaml").is_file() {
            command.arg(path);
        }
    }
    done(&mut command)?;
    let mut took = Vec::new();
    for _ in 0..if setup.quick { 1 } else { 3 } {
        let begin = Instant::now();
        done(&mut command)?;
        took.push(begin.elapsed().as_secs_f64());
    }
    Ok(median(&took))
}

/// A bundle of trace_open's kernel side and these files, each in a folder of the tree.
fn build(setup: &Setup, name: &str, files: &[(&str, &str)]) -> Result<PathBuf> {
    let folder = setup.program(name);
    let out = setup.program(&format!("{name}.oci"));
    std::fs::create_dir(&folder)?;
    for (file, from) in files {
        std::fs::copy(root().join(from).join(file), folder.join(file))?;
    }
    // As who we are: the folder is closed to the user behind sudo.
    done(
        Command::new(&setup.ig)
            .args(["image", "build"])
            .arg(&folder)
            .arg("--prog")
            .arg(root().join("example-gadgets/trace_open/program.bpf.c"))
            .arg("-o")
            .arg(&out)
            .env_remove("SUDO_UID"),
    )?;
    Ok(out)
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let decoded = build(setup, "decoded", &[("gadget.yaml", "tests/bench/replay")])?;
    let like_rust = ("gadget.yaml", "example-gadgets/trace_open");
    let c = build(
        setup,
        "c",
        &[like_rust, ("guest.c", "tests/bench/replay/c")],
    )?;
    let guest = ("guest.py", "tests/bench/replay/python");
    let python = build(setup, "python", &[like_rust, guest])?;
    let count = if setup.quick { QUICK } else { FULL };
    let recording = setup.program("open.igrec");
    record(setup, count, &recording)?;
    let size = std::fs::metadata(&recording)?.len() as f64 / count as f64;
    let rust = setup.bundle("trace_open");
    // Fills the cache of compiled guests.
    let guests = [&rust, &c, &python];
    for guest in guests {
        rate(setup, guest, &recording, count)?;
    }
    let (mut us, mut them) = ([const { Vec::new() }; 3], Vec::new());
    for round in 0..setup.rounds() {
        them.push(rate(setup, &decoded, &recording, count)?);
        for (guest, rates) in guests.into_iter().zip(&mut us) {
            // Python takes its time: enough of them for a median.
            if *guest != python || round % 3 == 0 {
                rates.push(rate(setup, guest, &recording, count)?);
            }
        }
    }
    let [rust, c, python] = us.map(|rates| median(&rates));
    let figure = |name, ours| {
        let against = "the same records without a guest";
        Figure::ratio(name, "M/s", ours, against, median(&them), 0.8).at_least()
    };
    Ok(vec![
        figure("replay.rust", rust),
        figure("replay.c", c),
        Figure {
            goal: None,
            ..figure("replay.python", python)
        },
        Figure::most("replay.size", "B/rec", size, 10.0),
        Figure::most("replay.tests", "s", tests(setup)?, 5.0),
    ])
}
