//! From the kernel's clock to the wall's.

use crate::sys::os::clock_ns;

/// Nanoseconds to add to `CLOCK_BOOTTIME` (what `bpf_ktime_get_boot_ns` gives) for `CLOCK_REALTIME`. It moves when
/// the wall clock is set or slewed: ask once a span. Exact to well under a microsecond.
#[must_use]
pub fn wall_offset() -> i64 {
    let mut best = (i64::MAX, 0);
    for _ in 0..3 {
        let before = clock_ns(libc::CLOCK_BOOTTIME);
        let wall = clock_ns(libc::CLOCK_REALTIME);
        let after = clock_ns(libc::CLOCK_BOOTTIME);
        let width = after.saturating_sub(before);
        if width < best.0 {
            best = (width, wall.saturating_sub(before.saturating_add(width / 2)));
        }
    }
    best.1
}

/// `CLOCK_BOOTTIME` now, in nanoseconds.
#[must_use]
pub fn boot_ns() -> u64 {
    u64::try_from(clock_ns(libc::CLOCK_BOOTTIME)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn boot_time_and_offset_make_wall_time() {
        let since_epoch = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_nanos()
        };
        let before = since_epoch();
        let wall = i128::from(boot_ns()) + i128::from(wall_offset());
        let after = since_epoch();
        // A millisecond for the clock being slewed meanwhile.
        let wall = u128::try_from(wall).unwrap();
        assert!(wall + 1_000_000 >= before && wall <= after + 1_000_000);
    }
}
