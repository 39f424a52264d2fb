//! The parent's side: starts the child, waits within bounds, reads the answer.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use super::child::{NAME, answer, program_has_entry};
use super::{Bounds, one_line};
use crate::program::LoadError;

/// What the child says on standard error that is kept: a panic's line, or the allocator's.
const WORDS: usize = 4096;

pub(super) fn compile(component: &[u8], limits: &Bounds) -> Result<Vec<u8>, LoadError> {
    let broken = |what: &str, e: std::io::Error| LoadError::Compiler(format!("can't {what}: {e}"));
    if !program_has_entry() {
        return Err(LoadError::Compiler(
            "this program does not begin with compile_child".to_owned(),
        ));
    }
    let input = nameless("ig-component").map_err(|e| broken("make a file in memory", e))?;
    fill(&input, component).map_err(|e| broken("hand the component over", e))?;
    let mut output = nameless("ig-code").map_err(|e| broken("make a file in memory", e))?;
    let theirs = output
        .try_clone()
        .map_err(|e| broken("make a file in memory", e))?;
    // Its own group: a Ctrl-C is for the host, which takes the child with it when it goes.
    let mut child = Command::new("/proc/self/exe")
        .arg0(NAME)
        .args([
            limits.cpu.as_secs().to_string(),
            limits.memory.to_string(),
            limits.code.to_string(),
        ])
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(input)
        .stdout(theirs)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| broken("start the compiler", e))?;
    let (status, words) = end(&mut child, limits.wall()).map_err(|e| broken("wait for it", e))?;
    let Some(status) = status else {
        return Err(LoadError::CompileTime {
            seconds: limits.wall().as_secs(),
            of: "time by the clock",
            size: limits.size,
        });
    };
    let mut read = |most: u64| -> Result<Vec<u8>, LoadError> {
        let mut bytes = Vec::new();
        output
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&output).take(most).read_to_end(&mut bytes))
            .map_err(|e| broken("read the code", e))?;
        Ok(bytes)
    };
    match status.code() {
        Some(answer::CODE) => read(limits.code),
        Some(answer::INVALID) => {
            let text = read(WORDS as u64)?;
            Err(LoadError::Invalid(one_line(&String::from_utf8_lossy(
                &text,
            ))))
        }
        Some(answer::UNABLE) => {
            let text = read(WORDS as u64)?;
            Err(LoadError::Compiler(one_line(&String::from_utf8_lossy(
                &text,
            ))))
        }
        _ => Err(refusal(status, &words, limits)),
    }
}

/// Why there is no code.
fn refusal(status: ExitStatus, words: &str, limits: &Bounds) -> LoadError {
    let size = limits.size;
    let out_of_memory = words.contains("memory allocation of") || words.contains("out of memory");
    match (status.code(), status.signal()) {
        (Some(answer::CODE_SIZE), _) | (_, Some(libc::SIGXFSZ)) => LoadError::CompiledSize {
            limit: limits.code,
            size,
        },
        (Some(answer::MEMORY), _) => LoadError::CompileMemory {
            limit: limits.memory,
            size,
        },
        (_, Some(libc::SIGXCPU)) => LoadError::CompileTime {
            seconds: limits.cpu.as_secs(),
            of: "CPU time",
            size,
        },
        _ if out_of_memory => LoadError::CompileMemory {
            limit: limits.memory,
            size,
        },
        (_, Some(libc::SIGKILL)) => LoadError::Compiler(
            "it was killed: by somebody, or because the machine is out of memory".to_owned(),
        ),
        (code, signal) => {
            let how = match (code, signal) {
                (_, Some(signal)) => format!("signal {signal}"),
                (Some(code), _) => format!("exit code {code}"),
                _ => status.to_string(),
            };
            let said = match words.lines().find(|line| !line.trim().is_empty()) {
                Some(line) => format!(": {}", one_line(line)),
                None => String::new(),
            };
            LoadError::Compiler(format!("the compiler failed on it ({how}){said}"))
        }
    }
}

/// A file that is only in memory.
fn nameless(name: &str) -> std::io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // kernels before 6.3 don't know that flag
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create(name, flags)?.into()),
        made => Ok(made?.into()),
    }
}

/// Writes `bytes`, and nobody changes them any more.
fn fill(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    Ok(rustix::fs::fcntl_add_seals(file, seals)?)
}

/// Waits until the child ends, `most` at the longest, and gives how it ended and the beginning of what it said. None: it
/// had to be killed.
fn end(child: &mut Child, most: Duration) -> std::io::Result<(Option<ExitStatus>, String)> {
    let mut words = Vec::new();
    let closed = match child.stderr.take() {
        Some(pipe) => listen(pipe, most, &mut words),
        None => Ok(true),
    };
    // Its end closed the pipe; if it is still there, it closed the pipe by itself, which it has no reason to. One that
    // has ended can't be killed any more and keeps its status.
    child.kill()?;
    let status = child.wait()?;
    let words = String::from_utf8_lossy(&words).into_owned();
    Ok((closed?.then_some(status), words))
}

/// Reads until the other end is closed: true; or until `most` has passed.
fn listen(mut pipe: ChildStderr, most: Duration, words: &mut Vec<u8>) -> std::io::Result<bool> {
    let until = Instant::now() + most;
    let mut part = [0; 512];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Timespec::try_from(left).map_err(std::io::Error::other)?;
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        match pipe.read(&mut part)? {
            0 => return Ok(true),
            n => {
                let room = WORDS.saturating_sub(words.len()).min(n);
                words.extend_from_slice(part.get(..room).unwrap_or_default());
            }
        }
    }
}
