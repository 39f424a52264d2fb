//! Whose records a run is asked for, and the kernel's set of their cgroups.

mod keeper;

pub(crate) use keeper::Keeper;

use crate::identity::RecordIdentity;
use crate::options::RunError;
use ig_containers::Options;
use ig_kernel::cgroups::{CgroupFilter, FILTER_VARIABLE, Hierarchy};
use ig_kernel::{LEDGER_SUFFIX, LoadOptions, MAX_RATE_VARIABLE};
use ig_object::Object;
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
    /// The kernel does not give what it takes, or can't tell containers apart that are to be limited.
    pub fn new(selectors: Arc<Selectors>, max_rate: Option<u64>) -> Result<Self, RunError> {
        let needed = !selectors.is_empty() || max_rate.is_some();
        let proc = Options::usual_host_root().join("proc");
        let unified = needed && matches!(Hierarchy::of_machine(&proc), Ok(Hierarchy::Unified));
        can_limit(max_rate, unified)?;
        can_pick(&selectors, unified)?;
        let filter = unified
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

    /// Narrows the programs of an object. `sources`: by source its name, and where its records say whose they are; `rings`: the
    /// maps of those whose records come through a ring buffer.
    ///
    /// # Errors
    /// The gadget can't be narrowed.
    pub fn apply<'a>(
        &self,
        object: &Object<'_>,
        mut sources: impl Iterator<Item = (&'a str, Option<RecordIdentity>)>,
        rings: impl Iterator<Item = &'a str>,
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
            let knows = object.variable(MAX_RATE_VARIABLE).is_some();
            can_limit_rings(rings, knows, |map| object.map(map).is_some())?;
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

/// What is asked for can be told of records here: `unified` says that there are cgroups of version 2.
fn can_pick(selectors: &Selectors, unified: bool) -> Result<(), RunError> {
    match selectors.picks_by_cgroup().filter(|_| !unified) {
        Some(flag) => Err(RunError::Kernel(format!(
            "--{flag}: no cgroup of version 2 is in use here, without which records do not say which cgroup they are of, and are \
             told apart by mount namespace: add --scope containers, to have containers alone, or boot with version 2 \
             (systemd.unified_cgroup_hierarchy=1)"
        ))),
        None => Ok(()),
    }
}

/// Containers can be limited here, if they are to be: `unified` says that they have cgroups of version 2.
fn can_limit(max_rate: Option<u64>, unified: bool) -> Result<(), RunError> {
    if max_rate.is_none() || unified {
        return Ok(());
    }
    Err(RunError::Kernel(
        "--max-rate: no cgroup of version 2 is here, and by nothing else can programs in the kernel tell containers apart: one limit \
         would be for the whole machine; leave the flag out, or boot with version 2 (systemd.unified_cgroup_hierarchy=1)"
            .to_owned(),
    ))
}

/// The records of these rings can be limited: `knows` says that their object has the limit's variable, `counts` whether it has a
/// map of that name.
fn can_limit_rings<'a>(
    rings: impl Iterator<Item = &'a str>,
    knows: bool,
    counts: impl Fn(&str) -> bool,
) -> Result<(), RunError> {
    let usage = |what: &str| Err(RunError::Usage(format!("--max-rate: {what}")));
    let mut rings = rings.peekable();
    if rings.peek().is_none() {
        return usage(
            "it limits what programs write into a ring buffer as things happen, and nothing of this gadget comes that way; run it \
             without the flag (beside other gadgets: in an `ig` of its own)",
        );
    }
    if !knows {
        return usage(
            "this gadget's eBPF side was built without it: build it again with this version's <gadget/buffer.h>",
        );
    }
    match rings.find(|ring| !counts(&format!("{ring}{LEDGER_SUFFIX}"))) {
        None => Ok(()),
        Some(ring) => usage(&format!(
            "what is written into {ring} is not counted, nor can it be limited: declare it with GADGET_TRACER_MAP and write by \
             gadget_reserve_buf or gadget_output_buf of <gadget/buffer.h>"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_version_2_what_is_no_containers_is_not_picked_by_its_cgroup() {
        let parse = |given: &[(Selector, &str)]| Selectors::parse(given.iter().copied()).unwrap();
        let units = parse(&[(Selector::Unit, "nginx")]);
        assert!(can_pick(&units, true).is_ok());
        let refused = can_pick(&units, false).unwrap_err().to_string();
        assert!(refused.starts_with("--unit: no cgroup of version 2 is in use here"));
        assert!(can_pick(&parse(&[(Selector::Container, "web")]), false).is_ok());
    }

    #[test]
    fn a_limit_needs_cgroups_of_version_2() {
        for (max_rate, unified) in [(None, false), (None, true), (Some(1), true)] {
            can_limit(max_rate, unified).unwrap();
        }
        let refused = can_limit(Some(1), false).unwrap_err();
        let text = refused.to_string();
        assert!(
            matches!(refused, RunError::Kernel(_)) && text.starts_with("--max-rate: "),
            "{text}"
        );
        assert!(
            text.contains("version 2") && text.contains("leave the flag out"),
            "{text}"
        );
    }

    #[test]
    fn a_ring_without_a_ledger_can_not_be_limited() {
        let of = |rings: &[&str], knows| {
            let result = can_limit_rings(rings.iter().copied(), knows, |map| map == "a_ledger");
            result.map_err(|e| {
                assert!(matches!(e, RunError::Usage(_)), "{e}");
                e.to_string()
            })
        };
        of(&["a"], true).unwrap();
        for (rings, knows, words) in [
            (&[][..], true, "nothing of this gadget comes that way"),
            (&[], false, "nothing of this gadget comes that way"),
            (&["a"], false, "build it again"),
            (&["a", "b"], true, "written into b"),
        ] {
            let refused = of(rings, knows).unwrap_err();
            assert!(
                refused.starts_with("--max-rate: ") && refused.contains(words),
                "{refused}"
            );
        }
    }
}
