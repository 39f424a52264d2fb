//! What ends a run from outside: signals, the traced command, a reader that went away.

use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// SIGINT or SIGTERM.
    Signal = 1,
    /// The run's own time limit.
    Timeout = 2,
    /// The traced command ended.
    Command = 3,
    /// Nobody reads the output any more.
    Reader = 4,
    /// The guest trapped too often.
    Traps = 5,
    /// All that was asked for were snapshots, and they are complete.
    Snapshot = 6,
    /// The recording that is replayed is over, or the one that is made can't be written.
    Recording = 7,
    /// The kernel, or what it handed over, failed in the middle.
    Error = 8,
}

impl Reason {
    /// The word of the summary.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Timeout => "timeout",
            Self::Command => "command",
            Self::Reader => "reader",
            Self::Traps => "traps",
            Self::Snapshot => "snapshot",
            Self::Recording => "recording",
            Self::Error => "error",
        }
    }
}

/// A request to end a run: set from any thread, waited for by the run's own. The first reason stays.
#[derive(Debug)]
pub struct Stop {
    event: OwnedFd,
    reason: AtomicU8,
    requested: Arc<AtomicBool>,
}

impl Stop {
    /// A request that nobody has made yet.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            reason: AtomicU8::new(0),
            requested: Arc::default(),
        })
    }

    /// Asks the run to end.
    pub fn request(&self, reason: Reason) {
        if self
            .reason
            .compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.requested.store(true, Ordering::Release);
            // The only failure is a full counter, which wakes the waiter as well.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Becomes true when somebody asks; for who can't know this type.
    pub(crate) fn requested(&self) -> Arc<AtomicBool> {
        self.requested.clone()
    }

    /// The reason, once somebody asked.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self.reason.load(Ordering::Acquire) {
            1 => Some(Reason::Signal),
            2 => Some(Reason::Timeout),
            3 => Some(Reason::Command),
            4 => Some(Reason::Reader),
            5 => Some(Reason::Traps),
            6 => Some(Reason::Snapshot),
            7 => Some(Reason::Recording),
            8 => Some(Reason::Error),
            _ => None,
        }
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let stop = Stop::new().unwrap();
        assert_eq!(stop.reason(), None);
        assert!(!stop.requested().load(Ordering::Acquire));
        stop.request(Reason::Command);
        stop.request(Reason::Signal);
        assert_eq!(stop.reason(), Some(Reason::Command));
        assert!(stop.requested().load(Ordering::Acquire));
    }
}
