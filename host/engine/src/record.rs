//! Recording: what goes into the pipeline is copied beside it, span by span, and written by a thread of its own.

use crate::pipeline::Now;
use ig_records::recording::{
    Call, Chunk, Effort, Footer, Header, Moment, Overdue, PartialFile, Writer, Written,
};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Chunks of about a MiB that may wait to be written. With more the run waits, and the kernel counts what finds no room.
const MOST_WAITING: usize = 16;
/// With more waiting, chunks are stored as they are: compressing them takes longer than reading them from the rings.
const COMPRESSED_WAITING: usize = 4;

/// Where a recording goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    /// The file; it has this name when it is whole.
    pub path: PathBuf,
    /// The user and the group that it is for; None: who runs this.
    pub owner: Option<(u32, u32)>,
}

/// What the writing thread is told.
enum Message {
    Chunk(Chunk),
    End(Box<Footer>),
}

/// Where the pipeline and the maps put what they see.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Mutex<Gatherer>>);

struct Gatherer {
    chunk: Chunk,
    to: SyncSender<Message>,
    /// Chunks that were written, for their memory.
    back: Receiver<Chunk>,
    waiting: Arc<AtomicUsize>,
    /// Nothing more is taken.
    failed: bool,
    /// Why, if not for the writer.
    problem: Option<String>,
}

impl Tap {
    fn with<R>(&self, work: impl FnOnce(&mut Gatherer) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A call is over. `overdue` are the timers that waited when it began.
    pub fn call(&self, now: Now, overdue: &[Overdue], call: Call<'_>) {
        let when = Moment {
            boot: now.boot,
            wall_offset: now.wall_offset,
        };
        self.with(|it| it.add(|chunk| chunk.call(when, overdue, call)));
    }

    /// The guest got an answer in the present call.
    pub fn answer(&self, kind: u16, question: &[u8], answer: &[u8]) {
        self.with(|it| it.add(|chunk| chunk.answer(kind, question, answer)));
    }

    /// Whether the recording can't be whole any more.
    pub fn failed(&self) -> bool {
        self.with(|it| it.failed)
    }
}

impl Gatherer {
    fn add<E: ToString>(&mut self, add: impl FnOnce(&mut Chunk) -> Result<(), E>) {
        if self.failed {
            return;
        }
        if let Err(e) = add(&mut self.chunk) {
            self.failed = true;
            self.problem = Some(e.to_string());
            return;
        }
        if self.chunk.is_full() {
            let next = self.back.try_recv().unwrap_or_default();
            let full = std::mem::replace(&mut self.chunk, next);
            self.waiting.fetch_add(1, Ordering::Relaxed);
            self.failed = self.to.send(Message::Chunk(full)).is_err();
        }
    }
}

/// A recording that is being made. Without [`Recorder::finish`] no file is left.
pub(crate) struct Recorder {
    path: PathBuf,
    tap: Tap,
    /// None once it was waited for.
    thread: Option<JoinHandle<io::Result<Option<Written>>>>,
}

impl Recorder {
    /// Makes the file and starts the thread that writes it.
    pub fn start(options: RecordOptions, header: Header) -> Result<Self, String> {
        let RecordOptions { path, owner } = options;
        let problem = |e: io::Error| format!("can't write {}: {e}", path.display());
        let file = PartialFile::create(&path, owner).map_err(problem)?;
        let (to, from) = sync_channel(MOST_WAITING);
        let (give_back, back) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let thread = std::thread::Builder::new()
            .name("ig-recording".to_owned())
            .spawn({
                let waiting = waiting.clone();
                move || write(file, &header, &from, &give_back, &waiting)
            })
            .map_err(problem)?;
        let tap = Tap(Arc::new(Mutex::new(Gatherer {
            chunk: Chunk::default(),
            to,
            back,
            waiting,
            failed: false,
            problem: None,
        })));
        Ok(Self {
            path,
            tap,
            thread: Some(thread),
        })
    }

    pub fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// Whether the recording can't be whole any more.
    pub fn failed(&self) -> bool {
        self.tap.failed()
    }

