//! Whose records a run is asked for, and the kernel's set of their cgroups.

mod keeper;

pub(crate) use keeper::Keeper;

use crate::identity::RecordIdentity;
use crate::options::RunError;
use ig_kernel::cgroups::{CgroupFilter, FILTER_VARIABLE, Hierarchy};
use ig_kernel::{LoadOptions, MAX_RATE_VARIABLE};
use ig_object::Object;
use std::path::Path;
use std::sync::Arc;

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
