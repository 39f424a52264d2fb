//! Whose records a run is asked for, and the kernel's set of their cgroups.

use crate::guest::Say;
use crate::identity::{ROOT, RecordIdentity};
use crate::options::RunError;
use ig_containers::{Chooser, Directory, Ender, Verdict};
use ig_kernel::cgroups::{CgroupFilter, FILTER_VARIABLE, FilterError, Hierarchy};
use ig_kernel::{LoadOptions, MAX_RATE_VARIABLE};
use ig_object::Object;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use ig_containers::{Selector, SelectorError, Selectors};

/// What a run is asked for of containers, and how the kernel is told.
pub(crate) struct Selection {
    selectors: Arc<Selectors>,
    /// Records a second of each container.
    max_rate: Option<u64>,
    /// None: nobody needs it, or this machine's containers are not in cgroups of version 2; then the host alone selects.
    filter: Option<CgroupFilter>,
}

impl Selection {
    /// # Errors
    /// The kernel does not give what it takes.
    pub fn new(selectors: Arc<Selectors>, max_rate: Option<u64>) -> Result<Self, RunError> {
        let needed = !selectors.is_empty() || max_rate.is_some();
        let unified = || {
            matches!(
                Hierarchy::of_machine(Path::new("/proc")),
                Ok(Hierarchy::Unified)
            )
        };
        let filter = (needed && unified())
            .then(CgroupFilter::new)
            .transpose()
            .map_err(|e| RunError::Kernel(e.to_string()))?;
        Ok(Self {
            selectors,
            max_rate,
            filter,
        })
    }

    /// Only some records are asked for.
    pub fn narrows(&self) -> bool {
        !self.selectors.is_empty()
    }

    /// Somebody has to know whose cgroups are.
    pub fn asks_whose(&self) -> bool {
        self.narrows() || self.max_rate.is_some()
    }

    pub fn selectors(&self) -> &Arc<Selectors> {
        &self.selectors
    }

    /// The set of cgroups in the kernel.
    pub fn filter(&self) -> Option<&CgroupFilter> {
        self.filter.as_ref()
    }

    /// Narrows the programs of an object. `sources`: by source its name, and where its records say whose they are.
    ///
    /// # Errors
    /// The gadget can't be narrowed.
    pub fn apply<'a>(
        &self,
        object: &Object<'_>,
        mut sources: impl Iterator<Item = (&'a str, Option<RecordIdentity>)>,
        options: &mut LoadOptions,
    ) -> Result<(), RunError> {
        if self.narrows()
            && let Some((source, _)) = sources.find(|(_, identity)| identity.is_none())
        {
            return Err(RunError::Usage(format!(
                "containers can't be selected with this gadget: the records of {source} do not say whose they are; a field of type \
                 gadget_cgroup_id would (struct gadget_process of <gadget/process.h> has one)"
            )));
        }
        if let Some(rate) = self.max_rate {
            if object.variable(MAX_RATE_VARIABLE).is_none() {
                return Err(RunError::Usage(
                    "--max-rate: this gadget's eBPF side was built without it: build it again with this version's <gadget/buffer.h>"
                        .to_owned(),
                ));
            }
            let rate = rate.to_ne_bytes().to_vec();
            options.variables.insert(MAX_RATE_VARIABLE.to_owned(), rate);
        }
        if let Some(filter) = &self.filter {
            options.cgroups = Some(filter.clone());
            if !self.narrows() && CgroupFilter::narrows(object) {
                // Only which container a cgroup belongs to counts.
                let off = vec![0];
                options.variables.insert(FILTER_VARIABLE.to_owned(), off);
            }
        }
        Ok(())
    }
}

/// Keeps the kernel's set of cgroups as the directory has it.
pub(crate) struct Keeper {
    ender: Ender,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// When it returns, every cgroup that the directory knows is decided in the kernel, too.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        directory: &Arc<Directory>,
        selectors: &Arc<Selectors>,
        filter: CgroupFilter,
        say: Say,
    ) -> Result<Self, String> {
        let chooser = directory.chooser(Arc::clone(selectors));
        let ender = chooser.ender();
        let mut set = Set {
            chooser,
            filter,
            shared_root: shares_root(),
            told: false,
            say,
        };
        set.update();
        let thread = std::thread::Builder::new()
            .name("ig-selection".to_owned())
            .spawn(move || {
                while set.chooser.wait(None) {
                    set.update();
                }
            })
            .map_err(|e| format!("the thread that selects containers can't be started: {e}"))?;
        Ok(Self {
            ender,
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ender.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Set {
    chooser: Chooser,
    filter: CgroupFilter,
    /// The root of version 2 stands for containers, too.
    shared_root: bool,
    told: bool,
    say: Say,
}

impl Set {
    fn update(&mut self) {
        let Self {
            chooser,
            filter,
            shared_root,
            told,
            say,
        } = self;
        chooser.changes(|cgroup, owner, verdict| {
            let changed = match verdict {
                // The mount namespace tells what is a container's.
                _ if *shared_root && cgroup == ROOT => filter.choose(cgroup, 0),
                Some(Verdict::Yes) => filter.choose(cgroup, owner),
                Some(Verdict::Later) => filter.pending(cgroup, owner),
                Some(Verdict::No) | None => filter.remove(cgroup),
            };
            if let Err(problem) = changed
                && !std::mem::replace(told, true)
            {
                let full = matches!(problem, FilterError::Full { .. });
                let missed = if full {
                    ""
                } else {
                    "; records of some containers may be missing"
                };
                say(&format!("{problem}{missed}"));
            }
        });
    }
}

/// Controllers are in hierarchies of version 1, so that a task in the root of version 2 may be a container's.
fn shares_root() -> bool {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    text.lines().any(|line| {
        let mut parts = line.split(':');
        let (hierarchy, controllers) = (parts.next(), parts.next().unwrap_or_default());
        hierarchy != Some("0") && !controllers.is_empty() && !controllers.starts_with("name=")
    })
}
