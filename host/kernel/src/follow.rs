//! Marks of the processes that `-- CMD` and `-p` follow: a task storage that lives and dies with each task, and that
//! the fork follower in the kernel copies to children.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;

use crate::map::{Map, Update};
use crate::sys::bpf::kind;
use crate::sys::os;

/// The task storage of the headers.
pub const FOLLOWED_MAP: &str = "gadget_followed";
/// The program of the headers that copies marks to children. It is attached before all others.
pub const FOLLOW_FORK_PROGRAM: &str = "gadget_follow_fork";

/// The variable of the headers that makes programs see followed tasks only.
pub const FOLLOWED_VARIABLE: &str = "gadget_filter_followed";

/// Why a process can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The object was built without the headers' part for it.
    #[error(
        "this gadget cannot follow processes: its eBPF object has no map {FOLLOWED_MAP:?}; include <gadget/filter.h> and build it again"
    )]
    Unsupported,
    /// The map is not the headers' one.
    #[error("the map {FOLLOWED_MAP:?} is not a task storage: use the one of <gadget/filter.h>")]
    NotTaskStorage,
    /// It ended, or never was.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// As asked for.
        pid: u32,
    },
    /// The kernel refused.
    #[error("cannot follow process {pid}: {error}")]
    System {
        /// As asked for.
        pid: u32,
        /// What the system said.
        error: io::Error,
    },
}

fn explain(pid: u32) -> impl Fn(io::Error) -> FollowError {
    move |error| match error.raw_os_error() {
        Some(libc::ESRCH | libc::ENOENT) => FollowError::NoSuchProcess { pid },
        _ => FollowError::System { pid, error },
    }
}

/// Marks every thread of a process. Children made from then on are marked in the kernel, if the fork follower is
/// attached. On kernels without descriptors of threads (before 6.9) only the first thread is marked.
pub(crate) fn follow(map: &Map, pid: u32) -> Result<(), FollowError> {
    if map.kind() != kind::TASK_STORAGE {
        return Err(FollowError::NotTaskStorage);
    }
    mark(map, pid, false).map_err(explain(pid))?;
    let mut marked = BTreeSet::from([pid]);
    loop {
        // A thread made by one that was not marked yet is found by the next round.
        let before = marked.len();
        for thread in threads(pid).map_err(explain(pid))? {
            if !marked.insert(thread) {
                continue;
            }
            match mark(map, thread, true) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(()), // before 6.9
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {} // it has ended
                Err(error) => return Err(FollowError::System { pid, error }),
            }
        }
        if marked.len() == before {
            return Ok(());
        }
    }
}

fn threads(pid: u32) -> io::Result<Vec<u32>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        threads.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok()),
        );
    }
    Ok(threads)
}

fn mark(map: &Map, task: u32, thread: bool) -> io::Result<()> {
    let descriptor = os::pidfd_open(task, thread)?;
    // The lowest byte is one: 1 as a little-endian number of any width.
    let mut value = vec![0; map.value_size()];
    if let Some(lowest) = value.first_mut() {
        *lowest = 1;
    }
    map.fd().update(
        &descriptor.as_raw_fd().to_ne_bytes(),
        &value,
        Update::Any as u64,
    )
}
