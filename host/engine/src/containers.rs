//! Containers, pods, units and sessions: who finds out for a run whose records are.

use crate::owners::{LiveOwners, SharedOwners};
use ig_containers::{Options, Service, Sockets, StartError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    /// None: somebody else does.
    service: Option<Service>,
}

impl Containers {
    /// # Errors
    /// Nothing can be found out here.
    pub fn start(options: ContainerOptions) -> Result<Self, StartError> {
        let ContainerOptions {
            runtimes,
            sockets: given,
            directory,
        } = options;
        if let Some(directory) = directory {
            return Ok(Self {
                directory,
                service: None,
            });
        }
        let mut sockets = Sockets::default();
        for (runtime, path) in given {
            let socket = match runtime {
                Runtime::Docker => &mut sockets.docker,
                Runtime::Containerd => &mut sockets.containerd,
                Runtime::Crio => &mut sockets.crio,
                Runtime::Podman => &mut sockets.podman,
                // They have none.
                Runtime::Runc | Runtime::Crun => continue,
            };
            *socket = Some(path);
        }
        let service = Service::start(Options {
            runtimes,
            sockets,
            ..Options::default()
        })?;
        Ok(Self {
            directory: Arc::clone(service.directory()),
            service: Some(service),
        })
    }

    /// Waits until the runtimes' APIs have told what there is, at most this long.
    pub fn ready(&self, timeout: Duration) -> bool {
        self.service.as_ref().is_none_or(|it| it.ready(timeout))
    }

    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// What a run asks.
    pub fn owners(&self) -> SharedOwners {
        let by_cgroup = self.service.as_ref().is_none_or(Service::unified);
        SharedOwners::new(LiveOwners::new(self.directory.reader(), by_cgroup))
    }
}
