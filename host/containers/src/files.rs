//! Reading small files that others wrote, within bounds.
//!
//! Only files that the host's root (or who runs `ig`) owns are believed, only regular ones are opened, and no symbolic
//! link leads out of the root that a path is read in. What takes too long is left behind: [`Patience`].

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// The most bytes of a file about one container.
pub(crate) const ONE: u64 = 4 << 20;
/// The most bytes of a file about all containers or images of a store.
pub(crate) const ALL: u64 = 32 << 20;
/// The most entries of a folder that are looked at.
const MOST_ENTRIES: usize = 1 << 17;

/// Why a file can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not there.
    Missing,
    /// It is no regular file, too large, or not root's.
    Refused,
    /// The system does not give it, or it is no JSON of the form expected: it may be half written.
    Failed,
}

impl From<Errno> for Unreadable {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR => Self::Missing,
            Errno::LOOP | Errno::XDEV => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// A tree of files: the host's, or what a process has for its root.
#[derive(Clone, Debug)]
pub(crate) struct Root(Arc<OwnedFd>);

impl Root {
    /// The tree below a folder.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self(Arc::new(folder)))
    }

    fn at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        // A rename somewhere at the same time.
        let mut tries = 8;
        loop {
            match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if tries > 0 => tries -= 1,
                result => return result,
            }
        }
    }

    /// Opens it to be read without a note of when: on a disk that is busy such a note waits for what others write.
    fn to_read(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | flags;
        match self.at(path, flags | OFlags::NOATIME) {
            // Only who owns it may ask for that (open(2)).
            Err(Errno::PERM) => self.at(path, flags),
            result => result,
        }
    }

    /// A whole file of at most `most` bytes.
    pub(crate) fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, Unreadable> {
        // Opened for its kind first: a device or a pipe is not touched.
        believed(&self.at(path, OFlags::PATH)?, most)?;
        let file = self.to_read(path, OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let size = believed(&file, most)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let read = File::from(file).take(most + 1).read_to_end(&mut bytes);
        read.map_err(|_| Unreadable::Failed)?;
        if bytes.len() as u64 > most {
            return Err(Unreadable::Refused);
        }
        Ok(bytes)
    }

    /// What a file of JSON says. Read again for a moment if it is half written.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        path: &Path,
        most: u64,
    ) -> Result<T, Unreadable> {
        let mut tries = 3;
        loop {
            let bytes = self.read(path, most)?;
            match serde_json::from_slice(&bytes) {
                Ok(value) => return Ok(value),
                Err(_) if tries > 1 => tries -= 1,
                Err(_) => return Err(Unreadable::Failed),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether there is something at a path.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.at(path, OFlags::PATH).is_ok()
    }

    /// The names in a folder, in no order.
    pub(crate) fn list(&self, path: &Path) -> Vec<OsString> {
        let Ok(folder) = self.to_read(path, OFlags::DIRECTORY) else {
            return Vec::new();
        };
        let Ok(entries) = rustix::fs::Dir::new(folder) else {
            return Vec::new();
        };
        entries
            .filter_map(Result::ok)
            .map(|entry| OsString::from_vec(entry.file_name().to_bytes().to_vec()))
            .filter(|name| name != "." && name != "..")
            .take(MOST_ENTRIES)
            .collect()
    }
}

/// A file that root owns and not everybody may write; gives its size.
fn believed(file: &OwnedFd, most: u64) -> Result<u64, Unreadable> {
    let stat = rustix::fs::fstat(file)?;
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !regular || size > most || !trusted(stat.st_uid) || stat.st_mode & 0o002 != 0 {
        return Err(Unreadable::Refused);
    }
    Ok(size)
}

/// Whether what this user made is believed: root's, and that of who runs `ig`.
pub(crate) fn trusted(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs what reads files on a thread of its own, and leaves it behind when it takes too long: a folder of a file system that
/// hangs must not stop everything else.
#[derive(Debug)]
pub(crate) struct Patience {
    thread: Option<mpsc::Sender<Job>>,
    limit: Duration,
    /// Threads that were left behind and have not come back.
    left_behind: Arc<AtomicUsize>,
}

/// Beyond this many threads that hang nothing is read until one comes back.
const MOST_LEFT_BEHIND: usize = 8;

/// What became of a job.
#[derive(Debug)]
pub(crate) enum Ran<T> {
    Done(T),
    /// It takes too long; the answer comes here if it comes.
    Late(mpsc::Receiver<T>),
    /// Too many hang already.
    Not,
}

impl<T> Ran<T> {
    /// What the job gave in time.
    pub(crate) fn done(self) -> Option<T> {
        match self {
            Self::Done(answer) => Some(answer),
            Self::Late(_) | Self::Not => None,
        }
    }
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            thread: None,
            limit,
            left_behind: Arc::default(),
        }
    }

    /// Runs the job, and waits for it as long as the limit.
    pub(crate) fn run<T: Send + 'static>(
        &mut self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Ran<T> {
        let limit = self.limit;
        self.run_for(limit, job)
    }

    /// The same with another limit.
    pub(crate) fn run_for<T: Send + 'static>(
        &mut self,
        limit: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Ran<T> {
        if self.thread.is_none() {
            self.thread = self.start();
        }
        let (tell, answer) = mpsc::sync_channel(1);
        let job: Job = Box::new(move || {
            // Perhaps nobody listens any more.
            let _ = tell.send(job());
        });
        let Some(thread) = &self.thread else {
            return Ran::Not;
        };
        if thread.send(job).is_err() {
            return Ran::Not;
        }
        match answer.recv_timeout(limit) {
            Ok(answer) => Ran::Done(answer),
            Err(_) => {
                // It ends with its job, as nobody gives it another.
                self.thread = None;
                self.left_behind.fetch_add(1, Ordering::AcqRel);
                Ran::Late(answer)
            }
        }
    }

    /// One whose jobs take too long, until what is given with it is dropped.
    #[cfg(test)]
    pub(crate) fn held_up() -> (Self, mpsc::Sender<()>) {
        let mut patience = Self::new(Duration::from_millis(1));
        let (end, wait) = mpsc::channel::<()>();
        patience.thread = patience.start();
        let job: Job = Box::new(move || {
            let _ = wait.recv();
        });
        let thread = patience.thread.as_ref();
        assert!(thread.is_some_and(|thread| thread.send(job).is_ok()));
        (patience, end)
    }

    fn start(&self) -> Option<mpsc::Sender<Job>> {
        if self.left_behind.load(Ordering::Acquire) >= MOST_LEFT_BEHIND {
            return None;
        }
        let (sender, jobs) = mpsc::channel::<Job>();
        let left_behind = Arc::clone(&self.left_behind);
        let thread = std::thread::Builder::new().name("ig-files".to_owned());
        let thread = thread.spawn(move || {
            jobs.into_iter().for_each(|job| job());
            // One whose patience has ended in order counts for nobody any more.
            left_behind.fetch_sub(1, Ordering::AcqRel);
        });
        thread.is_ok().then_some(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn read(root: &Path, path: &str) -> Result<Vec<u8>, Unreadable> {
        Root::open(root).unwrap().read(Path::new(path), 1 << 10)
    }

    #[test]
    fn only_small_regular_files_inside_the_root_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("in")).unwrap();
        std::fs::write(root.join("in/a"), "good").unwrap();
        std::fs::write(root.join("in/large"), vec![b'x'; 2 << 10]).unwrap();
        std::fs::write(root.join("in/anybody"), "x").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(root.join("in/anybody"), mode).unwrap();
        // Absolute links, and those that climb, stay in the root.
        symlink("/in/a", root.join("in/link")).unwrap();
        symlink("../../../../../../in/a", root.join("in/climbs")).unwrap();
        symlink("/etc/passwd", root.join("in/out")).unwrap();
        symlink("loop", root.join("in/loop")).unwrap();
        let pipe = rustix::fs::CWD;
        let kind = FileType::Fifo;
        rustix::fs::mknodat(pipe, root.join("in/pipe"), kind, 0o600.into(), 0).unwrap();
        assert_eq!(read(root, "/in/a"), Ok(b"good".to_vec()));
        assert_eq!(read(root, "in/link"), Ok(b"good".to_vec()));
        assert_eq!(read(root, "in/climbs"), Ok(b"good".to_vec()));
        assert_eq!(read(root, "in/../../../in/a"), Ok(b"good".to_vec()));
        assert_eq!(read(root, "in/out"), Err(Unreadable::Missing));
        for refused in ["in/large", "in/anybody", "in/pipe", "in", "in/loop"] {
            assert_eq!(read(root, refused), Err(Unreadable::Refused), "{refused}");
        }
        // Through a file of /proc nothing is reached.
        symlink("/proc/self/root/etc/passwd", root.join("in/magic")).unwrap();
        assert_eq!(read(root, "in/magic"), Err(Unreadable::Missing));
    }

    #[test]
    fn reading_leaves_no_mark_on_the_disk() {
        use std::time::{Duration, SystemTime};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "text").unwrap();
        // Before the last write: any read that is noted would be.
        let before = SystemTime::now() - Duration::from_secs(3600);
        let times = std::fs::FileTimes::new().set_accessed(before);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_times(times).unwrap();
        let accessed = || std::fs::metadata(&path).unwrap().accessed().unwrap();
        let noted = accessed();
        assert_eq!(read(folder.path(), "a"), Ok(b"text".to_vec()));
        assert_eq!(accessed(), noted);
    }

    #[test]
    fn json_that_is_too_deep_or_cut_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let root = Root::open(folder.path()).unwrap();
        let json = |text: &str| {
            std::fs::write(&path, text).unwrap();
            root.json::<serde_json::Value>(Path::new("a"), ALL)
        };
        assert_eq!(json(&"[".repeat(1 << 20)), Err(Unreadable::Failed));
        assert_eq!(json("{\"a\": 1"), Err(Unreadable::Failed));
        assert!(json("{\"a\": 1}").is_ok());
        assert_eq!(
            root.json::<serde_json::Value>(Path::new("b"), ALL),
            Err(Unreadable::Missing)
        );
    }

    #[test]
    fn what_hangs_is_left_behind_and_too_much_of_it_ends_reading_until_some_comes_back() {
        let mut patience = Patience::new(Duration::from_secs(60));
        assert_eq!(patience.run(|| 5).done(), Some(5));
        let mut hung = Vec::new();
        for _ in 0..MOST_LEFT_BEHIND {
            let (end, wait) = mpsc::channel::<()>();
            let ran = patience.run_for(Duration::from_millis(1), move || wait.recv().is_err());
            let Ran::Late(answer) = ran else {
                panic!("{ran:?}");
            };
            hung.push((end, answer));
        }
        assert!(matches!(patience.run(|| 6), Ran::Not));
        let (end, answer) = hung.pop().unwrap();
        assert!(answer.try_recv().is_err(), "not yet");
        drop(end);
        assert_eq!(answer.recv(), Ok(true), "what comes late is there");
        // Its thread is on its way.
        while patience.left_behind.load(Ordering::Acquire) == MOST_LEFT_BEHIND {
            std::thread::yield_now();
        }
        assert_eq!(patience.run(|| 7).done(), Some(7));
        assert_eq!(patience.run(|| 8).done(), Some(8));
    }
}
