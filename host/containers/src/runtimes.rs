//! The runtimes' APIs, read-only: what they say of their containers, as they say it.
//!
//! One thread with one executor talks to all of them. Each socket has a session of its own: it subscribes to events,
//! lists, asks for details, and follows the events; when anything fails it waits a little and starts anew with a full
//! list. A socket that does not answer holds up no other, and none of this is ever waited for by a record.

mod containerd;
mod cri;
mod docker;
pub(crate) mod kubelet;
mod line;
mod podman;
#[cfg(test)]
mod tests;
mod time;
mod told;

use crate::Options;
use crate::owner::{Facts, Runtime};
use cri::Cri;
use line::{Failure, Grpc, MOST_CONTAINERS, Session, within};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::LocalSet;
use told::Told;

/// The shortest and the longest time between two looks at a socket that is not there or failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// The most questions to one source that wait or are asked. More have failed at once: the runtimes' events bring the same.
const MOST_QUESTIONS: usize = 1024;
/// The most questions asked of one source at once.
const AT_ONCE: usize = 8;
/// How often and after which time a sandbox is asked for again: its status is there only when all of it is.
const SANDBOX: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1500),
];

/// What a runtime says.
#[expect(clippy::large_enum_variant, reason = "boxed where it waits")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// All its containers: what it does not name any more is removed.
    Listed(Runtime, Vec<Facts>),
    /// All that it says of one container by now.
    Changed(Facts),
    /// It has no container of this id any more.
    Removed(Runtime, String),
    /// It was asked for this container, and has said what it will.
    Whole(Runtime, String),
    /// Nothing that listens for it answers, or it listens nowhere: nothing more comes.
    Silent(Runtime),
    /// It does not answer; one line, why. Its containers are as they were.
    Lost(Runtime, String),
    /// It answers, for the first time or again. Its list follows.
    Found(Runtime),
}

/// The thread that talks to the runtimes; ends when dropped.
#[derive(Debug)]
pub(crate) struct Runtimes {
    questions: Option<mpsc::Sender<(Question, Arc<Round>)>>,
    tell: Tell,
    settled: Arc<Settled>,
    /// That of the next question.
    round: Mutex<Arc<Round>>,
    thread: Option<JoinHandle<()>>,
}

/// Whom to tell.
#[derive(Clone)]
struct Tell(Arc<dyn Fn(Said) + Send + Sync>);

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}

#[derive(Clone, Debug)]
struct Question {
    runtime: Runtime,
    id: String,
    namespace: Option<String>,
}

/// Questions, until the last of them has been answered once.
#[derive(Debug)]
struct Round(Arc<Settled>);

impl Drop for Round {
    fn drop(&mut self) {
        // Whoever waits looks at both under this lock.
        drop(self.0.open.lock());
        self.0.changed.notify_all();
    }
}

/// How many sources have neither answered nor failed yet.
#[derive(Debug)]
struct Settled {
    open: Mutex<usize>,
    changed: Condvar,
    /// Of each runtime: how many answer, or may yet.
    hopes: [AtomicUsize; Runtime::ALL.len()],
}

impl Settled {
    fn hopes(&self, runtime: Runtime) -> Option<&AtomicUsize> {
        self.hopes.get(runtime as usize)
    }
}

impl Runtimes {
    /// Starts to talk to the runtimes. What they say is told on a thread of its own, which `tell` should not hold up.
    ///
    /// # Errors
    ///
    /// No thread, or no descriptors for its executor.
    pub(crate) fn start(
        options: &Options,
        tell: Box<dyn Fn(Said) + Send + Sync>,
    ) -> io::Result<Self> {
        let sockets = sockets(options);
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let settled = Arc::new(Settled {
            open: Mutex::new(sockets.len()),
            changed: Condvar::new(),
            hopes: Default::default(),
        });
        for (runtime, _) in &sockets {
            if let Some(hopes) = settled.hopes(*runtime) {
                hopes.fetch_add(1, Ordering::AcqRel);
            }
        }
        let (questions, inbox) = mpsc::channel(MOST_QUESTIONS);
        let tell = Tell(Arc::from(tell));
        let theirs = (tell.clone(), Arc::clone(&settled));
        let thread = std::thread::Builder::new()
            .name("ig-runtimes".to_owned())
            .spawn(move || {
                let tasks = LocalSet::new();
                tasks.block_on(&executor, watch(sockets, theirs.0, theirs.1, inbox));
            })?;
        Ok(Self {
            questions: Some(questions),
            tell,
            round: Mutex::new(Arc::new(Round(Arc::clone(&settled)))),
            settled,
            thread: Some(thread),
        })
    }

