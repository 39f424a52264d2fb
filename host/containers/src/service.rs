//! The threads that find out whose the machine's cgroups are.

use crate::directory::{Directory, Told};
use crate::hierarchy::Hierarchy;
use crate::identity::{Identity, Next};
use crate::options::Options;
use crate::outages::Outages;
use crate::runtimes::{Runtimes, Said};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Messages that wait for the identity thread; beyond, no event is taken and the machine is scanned in its place. What runtimes
/// say is taken always: no scan brings it back, and they say no more than happens to containers.
const MOST_WAITING: usize = 1 << 16;
/// How often it is scanned when nobody tells of new cgroups, and looked for what is to be forgotten.
const TICK: Duration = Duration::from_secs(1);
/// A scan that is due waits at most this long for events that are there already.
const SCAN_WITHIN: Duration = Duration::from_millis(100);

/// Messages that are taken between two cgroups of a scan.
const AT_ONCE: usize = 64;

/// The process that made a cgroup. All numbers are those of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    /// Its process id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// Its name, at most 15 bytes.
    pub comm: Vec<u8>,
    /// Its mount namespace; 0: not known.
    pub mount_ns: u64,
    /// Its own cgroup; 0: not known.
    pub cgroup: u64,
    /// Its command line, NUL after each word.
    pub argv: Vec<u8>,
    /// The command line was longer.
    pub argv_truncated: bool,
}

/// What happens to cgroups. Times are nanoseconds of CLOCK_BOOTTIME; cgroups are those of the hierarchy that counts: version 2
/// where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One was made.
    Made {
        /// When.
        at: u64,
        /// Its id.
        cgroup: u64,
        /// The one above.
        parent: u64,
        /// Its path, from the root of the hierarchy.
        path: Vec<u8>,
        /// The path was longer.
        truncated: bool,
        /// Who made it.
        maker: Maker,
    },
    /// One was removed.
    Removed {
        /// When.
        at: u64,
        /// Its id.
        cgroup: u64,
    },
    /// The last process left one, and those below it.
    Emptied {
        /// When.
        at: u64,
        /// Its id.
        cgroup: u64,
    },
    /// A program was executed in one that was new or empty, for the first time outside the host's mount namespace.
    FirstExec {
        /// When.
        at: u64,
        /// Its id.
        cgroup: u64,
        /// The mount namespace of the process.
        mount_ns: u64,
        /// Its number that no other mount namespace ever has; None: the kernel has none.
        mount_ns_id: Option<u64>,
        /// The process.
        pid: u32,
    },
    /// Events were lost; the machine is scanned.
    Lost {
        /// How many.
        count: u64,
    },
}

/// Why nothing can be found out.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No cgroups.
    #[error("no cgroups are mounted here: mount them (mount -t cgroup2 none /sys/fs/cgroup)")]
    NoCgroups,
    /// The host's files are not where they should be.
    #[error(
        "{0} does not hold the host's files: {1}; mount them there, or say in HOST_ROOT where they are"
    )]
    HostRoot(PathBuf, std::io::Error),
    /// No thread.
    #[error("a thread for the identity of containers can't be started: {0}")]
    Thread(std::io::Error),
}

#[derive(Debug)]
enum Message {
    /// Of a first program it is pending to whom its mount namespace belongs.
    Event(Event, Option<Told>),
    Said(Box<Said>),
    /// Who asks wants to know when all that was said before is taken.
    Asked(SyncSender<()>),
    /// Look at the flags.
    Wake,
}

/// What the identity thread is told beside its queue.
#[derive(Debug, Default)]
struct Flags {
    /// Messages in the queue: it takes memory for those that wait, not for as many as may.
    waiting: AtomicUsize,
    /// Messages did not fit into the queue.
    lost: AtomicBool,
    /// Nobody tells of new cgroups any more.
    unwatched: AtomicBool,
    end: AtomicBool,
    say: OnceLock<Say>,
}

