//! Tracepoints' numbers, whether or not tracefs is mounted.
//!
//! On many machines (containers, small VMs) nobody mounted it. Mounting it for everybody would change the machine, and
//! a mount namespace of our own would leak into every program that we start. So it is mounted detached: the kernel
//! gives a descriptor of a mount that hangs nowhere and is gone when the descriptor is closed.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use crate::sys::os;

/// Where tracefs is mounted on machines where it is.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// tracefs's root folder.
#[derive(Debug)]
pub(crate) struct Tracefs(OwnedFd);

impl Tracefs {
    /// Finds it or mounts it detached.
    pub(crate) fn open() -> io::Result<Self> {
        for place in PLACES {
            if let Ok(root) = File::open(place) {
                let root = Self(root.into());
                if os::open_at(root.0.as_fd(), c"events").is_ok() {
                    return Ok(root);
                }
            }
        }
        os::mount_detached(c"tracefs").map(Self)
    }

    /// The number of a tracepoint for perf_event_open(2).
    pub(crate) fn tracepoint(&self, category: &str, name: &str) -> io::Result<u64> {
        // Names with slashes would reach other files.
        if [category, name]
            .iter()
            .any(|part| part.is_empty() || part.contains('/') || part.starts_with('.'))
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        let path = CString::new(format!("events/{category}/{name}/id"))?;
        let mut text = String::new();
        File::from(os::open_at(self.0.as_fd(), &path)?)
            .take(32)
            .read_to_string(&mut text)?;
        text.trim().parse().map_err(io::Error::other)
    }
}