    /// Asks for a container that is new, by the call that answers at once. What is found is told as a change.
    pub(crate) fn ask(&self, runtime: Runtime, id: &str, namespace: Option<&str>) {
        if let Some(questions) = &self.questions {
            let question = Question {
                runtime,
                id: id.to_owned(),
                namespace: namespace.map(str::to_owned),
            };
            let round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
            let round = Arc::clone(&round);
            // Full: it has failed, and the events bring it.
            if let Err(TrySendError::Full((question, _))) = questions.try_send((question, round)) {
                (self.tell.0)(Said::Whole(question.runtime, question.id));
            }
        }
    }

    /// Something that listens for it answers, or may do so at the first try. When nothing does any more, that is told.
    pub(crate) fn may_answer(&self, runtime: Runtime) -> bool {
        let hopes = self.settled.hopes(runtime);
        hopes.is_some_and(|hopes| hopes.load(Ordering::Acquire) > 0)
    }

    /// Waits until every socket that is there has answered its first list, or failed, and what was asked so far; says whether
    /// they have. What came after the list was asked for on its own, and may be known only by that.
    pub(crate) fn ready(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let lock = |error| PoisonError::into_inner(error);
        let next = Arc::new(Round(Arc::clone(&self.settled)));
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Arc::downgrade(&std::mem::replace(&mut *round, next));
        drop(round);
        let mut open = self
            .settled
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while *open > 0 || asked.strong_count() > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.settled.changed.wait_timeout(open, left);
            open = waited.unwrap_or_else(lock).0;
        }
        true
    }
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        // The thread ends when nobody can ask any more.
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Where which runtime may listen.
fn sockets(options: &Options) -> Vec<(Runtime, PathBuf)> {
    let usual = |runtime, own: &Option<PathBuf>, usual: &[&str]| -> Vec<(Runtime, PathBuf)> {
        match own {
            Some(path) => vec![(runtime, path.clone())],
            None => usual
                .iter()
                .map(|path| (runtime, options.host_root.join(path)))
                .collect(),
        }
    };
    let given = &options.sockets;
    // Relative to the host's root. `/run` and not `/var/run`: that is a link, which from elsewhere leads elsewhere.
    let mut all = usual(Runtime::Docker, &given.docker, &["run/docker.sock"]);
    all.extend(usual(
        Runtime::Containerd,
        &given.containerd,
        &[
            "run/containerd/containerd.sock",
            "run/k3s/containerd/containerd.sock",
        ],
    ));
    all.extend(usual(Runtime::Crio, &given.crio, &["run/crio/crio.sock"]));
    all.extend(usual(
        Runtime::Podman,
        &given.podman,
        &["run/podman/podman.sock"],
    ));
    all.retain(|(runtime, _)| options.runtimes.contains(runtime));
    all
}

/// The thread: until nobody can ask any more.
async fn watch(
    sockets: Vec<(Runtime, PathBuf)>,
    tell: Tell,
    settled: Arc<Settled>,
    mut inbox: mpsc::Receiver<(Question, Arc<Round>)>,
) {
    let shelf = Rc::new(Shelf {
        tell,
        settled,
        known: RefCell::default(),
    });
    let sources: Vec<Rc<Source>> = sockets
        .into_iter()
        .enumerate()
        .map(|(place, (runtime, path))| {
            Rc::new(Source {
                runtime,
                place,
                path,
                shelf: Rc::clone(&shelf),
                at_once: Semaphore::new(AT_ONCE),
                seats: Arc::new(Semaphore::new(MOST_QUESTIONS)),
                settled: Cell::new(false),
                hopes: Cell::new(true),
                answers: Cell::new(false),
                waiting: RefCell::default(),
                line: RefCell::new(None),
                docker: RefCell::new(None),
            })
        })
        .collect();
    for source in &sources {
        tokio::task::spawn_local(Rc::clone(source).keep());
    }
    while let Some((question, round)) = inbox.recv().await {
        let asked = Rc::new(Asked {
            shelf: Rc::clone(&shelf),
            runtime: question.runtime,
            id: question.id.clone(),
            round: RefCell::new(Some(round)),
        });
        for source in sources.iter().filter(|s| s.runtime == question.runtime) {
            if source.answers.get() {
                if let Some(seat) = source.seat() {
                    let (source, asked) = (Rc::clone(source), Rc::clone(&asked));
                    tokio::task::spawn_local(source.answer(question.clone(), asked, seat));
                }
            } else if source.hopes.get() {
                // It lists all when it does.
                let mut waiting = source.waiting.borrow_mut();
                if waiting.len() < MOST_CONTAINERS {
                    waiting.push(Rc::clone(&asked));
                }
            }
        }
    }
}

