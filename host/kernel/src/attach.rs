//! One program's way into the kernel and onto its hook.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::Btf;
use aya::programs::Program;
use aya::programs::raw_trace_point::RawTracePointLink;
use aya::programs::tp_btf::BtfTracePointLink;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeLink, UProbeScope};
use ig_object::Hook;

use crate::error::{ProgramError, Step, chain, hook_text, last_lines};
use crate::socket_filter::Slot;
use crate::sys::{bpf, os};
use crate::tracefs::Tracefs;

/// Lines of the verifier's log that an error carries.
const VERIFIER_LINES: usize = 6;
/// Of the kernel alone (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

/// What holds a program on its hook; dropping it detaches.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop")]
pub(crate) enum Attachment {
    /// The link, where the kernel has links for perf events, before the event.
    Tracepoint(Option<OwnedFd>, OwnedFd),
    RawTracepoint(RawTracePointLink),
    BtfTracepoint(BtfTracePointLink),
    Probe(UProbeLink),
    /// Of an iterator, which runs only when it is opened.
    Iterator(OwnedFd),
    /// Of a socket filter, which runs only where it is opened.
    SocketFilter(Slot),
}

impl Attachment {
    /// The link of an iterator.
    pub(crate) fn iterator(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Iterator(link) => Some(link.as_fd()),
            _ => None,
        }
    }

    /// The slot of a socket filter.
    pub(crate) fn socket_filter(&self) -> Option<&Slot> {
        match self {
            Self::SocketFilter(slot) => Some(slot),
            _ => None,
        }
    }
}

/// The most threads that detach.
const DETACHING: usize = 16;

/// Takes programs off their hooks; afterwards none of them starts any more. To leave a perf event the kernel waits twice
/// until nobody can run the program: when the link goes, which many can wait for at once, and when the event goes, one
/// after another in the whole system. So they go beside each other.
pub(crate) fn detach(attachments: impl Iterator<Item = Attachment>) {
    let (mut slow, quick): (Vec<_>, Vec<_>) =
        attachments.partition(|of| matches!(of, Attachment::Tracepoint(..) | Attachment::Probe(_)));
    drop(quick);
    let each = slow.len().div_ceil(DETACHING);
    std::thread::scope(|scope| {
        while slow.len() > each {
            let some = slow.split_off(slow.len() - each);
            let thread = std::thread::Builder::new().name("detach".to_owned());
            // Where there is no thread more, they go here and now.
            let _ = thread.spawn_scoped(scope, move || drop(some));
        }
        drop(slow);
    });
}

/// Why a step failed: words, and the verifier's log if it was the verifier.
struct Failure {
    cause: String,
    log: String,
}

impl From<String> for Failure {
    fn from(cause: String) -> Self {
        Self {
            cause,
            log: String::new(),
        }
    }
}

impl From<aya::programs::ProgramError> for Failure {
    fn from(error: aya::programs::ProgramError) -> Self {
        match error {
            aya::programs::ProgramError::LoadError {
                io_error,
                verifier_log,
            } => {
                let log = verifier_log.to_string();
                let cause = if log.trim().is_empty() {
                    format!("the kernel refused it: {}", explain(&io_error))
                } else {
                    format!("the kernel's verifier refused it: {io_error}")
                };
                Self { cause, log }
            }
            error => Self::from(chain(&error)),
        }
    }
}

fn explain(error: &io::Error) -> String {
    let hint = match error.raw_os_error() {
        Some(libc::EPERM) => {
            "; it needs root (or CAP_BPF and CAP_PERFMON), or this kernel forbids this type of program"
        }
        Some(libc::EINVAL) => {
            "; this kernel does not know this type of program or one of its options"
        }
        Some(libc::EOPNOTSUPP | ENOTSUPP) => "; this kernel was built without it",
        _ => "",
    };
    format!("{error}{hint}")
}

fn program_error(name: &str, hook: &Hook, step: Step, failure: Failure) -> ProgramError {
    ProgramError {
        program: name.to_owned(),
        hook: hook_text(hook),
        step,
        cause: failure.cause,
        verifier: last_lines(&failure.log, VERIFIER_LINES),
    }
}

/// Has the verifier look at it.
pub(crate) fn load(
    name: &str,
    hook: &Hook,
    program: &mut Program,
    btf: Option<&Btf>,
) -> Result<(), ProgramError> {
    load_step(hook, program, btf).map_err(|failure| program_error(name, hook, Step::Load, failure))
}

