//! Whether the consumer of cgroup events is up to date: two loads, from any thread.
//!
//! The promise: a thread that has read a gadget's record and then finds it settled knows that the event of the making of
//! the record's cgroup was handled, as well as those of all cgroups above it, and sees all that the handling wrote.
//!
//! It holds because each arrow happens before the next:
//!
//! 1. The program at `cgroup_mkdir` adds one to `begun`, before anything else.
//! 2. The tracepoint is in the kernel's `cgroup_mkdir()`, under `cgroup_mutex` and before `kernfs_activate()`: nobody can
//!    have opened the directory. A task enters under the same mutex, later.
//! 3. The task makes a gadget's program run, which writes the record and exchanges its header (a full barrier).
//! 4. Our thread loads that header with `Acquire`, and then comes here.
//!
//! So the load of `begun` here, which comes later in the same thread, sees at least the event's own addition. `handled` is
//! stored with `Release` after the handling, and is the number of events that are done, each of which was counted in
//! `begun` before: it is never ahead. It is loaded first and with `Acquire`, so that `begun` is read no earlier: were they
//! equal although the event is not among the handled ones, `handled` would count another one that `begun` does not, which
//! began later; but then `begun` is larger. Loaded in the other order, an event that came in between could make up for
//! the missing one.
//!
//! An event that finds no room is in `begun` as well. It becomes handled by a look at all directories, which the consumer
//! takes late enough to see it.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ring::Words;

/// What no number of events reaches.
const NOTHING_YET: u64 = u64::MAX;

struct Shared {
    /// `struct progress` of the eBPF source: begun, lost, unmarked.
    kernel: Words,
    handled: AtomicU64,
}

/// Where programs and consumer are.
pub(super) struct Progress(Arc<Shared>);

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("begun", &self.begun())
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

impl Progress {
    pub(super) fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            kernel: Words::map(fd, false)?,
            handled: AtomicU64::new(NOTHING_YET),
        })))
    }

    pub(super) fn begun(&self) -> u64 {
        self.0.kernel.first().load(Ordering::Acquire)
    }

    pub(super) fn lost(&self) -> u64 {
        self.0.kernel.second().load(Ordering::Acquire)
    }

    pub(super) fn unmarked(&self) -> u64 {
        self.0.kernel.third().load(Ordering::Acquire)
    }

    /// So many events are done with.
    pub(super) fn handled(&self, events: u64) {
        self.0.handled.store(events, Ordering::Release);
    }

    pub(super) fn settled(&self) -> Settled {
        Settled(Arc::clone(&self.0))
    }
}

/// Whether everything that has happened to cgroups was handled by the thread that drains the
/// [`CgroupWatcher`](super::CgroupWatcher). Cheap to clone, and usable from any thread.
#[derive(Clone)]
pub struct Settled(Arc<Shared>);

impl std::fmt::Debug for Settled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Settled").field(&self.settled()).finish()
    }
}

impl Settled {
    /// Whether it is so. Asked after a record was read, yes means: the making of its cgroup was handled, and what the
    /// handling wrote is visible here. No means that something is under way, maybe about another cgroup; and it is
    /// no until the consumer has looked at everything for the first time.
    #[inline]
    #[must_use]
    pub fn settled(&self) -> bool {
        let handled = self.0.handled.load(Ordering::Acquire);
        self.0.kernel.first().load(Ordering::Acquire) == handled
    }
}
