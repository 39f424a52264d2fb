//! Messages to the host's log.

use crate::host;
use std::fmt;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may be wrong.
    Warn,
    /// Worth knowing.
    Info,
    /// For the gadget's author.
    Debug,
}

/// Writes a message; the macros [`error!`](crate::error), [`warn!`](crate::warn), [`info!`](crate::info) and
/// [`debug!`](crate::debug) are shorter.
#[cold]
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(text) => host::log(level, text),
        None => host::log(level, &message.to_string()),
    }
}

/// Makes panics write their message and place to the log before they end the guest.
pub fn panics() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|panic| {
        write(Level::Error, format_args!("{panic}"))
    }));
}

/// Logs that something failed, with the arguments of `format!`.
#[macro_export]
macro_rules! error {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Error, ::std::format_args!($($message)*)) };
}

/// Logs that something may be wrong, with the arguments of `format!`.
#[macro_export]
macro_rules! warn {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Warn, ::std::format_args!($($message)*)) };
}

/// Logs something worth knowing, with the arguments of `format!`.
#[macro_export]
macro_rules! info {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Info, ::std::format_args!($($message)*)) };
}

/// Logs something for the gadget's author, with the arguments of `format!`.
#[macro_export]
macro_rules! debug {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Debug, ::std::format_args!($($message)*)) };
}
