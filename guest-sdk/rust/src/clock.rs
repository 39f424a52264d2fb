//! The time. Fixed within one call of the guest; virtual when a recording is replayed.

use crate::host;

/// Nanoseconds of CLOCK_BOOTTIME, the clock of the records.
#[must_use]
pub fn boot() -> u64 {
    host::clock_boot()
}

/// Nanoseconds since 1970.
#[must_use]
pub fn wall() -> u64 {
    host::clock_wall()
}