fn load_step(hook: &Hook, program: &mut Program, btf: Option<&Btf>) -> Result<(), Failure> {
    match (program, hook) {
        (Program::TracePoint(program), Hook::Tracepoint { .. }) => program.load()?,
        (Program::RawTracePoint(program), Hook::RawTracepoint { .. }) => program.load()?,
        (Program::UProbe(program), Hook::Uprobe { .. }) => program.load()?,
        (Program::SocketFilter(program), Hook::SocketFilter) => program.load()?,
        (Program::BtfTracePoint(program), Hook::BtfTracepoint { name }) => {
            let btf = btf.ok_or_else(no_types)?;
            match program.load(name, btf) {
                Err(aya::programs::ProgramError::Btf(_)) => {
                    return Err(Failure::from(format!(
                        "this kernel has no tracepoint {name:?}"
                    )));
                }
                result => result?,
            }
        }
        (Program::Iter(program), Hook::Iterator { target }) => {
            let btf = btf.ok_or_else(no_types)?;
            match program.load(target, btf) {
                Err(aya::programs::ProgramError::Btf(_)) => {
                    return Err(Failure::from(format!(
                        "this kernel has no iterator {target:?}"
                    )));
                }
                result => result?,
            }
        }
        _ => return Err(unsupported(hook)),
    }
    Ok(())
}

fn no_types() -> String {
    "the kernel has no types (CONFIG_DEBUG_INFO_BTF)".to_owned()
}

fn unsupported(hook: &Hook) -> Failure {
    Failure::from(match hook {
        Hook::Other { section } => format!("programs of section {section:?} are not supported"),
        _ => "the object's section and program type disagree".to_owned(),
    })
}

/// Hangs a loaded program onto its hook. tracefs is opened at the first tracepoint.
pub(crate) fn attach(
    name: &str,
    hook: &Hook,
    program: &mut Program,
    tracefs: &mut Option<Tracefs>,
) -> Result<Attachment, ProgramError> {
    attach_step(hook, program, tracefs)
        .map_err(|failure| program_error(name, hook, Step::Attach, failure))
}

fn attach_step(
    hook: &Hook,
    program: &mut Program,
    tracefs: &mut Option<Tracefs>,
) -> Result<Attachment, Failure> {
    match (program, hook) {
        (Program::TracePoint(program), Hook::Tracepoint { category, name }) => {
            let tracefs = match tracefs {
                Some(tracefs) => tracefs,
                None => tracefs.insert(Tracefs::open().map_err(|error| {
                    format!("tracefs is not mounted and cannot be mounted ({error}): mount -t tracefs nodev /sys/kernel/tracing")
                })?),
            };
            let id = tracefs
                .tracepoint(category, name)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => {
                        format!("this kernel has no tracepoint {category}/{name}")
                    }
                    _ => format!(
                        "cannot read the number of the tracepoint {category}/{name}: {error}"
                    ),
                })?;
            let event = os::perf_event_tracepoint(id)
                .map_err(|error| format!("perf_event_open: {}", explain(&error)))?;
            let fd = program.fd()?.as_fd();
            let link = match bpf::link_perf_event(fd, event.as_fd()) {
                Ok(link) => Some(link),
                // Kernels before 5.15 have no such links.
                Err(_) => {
                    os::perf_event_set_program(event.as_fd(), fd).map_err(|error| {
                        format!("cannot hang it onto the perf event: {}", explain(&error))
                    })?;
                    None
                }
            };
            Ok(Attachment::Tracepoint(link, event))
        }
        (Program::RawTracePoint(program), Hook::RawTracepoint { name }) => {
            if name.contains('\0') {
                return Err(Failure::from("its name has a zero byte".to_owned()));
            }
            let id = program.attach(name).map_err(|error| match &error {
                aya::programs::ProgramError::SyscallError(call)
                    if call.io_error.raw_os_error() == Some(libc::ENOENT) =>
                {
                    Failure::from(format!("this kernel has no tracepoint {name:?}"))
                }
                _ => Failure::from(error),
            })?;
            Ok(Attachment::RawTracepoint(program.take_link(id)?))
        }
        (Program::BtfTracePoint(program), Hook::BtfTracepoint { .. }) => {
            let id = program.attach()?;
            Ok(Attachment::BtfTracepoint(program.take_link(id)?))
        }
        (Program::UProbe(program), Hook::Uprobe { target, .. }) => {
            let (path, place) = target.as_ref().ok_or_else(|| {
                "its section names no target: write SEC(\"uprobe/PATH:SYMBOL\")".to_owned()
            })?;
            let place = Place::parse(place)?;
            let id = program
                .attach(place.location(), path, UProbeScope::AllProcesses)
                .map_err(|error| Failure::from(probe_cause(path, &error)))?;
            Ok(Attachment::Probe(program.take_link(id)?))
        }
        (Program::Iter(program), Hook::Iterator { .. }) => {
            let link = bpf::link_iterator(program.fd()?.as_fd())
                .map_err(|error| format!("cannot make the iterator: {}", explain(&error)))?;
            Ok(Attachment::Iterator(link))
        }
        (Program::SocketFilter(program), Hook::SocketFilter) => {
            let slot = Slot::of(program.fd()?.as_fd())
                .map_err(|error| format!("cannot make its slot: {}", explain(&error)))?;
            Ok(Attachment::SocketFilter(slot))
        }
        (_, hook) => Err(unsupported(hook)),
    }
}

