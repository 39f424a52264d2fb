//! What ends a guest's call, in one line and with the guest's own function names.

use std::fmt;
use std::time::Duration;

/// Why a call of a guest did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrapKind {
    /// The guest gave up: a panic, an abort, an `unreachable`.
    Panic,
    /// The call used up its CPU time.
    Deadline,
    /// The instance wanted more memory or table elements than its cap.
    Memory,
    /// The call called back into the host too often.
    HostCalls,
    /// The guest's recursion was too deep.
    Stack,
    /// The machine's own rules: an access outside memory, a division by zero, a bad indirect call.
    Fault,
    /// What the guest handed over broke the rules of the boundary: a pointer outside its memory, text that is not
    /// UTF-8, a call of the host from `cabi_realloc`, or more bytes in one call than allowed.
    BadData,
    /// What the guest handed over contradicts its manifest or its call: a broken buffer, a false origin, an
    /// index of nothing.
    Broken,
    /// The instance trapped before and was not made anew.
    Dead,
    /// Not the guest's doing: the machine refused something.
    Host,
}

impl TrapKind {
    /// The word for it in ledgers and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::HostCalls => "host-calls",
            Self::Stack => "stack",
            Self::Fault => "fault",
            Self::BadData => "bad-data",
            Self::Broken => "broken",
            Self::Dead => "dead",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call of a guest that did not end well. The instance is dead; see [`crate::Guest::restart`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trap {
    /// Why.
    pub kind: TrapKind,
    /// One line: in which call, what, and where in the guest. Contains no control characters.
    pub message: String,
    /// The guest's functions on the stack, the innermost first, names demangled. Empty when the guest was not running.
    pub backtrace: Vec<String>,
}

impl Trap {
    /// A trap that the caller decided on: it found a contradiction in what the call left behind, such as
    /// a verdict that does not add up.
    #[must_use]
    pub fn broken(during: &str, what: &str) -> Self {
        Self {
            kind: TrapKind::Broken,
            message: one_line(&format!("{during}: {what}")),
            backtrace: Vec::new(),
        }
    }

    pub(crate) fn dead(during: &str) -> Self {
        Self {
            kind: TrapKind::Dead,
            message: format!("{during}: the guest trapped before and was not started again"),
            backtrace: Vec::new(),
        }
    }

    pub(crate) fn new(during: &str, error: &wasmtime::Error) -> Self {
        let backtrace = names(error);
        let (kind, what) = classify(error);
        let mut message = format!("{during}: {what}");
        if let Some(place) = place(&backtrace) {
            message.push_str(" in ");
            message.push_str(place);
        }
        Self {
            kind,
            message: one_line(&message),
            backtrace,
        }
    }
}

/// What our own side of a call found wrong, on its way through wasmtime's error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("used up its {} ms of CPU time", .0.as_millis())]
    Deadline(Duration),
    #[error("wanted {wanted} bytes of memory, its cap is {limit}")]
    Memory { wanted: usize, limit: usize },
    #[error("wanted {wanted} table elements, its cap is {limit}")]
    Table { wanted: usize, limit: usize },
    #[error("called the host more than {0} times in one call")]
    HostCalls(u32),
    #[error("{0}")]
    Broken(String),
    #[error("the host of this guest panicked before")]
    HostGone,
    #[error("can't read this thread's CPU clock: {0}")]
    Clock(#[source] std::io::Error),
}

fn classify(error: &wasmtime::Error) -> (TrapKind, String) {
    use wasmtime::Trap as T;
    if let Some(fault) = error.downcast_ref::<Fault>() {
        let kind = match fault {
            Fault::Deadline(_) => TrapKind::Deadline,
            Fault::Memory { .. } | Fault::Table { .. } => TrapKind::Memory,
            Fault::HostCalls(_) => TrapKind::HostCalls,
            Fault::Broken(_) => TrapKind::Broken,
            Fault::HostGone | Fault::Clock(_) => TrapKind::Host,
        };
        return (kind, fault.to_string());
    }
    if let Some(trap) = error.downcast_ref::<T>() {
        return match trap {
            T::UnreachableCodeReached => (TrapKind::Panic, "panicked (unreachable)".into()),
            T::StackOverflow => (TrapKind::Stack, "used up its stack".into()),
            T::Interrupt | T::OutOfFuel => (TrapKind::Deadline, "was interrupted".into()),
            T::AllocationTooLarge => (TrapKind::Memory, "wanted too much memory at once".into()),
            T::CannotEnterComponent => (TrapKind::Dead, "trapped before".into()),
            T::CannotLeaveComponent => (
                TrapKind::BadData,
                "called the host where it may not (cabi_realloc)".into(),
            ),
            T::MemoryOutOfBounds
            | T::TableOutOfBounds
            | T::IndirectCallToNull
            | T::BadSignature
            | T::IntegerOverflow
            | T::IntegerDivisionByZero
            | T::BadConversionToInteger
            | T::HeapMisaligned => (TrapKind::Fault, plain(*trap)),
            other => (TrapKind::BadData, plain(*other)),
        };
    }
    let root = error.root_cause();
    if let Some(bad) = root.downcast_ref::<std::str::Utf8Error>() {
        return (TrapKind::BadData, format!("text is not UTF-8: {bad}"));
    }
    // What is left: the boundary's own checks, and allocation in the host.
    let what = root.to_string();
    let kind = if root
        .downcast_ref::<wasmtime::error::OutOfMemory>()
        .is_some()
    {
        TrapKind::Host
    } else {
        TrapKind::BadData
    };
    (kind, what)
}

/// The runtime's words without its prefix.
fn plain(trap: wasmtime::Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

fn names(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else {
        return Vec::new();
    };
    let frames = backtrace.frames();
    // The encoder's trampolines have no names; a guest that was stripped has none at all.
    let some_named = frames.iter().any(|frame| frame.func_name().is_some());
    frames
        .iter()
        .filter_map(|frame| match frame.func_name() {
            // `{:#}` leaves out the hash that only the linker needs
            Some(name) => Some(one_line(&format!("{:#}", rustc_demangle::demangle(name)))),
            None if some_named => None,
            None => Some(format!("function {}", frame.func_index())),
        })
        .collect()
}

/// The innermost function that the author wrote, or at least the innermost one.
fn place(backtrace: &[String]) -> Option<&str> {
    // Made by componentize-py, whose functions say nothing about the author's: those are in the log.
    if backtrace.iter().any(|name| name == "wit_dylib_export_call") {
        return Some("the guest's interpreter");
    }
    const LIBRARY: [&str; 9] = [
        "core::", "alloc::", "std::", "rust_", "__rust", "__rg_", "rustc_", "panic_", "abort",
    ];
    backtrace
        .iter()
        .find(|name| {
            let name = name.trim_start_matches('<');
            !LIBRARY.iter().any(|library| name.starts_with(library))
        })
        .or(backtrace.first())
        .map(String::as_str)
}

/// Names and texts come from the guest: bounded, and nothing that a terminal would act on.
pub(crate) fn one_line(text: &str) -> String {
    const MOST: usize = 300;
    let mut line: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_authors_own_function() {
        let frames: Vec<String> = [
            "__rustc::rust_begin_unwind",
            "core::panicking::panic_fmt",
            "<core::option::Option<T>>::unwrap",
            "trace_exec::arguments",
            "ig:gadget/handler@0.1.0#process",
        ]
        .map(String::from)
        .to_vec();
        assert_eq!(place(&frames), Some("trace_exec::arguments"));
        assert_eq!(place(&frames[..2]), Some("__rustc::rust_begin_unwind"));
        assert_eq!(place(&[]), None);
        let python = ["_PyEval_EvalFrameDefault", "wit_dylib_export_call"].map(String::from);
        assert_eq!(place(&python), Some("the guest's interpreter"));
    }

    #[test]
    fn a_message_is_one_bounded_line() {
        assert_eq!(one_line("a\nb\x1b[2Jc"), "a b [2Jc");
        assert_eq!(one_line(&"x".repeat(1000)).chars().count(), 301);
    }
}
