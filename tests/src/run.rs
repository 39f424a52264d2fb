//! Running `ig`: bounded in time, in a process group of its own, and watched from outside.

use crate::loaded::{self, Held};
use crate::sources;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No run of these tests takes nearly as long; one that does hangs.
const TOO_LONG: Duration = Duration::from_secs(90);

/// A call of `ig` that is being put together.
pub struct Ig {
    command: Command,
    stdout: Option<Stdio>,
}

impl Ig {
    /// `ig` with nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::of(crate::ig())
    }

    /// Some other program, watched in the same way.
    pub fn of(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        // What this run of the tests was called with must not decide what is tested.
        for name in [
            "SUDO_UID",
            "SUDO_GID",
            "SUDO_USER",
            "SUDO_COMMAND",
            "NO_COLOR",
            "COLUMNS",
        ] {
            command.env_remove(name);
        }
        command
            .env("PATH", crate::build::path())
            .current_dir(sources::root())
            .stdin(Stdio::null())
            .process_group(0);
        Self {
            command,
            stdout: None,
        }
    }

    /// `ig run BUNDLE`.
    #[must_use]
    pub fn run(bundle: impl AsRef<Path>) -> Self {
        Self::new().arg("run").arg(bundle.as_ref())
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// `-o json`.
    #[must_use]
    pub fn json(self) -> Self {
        self.args(&["-o", "json"])
    }

    /// `-- sh -c SCRIPT`.
    #[must_use]
    pub fn sh(self, script: &str) -> Self {
        self.args(&["--", "sh", "-c", script])
    }

    /// A variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder it runs in.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Standard output goes there, and is not collected.
    #[must_use]
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.stdout = Some(to.into());
        self
    }

    /// Starts it.
    #[must_use]
    pub fn start(mut self) -> Running {
        let collected = self.stdout.is_none();
        self.command
            .stdout(self.stdout.take().unwrap_or_else(Stdio::piped))
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("ig starts");
        let stdout = Lines::default();
        let stderr = Lines::default();
        let mut threads = Vec::new();
        if collected {
            threads.push(stdout.collect(child.stdout.take().expect("a pipe")));
        }
        threads.push(stderr.collect(child.stderr.take().expect("a pipe")));
        let watch = Watch::of(child.id());
        Running {
            child,
            stdout,
            stderr,
            threads,
            watch,
            done: false,
        }
    }

    /// Starts it and waits for its end.
    #[must_use]
    pub fn finish(self) -> Finished {
        self.start().wait()
    }
}

impl Default for Ig {
    fn default() -> Self {
        Self::new()
    }
}

/// A run that goes on. Dropped, its whole process group is killed.
pub struct Running {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    threads: Vec<JoinHandle<()>>,
    watch: Watch,
    done: bool,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has held in the kernel so far.
    #[must_use]
    pub fn held(&self) -> Held {
        let mut held = self.watch.held();
        held.observe(self.child.id());
        held
    }

    /// Sends a signal by its name, such as `INT`.
    pub fn signal(&self, name: &str) {
        signal(name, &self.child.id().to_string());
    }

