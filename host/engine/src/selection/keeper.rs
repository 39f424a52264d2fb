//! The kernel's set of cgroups, as the directory has it. What the kernel does not take is tried again until it does.

use crate::guest::Say;
use crate::identity::ROOT;
use ig_containers::{Chooser, Directory, Ender, Selectors, Verdict};
use ig_kernel::cgroups::{CgroupFilter, FilterError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the kernel did not take is tried again this often, and whenever there is news.
const AGAIN: Duration = Duration::from_millis(100);
/// One attempt at all of it is over after so many that failed: of a full set none gets in.
const FAILURES: u32 = 64;
/// What is missing is said this often at most.
const PAUSE: Duration = Duration::from_secs(10);

/// What [`Keeper`] writes to: the kernel's set.
pub(super) trait Cgroups: Send + 'static {
    fn choose(&self, cgroup: u64, owner: u64) -> Result<(), FilterError>;
    fn pending(&self, cgroup: u64, owner: u64) -> Result<(), FilterError>;
    fn remove(&self, cgroup: u64) -> Result<(), FilterError>;
    /// Whether there is an entry, whatever is in it.
    fn has(&self, cgroup: u64) -> bool;
}

impl Cgroups for CgroupFilter {
    fn choose(&self, cgroup: u64, owner: u64) -> Result<(), FilterError> {
        Self::choose(self, cgroup, owner)
    }

    fn pending(&self, cgroup: u64, owner: u64) -> Result<(), FilterError> {
        Self::pending(self, cgroup, owner)
    }

    fn remove(&self, cgroup: u64) -> Result<(), FilterError> {
        Self::remove(self, cgroup)
    }

    fn has(&self, cgroup: u64) -> bool {
        matches!(self.entry(cgroup), Ok(Some(_)))
    }
}

