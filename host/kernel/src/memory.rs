//! Memory of this process that nobody uses any more.
#![allow(unsafe_code, reason = "a call of the C library that takes a number")]

/// Gives the system back what was freed and is kept for later, by every thread. After a start: objects and types were read
/// there that are of no use any more. Does nothing with a C library other than glibc.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, and locks what it looks at.
    unsafe {
        libc::malloc_trim(0);
    }
}
