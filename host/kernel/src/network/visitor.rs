//! A thread that goes into network namespaces, so that no other has to.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use super::OpenNamespace;
use crate::sys::os;

type Job = Box<dyn FnOnce(&OwnedFd) -> bool + Send>;

/// A thread that goes where it is sent, and back home at once: a thread that stays in a namespace keeps it alive.
#[derive(Debug)]
pub struct Visitor {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Visitor {
    /// Starts the thread, in the namespace of the caller.
    ///
    /// # Errors
    ///
    /// procfs is not there, or no thread can be started.
    pub fn start() -> io::Result<Self> {
        let home = OwnedFd::from(File::open("/proc/thread-self/ns/net")?);
        let (jobs, waiting) = mpsc::sync_channel::<Job>(0);
        let thread = std::thread::Builder::new()
            .name("ig-netns".to_owned())
            .spawn(move || {
                for job in waiting {
                    if !job(&home) {
                        // Nothing may happen in the wrong namespace.
                        return;
                    }
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Does something in a namespace and waits for it.
    ///
    /// # Errors
    ///
    /// The namespace can't be entered (CAP_SYS_ADMIN), or what the work gives.
    pub fn inside<T: Send + 'static>(
        &self,
        namespace: &OpenNamespace,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let gone = || io::Error::other("the thread that visits namespaces has ended");
        let there = namespace.fd().try_clone_to_owned()?;
        let (answer, answered) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |home| {
            let result = os::enter_network(there.as_fd()).and_then(|()| work());
            let back = os::enter_network(home.as_fd()).is_ok();
            // Before the answer: who gets it may look whether the namespace is still alive.
            drop(there);
            let _ = answer.send(result);
            back
        });
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
