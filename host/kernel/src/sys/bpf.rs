//! `bpf(2)`: map elements, batches, object information, perf links. Layouts and numbers are those of
//! include/uapi/linux/bpf.h, which only ever grows at the end.
#![allow(
    unsafe_code,
    reason = "bpf(2) takes pointers; each block proves the lengths"
)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const MAP_GET_NEXT_KEY: libc::c_long = 4;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const MAP_LOOKUP_BATCH: libc::c_long = 24;
const LINK_CREATE: libc::c_long = 28;
const ITER_CREATE: libc::c_long = 33;

/// `BPF_TRACE_ITER` of `enum bpf_attach_type`.
const ATTACH_TRACE_ITER: u32 = 28;
/// `BPF_PERF_EVENT` of `enum bpf_attach_type`.
const ATTACH_PERF_EVENT: u32 = 41;

/// `BPF_F_NO_PREALLOC`: entries take memory as they come.
pub(crate) const F_NO_PREALLOC: u32 = 1;
/// `BPF_F_MMAPABLE`: an array that user space can map.
pub(crate) const F_MMAPABLE: u32 = 1 << 10;
/// `BPF_F_RB_OVERWRITE`: the producer overwrites what nobody read (since 6.19).
pub(crate) const F_RB_OVERWRITE: u32 = 1 << 19;

/// Map types (`enum bpf_map_type`) that this crate treats in a way of their own.
pub(crate) mod kind {
    pub(crate) const HASH: u32 = 1;
    pub(crate) const ARRAY: u32 = 2;
    pub(crate) const PROG_ARRAY: u32 = 3;
    pub(crate) const PERCPU_HASH: u32 = 5;
    pub(crate) const PERCPU_ARRAY: u32 = 6;
    pub(crate) const LRU_HASH: u32 = 9;
    pub(crate) const LRU_PERCPU_HASH: u32 = 10;
    pub(crate) const LPM_TRIE: u32 = 11;
    pub(crate) const RINGBUF: u32 = 27;
    pub(crate) const TASK_STORAGE: u32 = 29;
}

#[repr(C)]
struct MapAttr {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
struct PinAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    element_flags: u64,
    flags: u64,
}

#[repr(C)]
struct InfoAttr {
    fd: u32,
    length: u32,
    info: u64,
}

#[repr(C)]
struct LinkAttr {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    cookie: u64,
}

#[repr(C)]
struct IterAttr {
    link: u32,
    flags: u32,
}

/// # Safety
///
/// Every pointer in `attr` must be valid for what the kernel reads and writes through it for `command`.
pub(super) unsafe fn bpf<T>(command: libc::c_long, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: attr is a live, initialized repr(C) struct of the size given; the caller answers for the pointers in it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().cast_unsigned()
}

fn address<T>(bytes: &[T]) -> u64 {
    bytes.as_ptr() as u64
}

fn address_mut<T>(bytes: &mut [T]) -> u64 {
    bytes.as_mut_ptr() as u64
}

/// Head of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MapInfo {
    pub(crate) kind: u32,
    pub(crate) id: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

/// Head of `struct bpf_prog_info`, up to `recursion_misses` (since 5.12).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProgramInfo {
    pub(crate) kind: u32,
    pub(crate) id: u32,
    skipped: [u64; 23],
    pub(crate) run_time_ns: u64,
    pub(crate) run_count: u64,
    pub(crate) recursion_misses: u64,
}

const _: () = assert!(std::mem::offset_of!(ProgramInfo, run_time_ns) == 192);
const _: () = assert!(std::mem::offset_of!(ProgramInfo, recursion_misses) == 208);

/// # Safety
///
/// `T` must be plain integers in the kernel's layout for this kind of object: any bytes are a valid `T`.
unsafe fn info<T: Default>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut info = T::default();
    let mut attr = InfoAttr {
        fd: number(fd),
        // A few dozen to some hundred bytes.
        length: size_of::<T>() as u32,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `info`, which outlives the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr)? };
    Ok(info)
}

/// What the kernel says of a program. The zeroed head asks for no arrays.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    // SAFETY: ProgramInfo is integers only, laid out as the head of struct bpf_prog_info; its pointer fields, within
    // `skipped`, are zero and so are their counts, so the kernel writes through none of them.
    unsafe { info(program) }
}

/// Makes a map. Of `name` the kernel takes 15 bytes.
pub(crate) fn map_create(
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: &str,
) -> io::Result<OwnedFd> {
    let mut attr = MapAttr {
        kind,
        key_size,
        value_size,
        max_entries,
        flags,
        inner_map: 0,
        numa_node: 0,
        name: [0; 16],
    };
    for (to, from) in attr.name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: this command takes no pointers.
    owned(unsafe { bpf(MAP_CREATE, &mut attr)? })
}

/// Gives a map a name in a bpffs.
pub(crate) fn pin(map: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let mut attr = PinAttr {
        path: path.as_ptr() as u64,
        fd: number(map),
        flags: 0,
    };
    // SAFETY: the path is a C string that lives through the call.
    unsafe { bpf(OBJ_PIN, &mut attr)? };
    Ok(())
}

/// The descriptor that a command gave.
fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: every caller hands over the result of a command that makes a descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Hangs a program onto a perf event (since 5.15). The link detaches when it is closed.
pub(crate) fn link_perf_event(
    program: BorrowedFd<'_>,
    event: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    link(number(program), number(event), ATTACH_PERF_EVENT)
}

/// Makes an iterator ready to be opened (since 5.8).
pub(crate) fn link_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    link(number(program), 0, ATTACH_TRACE_ITER)
}

