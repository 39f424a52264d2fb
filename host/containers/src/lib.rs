//! Who a record belongs to: a container, a pod's sandbox, a systemd unit, a user's session, the host.
//!
//! Identity is the cgroup: its id (64 bits, the inode of its directory) is never reused while the machine runs. A
//! mount namespace is one only together with the time in which it lived, because the kernel gives its number
//! to the next one at once. What is known of an owner grows: its cgroup names it, files and the runtimes' APIs add name,
//! image and labels later. Nothing here makes a privileged call: what the kernel says of new cgroups is told to this room.
//!
//! - [`Owner`] is what is known, [`Field`] names its parts for tables and guests;
//! - [`Directory`] is written by the threads that find out, a [`Reader`] is a run's own copy, read without a lock;
//! - [`Selectors`] say whose records are wanted, a [`Chooser`] in which cgroups those are, as that changes;
//! - [`Service`] finds out: from the cgroups that are there, from what it is told of new ones, from the runtimes' files.

mod cgroup_path;
mod command_line;
mod directory;
mod disk;
mod field;
mod files;
mod hierarchy;
mod identity;
mod options;
mod outages;
mod owner;
mod process;
mod runtimes;
mod selection;
mod service;

pub use directory::{
    Chooser, Decision, Directory, Ender, Entered, Found, Handle, Reader, Selected, Tombstones,
};
pub use field::{Field, FieldType, Value};
pub use hierarchy::cgroup_namespace;
pub use options::{Options, Sockets};
pub use owner::{Awaited, Facts, Kind, Owner, Pod, Runtime};
pub use selection::{Selector, SelectorError, Selectors, Verdict};
pub use service::{Event, Maker, Service, StartError};
