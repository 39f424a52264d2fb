//! Containers, pods, units and sessions: who finds out for a run whose records are.

use crate::guest::Say;
use crate::identity::{ROOT, RecordIdentity};
use crate::iterators::Asked;
use crate::owners::LiveOwners;
use crate::pipeline::Undecided;
use crate::selection::{Keeper, Selection};
use crate::watch::Watch;
use ig_containers::{Chooser, Options, Selected, Selectors, Sockets};
use ig_kernel::cgroups::Settled;
use ig_kernel::network::NetworkNamespaces;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use ig_containers::{Directory, Runtime};

/// Runtimes are given this long for their first answer.
const RUNTIMES_WITHIN: Duration = Duration::from_secs(2);

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
    /// Whose records are asked for.
    selectors: Arc<Selectors>,
    /// Tells the kernel, while the watch goes on.
    _keeper: Option<Keeper>,
    /// None: somebody else does.
    watch: Option<Watch>,
}

impl Containers {
    /// `told`: the kernel is to tell of new cgroups at once; `say` hears when it can't.
    ///
    /// # Errors
    /// Nothing can be found out here, or containers can't be selected.
    pub fn start(
        options: ContainerOptions,
        told: bool,
        selection: Option<&Selection>,
        say: &Say,
    ) -> Result<Self, String> {
        let selectors = selection
            .map(|s| Arc::clone(s.selectors()))
            .unwrap_or_default();
        let ContainerOptions {
            runtimes,
            sockets: given,
            directory,
        } = options;
        if let Some(directory) = directory {
            return Ok(Self {
                directory,
                selectors,
                _keeper: None,
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
        let filter = selection.and_then(Selection::filter);
        let watch = if told {
            Watch::start(options, filter, say)
        } else {
            Watch::unwatched(options, say)
        }?;
        let directory = Arc::clone(watch.service().directory());
        let keeper =
            filter.map(|set| Keeper::start(&directory, &selectors, set.clone(), say.clone()));
        Ok(Self {
            directory,
            selectors,
            _keeper: keeper.transpose()?,
            watch: Some(watch),
        })
    }

    /// Waits until the runtimes' APIs have told what there is; `say` hears when they don't in time.
    pub fn wait_for_runtimes(&self, say: &Say) {
        let watch = self.watch.as_ref();
        if !watch.is_none_or(|watch| watch.service().ready(RUNTIMES_WITHIN)) {
            say("a container runtime does not answer; what only it knows is missing");
        }
    }

    /// The network namespaces of the machine.
    pub fn network_namespaces() -> NetworkNamespaces {
        let cgroups = ig_containers::cgroup_namespace();
        NetworkNamespaces::new(&Options::default().host_root, cgroups)
    }

    /// Whether the processes of a cgroup may be asked for; None: everybody is.
    pub fn asked(&self) -> Option<Asked> {
        if self.selectors.is_empty() || !self.by_cgroup() {
            return None;
        }
        let reader = self.directory.reader_selecting(Arc::clone(&self.selectors));
        let reader = RefCell::new(reader);
        Some(Box::new(move |cgroup| {
            let mut reader = reader.borrow_mut();
            reader.refresh();
            // What is not known yet is decided record by record, and so is what a root's mount namespace says.
            cgroup <= ROOT || !matches!(reader.selected(cgroup), Selected::No(_))
        }))
    }

    /// Wakes up who waits for cgroups that come and go.
    pub fn news(&self) -> Chooser {
        self.directory.chooser(Arc::clone(&self.selectors))
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

    /// What keeps the records of new cgroups back until they are known, and leaves out those of owners that are not asked for.
    /// None where nothing is selected and nobody tells of new ones, or records do not say which cgroup they are of.
    pub fn undecided(&self, identities: Vec<Option<RecordIdentity>>) -> Option<Undecided> {
        let settled = self.watch.as_ref().map(Watch::settled);
        let selects = !self.selectors.is_empty();
        let told = self.by_cgroup() && matches!(settled, Some(Some(_)));
        if !(selects || told) {
            return None;
        }
        let reader = match selects {
            true => self.directory.reader_selecting(Arc::clone(&self.selectors)),
            false => self.directory.reader(),
        };
        let settled = move || match &settled {
            // Somebody else keeps the directory.
            None => true,
            Some(kernel) => kernel.as_ref().is_some_and(Settled::settled),
        };
        let by_cgroup = self.by_cgroup();
        let selectors = &self.selectors;
        Some(Undecided::new(
            reader, settled, identities, selectors, by_cgroup,
        ))
    }
}
