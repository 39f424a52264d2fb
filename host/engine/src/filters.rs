//! Socket filters: opened once in each network namespace, as namespaces come and go with containers. What they find comes
//! through a ring like everything else.

use crate::containers::Containers;
use crate::guest::Say;
use crate::iterators::{Asked, NAMESPACES_MAP};
use ig_containers::{Chooser, Ender};
use ig_kernel::network::{NetworkNamespace, NetworkNamespaces, OpenNamespace, Visitor};
use ig_kernel::{Loaded, Map, OpenFilter, SocketFilter, Update};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where nobody tells of anything new, it is looked this often.
const EVERY: Duration = Duration::from_secs(1);
/// After news of a cgroup it is looked this soon, and then in pauses that double: its namespace comes a little later.
const SOON: Duration = Duration::from_millis(5);
/// A pause is at least so many times as long as the last look took.
const SHARE: u32 = 10;
/// Whose a young namespace is may change: a runtime makes it before it enters the container's cgroup.
const YOUNG: Duration = Duration::from_secs(5);
/// Threads that close sockets: each waits for the kernel, and all for the same.
const CLOSERS: usize = 32;

/// Opens the filters and follows the namespaces, for as long as it is there.
pub(crate) struct Filters {
    ender: End,
    thread: Option<JoinHandle<()>>,
}

/// What ends the thread.
enum End {
    Directory(Ender),
    Clock(Option<Sender<()>>),
}

/// What the thread sleeps on.
enum News {
    Directory(Box<Chooser>),
    Clock(Receiver<()>),
}

/// Why the thread woke up.
enum Woken {
    News,
    Time,
    End,
}

/// A namespace whose packets are seen.
struct Seen {
    filters: Vec<OpenFilter>,
    since: Instant,
    /// Who is in it for longest, when it was told last whose it is.
    first: Option<(u64, PathBuf)>,
}

struct Follower {
    filters: Vec<SocketFilter>,
    namespaces: NetworkNamespaces,
    visitor: Visitor,
    owners: Option<Map>,
    /// None: everybody is.
    asked: Option<Asked>,
    seen: HashMap<u64, Seen>,
    /// Threads that close what is gone.
    closers: Vec<JoinHandle<()>>,
    /// The user was told that something went wrong.
    told: bool,
    say: Say,
}

impl Filters {
    /// When it returns, the filters are open in all namespaces that there are; None: there are no filters. `containers` narrow
    /// the namespaces to those with a process that is asked for, and say when to look for new ones.
    ///
    /// # Errors
    /// A namespace can't be entered, or no thread be started.
    pub fn open(
        loaded: &Loaded,
        containers: Option<&Containers>,
        say: &Say,
    ) -> Result<Option<Self>, String> {
        let filters = loaded.socket_filters();
        let filters = filters.map_err(|e| format!("socket filters: {e}"))?;
        if filters.is_empty() {
            return Ok(None);
        }
        let visitor = Visitor::start();
        let mut follower = Follower {
            filters,
            namespaces: Containers::network_namespaces(),
            visitor: visitor.map_err(|e| format!("network namespaces can't be entered: {e}"))?,
            owners: loaded.map(NAMESPACES_MAP).ok(),
            asked: containers.and_then(Containers::asked),
            seen: HashMap::new(),
            closers: Vec::new(),
            told: false,
            say: say.clone(),
        };
        let (ender, mut news) = match containers.map(Containers::news) {
            Some(chooser) => (
                End::Directory(chooser.ender()),
                News::Directory(Box::new(chooser)),
            ),
            None => {
                let (end, ended) = mpsc::channel();
                (End::Clock(Some(end)), News::Clock(ended))
            }
        };
        follower.look()?;
        let thread = std::thread::Builder::new()
            .name("ig-filters".to_owned())
            .spawn(move || {
                follower.follow(&mut news);
                follower.end();
            })
            .map_err(|e| {
                format!("the thread that follows network namespaces can't be started: {e}")
            })?;
        Ok(Some(Self {
            ender,
            thread: Some(thread),
        }))
    }
}