fn probe_cause(path: &str, error: &aya::programs::ProgramError) -> String {
    use aya::programs::{ProgramError, UProbeError};
    match error {
        ProgramError::UProbeError(UProbeError::SymbolError { symbol, error }) => {
            format!(
                "{path} has no symbol {symbol:?} ({})",
                chain(error.as_ref())
            )
        }
        ProgramError::UProbeError(UProbeError::InvalidTarget { .. }) => {
            format!("there is no library {path:?}: name one that ldconfig knows, or a path")
        }
        error => format!("{path}: {}", chain(error)),
    }
}

/// Where in a file a probe goes.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Symbol(&'a str, u64),
    Offset(u64),
}

impl<'a> Place<'a> {
    /// `SYMBOL`, `SYMBOL+OFFSET` or `OFFSET` in the file; offsets in decimal or with 0x.
    fn parse(text: &'a str) -> Result<Self, String> {
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        if text.is_empty() {
            return Err("its section names no symbol".to_owned());
        }
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return number(text)
                .map(Self::Offset)
                .ok_or_else(|| format!("{text:?} is not an offset"));
        }
        // A mangled name may hold a plus sign: only a number behind it makes it an offset.
        match text
            .rsplit_once('+')
            .and_then(|(symbol, offset)| Some((symbol, number(offset)?)))
        {
            Some((symbol, offset)) if !symbol.is_empty() => Ok(Self::Symbol(symbol, offset)),
            _ => Ok(Self::Symbol(text, 0)),
        }
    }

    fn location(&self) -> UProbeAttachLocation<'a> {
        match *self {
            Self::Symbol(symbol, 0) => UProbeAttachLocation::Symbol(symbol),
            Self::Symbol(symbol, offset) => UProbeAttachLocation::SymbolOffset(symbol, offset),
            Self::Offset(offset) => UProbeAttachLocation::AbsoluteOffset(offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Attachment, DETACHING, Place, detach};
    use std::io::{Read, pipe};

    #[test]
    fn however_many_there_are_all_are_off_their_hooks() {
        for count in [0, 1, DETACHING, DETACHING + 1, 5 * DETACHING + 3] {
            let (mut reader, writer) = pipe().unwrap();
            let hold = || writer.try_clone().unwrap().into();
            let all: Vec<Attachment> = (0..count)
                .map(|i| Attachment::Tracepoint((i % 2 == 0).then(hold), hold()))
                .collect();
            drop(writer);
            detach(all.into_iter());
            // The end of the pipe comes when nobody holds its other end.
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn places_in_a_file() {
        assert_eq!(Place::parse("malloc"), Ok(Place::Symbol("malloc", 0)));
        assert_eq!(Place::parse("malloc+4"), Ok(Place::Symbol("malloc", 4)));
        assert_eq!(Place::parse("malloc+0x10"), Ok(Place::Symbol("malloc", 16)));
        assert_eq!(Place::parse("operator+"), Ok(Place::Symbol("operator+", 0)));
        assert_eq!(Place::parse("0x1234"), Ok(Place::Offset(0x1234)));
        assert_eq!(Place::parse("42"), Ok(Place::Offset(42)));
        assert!(Place::parse("0xzz").is_err());
        assert!(Place::parse("").is_err());
    }
}