/// Says a sentence to the user.
struct Say(Box<dyn Fn(&str) + Send + Sync>);

impl std::fmt::Debug for Say {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Say")
    }
}

/// Finds out whose cgroups are, until it is dropped.
#[derive(Debug)]
pub struct Service {
    directory: Arc<Directory>,
    unified: bool,
    sender: Sender<Message>,
    flags: Arc<Flags>,
    runtimes: Arc<Runtimes>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Looks at every cgroup that is there: when it returns, each is decided, as far as the disk says whose it is. What the
    /// runtimes' APIs know comes later. Whoever tells of new cgroups begins to listen before, and tells after.
    ///
    /// # Errors
    /// No cgroups are mounted, the host's files are not there, or no thread can be started.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let hierarchy = Hierarchy::find().ok_or(StartError::NoCgroups)?;
        let unified = hierarchy.unified;
        let directory = Arc::new(Directory::default());
        let (sender, messages) = mpsc::channel();
        let flags = Arc::new(Flags::default());
        let runtimes = {
            let (sender, flags) = (sender.clone(), Arc::clone(&flags));
            let tell = move |said| {
                put_always(&sender, &flags, Message::Said(Box::new(said)));
            };
            Runtimes::start(&options, Box::new(tell)).map_err(StartError::Thread)?
        };
        let runtimes = Arc::new(runtimes);
        let mut identity = Identity::new(
            &options,
            hierarchy,
            Arc::clone(&directory),
            Arc::clone(&runtimes),
        )
        .map_err(|error| StartError::HostRoot(options.host_root.clone(), error))?;
        identity.scan(true, &mut |_| true);
        let thread = {
            let flags = Arc::clone(&flags);
            let watched = options.watched;
            std::thread::Builder::new()
                .name("ig-identity".to_owned())
                .spawn(move || run(identity, &messages, &flags, watched))
                .map_err(StartError::Thread)?
        };
        Ok(Self {
            directory,
            unified,
            sender,
            flags,
            runtimes,
            thread: Some(thread),
        })
    }

    /// What is known.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The ids of cgroups in the directory are those of version 2, which records have. False on a machine with version 1
    /// alone: there a record's owner is found by mount namespace.
    #[must_use]
    pub fn unified(&self) -> bool {
        self.unified
    }

    /// Takes note of an event. A new cgroup is pending in the directory when this returns, and so are a first program's mount
    /// namespace and, after lost events, a look at the machine ([`Directory::pending`]); all else comes later.
    pub fn tell(&self, event: Event) {
        if matches!(event, Event::Lost { .. }) {
            self.directory.look_due();
        }
        if let Event::Made { cgroup, parent, .. } = &event {
            self.directory.made(*cgroup, Some(*parent));
        }
        let told = matches!(event, Event::FirstExec { .. }).then(|| self.directory.is_told());
        if !put(&self.sender, &self.flags, Message::Event(event, told)) {
            self.flags.lost.store(true, Ordering::Release);
        }
    }

    /// From now on a runtime that is lost, and one that is back, is told in a sentence each, on a thread that should not be held
    /// up. The first to ask is told.
    pub fn on_outage(&self, say: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.flags.say.set(Say(Box::new(say)));
    }

    /// Nobody tells of new cgroups any more: from now on the machine is scanned once a second.
    pub fn unwatched(&self) {
        self.flags.unwatched.store(true, Ordering::Release);
    }

    /// Waits until every runtime whose socket is there has told of all that is there or failed, and the directory has it, at
    /// most this long. True: they have.
    #[must_use]
    pub fn ready(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        if !self.runtimes.ready(timeout) {
            return false;
        }
        let (who, taken) = mpsc::sync_channel(1);
        // A queue that is full has no end that is worth to wait for.
        put(&self.sender, &self.flags, Message::Asked(who))
            && taken
                .recv_timeout(end.saturating_duration_since(Instant::now()))
                .is_ok()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The runtimes' threads hold senders, too: an end that is said, not one that is noticed. A queue that is full has
        // something that wakes the thread.
        self.flags.end.store(true, Ordering::Release);
        put(&self.sender, &self.flags, Message::Wake);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Puts a message into the queue. False: it is full.
fn put(sender: &Sender<Message>, flags: &Flags, message: Message) -> bool {
    if flags.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
        flags.waiting.fetch_sub(1, Ordering::Relaxed);
        return false;
    }
    send(sender, message);
    true
}

