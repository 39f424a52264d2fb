//! Which of the kernel's cgroup hierarchies tells who is in which container.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A hierarchy of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// Cgroup v2: also on hybrid machines, where runtimes make their cgroups in all hierarchies.
    Unified,
    /// One of v1, for machines without v2, or with one that runtimes do not use. Records hold no cgroup of such a hierarchy:
    /// there the mount namespace of [`Entered`](super::Entered) ties them to one.
    V1 {
        /// The kernel's number for it, as in `/proc/cgroups`.
        number: u32,
        /// A controller that is in it: where a task's cgroup is found.
        controller: Controller,
    },
}

/// A controller of v1 whose hierarchy runtimes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// `memory`
    Memory,
    /// `pids`
    Pids,
    /// `freezer`
    Freezer,
    /// `devices`
    Devices,
    /// `cpu`
    Cpu,
}

/// The best first. Their places are their numbers in the eBPF source.
const CONTROLLERS: [(&str, Controller); 5] = [
    ("memory", Controller::Memory),
    ("pids", Controller::Pids),
    ("freezer", Controller::Freezer),
    ("devices", Controller::Devices),
    ("cpu", Controller::Cpu),
];

/// Why it can't be told which hierarchy there is.
#[derive(Debug, thiserror::Error)]
pub enum HierarchyError {
    /// A file of procfs.
    #[error("cannot read {path}: {error}; mount procfs, that of the host when in a container", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Nothing is mounted that could tell.
    #[error(
        "no cgroup hierarchy is mounted that has to do with containers: neither cgroup2 nor one of memory, pids, freezer, \
         devices, cpu; mount -t cgroup2 none /sys/fs/cgroup"
    )]
    None,
}

impl Hierarchy {
    /// The one of this machine, whose procfs is mounted at `proc` (in a container: the host's).
    ///
    /// # Errors
    ///
    /// procfs is not there, or no hierarchy of use is mounted.
    pub fn of_machine(proc: &Path) -> Result<Self, HierarchyError> {
        let read = |path: PathBuf| match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(error) => Err(HierarchyError::Read { path, error }),
        };
        let mounts = read(proc.join("1/mounts"))?;
        if uses_cgroup2(&mounts) {
            return Ok(Self::Unified);
        }
        first_of_v1(&read(proc.join("cgroups"))?).ok_or(HierarchyError::None)
    }

    /// What the programs are told.
    pub(super) fn variables(self) -> [(&'static str, u32); 2] {
        let (number, controller) = match self {
            Self::Unified => (0, 0),
            Self::V1 { number, controller } => (
                number,
                CONTROLLERS
                    .iter()
                    .position(|(_, known)| *known == controller)
                    .unwrap_or(0) as u32,
            ),
        };
        [("hierarchy", number), ("controller", controller)]
    }
}

/// Where runtimes look for v2.
const USUAL: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// Whether, by the lines of `/proc/PID/mounts`, runtimes make cgroups in v2: it is mounted where they look for it, or no
/// controller of theirs is in v1. One elsewhere beside v1 is somebody's own and has no containers in it: Cilium mounts it for
/// itself.
pub(crate) fn uses_cgroup2(mounts: &str) -> bool {
    let (mut elsewhere, mut v1) = (false, false);
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let point = words.next().unwrap_or_default();
        match words.next() {
            Some("cgroup2") if USUAL.iter().any(|usual| point.ends_with(usual)) => return true,
            Some("cgroup2") => elsewhere = true,
            Some("cgroup") => {
                let known = |option| CONTROLLERS.iter().any(|(name, _)| *name == option);
                v1 |= words.next().unwrap_or_default().split(',').any(known);
            }
            _ => {}
        }
    }
    elsewhere && !v1
}

/// The best controller of `/proc/cgroups` that is in a hierarchy of v1: whose number there is not 0.
fn first_of_v1(cgroups: &str) -> Option<Hierarchy> {
    let number = |name: &str| {
        cgroups.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some(name))
                .then(|| words.next()?.parse::<u32>().ok())
                .flatten()
                .filter(|number| *number != 0)
        })
    };
    CONTROLLERS.iter().find_map(|(name, controller)| {
        Some(Hierarchy::V1 {
            number: number(name)?,
            controller: *controller,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_is_taken_where_runtimes_use_it_and_else_the_best_of_v1() {
        let memory = "cgroup2 /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        assert!(!uses_cgroup2(memory));
        let named = "c /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\n";
        let cilium = "none /run/cilium/cgroupv2 cgroup2 rw,relatime 0 0\n";
        assert!(uses_cgroup2(&format!("{named}{cilium}")));
        assert!(!uses_cgroup2(&format!("{memory}{cilium}")));
        let hybrid = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        assert!(uses_cgroup2(&format!("{memory}{cilium}{hybrid}")));
        let v1 = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n\
                  cpu\t1\t1\t1\nmemory\t0\t29\t1\ndevices\t5\t1\t1\npids\t8\t1\t1\n";
        assert_eq!(
            first_of_v1(v1),
            Some(Hierarchy::V1 {
                number: 8,
                controller: Controller::Pids
            })
        );
        assert_eq!(first_of_v1("cpu\t0\t1\t1\npids\tx\n"), None);
    }

    #[test]
    fn controllers_have_the_numbers_of_the_source() {
        let variables = |controller| {
            Hierarchy::V1 {
                number: 4,
                controller,
            }
            .variables()
        };
        assert_eq!(
            variables(Controller::Devices),
            [("hierarchy", 4), ("controller", 3)]
        );
        assert_eq!(
            Hierarchy::Unified.variables(),
            [("hierarchy", 0), ("controller", 0)]
        );
    }
}