/// What all sources said, and whom to tell.
struct Shelf {
    tell: Tell,
    settled: Arc<Settled>,
    /// By source.
    known: RefCell<BTreeMap<(Runtime, usize), Told>>,
}

/// What a question needs of a session of gRPC.
#[derive(Clone)]
struct Line {
    grpc: Grpc,
    cri: Rc<Cri>,
}

/// A question that is on its way. When the last one has dropped it, nobody answers any more.
struct Asked {
    shelf: Rc<Shelf>,
    runtime: Runtime,
    id: String,
    /// Until it was answered once.
    round: RefCell<Option<Arc<Round>>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let id = std::mem::take(&mut self.id);
        (self.shelf.tell.0)(Said::Whole(self.runtime, id));
    }
}

/// One socket.
struct Source {
    runtime: Runtime,
    place: usize,
    path: PathBuf,
    shelf: Rc<Shelf>,
    at_once: Semaphore,
    /// One for each question that waits or is asked.
    seats: Arc<Semaphore>,
    settled: Cell<bool>,
    /// It answers, or may do so at its first try.
    hopes: Cell<bool>,
    answers: Cell<bool>,
    /// What it was asked before it has told all.
    waiting: RefCell<Vec<Rc<Asked>>>,
    /// What a question needs of the session that goes on.
    line: RefCell<Option<Line>>,
    /// The same of Docker.
    docker: RefCell<Option<Rc<docker::Client>>>,
}

