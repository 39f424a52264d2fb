//! Deadlines in CPU time: one watching thread for all guests of a sandbox.
//!
//! A guest's code compares the engine's epoch on every loop and call; when it moved, a callback reads the CPU clock
//! of the thread and decides. Somebody must move the epoch, and it must cost nothing: the watcher looks now and
//! then, sooner again while it sees a call running, and moves the epoch only when the same call still runs as the last
//! time. Short calls never meet an epoch. When no call was begun for a while the watcher parks, so that
//! an idle host wakes nobody. A call costs two stores and a load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// How long the watcher sleeps, and how late a deadline may be: at most one of each after it.
#[derive(Clone, Copy)]
struct Rounds {
    /// While no call was found running. A wake-up costs tens of microseconds on some machines, so few of them.
    calm: Duration,
    /// While one was.
    alert: Duration,
}

impl Rounds {
    /// Longer than the naps of a loaded ring consumer, or the watcher would park and be woken with each of them.
    const LONGEST: Self = Self {
        calm: Duration::from_millis(100),
        alert: Duration::from_millis(10),
    };
    const SHORTEST: Duration = Duration::from_millis(1);

    fn of(deadline: Duration) -> Self {
        Self {
            calm: deadline.clamp(Self::SHORTEST, Self::LONGEST.calm),
            alert: (deadline / 10).clamp(Self::SHORTEST, Self::LONGEST.alert),
        }
    }
}

/// CPU time that the calling thread has used.
pub(crate) fn thread_cpu() -> std::io::Result<Duration> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).map_err(std::io::Error::other)
}

/// One guest's place under the watcher's eyes.
pub(crate) struct Seat {
    /// Odd while a call runs; grows by two with every call.
    turn: AtomicU64,
    /// `turn` as the watcher last saw it. Only the watcher uses it.
    seen: AtomicU64,
    rounds: Rounds,
    watch: Arc<Watch>,
}

/// Held while a call runs.
pub(crate) struct Turn<'a>(&'a Seat, u64);

impl Seat {
    /// Says that a call begins.
    pub(crate) fn begin(&self) -> Turn<'_> {
        let turn = self.turn.load(Ordering::Relaxed).wrapping_add(1);
        // SeqCst with the watcher's store of `parked` and its load of `turn`: either it sees this call, or this sees
        // that it parked.
        self.turn.store(turn, Ordering::SeqCst);
        if self.watch.parked.load(Ordering::SeqCst) {
            self.watch.wake();
        }
        Turn(self, turn)
    }

    #[cfg(test)]
    pub(crate) fn watcher_is_parked(&self) -> bool {
        self.watch.parked.load(Ordering::SeqCst)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turn.store(self.1.wrapping_add(1), Ordering::Release);
    }
}

struct Watch {
    seats: Mutex<Vec<Weak<Seat>>>,
    parked: AtomicBool,
    stop: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl Watch {
    #[cold]
    fn wake(&self) {
        if self.parked.swap(false, Ordering::SeqCst)
            && let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner)
        {
            thread.unpark();
        }
    }

    /// One look at all seats.
    fn look(&self) -> Look {
        let mut look = Look {
            stuck: false,
            running: false,
            moved: false,
            rounds: Rounds::LONGEST,
        };
        self.seats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|seat| {
                let Some(seat) = seat.upgrade() else {
                    return false;
                };
                look.rounds.calm = look.rounds.calm.min(seat.rounds.calm);
                look.rounds.alert = look.rounds.alert.min(seat.rounds.alert);
                let turn = seat.turn.load(Ordering::SeqCst);
                let running = turn % 2 == 1;
                let moved = seat.seen.swap(turn, Ordering::Relaxed) != turn;
                look.running |= running;
                look.moved |= moved;
                look.stuck |= running && !moved;
                true
            });
        look
    }

    fn run(&self, engine: &Engine) {
        while !self.stop.load(Ordering::Acquire) {
            let look = self.look();
            if look.stuck {
                engine.increment_epoch();
            }
            if look.running {
                std::thread::park_timeout(look.rounds.alert);
            } else if look.moved {
                std::thread::park_timeout(look.rounds.calm);
            } else {
                self.park();
            }
        }
    }

    /// Sleeps until a call begins.
    fn park(&self) {
        self.parked.store(true, Ordering::SeqCst);
        let look = self.look();
        if look.moved || look.running {
            self.parked.store(false, Ordering::SeqCst);
        }
        while self.parked.load(Ordering::SeqCst) && !self.stop.load(Ordering::Acquire) {
            std::thread::park();
        }
    }
}

/// What one look at all seats found.
struct Look {
    /// A call that was running the last time is still running.
    stuck: bool,
    /// A call is running.
    running: bool,
    /// Calls were begun or ended since the last time.
    moved: bool,
    rounds: Rounds,
}

/// Moves the epoch of an engine while a call of one of its guests takes long.
pub(crate) struct Watcher {
    engine: Engine,
    watch: Arc<Watch>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watcher {
    /// Starts nothing yet: the thread begins with the first seat.
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            watch: Arc::new(Watch {
                seats: Mutex::new(Vec::new()),
                parked: AtomicBool::new(false),
                stop: AtomicBool::new(false),
                thread: Mutex::new(None),
            }),
            thread: Mutex::new(None),
        }
    }

    /// A seat for a guest with this shortest deadline. It is watched until it is dropped.
    pub(crate) fn seat(&self, deadline: Duration) -> std::io::Result<Arc<Seat>> {
        let seat = Arc::new(Seat {
            turn: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            rounds: Rounds::of(deadline),
            watch: Arc::clone(&self.watch),
        });
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let (watch, engine) = (Arc::clone(&self.watch), self.engine.clone());
            let started = std::thread::Builder::new()
                .name("ig-deadline".into())
                .stack_size(128 << 10)
                .spawn(move || {
                    block_signals();
                    watch.run(&engine);
                })?;
            *self
                .watch
                .thread
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(started.thread().clone());
            *thread = Some(started);
        }
        self.watch
            .seats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::downgrade(&seat));
        Ok(seat)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watch.stop.store(true, Ordering::Release);
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            thread.thread().unpark();
            // a panic there has been printed, and there is nobody to tell
            let _ = thread.join();
        }
    }
}

/// Signals sent to the process must never land here: who handles them chose a thread for it.
fn block_signals() {
    // SAFETY: `set` is a plain bit set that sigfillset writes whole before it is read; both calls take valid
    // pointers to it and change nothing but this thread's mask.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}
