//! Cgroups that come and go, told at once by eBPF of the host's own (`ebpf/host/cgroups.bpf.c`).
//!
//! Four tracepoints: a cgroup is made (with who made it and by which command line), the first program is executed in it
//! outside of its maker's mount namespace, its last process leaves it, and it is removed. They go through one ring of their own, whose
//! reader never naps. What gets no room is not lost without a word: the consumer is told to look at everything anew.
//!
//! ```text
//! let mut watcher = CgroupWatcher::start(&WatchOptions::default())?;
//! let settled = watcher.settled();      // for the thread that reads gadgets' records
//! loop {
//!     watcher.drain(|event| ...)?;      // the first is CgroupEvent::Rescan
//!     if watcher.wait(None)? == Wake::Stop { break }
//! }
//! ```

mod event;
mod filter;
mod hierarchy;
mod settled;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ig_object::{Object, ObjectError};

pub use event::{CgroupEvent, Emptied, Entered, Made, Maker, Removed};
pub use filter::{CgroupFilter, Entry, FILTER_MAP, FILTER_VARIABLE, FilterError, State};
pub(crate) use hierarchy::uses_cgroup2;
pub use hierarchy::{Controller, Hierarchy, HierarchyError};
use settled::Progress;
pub use settled::Settled;

use crate::error::LoadError;
use crate::ledger::ProgramStats;
use crate::load::{LoadOptions, Loaded, Loader};
use crate::map::MapError;
use crate::ring::{Ring, RingError};
use crate::wait::{Stopper, WaitError, Waiter, Wake};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cgroups.bpf.o"));
const RING: &str = "cgroup_events";
const PROGRESS: &str = "cgroup_progress";

/// The kernel tells of a directory before it shows it: so much later a look at the file system sees what was told, or
/// got no room. Losses in between cost no second look.
const SHOWN: Duration = Duration::from_millis(50);
/// A program that has begun an event and not put it out is looked for this often: if the ring has no room for it, nobody
/// wakes us.
const BEGUN: Duration = Duration::from_millis(5);

