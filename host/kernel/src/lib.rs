//! eBPF in the running kernel: load, attach, ring consumer, maps, iterators.
//!
//! The only room that knows aya and `bpf(2)`. The way through it:
//!
//! 1. [`host::check`] says what the machine lacks;
//! 2. [`Loader`] makes the maps and has the programs verified, [`Loaded::attach`] hangs them onto their hooks;
//! 3. [`Ring`] hands over records in spans as they lie in the mapped ring, [`Waiter`] says when to look;
//!    [`Loaded::iterator`] gives what is read when one likes, in a network namespace of [`network`] if need be, and
//!    [`Loaded::socket_filters`] what is opened in such namespaces;
//! 4. [`Loaded::detach`], drain the rings, read [`Loaded::ledger`] and [`Loaded::stats`].
//!
//! [`cgroups::CgroupWatcher`] is the host's own use of all this: it tells of cgroups that come and go, and keeps a
//! [`cgroups::CgroupFilter`] up to date, to which the programs of objects are narrowed.
//!
//! Nothing is pinned and no mount is left behind: when the process is gone, so is everything it loaded.

pub mod cgroups;
pub mod clock;
pub mod doctor;
pub mod host;
pub mod memory;
pub mod network;
pub mod pace;

mod attach;
mod error;
mod follow;
mod iterator;
mod ledger;
mod load;
mod map;
mod prepared;
mod rate;
mod ring;
mod socket_filter;
mod sys;
mod tracefs;
mod wait;

pub use error::{LoadError, ProgramError, Step};
pub use follow::{FOLLOW_FORK_PROGRAM, FOLLOWED_MAP, FOLLOWED_VARIABLE, FollowError};
pub use iterator::{BpfIterator, IteratorError, Walk};
pub use ledger::{LEDGER_SUFFIX, Ledger, ProgramStats};
pub use load::{DEFAULT_RING_SIZE, LeftOut, LoadOptions, Loaded, Loader};
pub use map::{Map, MapError, Update};
pub use rate::MAX_RATE_VARIABLE;
pub use ring::{Damaged, Ring, RingError, SpanLimits, SpanRef, WAKEUP_SUFFIX};
pub use socket_filter::{FilterError, OpenFilter, SocketFilter};
pub use wait::{Stopper, WaitError, Waiter, Wake};
