//! Starting, the way of a lone record, memory and size.
//!
//! "Attached" is seen from outside and alike for both: each starts a command once everything is attached, and the first
//! thing that the command does is to write down the time.
#![expect(unsafe_code, reason = "the system's clocks; the one place proves why")]

use crate::figures::{Figure, median, percentile};
use crate::process::{Setup, end, status_kib};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A clock in nanoseconds.
fn clock(id: libc::clockid_t) -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours, which the call fills.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// From the start of the tracer to the first instructions of the command that it releases, in milliseconds.
fn attached(setup: &Setup, ig: bool) -> Result<f64> {
    let file = setup.program("now");
    let mut command = if ig {
        let mut c = Command::new(&setup.ig);
        c.arg("run")
            .arg(setup.bundle("trace_open"))
            .args(["-o", "json", "--"]);
        c
    } else {
        let mut c = Command::new(setup.program("trace_open"));
        c.arg(setup.program("default.bpf.o")).args(["1", "load"]);
        c
    };
    command.arg(setup.program("ring")).arg("now").arg(&file);
    let begin = clock(libc::CLOCK_MONOTONIC);
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("{command:?} started nothing; {status}"))?;
    std::fs::remove_file(&file)?;
    let at: f64 = text.trim().parse()?;
    Ok((at - begin) / 1e6)
}

/// `...THH:MM:SS.nnnnnnnnnZ` as nanoseconds of the day.
fn of_day(timestamp: &str) -> Option<f64> {
    let (_, time) = timestamp.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some((next()? * 3600.0 + next()? * 60.0) * 1e9 + (next()? * 1e9).round())
}

/// From a record's timestamp to its line at the reader, in milliseconds, for records that come alone.
fn lone(setup: &Setup, count: usize) -> Result<Vec<f64>> {
    let mut traced = Command::new(setup.program("ring"))
        .args(["lone", &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(traced.stdout.take().context("its output")?).read_line(&mut line)?;
    let mut ig = Command::new(&setup.ig)
        .arg("run")
        .arg(setup.bundle("trace_open"))
        .args(["--tid", &traced.id().to_string(), "-o", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(ig.stdout.take().context("its output")?);
    std::thread::sleep(Duration::from_millis(1000));
    traced.stdin.take().context("its input")?.write_all(b"\n")?;
    // Whatever fails ends the reading: without lines there would be no end of it.
    let ender = std::thread::spawn(move || -> Result<Child> {
        traced.wait()?;
        std::thread::sleep(Duration::from_millis(100));
        end(&mut ig)?;
        Ok(ig)
    });
    let mut late = Vec::new();
    let day = 86_400e9;
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            break;
        }
        let now = clock(libc::CLOCK_REALTIME) % day;
        let row: serde_json::Value = serde_json::from_str(&line)?;
        let at = row["timestamp"]
            .as_str()
            .and_then(of_day)
            .context("a row without its time")?;
        late.push((now - at).rem_euclid(day) / 1e6);
    }
    match ender.join() {
        Ok(ended) => ended?,
        Err(_) => bail!("the thread that ends the tracer panicked"),
    };
    if late.len() != count {
        bail!("{} rows of {count} lone records", late.len());
    }
    Ok(late)
}

/// Peak and steady memory of trace_exec while commands start, in MiB.
fn memory(setup: &Setup) -> Result<(f64, f64)> {
    let mut ig = Command::new(&setup.ig)
        .arg("run")
        .arg(setup.bundle("trace_exec"))
        .args(["-o", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..50 {
        Command::new("/bin/true").status()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    let found =
        status_kib(ig.id(), "VmHWM:").and_then(|peak| Ok((peak, status_kib(ig.id(), "VmRSS:")?)));
    end(&mut ig)?;
    let (peak, steady) = found?;
    Ok((peak / 1024.0, steady / 1024.0))
}

/// The program without its symbols, in MiB.
fn size(setup: &Setup) -> Result<f64> {
    let copy = setup.program("stripped");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&copy)
        .arg(&setup.ig)
        .status()
        .context("strip")?;
    if !status.success() {
        bail!("strip: {status}");
    }
    Ok(std::fs::metadata(copy)?.len() as f64 / f64::from(1 << 20))
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    // Fills the cache of compiled guests.
    attached(setup, true)?;
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..if setup.quick { 5 } else { 20 } {
        us.push(attached(setup, true)?);
        them.push(attached(setup, false)?);
    }
    let late = lone(setup, if setup.quick { 40 } else { 200 })?;
    memory(setup)?;
    let (peak, steady) = memory(setup)?;
    Ok(vec![
        Figure::ratio(
            "start.attached",
            "ms",
            median(&us),
            "libbpf, the same object",
            median(&them),
            2.0,
        ),
        Figure::most("start.lone-row.p50", "ms", percentile(&late, 50.0), 2.0),
        Figure::most("start.lone-row.p99", "ms", percentile(&late, 99.0), 10.0),
        Figure::most("memory.peak", "MiB", peak, 40.0),
        Figure::most("memory.steady", "MiB", steady, 30.0),
        Figure::most("size.binary", "MiB", size(setup)?, 25.0),
    ])
}