/// Why cgroups can't be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The host's own object is damaged.
    #[error("cannot watch cgroups: the host's own eBPF object is damaged: {0}")]
    Object(#[from] ObjectError),
    /// The kernel refused it.
    #[error("cannot watch cgroups: {0}; `ig doctor` says what this machine lacks")]
    Load(#[from] LoadError),
    /// Its ring can't be read.
    #[error("cannot watch cgroups: {0}")]
    Ring(#[from] RingError),
    /// The numbers that it shares with the host can't be read.
    #[error("cannot watch cgroups: {0}")]
    Map(#[from] MapError),
    /// The numbers that it shares with the host can't be mapped.
    #[error("cannot watch cgroups: cannot map {map:?}: {error}")]
    Progress {
        /// Name of the map.
        map: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// Waiting is not possible.
    #[error("cannot watch cgroups: {0}")]
    Wait(#[from] WaitError),
    /// The set of selected cgroups can't be kept up to date.
    #[error("cannot watch cgroups: {0}")]
    Filter(#[from] FilterError),
    /// A set is of cgroups of v2.
    #[error(
        "cannot narrow gadgets to cgroups in the kernel: this machine has its containers in a hierarchy of cgroup v1, and \
         programs can ask for a task's cgroup of v2 alone"
    )]
    FilterOfV1,
}

/// What is watched, and with how much memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// Whose cgroups.
    pub hierarchy: Hierarchy,
    /// Of the ring, in bytes: rounded up to a power of two of pages. An event takes 100 bytes and the path and command
    /// line, at most 2.2 KiB.
    pub ring_bytes: u32,
    /// The set in which newcomers are marked as pending before anybody can be in them, and from which cgroups are taken that are
    /// gone. Of v2 alone.
    pub filter: Option<CgroupFilter>,
}

impl Default for WatchOptions {
    /// Cgroup v2, and room for a thousand starts of containers at once.
    fn default() -> Self {
        Self {
            hierarchy: Hierarchy::Unified,
            ring_bytes: 1 << 20,
            filter: None,
        }
    }
}

/// Tells of cgroups that come and go, to one thread. Dropping it takes everything out of the kernel, and so does the end
/// of the process.
#[derive(Debug)]
pub struct CgroupWatcher {
    // First, so that it is off the hooks before the ring goes.
    loaded: Loaded,
    ring: Ring,
    waiter: Waiter,
    progress: Progress,
    filter: Option<CgroupFilter>,
    /// Events taken from the ring.
    seen: u64,
    /// Of those that found no room, how many the consumer has answered for by a look at everything.
    lost: u64,
    rescan: Due,
}

/// When the consumer has to look at everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Now,
    /// From `time` on; makes up for the first `lost` events that found no room.
    At {
        time: Instant,
        lost: u64,
    },
    Never,
}

impl CgroupWatcher {
    /// Loads and attaches it. From then on no cgroup comes or goes unseen; the first event that [`CgroupWatcher::drain`]
    /// gives is [`CgroupEvent::Rescan`], for those that are there already.
    ///
    /// # Errors
    ///
    /// The kernel refuses it (no privileges, no BTF), the system has no memory or descriptors left, or a set is to be kept of
    /// cgroups of v1.
    pub fn start(options: &WatchOptions) -> Result<Self, WatchError> {
        if options.filter.is_some() && options.hierarchy != Hierarchy::Unified {
            return Err(WatchError::FilterOfV1);
        }
        let object = Object::parse(OBJECT)?;
        let mut load = LoadOptions {
            cgroups: options.filter.clone(),
            ..LoadOptions::default()
        };
        load.ring_sizes.insert(RING.to_owned(), options.ring_bytes);
        for (name, value) in options.hierarchy.variables() {
            load.variables
                .insert(name.to_owned(), value.to_ne_bytes().to_vec());
        }
        let mut loaded = Loader::new(OBJECT, &object, load).load()?;
        let ring = loaded.ring(RING)?;
        let map = loaded.map(PROGRESS)?;
        let progress = Progress::map(map.fd().as_fd()).map_err(|error| WatchError::Progress {
            map: PROGRESS,
            error,
        })?;
        let mut waiter = Waiter::new()?;
        waiter.add_ring(&ring)?;
        loaded.attach()?;
        Ok(Self {
            loaded,
            ring,
            waiter,
            progress,
            filter: options.filter.clone(),
            seen: 0,
            lost: 0,
            rescan: Due::Now,
        })
    }

    /// Hands over everything that has come, without waiting, in the order in which it happened; the bytes of an event
    /// live as long as the call of `handle`. What `handle` has returned from is handled: [`Settled`] relies on it. A cgroup of
    /// which it was told that it is gone is not in the filter any more, whatever `handle` has done.
    ///
    /// # Errors
    ///
    /// The ring's memory is damaged, or the filter can't be changed; the watcher is of no use then.
    pub fn drain(&mut self, mut handle: impl FnMut(CgroupEvent<'_>)) -> Result<(), WatchError> {
        if self.rescan == Due::Now {
            handle(CgroupEvent::Rescan { lost: 0 });
            // For those that were past the tracepoint before the programs were attached, and are not shown yet.
            self.rescan_after(SHOWN);
        }
        let limits = self.ring.limits();
        loop {
            if self.look_at_losses(&mut handle) {
                self.progress.handled(self.seen.wrapping_add(self.lost));
            }
            let Some(span) = self.ring.span(limits)? else {
                return Ok(());
            };
            let mut whole = true;
            for record in span.span() {
                let Some(event) = event::read(record.payload) else {
                    whole = false;
                    continue;
                };
                handle(event);
                // The kernel did so before; the host may have chosen it since.
                if let (CgroupEvent::Removed(gone), Some(filter)) = (event, &self.filter) {
                    filter.remove(gone.cgroup)?;
                }
            }
            self.seen = self.seen.wrapping_add(u64::from(span.records));
            self.ring.publish();
            if !whole {
                // What is no event is as good as lost.
                self.rescan_after(SHOWN);
            }
        }
    }

    fn rescan_after(&mut self, time: Duration) {
        self.rescan = Due::At {
            time: Instant::now() + time,
            lost: self.progress.lost(),
        };
    }

    /// Has the consumer look at everything when it is time; whether nothing is due any more.
    fn look_at_losses(&mut self, handle: &mut impl FnMut(CgroupEvent<'_>)) -> bool {
        match self.rescan {
            Due::At { time, lost } if Instant::now() >= time => {
                handle(CgroupEvent::Rescan {
                    lost: lost.wrapping_sub(self.lost),
                });
                self.lost = lost;
                self.rescan = Due::Never;
            }
            Due::Never => {}
            Due::At { .. } | Due::Now => return false,
        }
        let all = self.progress.lost() == self.lost;
        if !all {
            self.rescan_after(SHOWN);
        }
        all
    }

    /// Sleeps until something may have come, `deadline`, a descriptor of [`CgroupWatcher::add`] or the stop. Call it
    /// after [`CgroupWatcher::drain`], and that again after it.
    ///
    /// # Errors
    ///
    /// `epoll_wait(2)` failed.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Result<Wake, WaitError> {
        let own = match self.rescan {
            Due::Now => Some(Instant::now()),
            Due::At { time, .. } => Some(time),
            Due::Never if self.progress.begun() == self.seen.wrapping_add(self.lost) => None,
            Due::Never => Some(Instant::now() + BEGUN),
        };
        let until = match (own, deadline) {
            (Some(own), Some(deadline)) => Some(own.min(deadline)),
            (own, deadline) => own.or(deadline),
        };
        let wake = self.waiter.wait(until)?;
        let reached = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        Ok(match wake {
            Wake::Deadline if !reached => Wake::Rings,
            wake => wake,
        })
    }

    /// Another descriptor that ends waits, as [`Waiter::add`] has it.
    ///
    /// # Errors
    ///
    /// The kernel refused to watch it.
    pub fn add(&mut self, fd: impl AsFd, token: u64) -> Result<(), WaitError> {
        self.waiter.add(fd, token)
    }

    /// What ends the waits, from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.waiter.stopper()
    }

    /// Tells any thread whether everything that has happened was handled.
    #[must_use]
    pub fn settled(&self) -> Settled {
        self.progress.settled()
    }

    /// Events that found no room so far, in all.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.progress.lost()
    }

    /// Newcomers so far that the filter had no room for. What their first programs did was not let through; later records are,
    /// if they are chosen and there is room by then.
    #[must_use]
    pub fn unmarked(&self) -> u64 {
        self.progress.unmarked()
    }

    /// What the kernel counted for each of the programs.
    ///
    /// # Errors
    ///
    /// The kernel did not answer.
    pub fn stats(&self) -> Result<Vec<ProgramStats>, LoadError> {
        self.loaded.stats()
    }
}
