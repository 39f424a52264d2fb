//! The traced command of `-- CMD`: made early, held back until everything is attached, run as the calling user.

use crate::stop::{Reason, Stop};
use rustix::fd::OwnedFd;
use rustix::process::{Gid, Pid, Uid};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The user on whose behalf a privileged `ig` runs the command, as sudo tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Login name.
    pub name: String,
    /// Home folder.
    pub home: OsString,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct CommandSpec {
    /// The program; searched in PATH when it holds no slash.
    pub program: OsString,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// As whom; None: as `ig` itself.
    pub caller: Option<Caller>,
    /// Send its standard output to standard error, so that rows keep a pipe for themselves.
    pub stdout_to_stderr: bool,
}

/// Why a command did not run.
#[derive(Debug, Error)]
pub enum CommandError {
    /// No such program.
    #[error("{program}: command not found")]
    NotFound {
        /// As given.
        program: String,
    },
    /// It is there and can't be run.
    #[error("{program}: can't be run: {source}")]
    NotRunnable {
        /// As given.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// No pipe, thread or process to be had.
    #[error("can't start a process for the command: {0}")]
    Resources(#[source] io::Error),
}

/// A process that exists and waits before its first own instruction.
#[derive(Debug)]
pub struct Held {
    pid: u32,
    go: OwnedFd,
    thread: JoinHandle<Result<ExitStatus, CommandError>>,
}

/// A command that runs; a thread waits for its end.
#[derive(Debug)]
pub struct Running {
    pid: u32,
    thread: JoinHandle<Result<ExitStatus, CommandError>>,
}

impl Held {
    /// Forks the process and holds it. When it ends later, `stop` is asked.
    ///
    /// # Errors
    /// There is no such program, or no process to be had. Whether it can be run shows only after [`Held::release`].
    pub fn start(spec: CommandSpec, stop: Arc<Stop>) -> Result<Self, CommandError> {
        let path = find(&spec.program)?;
        let cloexec = rustix::pipe::PipeFlags::CLOEXEC;
        let pipe =
            || rustix::pipe::pipe_with(cloexec).map_err(|e| CommandError::Resources(e.into()));
        let (go_read, go) = pipe()?;
        let (pid_read, pid_write) = pipe()?;
        let go_number = go.as_raw_fd();
        let thread = std::thread::Builder::new()
            .name("ig".to_owned()) // what the records of the command call its parent
            .spawn(move || {
                let result = spawn_and_wait(spec, &path, go_read, go_number, pid_write);
                stop.request(Reason::Command);
                result
            })
            .map_err(CommandError::Resources)?;
        let mut bytes = [0u8; 4];
        match rustix::io::read(&pid_read, &mut bytes) {
            Ok(4) => Ok(Self {
                pid: u32::from_ne_bytes(bytes),
                go,
                thread,
            }),
            // The pipe closed without a pid: no process was made, and the thread knows why.
            _ => Err(match thread.join() {
                Ok(Err(e)) => e,
                _ => {
                    CommandError::Resources(io::Error::other("the process ended before its start"))
                }
            }),
        }
    }

    /// The process id, as the kernel and the records have it when `ig` is in the initial pid namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the command run.
    #[must_use]
    pub fn release(self) -> Running {
        let Self { pid, go, thread } = self;
        let _ = rustix::io::write(&go, b"g");
        Running { pid, thread }
    }
}

impl Running {
    /// Waits `grace` for the command to end by itself; then ends it (SIGTERM, after two more seconds SIGKILL).
    ///
    /// # Errors
    /// Why it never ran.
    pub fn finish(self, grace: Duration) -> Result<Ended, CommandError> {
        self.wait(grace);
        let by_us = !self.thread.is_finished();
        if by_us {
            self.signal(rustix::process::Signal::TERM);
            self.wait(Duration::from_secs(2));
            if !self.thread.is_finished() {
                self.signal(rustix::process::Signal::KILL);
            }
        }
        let status = self.thread.join().unwrap_or_else(|_| {
            Err(CommandError::Resources(io::Error::other(
                "the waiting thread ended early",
            )))
        })?;
        Ok(Ended {
            status: shell_status(status),
            by_us,
        })
    }

    fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    // The thread reaps the process only when it is over, and `is_finished` is asked just before: the window in
    // which the number could belong to another process is the time between two instructions of this thread.
    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its own status; 128 + n when signal n ended it: what a shell would say.
    pub status: u8,
    /// It still ran when the run was over, and `ig` ended it.
    pub by_us: bool,
}

fn shell_status(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|s| 128 + s))
        .unwrap_or(125);
    u8::try_from(code & 0xff).unwrap_or(125)
}

