//! In which cgroups those are that are wanted, for whoever keeps a set of them.

use super::{IdHash, Reader, Shared};
use crate::selection::Verdict;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Tells which cgroups are wanted, as that changes: of [`crate::Directory::chooser`].
#[derive(Debug)]
pub struct Chooser {
    reader: Reader,
    /// What was told of each cgroup that is there: the outermost cgroup of its container, and the verdict.
    told: HashMap<u64, (u64, Verdict), IdHash>,
}

/// Ends a [`Chooser`]'s waiting, from any thread.
#[derive(Clone, Debug)]
pub struct Ender(Arc<Shared>);

impl Ender {
    /// From now on [`Chooser::wait`] returns at once.
    pub fn end(&self) {
        let queue = self.0.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner).ended = true;
        self.0.told.notify_all();
    }
}

impl Chooser {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            told: HashMap::default(),
        }
    }

    /// What ends its waiting.
    #[must_use]
    pub fn ender(&self) -> Ender {
        Ender(Arc::clone(&self.reader.shared))
    }

    /// Sleeps until the directory knows something new, at most until the deadline. True: it does, and
    /// [`Chooser::changes`] may have something to tell. False: the time is over, or somebody has ended it.
    #[must_use]
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        let shared = &self.reader.shared;
        let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.ended {
                return false;
            }
            let generation = shared.generation.load(Ordering::Acquire);
            if generation != self.reader.generation || self.reader.has_touched() {
                return true;
            }
            queue.waiting = true;
            queue = match deadline {
                None => shared
                    .told
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        queue.waiting = false;
                        return false;
                    }
                    let waited = shared.told.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Somebody has ended it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let queue = self.reader.shared.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner).ended
    }

    /// Tells, of each cgroup whose verdict or container is another than when it was told last, its id, the id of the outermost
    /// cgroup of its container (0: it is no container's), and the verdict: [`Verdict::Later`] while it is not known whose it is
    /// or whether that one is wanted, None when it was removed. The first call tells all that there are.
    pub fn changes(&mut self, mut tell: impl FnMut(u64, u64, Option<Verdict>)) {
        self.reader.refresh();
        for cgroup in self.reader.touched() {
            match self.reader.choice(cgroup) {
                Some(now) => {
                    if self.told.insert(cgroup, now) != Some(now) {
                        tell(cgroup, now.0, Some(now.1));
                    }
                }
                None => {
                    if let Some((owner, _)) = self.told.remove(&cgroup) {
                        tell(cgroup, owner, None);
                    }
                }
            }
        }
    }
}