    /// Writes what is left and the end, and gives the file its name.
    pub fn finish(mut self, footer: Footer) -> Result<(PathBuf, Written), String> {
        let problem = self.tap.with(|it| {
            let last = std::mem::take(&mut it.chunk);
            if it.problem.is_none() {
                // Where the thread has ended, it says why.
                let _ = it.to.send(Message::Chunk(last));
                let _ = it.to.send(Message::End(Box::new(footer)));
            }
            it.problem.take()
        });
        let why = match self.end() {
            Some(Ok(Ok(Some(written)))) => return Ok((self.path.clone(), written)),
            Some(Ok(Ok(None))) => problem,
            Some(Ok(Err(e))) => Some(e.to_string()),
            Some(Err(_)) | None => Some("the thread that writes it ended early".to_owned()),
        };
        Err(format!(
            "the recording {} could not be written: {}; there is none",
            self.path.display(),
            why.unwrap_or_default()
        ))
    }

    /// Waits for the thread, which gets no more.
    fn end(&mut self) -> Option<std::thread::Result<io::Result<Option<Written>>>> {
        self.tap.with(|it| {
            it.failed = true;
            it.to = sync_channel(0).0;
        });
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Recorder {
    /// What was begun is removed before the program ends.
    fn drop(&mut self) {
        self.end();
    }
}

/// Writes what comes. None: the end never came, and no file is left.
fn write(
    file: PartialFile,
    header: &Header,
    from: &Receiver<Message>,
    back: &Sender<Chunk>,
    waiting: &AtomicUsize,
) -> io::Result<Option<Written>> {
    let mut writer = Writer::new(file, header)?;
    for message in from {
        match message {
            Message::Chunk(mut chunk) => {
                let behind = waiting.load(Ordering::Relaxed) > COMPRESSED_WAITING;
                let effort = if behind {
                    Effort::Store
                } else {
                    Effort::Compress
                };
                writer.write(&mut chunk, effort)?;
                waiting
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .ok();
                // Nobody takes it back once the run is over.
                let _ = back.send(chunk);
            }
            Message::End(footer) => {
                let (file, written) = writer.finish(*footer)?;
                file.complete()?;
                return Ok(Some(written));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ig_records::recording::{Entry, Reader};

    #[test]
    fn more_than_waits_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.igrec");
        let options = RecordOptions {
            path: path.clone(),
            owner: None,
        };
        let recorder = Recorder::start(options, Header::default()).unwrap();
        let tap = recorder.tap();
        for n in 0..60_u64 {
            tap.answer(1, &n.to_le_bytes(), &vec![7; 1 << 20]);
            tap.call(
                Now {
                    boot: n,
                    wall_offset: 0,
                },
                &[],
                Call::Tick,
            );
        }
        assert!(!tap.failed());
        let (_, written) = recorder.finish(Footer::default()).unwrap();
        assert_eq!((written.counts.calls, written.counts.answers), (60, 60));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), written.bytes);
        let mut reader = Reader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let mut boots = Vec::new();
        while let Some(entry) = reader.next().unwrap() {
            if let Entry::Call { when, .. } = entry {
                boots.push(when.boot);
            }
        }
        assert_eq!(boots, (0..60).collect::<Vec<_>>());
    }

    #[test]
    fn what_can_not_be_recorded_leaves_no_file_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let options = |name: &str| RecordOptions {
            path: folder.path().join(name),
            owner: None,
        };
        let recorder = Recorder::start(options("a.igrec"), Header::default()).unwrap();
        recorder.tap().answer(1, &[], &vec![0; 65 << 20]);
        assert!(recorder.failed());
        let error = recorder.finish(Footer::default()).unwrap_err();
        assert!(
            error.contains("a.igrec could not be written: an entry of"),
            "{error}"
        );
        // One that nobody finished.
        drop(Recorder::start(options("b.igrec"), Header::default()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Recorder::start(options("none/c.igrec"), Header::default()).is_err());
    }
}