impl Drop for Filters {
    fn drop(&mut self) {
        match &mut self.ender {
            End::Directory(ender) => ender.end(),
            End::Clock(end) => *end = None,
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl News {
    fn wait(&mut self, until: Instant) -> Woken {
        match self {
            Self::Directory(chooser) => {
                if chooser.wait(Some(until)) {
                    chooser.changes(|_, _, _| {});
                    Woken::News
                } else if chooser.has_ended() {
                    Woken::End
                } else {
                    Woken::Time
                }
            }
            Self::Clock(end) => {
                match end.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => Woken::Time,
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => Woken::End,
                }
            }
        }
    }
}

impl Follower {
    fn follow(&mut self, news: &mut News) {
        let mut pause = SOON;
        let mut earliest = Instant::now() + SOON;
        let mut next = earliest;
        loop {
            match news.wait(next) {
                Woken::End => return,
                Woken::News => {
                    pause = SOON;
                    next = next.min(earliest);
                }
                Woken::Time => {
                    let began = Instant::now();
                    if let Err(problem) = self.look() {
                        self.tell_once(&problem);
                    }
                    let rest = began.elapsed() * SHARE;
                    earliest = Instant::now() + rest.max(SOON);
                    next = earliest.max(Instant::now() + pause);
                    pause = (pause * 2).min(EVERY);
                }
            }
        }
    }

    /// Opens the filters where they are not open yet, and closes them where nobody is any more.
    fn look(&mut self) -> Result<(), String> {
        let asked = self.asked.as_deref();
        let asked = asked.map(|asked| asked as &dyn Fn(u64) -> bool);
        let listed = self.namespaces.list(asked).map_err(|e| e.to_string())?;
        let mut problem = Ok(());
        for namespace in &listed {
            if let Err(what) = self.see(namespace) {
                problem = Err(what);
            }
        }
        // An open socket keeps its namespace alive: what counts is whether somebody else does.
        let there: HashSet<u64> = listed.iter().map(NetworkNamespace::inode).collect();
        let gone = self.seen.extract_if(|inode, _| !there.contains(inode));
        let gone: Vec<(u64, Seen)> = gone.collect();
        if !gone.is_empty() {
            if let Some(owners) = &self.owners {
                for (inode, _) in &gone {
                    if let Ok(number) = u32::try_from(*inode) {
                        let _ = owners.delete(&number.to_ne_bytes());
                    }
                }
            }
            self.close_beside(gone.into_iter().map(|(_, seen)| seen).collect());
        }
        problem
    }

    fn see(&mut self, namespace: &NetworkNamespace) -> Result<(), String> {
        let first = namespace
            .first()
            .map(|(at, folder)| (at, folder.to_owned()));
        if let Some(seen) = self.seen.get(&namespace.inode())
            && seen.since.elapsed() > YOUNG
            && seen.first == first
        {
            return Ok(());
        }
        // One that is gone by now has nothing that could be seen.
        let opened = self.namespaces.open(namespace);
        let Some(open) = opened.map_err(|e| e.to_string())? else {
            return Ok(());
        };
        tell(self.owners.as_ref(), &open)?;
        if let Some(seen) = self.seen.get_mut(&namespace.inode()) {
            seen.first = first;
            return Ok(());
        }
        let filters = self.filters.iter();
        let filters = filters.map(|filter| filter.open_in(&open, &self.visitor));
        let seen = Seen {
            filters: filters
                .collect::<Result<_, _>>()
                .map_err(|e| e.to_string())?,
            since: Instant::now(),
            first,
        };
        self.seen.insert(namespace.inode(), seen);
        Ok(())
    }

    /// A newcomer's packets do not wait for that.
    fn close_beside(&mut self, gone: Vec<Seen>) {
        self.closers.retain(|thread| !thread.is_finished());
        let thread = std::thread::Builder::new().name("ig-filters".to_owned());
        // Where no thread can be started they were dropped here.
        let thread = thread.spawn(move || close(gone.into_iter()));
        self.closers.extend(thread.ok());
    }

    /// Closes all that is open.
    fn end(self) {
        close(self.seen.into_values());
        for thread in self.closers {
            let _ = thread.join();
        }
    }

    fn tell_once(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.told, true) {
            (self.say)(&format!(
                "{problem}: packets of some containers may be missing"
            ));
        }
    }
}

/// Tells the programs whose a namespace is.
pub(crate) fn tell(owners: Option<&Map>, namespace: &OpenNamespace) -> Result<(), String> {
    let (Some(map), Ok(inode)) = (owners, u32::try_from(namespace.inode())) else {
        return Ok(());
    };
    let cgroup = namespace.cgroup().unwrap_or(0).to_ne_bytes();
    let told = map.update(&inode.to_ne_bytes(), &cgroup, Update::Any);
    told.map(|_| ())
        .map_err(|e| format!("{NAMESPACES_MAP}: {e}"))
}

/// Closes what is open in some namespaces. The kernel waits for all CPUs with each socket, and so many wait together.
fn close(seen: impl Iterator<Item = Seen>) {
    let mut open: Vec<OpenFilter> = seen.flat_map(|seen| seen.filters).collect();
    let each = open.len().div_ceil(CLOSERS).max(1);
    std::thread::scope(|scope| {
        while open.len() > each {
            let some = open.split_off(open.len() - each);
            let spawned = std::thread::Builder::new()
                .name("ig-filters".to_owned())
                .spawn_scoped(scope, move || drop(some));
            // Where no thread can be started they were dropped here.
            drop(spawned);
        }
        open.clear();
    });
}
