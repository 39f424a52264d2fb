//! Waiting for records, timers and the end, without being woken for every record.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pace::{self, Next, Pace};
use crate::ring::{Ring, Wakeup};
use crate::sys::os;

/// Waiting failed: the system ran out of descriptors or memory.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {error}")]
pub struct WaitError {
    action: &'static str,
    error: io::Error,
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> WaitError {
    move |error| WaitError { action, error }
}

/// Ends waits, from any thread and from a signal handler. Once stopped, every wait says so.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<OwnedFd>);

impl Stopper {
    /// Makes the present and all later waits return [`Wake::Stop`]. Only one `write(2)`: allowed in signal handlers.
    pub fn stop(&self) {
        os::eventfd_add(self.0.as_fd());
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A ring may have something new.
    Rings,
    /// The deadline is reached; look into the rings, too.
    Deadline,
    /// A descriptor of [`Waiter::add`] is readable; look into the rings, too.
    Ready(u64),
    /// [`Stopper::stop`] was called.
    Stop,
}

/// Tokens of the epoll sets; those of `add` are counted from zero upwards.
const STOP: u64 = u64::MAX;
const RING: u64 = u64::MAX - 1;
const NAP: u64 = u64::MAX - 2;

/// Waits for all that can happen to a running gadget. Two epoll sets: that of naps holds what may interrupt one, which
/// are descriptors and the rings whose programs wake a consumer only when it asked for it; the whole one holds that set
/// and the other rings.
#[derive(Debug)]
pub struct Waiter {
    whole: OwnedFd,
    nap: OwnedFd,
    stop: Arc<OwnedFd>,
    paces: Vec<Pace>,
    wakeups: Vec<Wakeup>,
    start: Instant,
}

impl Waiter {
    /// Without any ring yet.
    ///
    /// # Errors
    ///
    /// No descriptors or memory are left.
    pub fn new() -> Result<Self, WaitError> {
        let whole = os::epoll_create().map_err(failed("make an epoll set"))?;
        let nap = os::epoll_create().map_err(failed("make an epoll set"))?;
        let stop = os::eventfd().map_err(failed("make an eventfd"))?;
        os::epoll_add(nap.as_fd(), stop.as_fd(), STOP, false)
            .map_err(failed("watch the eventfd"))?;
        os::epoll_add(whole.as_fd(), nap.as_fd(), NAP, false).map_err(failed("nest epoll sets"))?;
        Ok(Self {
            whole,
            nap,
            stop: Arc::new(stop),
            paces: Vec::new(),
            wakeups: Vec::new(),
            start: Instant::now(),
        })
    }

    /// Adds a ring; gives its index for [`Waiter::saw`], counted from zero. The ring's wake-ups are edges: drain it
    /// until [`Ring::span`] gives `None` before each wait.
    ///
    /// # Errors
    ///
    /// The kernel refused to watch it.
    pub fn add_ring(&mut self, ring: &Ring) -> Result<usize, WaitError> {
        let index = self.paces.len();
        let wakeup = ring.wakeup();
        let set = if wakeup.is_some() {
            &self.nap
        } else {
            &self.whole
        };
        // Edges, because the kernel calls a ring readable as long as a record in it is only being written.
        os::epoll_add(set.as_fd(), ring.as_fd(), RING, true)
            .map_err(failed("watch a ring buffer"))?;
        self.paces.push(Pace::new(
            ring.size(),
            wakeup.is_some(),
            self.start.elapsed(),
        ));
        self.wakeups.extend(wakeup);
        Ok(index)
    }

    /// Adds another descriptor (a pidfd, a signalfd). It interrupts naps, and every wait returns
    /// [`Wake::Ready`] with `token` as long as it is readable. Tokens must be below `u64::MAX - 2`.
    ///
    /// # Errors
    ///
    /// The kernel refused to watch it.
    pub fn add(&mut self, fd: impl AsFd, token: u64) -> Result<(), WaitError> {
        if token >= NAP {
            return Err(WaitError {
                action: "watch a descriptor",
                error: io::ErrorKind::InvalidInput.into(),
            });
        }
        os::epoll_add(self.nap.as_fd(), fd.as_fd(), token, false)
            .map_err(failed("watch a descriptor"))
    }

    /// What ends the wait.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.stop))
    }

    /// A span was taken from the ring with this index. Feeds the pace.
    #[inline]
    pub fn saw(&mut self, ring: usize, records: u32, bytes: usize) {
        if let Some(pace) = self.paces.get_mut(ring) {
            pace.saw(records, bytes);
        }
    }

    /// Sleeps until something may be there. Call it when every ring gave `None`: each then wakes us with its next
    /// record.
    ///
    /// # Errors
    ///
    /// `epoll_wait(2)` failed.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Result<Wake, WaitError> {
        let now = Instant::now();
        // Only to know the rates: there is nothing to nap for.
        let _ = self.pace(now);
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        let wake = if self.wakeups.len() == self.paces.len() {
            poll(&self.nap, left)?.1
        } else {
            let (nested, wake) = poll(&self.whole, left)?;
            if nested {
                poll(&self.nap, Some(Duration::ZERO))?.1
            } else {
                wake
            }
        };
        Ok(woken(wake, deadline))
    }

    /// Naps if so much comes that naps replace wake-ups; `None`: not so much, nothing was waited for. Call it when the
    /// consumer has caught up with every ring, though none has to be empty: a nap ends by the clock, or when half of
    /// a ring is full. Looking until a ring is empty would chase its producer, span by ever smaller span.
    ///
    /// # Errors
    ///
    /// `epoll_wait(2)` failed.
    pub fn nap(&mut self, deadline: Option<Instant>) -> Result<Option<Wake>, WaitError> {
        let now = Instant::now();
        let Next::Nap(nap) = self.pace(now) else {
            return Ok(None);
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        let nap = left.map_or(nap, |left| left.min(nap));
        let wake = if self.wakeups.iter().all(Wakeup::ask) {
            poll(&self.nap, Some(nap)).map(|(_, wake)| wake)
        } else {
            Ok(None)
        };
        for wakeup in &self.wakeups {
            wakeup.cancel();
        }
        Ok(Some(woken(wake?, deadline)))
    }

    fn pace(&mut self, now: Instant) -> Next {
        pace::together(&mut self.paces, now.saturating_duration_since(self.start))
    }
}

/// Waits for a set: whether the set nested in it is ready, and the wake-up that is no ring's.
fn poll(set: &OwnedFd, timeout: Option<Duration>) -> Result<(bool, Option<Wake>), WaitError> {
    let mut tokens = [0; 8];
    let ready =
        os::epoll_wait(set.as_fd(), &mut tokens, timeout).map_err(failed("wait for events"))?;
    let tokens = tokens.get(..ready).unwrap_or_default();
    let wake = if tokens.contains(&STOP) {
        Some(Wake::Stop)
    } else {
        let ready = tokens.iter().find(|token| **token < NAP);
        ready.map(|token| Wake::Ready(*token))
    };
    Ok((tokens.contains(&NAP), wake))
}

fn woken(wake: Option<Wake>, deadline: Option<Instant>) -> Wake {
    wake.unwrap_or_else(|| match deadline {
        Some(deadline) if Instant::now() >= deadline => Wake::Deadline,
        _ => Wake::Rings, // after a signal, too: a look does no harm
    })
}