impl Source {
    /// Follows the runtime for as long as the executor runs.
    async fn keep(self: Rc<Self>) {
        let mut pause = RETRY.0;
        let mut told = false;
        loop {
            if !exists(&self.path) {
                self.despair();
                self.settle();
                // It was there: somebody ended it in order.
                if self.answers.take() {
                    self.tell(Said::Lost(self.runtime, "its socket is gone".to_owned()));
                }
                told = false;
            } else {
                let Err(failure) = self.session().await;
                self.line.take();
                self.docker.take();
                let answered = self.answers.take();
                if answered {
                    pause = RETRY.0;
                }
                if answered || !told {
                    let why = format!("{}: {}", self.path.display(), failure.0);
                    self.tell(Said::Lost(self.runtime, Failure::new(why).0));
                    told = true;
                }
                self.despair();
                self.settle();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn session(self: &Rc<Self>) -> Session {
        match self.runtime {
            Runtime::Docker => docker::session(self).await,
            Runtime::Containerd => containerd::session(self).await,
            Runtime::Crio => cri::session(self).await,
            Runtime::Podman => podman::session(self).await,
            Runtime::Runc | Runtime::Crun => Err(Failure::new("it has no API")),
        }
    }

    /// Room for one more question. None: they are too many.
    fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.seats).try_acquire_owned().ok()
    }

    async fn answer(
        self: Rc<Self>,
        question: Question,
        asked: Rc<Asked>,
        seat: OwnedSemaphorePermit,
    ) {
        let mut pauses = SANDBOX.into_iter();
        loop {
            // Who asked waits for its turn as well.
            let found = within(async {
                let _turn = self.at_once.acquire().await.map_err(Failure::new)?;
                self.look_up(&question).await
            });
            match (found.await, pauses.next()) {
                (Ok(false), Some(pause)) => {
                    asked.round.take();
                    tokio::time::sleep(pause).await;
                }
                // What fails here is found by the session as well, which says so.
                _ => break,
            }
        }
        drop(seat);
        // What was told before may have been taken for an earlier container of this id: one that was restarted, or had
        // the same name.
        let known = self.with(&question.id, |facts| facts.clone());
        if let Some(facts) = known {
            self.tell(Said::Changed(facts));
        }
        drop(asked);
    }

    /// Whether it was there; false: it may come yet.
    async fn look_up(self: &Rc<Self>, question: &Question) -> Result<bool, Failure> {
        let Question { id, namespace, .. } = question;
        match self.runtime {
            Runtime::Docker => docker::look_up(self, id).await?,
            Runtime::Containerd => {
                return containerd::look_up(self, id, namespace.as_deref()).await;
            }
            Runtime::Crio => return cri::look_up(self, id).await,
            Runtime::Podman => podman::look_up(self, id).await?,
            Runtime::Runc | Runtime::Crun => {}
        }
        Ok(true)
    }

    fn tell(&self, said: Said) {
        (self.shelf.tell.0)(said);
    }

    /// It does not answer.
    fn despair(&self) {
        if self.hopes.replace(false)
            && let Some(hopes) = self.shelf.settled.hopes(self.runtime)
            && hopes.fetch_sub(1, Ordering::AcqRel) == 1
        {
            self.tell(Said::Silent(self.runtime));
        }
    }

    /// It has told all that is there with its details, or failed, or isn't there: nobody waits for it any more.
    fn settle(&self) {
        drop(self.waiting.take());
        if !self.settled.replace(true) {
            let settled = &self.shelf.settled;
            let mut open = settled.open.lock().unwrap_or_else(PoisonError::into_inner);
            *open = open.saturating_sub(1);
            settled.changed.notify_all();
        }
    }

    /// A list is about to be asked for: what is told from now on is newer.
    fn lists(&self) {
        self.own(Told::begin);
    }

    /// All containers of this source.
    fn listed(&self, all: impl IntoIterator<Item = Facts>) {
        self.own(|own| own.listed(self.runtime, all));
        let known = self.shelf.known.borrow();
        let same = known
            .iter()
            .filter(|((runtime, _), _)| *runtime == self.runtime);
        let union = same.flat_map(|(_, told)| told.all().cloned()).collect();
        drop(known);
        if !self.answers.replace(true) {
            if !self.hopes.replace(true)
                && let Some(hopes) = self.shelf.settled.hopes(self.runtime)
            {
                hopes.fetch_add(1, Ordering::AcqRel);
            }
            self.tell(Said::Found(self.runtime));
        }
        self.tell(Said::Listed(self.runtime, union));
    }

    /// Something is known of a container.
    fn changed(&self, mut facts: Facts) {
        if facts.id.is_empty() {
            return;
        }
        facts.bound();
        facts.runtime = Some(self.runtime);
        if let Some(now) = self.own(|own| own.changed(facts)) {
            self.tell(Said::Changed(now));
        }
    }

    /// More is known of a container that was told before; another may have been removed since.
    fn detailed(&self, facts: Facts) {
        if self.with(&facts.id, |_| ()).is_some() {
            self.changed(facts);
        }
    }

    /// A container's process has ended; the container may go on with another.
    fn stopped(&self, id: &str) {
        self.own(|own| own.stopped(id));
    }

    fn removed(&self, id: &str) {
        if self.own(|own| own.removed(id)) {
            self.tell(Said::Removed(self.runtime, id.to_owned()));
        }
    }

    /// What is known of a container.
    fn with<T>(&self, id: &str, f: impl FnOnce(&Facts) -> T) -> Option<T> {
        self.own(|own| own.get(id).map(f))
    }

    fn own<T>(&self, f: impl FnOnce(&mut Told) -> T) -> T {
        let mut known = self.shelf.known.borrow_mut();
        f(known.entry((self.runtime, self.place)).or_default())
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// `name@sha256:...` or `sha256:...` to its digest.
fn digest(reference: &str) -> Option<String> {
    let digest = reference.rsplit('@').next()?;
    is_digest(digest).then(|| digest.to_owned())
}

fn is_digest(text: &str) -> bool {
    let hex = |rest: &str| rest.len() == 64 && rest.bytes().all(|b| b.is_ascii_hexdigit());
    text.strip_prefix("sha256:").is_some_and(hex)
}

/// Texts as they are told: an empty one is none.
fn some(text: impl Into<String>) -> Option<String> {
    Some(text.into()).filter(|text| !text.is_empty())
}
