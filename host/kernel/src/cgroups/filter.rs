//! The cgroups that the user asked for: one map in the kernel that any number of objects share (`gadget/cgroup.h`).
//!
//! # Who writes what, and why nobody undoes the other's work
//!
//! A cgroup has no entry, is pending or is chosen. Gadgets let pending and chosen ones pass; whoever reads their records holds
//! those of pending ones until it is decided whose they are.
//!
//! 1. The watcher's program at `cgroup_mkdir` makes the entry, pending, and does so once in the life of a cgroup and only if there
//!    is none. That is in the kernel's `cgroup_mkdir()` before `kernfs_activate()`: the directory is not visible, so that nobody
//!    can be in the cgroup or have heard of it, and the event that tells the host is put out after it. So whatever the host does
//!    about a cgroup, the making of the entry came before it: it can't come back after [`CgroupFilter::remove`], nor replace what
//!    [`CgroupFilter::choose`] wrote. Nor does it depend on the ring of events: where that has no room, the newcomer
//!    passes all the same, and is decided after the look at everything that [`CgroupEvent::Rescan`] asks for.
//! 2. From then on the entry is the host's: it replaces or removes it. A replaced entry is never missing in between: the
//!    kernel puts the new one in front of the old one before it takes that out.
//! 3. The program at `cgroup_rmdir` deletes the entry. The cgroup is empty and can't be entered any more, so that its records were
//!    made before, but for what its last task does between leaving it (`cgroup_exit()`, late in `do_exit()`) and its end: the
//!    signal to its parent and the switch away from it. They are not let through if the cgroup is gone by then.
//! 4. The number does not come back. So if the host chooses a cgroup that is gone already, nothing wrong passes, but the entry
//!    would stay. The watcher tells of the end after step 3, and [`CgroupWatcher::drain`] deletes once more after it has told:
//!    that comes after anything which the host did before it heard of the end. Whoever keeps a list of cgroups must not choose one
//!    that it was told the end of, and chooses those of a look at everything before it drains on.
//!
//! What found no room in the map (a million entries) is not let through; the kernel counts those newcomers
//! ([`CgroupWatcher::unmarked`]).
//!
//! # How it is shared
//!
//! aya takes a map that others made from a path of a bpffs alone. That bpffs is mounted detached, like tracefs
//! elsewhere in this crate: it hangs nowhere, and is gone with the last descriptor, and the map with it.
//!
//! [`CgroupEvent::Rescan`]: super::CgroupEvent::Rescan
//! [`CgroupWatcher::drain`]: super::CgroupWatcher::drain
//! [`CgroupWatcher::unmarked`]: super::CgroupWatcher::unmarked

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ig_object::Object;

use crate::sys::bpf::{self, MapFd, kind};
use crate::sys::{os, program};

/// The map of the headers (`gadget/cgroup.h`).
pub const FILTER_MAP: &str = "gadget_cgroups";
/// The variable of the headers that makes programs see cgroups of the map only.
pub const FILTER_VARIABLE: &str = "gadget_filter_by_cgroup";

/// Entries that nobody needs more of.
const ENTRIES: u32 = 1 << 20;
/// Where the kernel wants all of them made beforehand (before 6.1): 72 bytes each.
const ENTRIES_PREALLOCATED: u32 = 1 << 17;
/// Of an id, in bytes.
const KEY: usize = 8;
/// Of `struct gadget_cgroup`, in bytes.
const VALUE: usize = 16;

/// Why a set of cgroups can't be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// There is no room for one more.
    #[error("the set of selected cgroups is full ({max_entries} cgroups): select fewer containers")]
    Full {
        /// What it was made for.
        max_entries: u32,
    },
    /// The kernel refused.
    #[error("cannot {action} the set of selected cgroups: {error}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// It can't be shared with gadgets.
    #[error(
        "cannot share the set of selected cgroups with gadgets: {error}; it takes CAP_SYS_ADMIN, to mount a bpffs that nobody \
         else sees, and a procfs at /proc"
    )]
    Share {
        /// What the system said.
        error: io::Error,
    },
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> FilterError {
    move |error| FilterError::System { action, error }
}

/// What is known of a cgroup (`enum gadget_cgroup_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is wanted.
    Chosen,
    /// Nobody knows yet.
    Pending,
}

impl State {
    fn number(self) -> u32 {
        match self {
            Self::Chosen => 1,
            Self::Pending => 2,
        }
    }
}

/// A cgroup's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is wanted.
    pub state: State,
    /// The cgroup that stands for the container; 0: it does itself.
    pub owner: u64,
}

impl Entry {
    fn bytes(self) -> [u8; VALUE] {
        let mut bytes = [0; VALUE];
        let (state, owner) = bytes.split_at_mut(8);
        state[..4].copy_from_slice(&self.state.number().to_ne_bytes());
        owner.copy_from_slice(&self.owner.to_ne_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let state = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
        let owner = u64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?);
        let state = [State::Chosen, State::Pending]
            .into_iter()
            .find(|known| known.number() == state)?;
        Some(Self { state, owner })
    }
}

