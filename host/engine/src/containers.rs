//! Containers, pods, units and sessions: who finds out for a run whose records are.

use crate::guest::Say;
use crate::identity::RecordIdentity;
use crate::owners::LiveOwners;
use crate::pipeline::Undecided;
use crate::watch::Watch;
use ig_containers::{Options, Sockets};
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
    watch: Option<Watch>,
}

impl Containers {
    /// `told`: the kernel is to tell of new cgroups at once; `say` hears when it can't.
    ///
    /// # Errors
    /// Nothing can be found out here.
    pub fn start(options: ContainerOptions, told: bool, say: &Say) -> Result<Self, String> {
        let ContainerOptions {
            runtimes,
            sockets: given,
            directory,
        } = options;
        if let Some(directory) = directory {
            return Ok(Self {
                directory,
                watch: None,
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
        let options = Options {
            runtimes,
            sockets,
            ..Options::default()
        };
        let watch = if told {
            Watch::start(options, say)
        } else {
            Watch::unwatched(options)
        }?;
        Ok(Self {
            directory: Arc::clone(watch.service().directory()),
            watch: Some(watch),
        })
    }

    /// Waits until the runtimes' APIs have told what there is, at most this long.
    pub fn ready(&self, timeout: Duration) -> bool {
        let watch = self.watch.as_ref();
        watch.is_none_or(|watch| watch.service().ready(timeout))
    }

    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Records name the cgroups of the directory: not on a machine with the hierarchies of version 1 alone.
    fn by_cgroup(&self) -> bool {
        let watch = self.watch.as_ref();
        watch.is_none_or(|watch| watch.service().unified())
    }

    /// What a run asks. `watches`: its guest is told of containers that come and go.
    pub fn owners(&self, watches: bool) -> LiveOwners {
        LiveOwners::new(self.directory.reader(), self.by_cgroup(), watches)
    }

    /// What keeps the records of new cgroups back until they are known; None where nobody tells of new ones, or records do
    /// not say which cgroup they are of.
    pub fn undecided(&self, identities: Vec<Option<RecordIdentity>>) -> Option<Undecided> {
        let settled = self.watch.as_ref()?.settled()?;
        let reader = self.by_cgroup().then(|| self.directory.reader())?;
        Some(Undecided::new(
            reader,
            move || settled.settled(),
            identities,
        ))
    }
}