/// Keeps the kernel's set of cgroups as the directory has it.
pub(crate) struct Keeper {
    ender: Ender,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// When it returns, every cgroup that the directory knows is decided in the kernel, too, as far as the kernel takes it.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        directory: &Arc<Directory>,
        selectors: &Arc<Selectors>,
        filter: CgroupFilter,
        say: Say,
    ) -> Result<Self, String> {
        let set = Set::new(filter, shares_root(), !selectors.is_empty());
        Self::start_with(directory, selectors, set, say)
    }

    fn start_with(
        directory: &Arc<Directory>,
        selectors: &Arc<Selectors>,
        mut set: Set<impl Cgroups>,
        say: Say,
    ) -> Result<Self, String> {
        let mut chooser = directory.chooser(Arc::clone(selectors));
        let ender = chooser.ender();
        set.update(&mut chooser, &say);
        let thread = std::thread::Builder::new()
            .name("ig-selection".to_owned())
            .spawn(move || {
                while chooser.wait(set.due()) || !chooser.has_ended() {
                    set.update(&mut chooser, &say);
                }
            })
            .map_err(|e| format!("the thread that selects containers can't be started: {e}"))?;
        Ok(Self {
            ender,
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ender.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the set is to have of a cgroup.
#[derive(Clone, Copy)]
enum Wish {
    Chosen { owner: u64 },
    Pending { owner: u64 },
    Nothing,
}

/// What the kernel did not take.
struct Late {
    wish: Wish,
    /// It has no entry, so that nothing of it is let through.
    missing: bool,
}

struct Set<C> {
    cgroups: C,
    /// The root of version 2 stands for containers, too.
    shared_root: bool,
    /// Of cgroups that are there alone, so that it is never larger than what the directory has.
    late: BTreeMap<u64, Late>,
    /// How many of these are missing.
    missing: usize,
    /// The one that is tried first when they are tried again.
    next: u64,
    /// Why the last one was not taken.
    problem: String,
    told: Told,
}

impl<C: Cgroups> Set<C> {
    /// `narrows`: what is not in the set is not let through, and not only without its container's limit.
    fn new(cgroups: C, shared_root: bool, narrows: bool) -> Self {
        Self {
            cgroups,
            shared_root,
            late: BTreeMap::new(),
            missing: 0,
            next: 0,
            problem: String::new(),
            told: Told::new(narrows),
        }
    }

    /// Takes over what is new, tries again what is late, and says what is missing.
    fn update(&mut self, chooser: &mut Chooser, say: &Say) {
        chooser.changes(|cgroup, owner, verdict| self.change(cgroup, owner, verdict));
        self.try_again();
        if let Some(sentence) = self
            .told
            .sentence(self.missing, &self.problem, Instant::now())
        {
            say(&sentence);
        }
    }

    /// When there is something to do although nothing is new.
    fn due(&self) -> Option<Instant> {
        let again = (!self.late.is_empty()).then(|| Instant::now() + AGAIN);
        again.or_else(|| self.told.due(self.missing))
    }

    fn change(&mut self, cgroup: u64, owner: u64, verdict: Option<Verdict>) {
        self.forget(cgroup);
        let wish = match verdict {
            // The mount namespace tells what is a container's.
            _ if self.shared_root && cgroup == ROOT => Wish::Chosen { owner: 0 },
            Some(Verdict::Yes) => Wish::Chosen { owner },
            Some(Verdict::Later) => Wish::Pending { owner },
            Some(Verdict::No) => Wish::Nothing,
            None => {
                // The kernel has done so before, and its watcher does so after: an entry that stays is nobody's.
                let _ = self.cgroups.remove(cgroup);
                return;
            }
        };
        self.put(cgroup, wish);
    }

    /// Whether the kernel took it; it is late if not.
    fn put(&mut self, cgroup: u64, wish: Wish) -> bool {
        let result = match wish {
            Wish::Chosen { owner } => self.cgroups.choose(cgroup, owner),
            Wish::Pending { owner } => self.cgroups.pending(cgroup, owner),
            Wish::Nothing => self.cgroups.remove(cgroup),
        };
        let Err(problem) = result else {
            return true;
        };
        // What is not wanted passes as long as it has an entry, and the host leaves it out.
        let missing = !matches!(wish, Wish::Nothing) && !self.cgroups.has(cgroup);
        if missing {
            self.missing += 1;
            self.problem = problem.to_string();
        }
        self.late.insert(cgroup, Late { wish, missing });
        false
    }

    fn forget(&mut self, cgroup: u64) -> Option<Wish> {
        let late = self.late.remove(&cgroup)?;
        self.missing -= usize::from(late.missing);
        Some(late.wish)
    }

    fn try_again(&mut self) {
        let mut failures = 0;
        for _ in 0..self.late.len() {
            let first = self.late.range(self.next..).next();
            let Some((&cgroup, _)) = first.or_else(|| self.late.first_key_value()) else {
                return;
            };
            self.next = cgroup.wrapping_add(1);
            if let Some(wish) = self.forget(cgroup)
                && !self.put(cgroup, wish)
            {
                failures += 1;
                if failures == FAILURES {
                    return;
                }
            }
        }
    }
}

/// What the user was told of cgroups that are missing.
struct Told {
    narrows: bool,
    /// How many were missing; 0: none, or nothing was said.
    missing: usize,
    at: Option<Instant>,
}

impl Told {
    fn new(narrows: bool) -> Self {
        Self {
            narrows,
            missing: 0,
            at: None,
        }
    }

    /// That some are missing, when they have become twice as many, and that none is any more; never two sentences within the
    /// pause.
    fn sentence(&mut self, missing: usize, problem: &str, now: Instant) -> Option<String> {
        let news = match (self.missing, missing) {
            (0, 0) => false,
            (_, 0) => true,
            (before, missing) => missing >= before.saturating_mul(2),
        };
        let rests = self.at.is_some_and(|at| now < at + PAUSE);
        if !news || rests {
            return None;
        }
        self.missing = missing;
        self.at = Some(now);
        Some(match (missing, self.narrows) {
            (0, _) => "the set of selected cgroups lacks none any more".to_owned(),
            (_, true) => format!(
                "{problem}; it lacks {missing} that may be asked for, whose records are missing until it takes them: that is tried again \
                 and again"
            ),
            (_, false) => format!(
                "{problem}; it lacks {missing}, each of which has a limit of its own in place of its container's until it takes them: \
                 that is tried again and again"
            ),
        })
    }

    /// When it may be said that none is missing any more.
    fn due(&self, missing: usize) -> Option<Instant> {
        self.at
            .filter(|_| self.missing > 0 && missing == 0)
            .map(|at| at + PAUSE)
    }
}

/// Controllers are in hierarchies of version 1, so that a task in the root of version 2 may be a container's.
fn shares_root() -> bool {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    text.lines().any(|line| {
        let mut parts = line.split(':');
        let (hierarchy, controllers) = (parts.next(), parts.next().unwrap_or_default());
        hierarchy != Some("0") && !controllers.is_empty() && !controllers.starts_with("name=")
    })
}

#[cfg(test)]
mod tests;
