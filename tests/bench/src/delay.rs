//! What a container's start costs beside a run that is asked for some containers only.
//!
//! Starts take turns: with nothing beside them, beside `ig`, and beside a prototype of the other way to be there before the first
//! instruction: the runtime's program is marked with fanotify, so that each of its starts waits for a permission. The prototype
//! looks at who asks and allows it at once; who does this in earnest reads the container's configuration meanwhile.
#![expect(
    unsafe_code,
    reason = "fanotify has no safe face; each call proves why"
)]

use crate::figures::{Figure, median, percentile};
use crate::process::{Setup, end};
use anyhow::{Context as _, Result, bail};
use ig_tests::loaded::is_attached;
use ig_tests::runtimes::{Docker, Runc};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Who may allow every start of one program.
struct Permission {
    group: Arc<File>,
    program: CString,
    allowed: Arc<AtomicU32>,
}

impl Permission {
    /// Of a program on the PATH; nothing is marked yet.
    fn of(program: &str) -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
            .with_context(|| format!("there is no {program}; cargo xtask setup installs it"))?;
        // SAFETY: two numbers.
        let fd = unsafe {
            libc::fanotify_init(
                libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC,
                (libc::O_RDONLY | libc::O_LARGEFILE) as u32,
            )
        };
        if fd < 0 {
            return Err(std::io::Error::last_os_error()).context("fanotify_init");
        }
        // SAFETY: the descriptor is new and nobody else's.
        let group = Arc::new(File::from(unsafe { OwnedFd::from_raw_fd(fd) }));
        let allowed = Arc::new(AtomicU32::new(0));
        // It ends with this program: then nobody has to be asked any more.
        std::thread::spawn({
            let (group, allowed) = (Arc::clone(&group), Arc::clone(&allowed));
            move || {
                if let Err(error) = allow(&group, &allowed) {
                    // Who waits for an answer would wait for ever.
                    eprintln!("fanotify: {error:?}");
                    std::process::exit(1);
                }
            }
        });
        Ok(Self {
            group,
            program: CString::new(path.into_os_string().into_encoded_bytes())?,
            allowed,
        })
    }

    /// `FAN_MARK_ADD` or `FAN_MARK_REMOVE`.
    fn mark(&self, how: u32) -> Result<()> {
        // SAFETY: the path is a C string that outlives the call.
        let marked = unsafe {
            libc::fanotify_mark(
                self.group.as_raw_fd(),
                how,
                libc::FAN_OPEN_EXEC_PERM,
                libc::AT_FDCWD,
                self.program.as_ptr(),
            )
        };
        if marked < 0 {
            return Err(std::io::Error::last_os_error()).context("fanotify_mark");
        }
        Ok(())
    }

    /// Does something while each start has to be allowed; at least one has.
    fn beside<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.allowed.load(Ordering::Relaxed);
        self.mark(libc::FAN_MARK_ADD)?;
        let done = act();
        self.mark(libc::FAN_MARK_REMOVE)?;
        if self.allowed.load(Ordering::Relaxed) == before {
            bail!("{:?} was started and nobody was asked", self.program);
        }
        done
    }
}

