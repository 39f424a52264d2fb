//! The kernel's types, without a copy where the kernel lets its memory be mapped.
#![allow(unsafe_code, reason = "a mapping of the kernel's; proven below")]

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Deref;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// `SYSFS_MAGIC` of include/uapi/linux/magic.h.
const SYSFS: libc::c_long = 0x6265_6572;

/// The bytes of `/sys/kernel/btf/vmlinux`: mapped since 6.16, read before, which a sysfs does a page a call.
pub(crate) enum KernelBtf {
    Mapped { base: NonNull<u8>, length: usize },
    Read(Vec<u8>),
}

impl KernelBtf {
    /// # Errors
    ///
    /// The file is not there, or can't be read.
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        if let Some(mapped) = Self::map(&file, length) {
            return Ok(mapped);
        }
        let mut bytes = Vec::with_capacity(length);
        file.read_to_end(&mut bytes)?;
        Ok(Self::Read(bytes))
    }

    /// None: this kernel does not map it, or it is not the kernel's own file.
    fn map(file: &File, length: usize) -> Option<Self> {
        if length == 0 || !is_sysfs(file.as_fd()) {
            return None;
        }
        // SAFETY: no address is asked for, so no memory of ours is replaced.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                // The kernel refuses a shared mapping.
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        let base = NonNull::new(base.cast())?;
        Some(Self::Mapped { base, length })
    }
}

/// A file of any other file system may be cut while it is mapped.
fn is_sysfs(file: BorrowedFd<'_>) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the call fills what the pointer is to, or fails; it is read only if it did not.
    unsafe {
        libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) == 0
            && found.assume_init().f_type == SYSFS
    }
}

impl Deref for KernelBtf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            // SAFETY: exactly what mmap gave, for as long as self lives. It is the kernel's read-only data
            // (kernel/bpf/sysfs_btf.c), all of which is there and never changes.
            Self::Mapped { base, length } => unsafe {
                std::slice::from_raw_parts(base.as_ptr(), *length)
            },
            Self::Read(bytes) => bytes,
        }
    }
}

impl Drop for KernelBtf {
    fn drop(&mut self) {
        if let Self::Mapped { base, length } = self {
            // SAFETY: exactly what mmap gave; nothing borrowed from self outlives it.
            unsafe { libc::munmap(base.as_ptr().cast(), *length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::KERNEL_BTF;

    #[test]
    fn mapped_or_read_it_is_the_same() {
        let read = std::fs::read(KERNEL_BTF).unwrap();
        let types = KernelBtf::open(KERNEL_BTF).unwrap();
        assert!(*types == *read);
    }

    #[test]
    fn what_is_not_the_kernel_s_own_is_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let types = KernelBtf::open(path).unwrap();
        let read = std::fs::read(path).unwrap();
        assert!(matches!(&types, KernelBtf::Read(bytes) if *bytes == read));
        assert!(KernelBtf::open("/sys/kernel/btf/none").is_err());
    }
}
