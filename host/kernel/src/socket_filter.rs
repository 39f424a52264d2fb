//! Socket filters: programs that look at every packet of the network namespaces in which they are opened.
//!
//! A filter can't ask in which namespace it runs: where packets are seen, no process is, and the kernel's structures are not to be
//! read. So each namespace gets a few instructions of its own, which write the namespace's number down for the filter and
//! jump there (`gadget_skb_netns` of `gadget/netns.h` reads it). They jump by way of a slot, so that emptying it stops the
//! filter in all namespaces at once.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::network::{OpenNamespace, Visitor};
use crate::sys::program::{self, Instruction, Type, instruction};
use crate::sys::{bpf, os, packet};

/// Where `cb[0]` is in `struct __sk_buff` of include/uapi/linux/bpf.h, in bytes.
const CB: u8 = 48;
const SLOT: [u8; 4] = [0; 4];

/// A socket filter could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the socket filter {program} can't be opened in the network namespace {namespace}: {error}{}",
    os::cure(error)
)]
pub struct FilterError {
    program: String,
    namespace: u64,
    error: io::Error,
}

/// A filter that is attached, and ready to be opened in any number of namespaces.
#[derive(Debug)]
pub struct SocketFilter {
    program: String,
    slot: OwnedFd,
}

/// A filter that sees the packets of one namespace, until this is dropped. It keeps the namespace alive. Dropping waits until no
/// CPU is in it any more, some ten milliseconds; on several threads at once it takes no longer.
#[derive(Debug)]
pub struct OpenFilter {
    _socket: OwnedFd,
}

/// From where all namespaces jump to a filter; dropping it stops the filter in all of them.
#[derive(Debug)]
pub(crate) struct Slot(bpf::MapFd);

impl Slot {
    pub(crate) fn of(filter: BorrowedFd<'_>) -> io::Result<Self> {
        let map = bpf::map_create(bpf::kind::PROG_ARRAY, 4, 4, 1, 0, "ig_filter")?;
        let map = bpf::MapFd::new(map, 1)?;
        map.update(&SLOT, &filter.as_raw_fd().to_ne_bytes(), 0)?;
        Ok(Self(map))
    }

    pub(crate) fn filter(&self, program: &str) -> io::Result<SocketFilter> {
        Ok(SocketFilter {
            program: program.to_owned(),
            slot: self.0.as_fd().try_clone_to_owned()?,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // There is nobody who could hear of an error, and none but that it is empty already.
        let _ = self.0.delete(&SLOT);
    }
}

impl SocketFilter {
    /// Lets it see every packet of a namespace from now on.
    ///
    /// # Errors
    ///
    /// The namespace can't be entered (CAP_SYS_ADMIN), or no such socket be made (CAP_NET_RAW, descriptors: as many as the
    /// hard limit says are taken).
    pub fn open_in(
        &self,
        namespace: &OpenNamespace,
        visitor: &Visitor,
    ) -> Result<OpenFilter, FilterError> {
        // With a descriptor for each namespace the usual limit of 1024 is soon met.
        match os::with_files(|| self.open(namespace, visitor)) {
            Ok(socket) => Ok(OpenFilter { _socket: socket }),
            Err(error) => Err(FilterError {
                program: self.program.clone(),
                namespace: namespace.inode(),
                error,
            }),
        }
    }

    fn open(&self, namespace: &OpenNamespace, visitor: &Visitor) -> io::Result<OwnedFd> {
        let number = u32::try_from(namespace.inode()).map_err(io::Error::other)?;
        let code = entrance(number, self.slot.as_fd());
        let entrance = program::load(Type::SOCKET_FILTER, 0, c"ig_netns", &code)?;
        visitor.inside(namespace, move || packet::filter_all(entrance.as_fd()))
    }
}

/// What runs first in a namespace: `cb[0] = number`, then on to the filter in the slot; without one no packet passes.
fn entrance(number: u32, slot: BorrowedFd<'_>) -> [Instruction; 8] {
    let [address, rest] = program::map_address(2, slot);
    [
        instruction(0xb4, 2, 0, 0, number),        // w2 = number
        instruction(0x63, 1, 2, i16::from(CB), 0), // *(u32 *)(r1 + CB) = w2
        address,                                   // r2 = the map of the slot
        rest,
        instruction(0xb4, 3, 0, 0, 0),  // w3 = 0
        instruction(0x85, 0, 0, 0, 12), // bpf_tail_call
        instruction(0xb4, 0, 0, 0, 0),  // w0 = 0
        instruction(0x95, 0, 0, 0, 0),  // exit
    ]
}