fn link(program: u32, target: u32, attach_type: u32) -> io::Result<OwnedFd> {
    let mut attr = LinkAttr {
        program,
        target,
        attach_type,
        flags: 0,
        cookie: 0,
    };
    // SAFETY: this command takes no pointers; with all else zero the cookie, in whose place iterators have one, is null.
    owned(unsafe { bpf(LINK_CREATE, &mut attr)? })
}

/// Begins a walk of an iterator, in the network namespace of the calling thread if it is over sockets. Reading the
/// descriptor walks on.
pub(crate) fn iterate(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = IterAttr {
        link: number(link),
        flags: 0,
    };
    // SAFETY: this command takes no pointers.
    owned(unsafe { bpf(ITER_CREATE, &mut attr)? })
}

/// A map's descriptor together with the sizes that the kernel itself gave for it, so that no call can hand it a
/// buffer that is too short.
#[derive(Debug)]
pub(crate) struct MapFd {
    fd: OwnedFd,
    info: MapInfo,
    value_bytes: usize,
}

fn wrong_length() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidInput)
}

impl MapFd {
    /// Asks the kernel for the sizes. `possible_cpus` is the number of possible CPUs (not of those online).
    pub(crate) fn new(fd: OwnedFd, possible_cpus: usize) -> io::Result<Self> {
        // SAFETY: MapInfo is integers only, laid out as the head of struct bpf_map_info.
        let info: MapInfo = unsafe { info(fd.as_fd())? };
        let value = info.value_size as usize;
        let value_bytes = match info.kind {
            kind::PERCPU_HASH | kind::PERCPU_ARRAY | kind::LRU_PERCPU_HASH => {
                value.next_multiple_of(8).saturating_mul(possible_cpus)
            }
            _ => value,
        };
        Ok(Self {
            fd,
            info,
            value_bytes,
        })
    }

    pub(crate) fn info(&self) -> &MapInfo {
        &self.info
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn key_bytes(&self) -> usize {
        self.info.key_size as usize
    }

    /// Of one entry as lookups give it: for per-CPU maps `round_up(value_size, 8)` for each possible CPU.
    pub(crate) fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    pub(crate) fn lookup(&self, key: &[u8], value: &mut [u8]) -> io::Result<()> {
        if key.len() != self.key_bytes() || value.len() != self.value_bytes {
            return Err(wrong_length());
        }
        let mut attr = ElementAttr {
            map_fd: number(self.as_fd()),
            padding: 0,
            key: address(key),
            value: address_mut(value),
            flags: 0,
        };
        // SAFETY: the kernel reads key_size and writes value_bytes bytes of this map; both lengths were just checked.
        unsafe { bpf(MAP_LOOKUP_ELEM, &mut attr)? };
        Ok(())
    }

    pub(crate) fn update(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
        if key.len() != self.key_bytes() || value.len() != self.value_bytes {
            return Err(wrong_length());
        }
        let mut attr = ElementAttr {
            map_fd: number(self.as_fd()),
            padding: 0,
            key: address(key),
            value: address(value),
            flags,
        };
        // SAFETY: the kernel only reads, key_size and value_bytes bytes; both lengths were just checked.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut attr)? };
        Ok(())
    }

    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<()> {
        if key.len() != self.key_bytes() {
            return Err(wrong_length());
        }
        let mut attr = ElementAttr {
            map_fd: number(self.as_fd()),
            padding: 0,
            key: address(key),
            value: 0,
            flags: 0,
        };
        // SAFETY: the kernel only reads, key_size bytes; the length was just checked.
        unsafe { bpf(MAP_DELETE_ELEM, &mut attr)? };
        Ok(())
    }

    /// The key behind `key` (`None`: the first); `ENOENT` when there is none.
    pub(crate) fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> io::Result<()> {
        if key.is_some_and(|key| key.len() != self.key_bytes()) || next.len() != self.key_bytes() {
            return Err(wrong_length());
        }
        let mut attr = ElementAttr {
            map_fd: number(self.as_fd()),
            padding: 0,
            key: key.map_or(0, address),
            value: address_mut(next),
            flags: 0,
        };
        // SAFETY: the kernel reads key_size bytes at `key` unless it is null and writes as many at `next`; checked.
        unsafe { bpf(MAP_GET_NEXT_KEY, &mut attr)? };
        Ok(())
    }

    /// Many entries at once. `cursor` is at least `max(key_size, 4)` bytes and says where the last batch ended when
    /// `first` is false. Gives how many entries were written and whether the map is at its end.
    pub(crate) fn lookup_batch(
        &self,
        first: bool,
        cursor: &mut [u8],
        keys: &mut [u8],
        values: &mut [u8],
        count: u32,
    ) -> io::Result<(u32, bool)> {
        let entries = count as usize;
        if cursor.len() < self.key_bytes().max(4)
            || entries
                .checked_mul(self.key_bytes())
                .is_none_or(|bytes| keys.len() < bytes)
            || entries
                .checked_mul(self.value_bytes)
                .is_none_or(|bytes| values.len() < bytes)
        {
            return Err(wrong_length());
        }
        let cursor = address_mut(cursor);
        let mut attr = BatchAttr {
            in_batch: if first { 0 } else { cursor },
            out_batch: cursor,
            keys: address_mut(keys),
            values: address_mut(values),
            count,
            map_fd: number(self.as_fd()),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: the kernel writes at most `count` keys and values, whose room was just checked, and reads and writes
        // at the cursor one u32 (hash maps) or one key (others), whose room was just checked too. It copies in_batch
        // before it writes out_batch, so that both may be the same memory.
        let result = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attr) };
        // On ENOENT the count is valid and the map at its end (Documentation/bpf/map_hash.rst).
        match result {
            Ok(_) => Ok((attr.count.min(count), false)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                Ok((attr.count.min(count), true))
            }
            Err(error) => Err(error),
        }
    }
}