/// Where a program is, as a shell would find it. Found here and not by exec, whose failed tries in every folder of PATH
/// would be the first rows of a gadget that watches them.
fn find(program: &OsStr) -> Result<PathBuf, CommandError> {
    if program.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut refused = None;
    for folder in std::env::split_paths(&path) {
        let file = folder.join(program);
        match rustix::fs::access(&file, rustix::fs::Access::EXEC_OK) {
            Ok(()) if file.is_file() => return Ok(file),
            Err(rustix::io::Errno::ACCESS) if file.is_file() => refused = Some(file),
            _ => {}
        }
    }
    // Not executable: exec says so in its own words.
    refused.ok_or_else(|| CommandError::NotFound {
        program: program.to_string_lossy().into_owned(),
    })
}

#[expect(
    unsafe_code,
    reason = "std runs code between fork and exec only through an unsafe function"
)]
fn spawn_and_wait(
    spec: CommandSpec,
    path: &Path,
    go: OwnedFd,
    go_writer: RawFd,
    pid_to: OwnedFd,
) -> Result<ExitStatus, CommandError> {
    let CommandSpec {
        program,
        args,
        caller,
        stdout_to_stderr,
    } = spec;
    let mut command = Command::new(path);
    command.arg0(&program).args(args).stdin(Stdio::inherit());
    if stdout_to_stderr {
        let fd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)
            .map_err(|e| CommandError::Resources(e.into()))?;
        command.stdout(Stdio::from(fd));
    }
    if let Some(c) = &caller {
        command
            .env("HOME", &c.home)
            .env("USER", &c.name)
            .env("LOGNAME", &c.name);
        for sudo in ["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND"] {
            command.env_remove(sudo);
        }
    }
    let identity = caller.map(|c| {
        let groups: Vec<Gid> = c.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        (Uid::from_raw(c.uid), Gid::from_raw(c.gid), groups)
    });
    let hold = move || {
        let pid = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .to_ne_bytes();
        rustix::io::write(&pid_to, &pid)?;
        // SAFETY: this is the child's copy of the writing end, and nothing in the child uses it. While it is open, the
        // end of `ig` would never show as the end of the pipe.
        unsafe { rustix::io::close(go_writer) };
        let mut byte = [0u8; 1];
        if rustix::io::retry_on_intr(|| rustix::io::read(&go, &mut byte))? == 0 {
            // `ig` gave up before everything was attached: so does the command.
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        if let Some((uid, gid, groups)) = &identity {
            rustix::thread::set_thread_groups(groups)?;
            rustix::thread::set_thread_res_gid(*gid, *gid, *gid)?;
            rustix::thread::set_thread_res_uid(*uid, *uid, *uid)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes system calls (getpid, write, read, setgroups, setresgid,
    // setresuid) on values made before the fork; it neither allocates nor takes a lock, so a lock that another
    // thread held at the fork can't stop it.
    unsafe { command.pre_exec(hold) };
    let mut child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CommandError::NotFound {
            program: program.to_string_lossy().into_owned(),
        },
        _ => CommandError::NotRunnable {
            program: program.to_string_lossy().into_owned(),
            source,
        },
    })?;
    // The pipes' ends live in `command` until here; the parent's copies must not keep them open.
    drop(command);
    child.wait().map_err(CommandError::Resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(program: &str, args: &[&str]) -> CommandSpec {
        CommandSpec {
            program: program.into(),
            args: args.iter().map(Into::into).collect(),
            caller: None,
            stdout_to_stderr: true,
        }
    }

    #[test]
    fn held_until_released_and_its_end_is_told() {
        let stop = Arc::new(Stop::new().unwrap());
        let held = Held::start(spec("sh", &["-c", "exit 7"]), stop.clone()).unwrap();
        assert!(held.pid() > 1);
        assert_eq!(stop.reason(), None);
        let running = held.release();
        while stop.reason().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(stop.reason(), Some(Reason::Command));
        assert_eq!(
            running.finish(Duration::from_secs(5)).unwrap(),
            Ended {
                status: 7,
                by_us: false
            }
        );
    }

    #[test]
    fn a_signal_is_128_and_its_number() {
        let stop = Arc::new(Stop::new().unwrap());
        let running = Held::start(spec("sleep", &["100"]), stop)
            .unwrap()
            .release();
        assert_eq!(
            running.finish(Duration::ZERO).unwrap(),
            Ended {
                status: 128 + 15,
                by_us: true
            }
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let run = |program: &str| {
            let stop = Arc::new(Stop::new().unwrap());
            let running = Held::start(spec(program, &[]), stop.clone())
                .unwrap()
                .release();
            while stop.reason().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            running.finish(Duration::from_secs(5))
        };
        assert!(
            matches!(run("/nowhere/at-all"), Err(CommandError::NotFound { program }) if program == "/nowhere/at-all")
        );
        assert!(matches!(
            run("/etc/passwd"),
            Err(CommandError::NotRunnable { .. })
        ));
    }

    #[test]
    fn a_dropped_command_never_runs() {
        let dir = std::env::temp_dir().join(format!("ig-held-{}", std::process::id()));
        let stop = Arc::new(Stop::new().unwrap());
        let held = Held::start(spec("touch", &[dir.to_str().unwrap()]), stop.clone()).unwrap();
        drop(held);
        while stop.reason().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!dir.exists());
    }
}
