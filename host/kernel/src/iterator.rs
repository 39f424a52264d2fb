//! Iterators: programs that the kernel runs for each thing of a kind, while somebody reads what they write.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use crate::network::{OpenNamespace, Visitor};
use crate::sys::{bpf, os};

/// Iterators that go over what one network namespace has (`bpf_iter_init_seq_net` in the kernel's tree).
const OF_NETWORK: [&str; 5] = ["tcp", "udp", "unix", "netlink", "ipv6_route"];
/// The kernel looks at so many things in one read, and then says EAGAIN if nothing was written (`MAX_ITER_OBJECTS`).
const EMPTY_READS: usize = 10_000;

/// Why an iterator could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IteratorError {
    /// The walk can't begin.
    #[error(
        "the iterator {program} (iter/{target}) can't be opened: {error}{}",
        os::cure(error)
    )]
    Open {
        /// The program.
        program: String,
        /// What it goes over.
        target: String,
        /// What the system said.
        error: io::Error,
    },
    /// One thing gave more than the kernel's buffer takes.
    #[error(
        "the iterator {program} (iter/{target}) writes more for one thing than the kernel's buffer of 8 pages takes: a smaller struct does"
    )]
    TooLarge {
        /// The program.
        program: String,
        /// What it goes over.
        target: String,
    },
    /// The walk can't go on.
    #[error(
        "the iterator {program} (iter/{target}) can't be read: {error}{}",
        os::cure(error)
    )]
    Read {
        /// The program.
        program: String,
        /// What it goes over.
        target: String,
        /// What the system said.
        error: io::Error,
    },
}

/// An iterator that is ready to be read, any number of times.
#[derive(Debug)]
pub struct BpfIterator {
    program: String,
    target: String,
    link: OwnedFd,
}

/// One walk of an iterator over all there is.
#[derive(Debug)]
pub struct Walk {
    program: String,
    target: String,
    file: File,
}

impl BpfIterator {
    pub(crate) fn new(program: &str, target: &str, link: OwnedFd) -> Self {
        Self {
            program: program.to_owned(),
            target: target.to_owned(),
            link,
        }
    }

    /// It goes over what one network namespace has: [`BpfIterator::open_in`] is for it.
    #[must_use]
    pub fn of_network(&self) -> bool {
        OF_NETWORK.contains(&self.target.as_str())
    }

    /// Begins a walk, in this thread's namespaces.
    ///
    /// # Errors
    ///
    /// [`IteratorError::Open`].
    pub fn open(&self) -> Result<Walk, IteratorError> {
        self.walk(os::with_files(|| bpf::iterate(self.link.as_fd())))
    }

    /// Begins a walk in a network namespace.
    ///
    /// # Errors
    ///
    /// [`IteratorError::Open`].
    pub fn open_in(
        &self,
        namespace: &OpenNamespace,
        visitor: &Visitor,
    ) -> Result<Walk, IteratorError> {
        self.walk(os::with_files(|| {
            let link = self.link.as_fd().try_clone_to_owned()?;
            visitor.inside(namespace, move || bpf::iterate(link.as_fd()))
        }))
    }

    fn walk(&self, made: io::Result<OwnedFd>) -> Result<Walk, IteratorError> {
        let (program, target) = (self.program.clone(), self.target.clone());
        match made {
            Ok(fd) => Ok(Walk {
                program,
                target,
                file: File::from(fd),
            }),
            Err(error) => Err(IteratorError::Open {
                program,
                target,
                error,
            }),
        }
    }
}

impl Walk {
    /// Walks on, and gives how many bytes the program wrote; 0: the walk is over. With room for 8 pages, which is what the
    /// kernel gathers, no record is cut.
    ///
    /// # Errors
    ///
    /// [`IteratorError::TooLarge`] or [`IteratorError::Read`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, IteratorError> {
        let mut empty = 0;
        let error = loop {
            match self.file.read(buffer) {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && empty < EMPTY_READS => {
                    empty += 1;
                }
                Err(error) => break error,
            }
        };
        let (program, target) = (self.program.clone(), self.target.clone());
        Err(match error.raw_os_error() {
            Some(libc::E2BIG) => IteratorError::TooLarge { program, target },
            _ => IteratorError::Read {
                program,
                target,
                error,
            },
        })
    }
}
