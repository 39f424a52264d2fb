//! Which of the kernel's cgroup hierarchies tells who is in which container.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A hierarchy of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// Cgroup v2: also on hybrid machines, where runtimes make their cgroups in all hierarchies.
    Unified,
    /// One of v1, for machines without v2. Records hold no cgroup of such a hierarchy: there the mount namespace of
    /// [`Entered`](super::Entered) ties them to one.
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
        let mounts = read(proc.join("1/mountinfo"))?;
        if has_cgroup2(&mounts) {
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

/// Whether a file system of that type is among the lines of `mountinfo`: behind the first single dash.
fn has_cgroup2(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        line.split_once(" - ")
            .and_then(|(_, rest)| rest.split(' ').next())
            == Some("cgroup2")
    })
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
    fn v2_is_taken_where_it_is_mounted_and_else_the_best_of_v1() {
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:1 - cgroup2 cgroup2 rw\n";
        assert!(has_cgroup2(hybrid));
        assert!(!has_cgroup2(
            "35 31 0:32 / /sys/fs/cgroup2 rw - cgroup cgroup2 rw,memory\n"
        ));
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