/// A set of cgroups of v2, which programs ask whether their task is in it. Cheap to clone: clones are the same set.
/// Usable from any thread; a change takes one system call and is seen by all objects at once.
#[derive(Clone, Debug)]
pub struct CgroupFilter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    map: MapFd,
    /// Root of a bpffs that is mounted nowhere, in which the map has its name.
    folder: OwnedFd,
}

impl PartialEq for CgroupFilter {
    /// Whether they are the same set, not whether they have the same entries.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CgroupFilter {}

impl CgroupFilter {
    /// An empty set with room for 1,048,576 cgroups; for 131,072 before Linux 6.1, where each takes its memory at once.
    ///
    /// # Errors
    ///
    /// No privileges or no memory.
    pub fn new() -> Result<Self, FilterError> {
        Self::with_room_for(ENTRIES)
    }

    /// An empty set with room for so many.
    ///
    /// # Errors
    ///
    /// As [`CgroupFilter::new`].
    pub fn with_room_for(entries: u32) -> Result<Self, FilterError> {
        let make = |entries, flags| {
            bpf::map_create(
                kind::HASH,
                KEY as u32,
                VALUE as u32,
                entries,
                flags,
                FILTER_MAP,
            )
            .map_err(system("make"))
        };
        let mut fd = make(entries, bpf::F_NO_PREALLOC)?;
        if !program::programs_may_allocate(fd.as_fd()) {
            fd = make(entries.min(ENTRIES_PREALLOCATED), 0)?;
        }
        let map = MapFd::new(fd, 1).map_err(system("ask for the sizes of"))?;
        let folder = os::mount_detached(c"bpf").map_err(|error| FilterError::Share { error })?;
        let filter = Self(Arc::new(Shared { map, folder }));
        let path =
            CString::new(filter.path().into_os_string().into_encoded_bytes()).map_err(|error| {
                FilterError::Share {
                    error: error.into(),
                }
            })?;
        bpf::pin(filter.0.map.as_fd(), &path).map_err(|error| FilterError::Share { error })?;
        Ok(filter)
    }

    /// Whether programs of the object can be narrowed to a set: it was built with the headers that have it.
    #[must_use]
    pub fn narrows(object: &Object<'_>) -> bool {
        let map = object.map(FILTER_MAP).is_some_and(|map| {
            map.kind == kind::HASH && map.key_size == KEY as u32 && map.value_size == VALUE as u32
        });
        map && object
            .variable(FILTER_VARIABLE)
            .is_some_and(|variable| variable.is_const_volatile && variable.size == 1)
    }

    /// The cgroup is wanted. `owner` is the cgroup that stands for its container, 0 if it does itself.
    ///
    /// # Errors
    ///
    /// [`FilterError::Full`], or the kernel has no memory.
    pub fn choose(&self, cgroup: u64, owner: u64) -> Result<(), FilterError> {
        self.put(cgroup, State::Chosen, owner)
    }

    /// It is not known whether the cgroup is wanted, so that its records pass and must be held. For those that were there before
    /// the watcher; it marks newcomers itself.
    ///
    /// # Errors
    ///
    /// [`FilterError::Full`], or the kernel has no memory.
    pub fn pending(&self, cgroup: u64, owner: u64) -> Result<(), FilterError> {
        self.put(cgroup, State::Pending, owner)
    }

    fn put(&self, cgroup: u64, state: State, owner: u64) -> Result<(), FilterError> {
        let value = Entry { state, owner }.bytes();
        match self.0.map.update(&cgroup.to_ne_bytes(), &value, 0) {
            Ok(()) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::E2BIG) => Err(FilterError::Full {
                max_entries: self.0.map.info().max_entries,
            }),
            Err(error) => Err(system("add to")(error)),
        }
    }

    /// The cgroup is not wanted. Nothing happens if it had no entry.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn remove(&self, cgroup: u64) -> Result<(), FilterError> {
        match self.0.map.delete(&cgroup.to_ne_bytes()) {
            Ok(()) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            Err(error) => Err(system("remove from")(error)),
        }
    }

    /// The cgroup's entry; `None`: it is not wanted.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn entry(&self, cgroup: u64) -> Result<Option<Entry>, FilterError> {
        let mut value = [0; VALUE];
        match self.0.map.lookup(&cgroup.to_ne_bytes(), &mut value) {
            Ok(()) => Ok(Entry::read(&value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(system("read")(error)),
        }
    }

    /// Where aya finds the map, in this process alone.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/self/fd/{}/{FILTER_MAP}",
            self.0.folder.as_raw_fd()
        ))
    }

    /// The kernel's number for the map.
    pub(crate) fn id(&self) -> u32 {
        self.0.map.info().id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_those_of_the_header() {
        let entry = Entry {
            state: State::Pending,
            owner: 0x0102_0304_0506_0708,
        };
        let bytes = entry.bytes();
        assert_eq!(u64::from_ne_bytes(bytes[..8].try_into().unwrap()), 2);
        assert_eq!(Entry::read(&bytes), Some(entry));
        assert_eq!(Entry::read(&[0; 16]), None);
        assert_eq!(Entry::read(&bytes[..15]), None);
    }
}