/// Allows what is asked for.
fn allow(mut group: &File, allowed: &AtomicU32) -> Result<()> {
    // `struct fanotify_event_metadata`, linux/fanotify.h: 24 bytes, at 16 the file, at 20 who wants to execute it.
    const EVENT: usize = 24;
    let mut buffer = [0_u8; 64 * EVENT];
    loop {
        let read = group.read(&mut buffer)?;
        for event in buffer.get(..read).unwrap_or_default().chunks_exact(EVENT) {
            let number = |at: usize| {
                let bytes = event
                    .get(at..at + 4)
                    .and_then(|bytes| bytes.try_into().ok());
                bytes.map_or(-1, i32::from_ne_bytes)
            };
            let (fd, pid) = (number(16), number(20));
            std::fs::read(format!("/proc/{pid}/cmdline")).ok();
            let answer = [fd.to_ne_bytes(), libc::FAN_ALLOW.to_ne_bytes()].concat();
            group.write_all(&answer)?;
            // SAFETY: the kernel opened it for us with this event, and nobody else has it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            allowed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Before each start.
const SETTLED: Duration = Duration::from_millis(60);

/// `ig`, asked for containers by their names; ended when it is dropped.
struct Filtering(Child);

impl Filtering {
    /// Attached.
    fn start(setup: &Setup, names: &str) -> Result<Self> {
        let mut ig = Command::new(&setup.ig);
        ig.arg("run").arg(setup.bundle("trace_exec"));
        ig.args(["-c", names, "-o", "none"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut ig = Self(ig.spawn()?);
        let until = Instant::now() + Duration::from_secs(60);
        while !is_attached(ig.0.id(), "exec_started") {
            if let Some(status) = ig.0.try_wait()? {
                bail!("ig ended at once: {status}");
            }
            if Instant::now() > until {
                bail!("ig is not attached after a minute");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // What it does once at its start is no part of what is measured.
        std::thread::sleep(Duration::from_millis(150));
        Ok(ig)
    }
}

impl Drop for Filtering {
    fn drop(&mut self) {
        if let Err(error) = end(&mut self.0) {
            eprintln!("{error:?}");
        }
    }
}

/// From the call of a runtime to the first byte that the container's program writes, in milliseconds.
fn start(mut call: Command) -> Result<f64> {
    // The end of what was there before, a container or `ig`, goes on in the kernel for a moment.
    std::thread::sleep(SETTLED);
    let begin = Instant::now();
    let mut child = call
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{call:?}"))?;
    let mut output = child.stdout.take().context("its output")?;
    let first = output.read_exact(&mut [0]);
    let took = begin.elapsed().as_secs_f64() * 1e3;
    std::io::copy(&mut output, &mut std::io::sink())?;
    let status = child.wait()?;
    if first.is_err() || !status.success() {
        bail!("{call:?}: {status}");
    }
    Ok(took)
}

/// What starts took: with nothing beside them, with `ig`, with permissions.
#[derive(Default)]
struct Starts {
    alone: Vec<f64>,
    ig: Vec<f64>,
    asked: Vec<f64>,
}

impl Starts {
    /// So many of each kind, in turns whose order alternates.
    fn measure(
        setup: &Setup,
        count: usize,
        names: &str,
        permission: &Permission,
        call: impl Fn() -> Command,
    ) -> Result<Self> {
        let mut starts = Self::default();
        let mut ig = None;
        for turn in 0..count {
            // It stays from the end of one turn to the beginning of the next: it is started half as often.
            let last = turn % 2 == 0;
            if !last {
                starts.ig.push(start(call())?);
                ig = None;
            }
            starts.alone.push(start(call())?);
            starts.asked.push(permission.beside(|| start(call()))?);
            if last {
                ig = Some(Filtering::start(setup, names)?);
                starts.ig.push(start(call())?);
            }
        }
        drop(ig);
        Ok(starts)
    }
}

/// The median of what each start beside something took longer than the one alone in its turn, with the ends of the interval that
/// has the true one with 95 % (bootstrap).
fn longer(beside: &[f64], alone: &[f64]) -> [f64; 3] {
    const SAMPLES: usize = 10_000;
    let differences: Vec<f64> = beside.iter().zip(alone).map(|(b, a)| b - a).collect();
    // xorshift64: always the same samples.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut any = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = state % differences.len().max(1) as u64;
        differences.get(at as usize).copied().unwrap_or(f64::NAN)
    };
    let medians: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let sample: Vec<f64> = differences.iter().map(|_| any()).collect();
            median(&sample)
        })
        .collect();
    [
        percentile(&medians, 2.5),
        median(&differences),
        percentile(&medians, 97.5),
    ]
}

/// The upper ends for `ig`, against those for the prototype, with all of it in words.
fn figures(name: &'static str, starts: &Starts) -> Figure {
    let [low, middle, high] = longer(&starts.ig, &starts.alone);
    let [low_asked, middle_asked, high_asked] = longer(&starts.asked, &starts.alone);
    Figure {
        against: format!(
            "{} starts of {:.1} ms each: median {middle:+.2} ms [{low:+.2}, {high:+.2}]; with fanotify's permissions \
             {middle_asked:+.2} ms [{low_asked:+.2}, {high_asked:+.2}]",
            starts.alone.len(),
            median(&starts.alone),
        )
        .into(),
        ..Figure::most(name, "ms", high, 2.0)
    }
}

pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let count = if setup.quick { 20 } else { 200 };
    let words = ["/bin/echo", "x"];
    let runc = Runc::crun();
    let name = format!("{}-web", runc.place().name());
    runc.bundle(&name, &words);
    let permission = Permission::of(runc.program())?;
    let alone = Starts::measure(setup, count, &name, &permission, || runc.attached(&name))?;
    let docker = Docker::start();
    let name = format!("{}-web", docker.place().name());
    let permission = Permission::of("runc")?;
    let managed = Starts::measure(setup, count / 5, &name, &permission, || {
        let mut command = docker.command();
        command.args(["run", "--rm", "--pull", "never", "--network", "none"]);
        command.args(["--name", &name, Docker::IMAGE]).args(words);
        command
    })?;
    Ok(vec![
        figures("delay.crun", &alone),
        figures("delay.docker", &managed),
    ])
}
