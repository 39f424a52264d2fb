//! Timers, which call the gadget's `tick`.

use crate::host;
use std::time::Duration;

/// A timer that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timer(u32);

impl Timer {
    /// The timer that the host knows by this number.
    #[must_use]
    pub fn from_raw(number: u32) -> Self {
        Self(number)
    }

    /// Stops it. A timer that is already over is no error.
    pub fn cancel(self) {
        host::timer_cancel(self.0);
    }
}

/// Calls `tick` every `period` from now on.
///
/// # Errors
///
/// The host's reason, for example that there are too many timers or the period is too short.
pub fn every(period: Duration) -> Result<Timer, String> {
    host::timer_every(nanoseconds(period)).map(Timer)
}

/// Calls `tick` once, after `delay`.
///
/// # Errors
///
/// The host's reason, for example that there are too many timers.
pub fn once(delay: Duration) -> Result<Timer, String> {
    host::timer_once(nanoseconds(delay)).map(Timer)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
