//! A ring buffer's memory, and words that programs and the host share, mapped: the only place where they are touched
//! through pointers.
//!
//! kernel/bpf/ringbuf.c lays it out as one consumer page (writable for us), one producer page and the data pages
//! twice in a row (both read-only for us), so that a record that wraps around is contiguous in memory.
#![allow(
    unsafe_code,
    reason = "memory shared with the kernel; every access is proven here"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::cursor::Shared;
use crate::sys::os;

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("ring positions are read as 64-bit, headers as little-endian numbers");

/// Memory that `mmap` gave and `drop` gives back.
struct Region {
    base: NonNull<u8>,
    length: usize,
}

impl Region {
    fn map(fd: BorrowedFd<'_>, offset: usize, length: usize, writable: bool) -> io::Result<Self> {
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: no address is asked for, so no memory of ours is replaced.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap gave; nothing borrowed from self outlives it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

pub(super) struct Mapping {
    /// One page; the consumer's position is its first word.
    consumer: Region,
    /// One page, whose first word is the producer's position, and the data twice.
    producer: Region,
    page: usize,
    /// Of the data once, in bytes: a power of two, at least a page.
    size: usize,
}

// SAFETY: a region is plain memory without any tie to a thread, and all access to the words that change is atomic. What
// is no word is read through `Mapping::bytes` alone, whose callers answer for it.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// The value of a map that programs and the host share: numbers at the beginning of a page.
pub(crate) struct Words(Region);

impl Words {
    /// Of two of them in bytes.
    pub(crate) const SIZE: u32 = 16;

    /// Maps the value of the array behind `fd`, made with BPF_F_MMAPABLE: kernel/bpf/arraymap.c gives it whole pages.
    /// Who maps it not `writable` must not store.
    pub(crate) fn map(fd: BorrowedFd<'_>, writable: bool) -> io::Result<Self> {
        Region::map(fd, 0, os::page_size(), writable).map(Self)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: index is 0, 1 or 2 below, the region a page long and page-aligned, mapped as long as self lives, and the
        // programs access it by aligned loads and stores of 8 bytes.
        unsafe { self.0.base.cast::<AtomicU64>().add(index).as_ref() }
    }

    /// The first number.
    pub(crate) fn first(&self) -> &AtomicU64 {
        self.word(0)
    }

    /// The second number.
    pub(crate) fn second(&self) -> &AtomicU64 {
        self.word(1)
    }

    /// The third number.
    pub(crate) fn third(&self) -> &AtomicU64 {
        self.word(2)
    }
}

impl Mapping {
    /// Maps the ring buffer behind `fd`, whose size the kernel gave as `size`.
    pub(super) fn new(fd: BorrowedFd<'_>, size: usize) -> io::Result<Self> {
        let page = os::page_size();
        if !size.is_power_of_two() || size < page {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let length = size
            .checked_mul(2)
            .and_then(|data| data.checked_add(page))
            .ok_or(io::ErrorKind::InvalidInput)?;
        let consumer = Region::map(fd, 0, page, true)?;
        let producer = Region::map(fd, page, length, false)?;
        Ok(Self {
            consumer,
            producer,
            page,
            size,
        })
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    fn consumer_word(&self) -> &AtomicU64 {
        // SAFETY: page-aligned, a whole page long, mapped as long as self lives, and only accessed atomically: by the
        // kernel with smp_load_acquire, by us through this reference.
        unsafe { self.consumer.base.cast::<AtomicU64>().as_ref() }
    }

    fn producer_word(&self) -> &AtomicU64 {
        // SAFETY: as above; the kernel writes with smp_store_release, we only load (the page is read-only).
        unsafe { self.producer.base.cast::<AtomicU64>().as_ref() }
    }

    /// Where a position lies in the region, rounded down to 8 bytes: at most `page + size - 8`.
    fn offset(&self, position: u64) -> usize {
        // The mask is below usize::MAX, so that the cast loses nothing.
        let within = (position & (self.size as u64 - 1) & !7) as usize;
        self.page + within
    }

    /// Where the consumer is, as the kernel sees it.
    pub(super) fn consumer(&self) -> u64 {
        self.consumer_word().load(Ordering::Acquire)
    }

    /// `length` bytes from `position` on; empty if they are more than the ring has.
    ///
    /// # Safety
    ///
    /// All of them must belong to records that were seen committed (their headers loaded with `Acquire` and not
    /// busy) and whose end has not been released by [`Shared::release`] for as long as the slice lives.
    pub(super) unsafe fn bytes(&self, position: u64, length: usize) -> &[u8] {
        if length > self.size {
            return &[];
        }
        // SAFETY: offset <= page + size - 8 and length <= size, so the end lies within page + 2 * size, the region's
        // length. The bytes are initialized (the kernel zeroes the pages) and nobody writes them: the kernel hands
        // this part of the ring to no producer before the consumer's position has passed it, programs can't touch a
        // record after they submitted it, and user space can't map these pages writable (EPERM).
        unsafe {
            let start = self.producer.base.add(self.offset(position));
            std::slice::from_raw_parts(start.as_ptr(), length)
        }
    }
}

impl Shared for Mapping {
    #[inline]
    fn producer(&self) -> u64 {
        self.producer_word().load(Ordering::Acquire)
    }

    #[inline]
    fn header(&self, position: u64) -> u32 {
        // SAFETY: offset is a multiple of 8 (a page is, too) and at least 8 bytes before the end of the first copy of
        // the data; the kernel commits with xchg, and both sides access the word only atomically until it is committed.
        let word = unsafe {
            self.producer
                .base
                .add(self.offset(position))
                .cast::<AtomicU32>()
                .as_ref()
        };
        word.load(Ordering::Acquire)
    }

    #[inline]
    fn release(&self, position: u64) {
        self.consumer_word().store(position, Ordering::Release);
    }

    #[inline]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn prefetch(&self, position: u64) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch of an address inside the region, and it would not fault anywhere else either; SSE is part
        // of x86-64.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let address = self.producer.base.add(self.offset(position));
            _mm_prefetch::<_MM_HINT_T0>(address.as_ptr().cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = position;
    }
}
