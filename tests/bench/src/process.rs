//! What the benches run: where it is, how it is built, what it cost.

use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Where everything is.
pub struct Setup {
    /// Fewer and shorter turns: for every change, not for a figure to quote.
    pub quick: bool,
    /// The program.
    pub ig: PathBuf,
    /// Built bundles, by gadget.
    pub gadgets: PathBuf,
    /// The guest of the gadget `row`, as a library of this machine.
    pub native: PathBuf,
    /// A Python with Polars and DuckDB.
    pub python: PathBuf,
    /// What the benches build.
    pub built: tempfile::TempDir,
}

impl Setup {
    /// Finds the program and compiles the baselines.
    pub fn new(quick: bool) -> Result<Self> {
        let path = |name: &str, default: &str| {
            std::env::var_os(name).map_or_else(|| PathBuf::from(default), PathBuf::from)
        };
        let setup = Self {
            quick,
            ig: path("IG_BIN", "target/release/ig"),
            gadgets: path("IG_GADGETS", "target/gadgets"),
            native: path("IG_BENCH_NATIVE", "target/row/release/librow.so"),
            python: path("IG_PYTHON", "target/tools/readers/bin/python3"),
            built: tempfile::tempdir().context("a folder for what the benches build")?,
        };
        if !setup.ig.is_file() {
            bail!(
                "there is no {}: run `cargo xtask bench`, which builds it",
                setup.ig.display()
            );
        }
        for (name, libraries) in [
            ("storm", &[][..]),
            ("trace_open", &["-lbpf", "-lelf", "-lz"]),
            ("ring", &["-lbpf", "-lelf", "-lz"]),
        ] {
            let source = root()
                .join("tests/bench/baseline")
                .join(format!("{name}.c"));
            run(Command::new("cc")
                .args(["-O2", "-o"])
                .arg(setup.built.path().join(name))
                .arg(source)
                .args(libraries))?;
        }
        let gadget = "example-gadgets/trace_open/program.bpf.c";
        setup.object(gadget, "default.bpf.o", &[])?;
        // Half of the ring that the gadget declares.
        setup.object(
            gadget,
            "batch.bpf.o",
            &["-DGADGET_RINGBUF_FLAGS(map)=(bpf_ringbuf_query(map,BPF_RB_AVAIL_DATA)>=(2<<20)?BPF_RB_FORCE_WAKEUP:BPF_RB_NO_WAKEUP)"],
        )?;
        Ok(setup)
    }

    /// A program that the benches built.
    pub fn program(&self, name: &str) -> PathBuf {
        self.built.path().join(name)
    }

    /// The bundle of a gadget.
    pub fn bundle(&self, gadget: &str) -> PathBuf {
        self.gadgets.join(format!("{gadget}.oci"))
    }

    /// How often A and B take turns.
    pub fn rounds(&self) -> usize {
        if self.quick { 3 } else { 9 }
    }

    /// Compiles an eBPF source of the tree with the gadgets' headers and these further arguments.
    pub fn object(&self, source: &str, name: &str, more: &[&str]) -> Result<PathBuf> {
        let arch = if cfg!(target_arch = "aarch64") {
            ("arm64", "aarch64")
        } else {
            ("x86", "x86_64")
        };
        let out = self.program(name);
        run(Command::new(clang()?)
            .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-std=gnu11"])
            .args(["-Wno-unused-function", "-c"])
            .arg(format!("-D__TARGET_ARCH_{}", arch.0))
            .args(more)
            .arg("-I")
            .arg(root().join("ebpf/include"))
            .arg("-idirafter")
            .arg(format!("/usr/include/{}-linux-gnu", arch.1))
            .arg(root().join(source))
            .arg("-o")
            .arg(&out))?;
        Ok(out)
    }
}

/// A clang for eBPF, newest first.
fn clang() -> Result<&'static str> {
    [
        "clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang",
    ]
    .into_iter()
    .find(|c| {
        Command::new(c)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    })
    .context("no clang; cargo xtask setup installs it")
}

/// The top of the tree.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

/// A storm that waits for its start.
pub struct Storm {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Storm {
    /// Starts the process; `rate` 0 is as fast as it goes.
    pub fn new(setup: &Setup, rate: u64, count: u64) -> Result<Self> {
        Self::start(
            Command::new(setup.program("storm")).args([rate.to_string(), count.to_string()]),
        )
    }

    /// Starts any process that says `ready` and then waits for a line.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("its output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        if line != "ready\n" {
            child.wait()?;
            bail!("{command:?} was not ready");
        }
        Ok(Self { child, output })
    }

    /// Its only thread.
    pub fn tid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it before its time: what it said last.
    pub fn stop(mut self) -> Result<String> {
        end(&mut self.child)?;
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        Ok(said)
    }

    /// Lets it go and waits for its end: nanoseconds a call.
    pub fn run(mut self) -> Result<f64> {
        self.child
            .stdin
            .take()
            .context("its input")?
            .write_all(b"\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        self.child.wait()?;
        line.trim().parse().context("what the storm said")
    }
}

/// CPU time of all threads of a process, in nanoseconds (`/proc/PID/task/*/schedstat`, Documentation/scheduler).
pub fn cpu_ns(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        sum += text
            .split(' ')
            .next()
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(0.0);
    }
    Ok(sum)
}

/// Waits until a tracer has attached everything: it has used no CPU time to speak of for half a second.
pub fn settled(child: &mut Child) -> Result<()> {
    let mut calm = 0;
    let mut last = cpu_ns(child.id())?;
    for _ in 0..800 {
        std::thread::sleep(Duration::from_millis(25));
        if let Some(status) = child.try_wait()? {
            let mut said = String::new();
            if let Some(mut errors) = child.stderr.take() {
                errors.read_to_string(&mut said)?;
            }
            bail!("a tracer ended at once ({status}): {said}");
        }
        let now = cpu_ns(child.id())?;
        calm = if now - last < 2e5 { calm + 1 } else { 0 };
        if calm == 20 {
            return Ok(());
        }
        last = now;
    }
    end(child)?;
    bail!("a tracer was still busy 20 s after its start")
}

/// Asks a process to end, and waits for it; one that does not listen is killed.
#[expect(unsafe_code, reason = "std can only kill a process, not ask it to end")]
pub fn end(child: &mut Child) -> Result<()> {
    // SAFETY: kill(2) takes two numbers; the process is our own child and was not waited for, so the number is its own.
    unsafe { libc::kill(i32::try_from(child.id())?, libc::SIGTERM) };
    for _ in 0..2000 {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    bail!("a traced program's tracer did not end")
}

/// A number of `/proc/PID/status`, in kibibytes.
pub fn status_kib(pid: u32, key: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find(|l| l.starts_with(key))
        .with_context(|| format!("no {key}"))?;
    line.split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()
        .context("no number")
}