    /// Does `act` again and again until a line of standard output satisfies `wanted`; gives that
    /// line. The way to know that a run is attached: make events until one comes out.
    pub fn provoke(&mut self, mut act: impl FnMut(), wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + TOO_LONG;
        loop {
            if let Some(line) = self.stdout.find(&wanted) {
                return line;
            }
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!(
                    "ended ({status}) before the awaited line:\n{}",
                    self.stderr.text()
                );
            }
            assert!(
                Instant::now() < until,
                "no such line came:\n{}",
                self.stderr.text()
            );
            act();
            self.stdout.wait(Duration::from_millis(50));
        }
    }

    /// Whether such a line of standard output came so far.
    #[must_use]
    pub fn shown(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.stdout.find(wanted).is_some()
    }

    /// Does `act` again and again until such a line of standard error comes.
    pub fn until_said(&mut self, mut act: impl FnMut(), wanted: impl Fn(&str) -> bool) {
        let until = Instant::now() + TOO_LONG;
        while self.stderr.find(&wanted).is_none() {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("ended ({status}) before:\n{}", self.stderr.text());
            }
            assert!(
                Instant::now() < until,
                "no such line came:\n{}",
                self.stderr.text()
            );
            act();
            self.stderr.wait(Duration::from_millis(5));
        }
    }

    /// Waits until a program of this name is attached: for a run that shows nothing that could be made at will.
    pub fn attached(&mut self, program: &str) {
        let until = Instant::now() + TOO_LONG;
        while !loaded::is_attached(self.pid(), program) {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("ended ({status}) unattached:\n{}", self.stderr.text());
            }
            assert!(
                Instant::now() < until,
                "{program} is not attached:\n{}",
                self.stderr.text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end, by itself, and checks that nothing of it is left in the kernel.
    #[must_use]
    pub fn wait(mut self) -> Finished {
        let until = Instant::now() + TOO_LONG;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            if Instant::now() >= until {
                let said = self.stderr.text();
                self.end();
                panic!("still running after {TOO_LONG:?}; it said:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let held = self.watch.stop();
        // Whatever CMD left behind in the background keeps the pipes open.
        self.end();
        held.assert_gone();
        Finished {
            status,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            held,
        }
    }

    fn end(&mut self) {
        if self.done {
            return;
        }
        self.done = true;
        signal("KILL", &format!("-{}", self.child.id()));
        self.child.wait().ok();
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn signal(name: &str, whom: &str) {
    // The shell's own kill: there may be no program of that name. The group may be gone already.
    Command::new("sh")
        .args(["-c", "kill -s \"$0\" -- \"$1\"", name, whom])
        .stderr(Stdio::null())
        .status()
        .expect("sh starts");
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// What it held in the kernel while it ran, as far as it was seen. All of it is gone.
    pub held: Held,
}

impl Finished {
    /// The exit code; panics when a signal ended it.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| {
            panic!(
                "ended by signal {:?}:\n{}",
                self.status.signal(),
                self.stderr
            )
        })
    }

    /// Panics, with all it said, unless the exit code is `code`.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.code(),
            code,
            "stderr:\n{}\nstdout:\n{}",
            self.stderr,
            self.stdout
        );
        self
    }

    /// Panics unless it ended with `code` and a last word, `ig: ...`, that holds all of `words`, and
    /// the host itself did not panic.
    #[track_caller]
    pub fn expect_error(&self, code: i32, words: &[&str]) -> &Self {
        self.expect_code(code);
        let said = &self.stderr;
        let last = said
            .rfind("\nig: ")
            .map(|at| at + 1)
            .or_else(|| said.starts_with("ig: ").then_some(0));
        let Some(error) = last.and_then(|at| said.get(at..)) else {
            panic!("no line `ig: ...` in:\n{said}");
        };
        for word in words {
            let found = error.to_lowercase().contains(&word.to_lowercase());
            assert!(found, "no `{word}` in the last word of:\n{said}");
        }
        assert!(!said.contains("panicked at"), "the host panicked:\n{said}");
        self
    }

    /// The same for what is refused before anything runs: that error is all there is, and nothing
    /// was ever loaded.
    #[track_caller]
    pub fn expect_refusal(&self, code: i32, words: &[&str]) -> &Self {
        self.expect_error(code, words);
        let errors = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("ig: "))
            .count();
        assert_eq!(errors, 1, "one error is expected, in:\n{}", self.stderr);
        assert!(
            self.stderr.starts_with("ig: "),
            "something before the error:\n{}",
            self.stderr
        );
        assert_eq!(self.stdout, "");
        assert!(
            self.held.programs.is_empty(),
            "programs were loaded: {:?}",
            self.held
        );
        self
    }

    /// The rows of `-o json`: every line that is an object. What CMD itself printed is left out.
    #[must_use]
    pub fn rows(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in: {line}"))
            })
            .collect()
    }
}

/// Lines as they come.
#[derive(Clone, Default)]
struct Lines {
    shared: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Lines {
    fn collect(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line);
                lines.lock().push(text.trim_end_matches('\n').to_owned());
                lines.shared.1.notify_all();
                line.clear();
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.lock().iter().find(|line| wanted(line)).cloned()
    }

    fn wait(&self, at_most: Duration) {
        drop(self.shared.1.wait_timeout(self.lock(), at_most));
    }

    fn text(&self) -> String {
        let mut text = self.lock().join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }
}

/// Looks again and again at what a process holds.
struct Watch {
    held: Arc<Mutex<Held>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn of(pid: u32) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (held, stop) = (Arc::clone(&held), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    held.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .observe(pid);
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Self {
            held,
            stop,
            thread: Some(thread),
        }
    }

    fn held(&self) -> Held {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn stop(&mut self) -> Held {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        self.held()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}
