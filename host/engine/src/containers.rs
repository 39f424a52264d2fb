//! Containers, pods, units and sessions: who finds out for a run whose records are.

use crate::owners::{LiveOwners, SharedOwners};
use std::path::PathBuf;
use std::sync::Arc;

pub use ig_containers::{Directory, Runtime};

/// Which runtimes are asked, and where.
#[derive(Clone, Debug)]
pub struct ContainerOptions {
    /// The runtimes whose API is asked.
    pub runtimes: Vec<Runtime>,
    /// Where a runtime listens, if that is not where it usually does.
    pub sockets: Vec<(Runtime, PathBuf)>,
    /// One that somebody else keeps, in place of looking at the machine.
    pub directory: Option<Arc<Directory>>,
}

impl Default for ContainerOptions {
    /// All runtimes at their usual sockets.
    fn default() -> Self {
        Self {
            runtimes: Runtime::ALL.to_vec(),
            sockets: Vec::new(),
            directory: None,
        }
    }
}

/// Finds out, for as long as it is there.
pub(crate) struct Containers {
    directory: Arc<Directory>,
}

impl Containers {
    pub fn start(options: ContainerOptions) -> Self {
        let ContainerOptions {
            runtimes: _,
            sockets: _,
            directory,
        } = options;
        Self {
            directory: directory.unwrap_or_default(),
        }
    }

    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// What a run asks.
    pub fn owners(&self) -> SharedOwners {
        SharedOwners::new(LiveOwners::new(self.directory.reader()))
    }
}