fn put_always(sender: &Sender<Message>, flags: &Flags, message: Message) {
    flags.waiting.fetch_add(1, Ordering::Relaxed);
    send(sender, message);
}

fn send(sender: &Sender<Message>, message: Message) {
    // The thread that takes them may have ended: nobody misses it.
    let _ = sender.send(message);
}

/// The identity thread.
fn run(mut identity: Identity, messages: &Receiver<Message>, flags: &Flags, watched: bool) {
    let mut turn = Turn {
        messages,
        flags,
        due: None,
        untold: false,
        outages: Outages::default(),
    };
    let mut tick = Instant::now() + TICK;
    while !turn.end() {
        let until = turn.due.map_or(tick, |_| Instant::now());
        let wait = until.saturating_duration_since(Instant::now());
        let idle = match messages.recv_timeout(wait) {
            Ok(message) => {
                turn.take(&mut identity, message);
                false
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        turn.see_losses();
        if Instant::now() >= tick {
            tick = Instant::now() + TICK;
            identity.sweep();
            identity.catch_up();
            let watched = watched && !flags.unwatched.load(Ordering::Acquire);
            turn.untold |= !watched;
            if !watched || identity.is_unsure() {
                turn.due.get_or_insert_with(Instant::now);
            }
        }
        if turn
            .due
            .is_some_and(|since| idle || since.elapsed() >= SCAN_WITHIN)
        {
            turn.due = None;
            let untold = std::mem::take(&mut turn.untold);
            identity.scan(untold, &mut |identity| turn.go_on(identity));
        }
    }
}

/// What the identity thread does with its queue.
struct Turn<'a> {
    messages: &'a Receiver<Message>,
    flags: &'a Flags,
    /// Since when a scan is due.
    due: Option<Instant>,
    /// Whether there are cgroups of which no event tells.
    untold: bool,
    outages: Outages,
}

impl Turn<'_> {
    fn end(&self) -> bool {
        self.flags.end.load(Ordering::Acquire)
    }

    /// Takes what waits, in the middle of a scan: the records of a new cgroup wait for it to be decided. False: the end.
    fn go_on(&mut self, identity: &mut Identity) -> bool {
        // Not without end: the scan has to come to its own.
        for _ in 0..AT_ONCE {
            let Ok(message) = self.messages.try_recv() else {
                break;
            };
            self.take(identity, message);
            if self.end() {
                break;
            }
        }
        !self.end()
    }

    fn take(&mut self, identity: &mut Identity, message: Message) {
        self.flags.waiting.fetch_sub(1, Ordering::Relaxed);
        match message {
            Message::Event(event, _told) => {
                if identity.told(event) == Next::Scan {
                    self.untold = true;
                    self.due.get_or_insert_with(Instant::now);
                }
            }
            Message::Said(said) => {
                if let Some(sentence) = self.outages.sentence(&said)
                    && let Some(say) = self.flags.say.get()
                {
                    (say.0)(&sentence);
                }
                identity.said(*said);
            }
            Message::Asked(who) => {
                // Who has gone does not want to know.
                let _ = who.try_send(());
            }
            Message::Wake => {}
        }
    }

    fn see_losses(&mut self) {
        if self.flags.lost.swap(false, Ordering::AcqRel) {
            self.untold = true;
            self.due.get_or_insert_with(Instant::now);
        }
    }
}
