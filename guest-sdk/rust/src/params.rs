//! Parameters: what the user set, or the manifest's default.

use crate::host;
use std::str::FromStr;
use std::time::Duration;

/// The value of parameter `index` (its place in the manifest), as text.
#[must_use]
pub fn text(index: u16) -> String {
    host::param(index)
}

/// The value of parameter `index` as a number or bool. The host hands out canonical text of the manifest's type, so
/// that it does not parse can't happen; if it does, the type's zero is the answer and the log says so.
#[must_use]
pub fn value<T: FromStr + Default>(index: u16) -> T {
    let text = text(index);
    text.parse().unwrap_or_else(|_| {
        crate::error!("parameter {index} has the value {text:?}, which is not of its type");
        T::default()
    })
}

/// The value of parameter `index` as a length of time, which the host hands out in nanoseconds.
#[must_use]
pub fn duration(index: u16) -> Duration {
    Duration::from_nanos(value(index))
}
