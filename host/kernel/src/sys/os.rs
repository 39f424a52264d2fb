//! epoll, eventfd, pidfd, perf events, detached mounts and clocks.
#![allow(
    unsafe_code,
    reason = "system calls without a wrapper in the standard library"
)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(fd) {
        // SAFETY: every caller hands over the result of a call that makes a descriptor for us alone.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(crate) fn page_size() -> usize {
    // SAFETY: takes no pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    owned(libc::c_long::from(unsafe {
        libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)
    }))
}

/// Adds one to an eventfd. Allowed in a signal handler.
pub(crate) fn eventfd_add(fd: BorrowedFd<'_>) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight live bytes. The only error of an eventfd that is not full is none; full means set already.
    unsafe { libc::write(fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

pub(crate) fn epoll_create() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    owned(libc::c_long::from(unsafe {
        libc::epoll_create1(libc::EPOLL_CLOEXEC)
    }))
}

pub(crate) fn epoll_add(
    epoll: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    token: u64,
    edge: bool,
) -> io::Result<()> {
    let edge = if edge { libc::EPOLLET } else { 0 };
    let mut event = libc::epoll_event {
        events: (libc::EPOLLIN | edge).cast_unsigned(),
        u64: token,
    };
    // SAFETY: event lives through the call, which copies it.
    let result = unsafe {
        libc::epoll_ctl(
            epoll.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            fd.as_raw_fd(),
            &raw mut event,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Waits for at most `timeout` (`None`: for ever) and writes the tokens of what is ready into `tokens`; gives how
/// many. Interruption by a signal counts as nothing ready. Nanoseconds where the kernel has `epoll_pwait2` (5.11),
/// milliseconds rounded up before.
pub(crate) fn epoll_wait(
    epoll: BorrowedFd<'_>,
    tokens: &mut [u64; 8],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
    let limit = events.len() as libc::c_int;
    let spec = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
    });
    let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: events has room for `limit` events, spec is null or lives through the call, and no signal mask is given.
    let mut ready = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            limit,
            spec,
            std::ptr::null::<libc::sigset_t>(),
            0usize,
        )
    };
    if ready < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        let millis = timeout.map_or(-1, |timeout| {
            libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000))
                .unwrap_or(libc::c_int::MAX)
        });
        // SAFETY: events has room for `limit` events.
        ready = libc::c_long::from(unsafe {
            libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), limit, millis)
        });
    }
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted {
            Ok(0)
        } else {
            Err(error)
        };
    }
    let ready = usize::try_from(ready).unwrap_or(0);
    for (token, event) in tokens.iter_mut().zip(events).take(ready) {
        *token = event.u64;
    }
    Ok(ready)
}

/// A descriptor of a process (5.3), or with `thread` of any one thread (6.9).
pub(crate) fn pidfd_open(pid: u32, thread: bool) -> io::Result<OwnedFd> {
    // PIDFD_THREAD is O_EXCL (include/uapi/linux/pidfd.h).
    let flags = if thread { libc::O_EXCL } else { 0 };
    // SAFETY: takes no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) })
}

/// Head of `struct perf_event_attr` (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint: u32,
    config1: u64,
}

const _: () = assert!(size_of::<PerfEventAttr>() == 64);

/// `PERF_TYPE_TRACEPOINT` of include/uapi/linux/perf_event.h.
const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
/// `_IO('$', 0)` and `_IOW('$', 8, u32)`.
const PERF_EVENT_IOC_ENABLE: libc::Ioctl = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::Ioctl = 0x4004_2408;

/// A perf event on a tracepoint, for all tasks. A program hung onto it runs on every CPU, although the event itself
/// counts on CPU 0 only: that is how kernel/events/core.c handles them, and what libbpf does.
pub(crate) fn perf_event_tracepoint(id: u64) -> io::Result<OwnedFd> {
    let attr = PerfEventAttr {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<PerfEventAttr>() as u32,
        config: id,
        ..PerfEventAttr::default()
    };
    // SAFETY: attr lives through the call and says its own size.
    owned(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&attr),
            -1,
            0,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    })
}

/// Hangs a program onto a perf event as kernels before 5.15 do it: it is gone when the event is closed.
pub(crate) fn perf_event_set_program(
    event: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    for (request, argument) in [
        (PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()),
        (PERF_EVENT_IOC_ENABLE, 0),
    ] {
        // SAFETY: both requests take a plain number.
        if unsafe { libc::ioctl(event.as_raw_fd(), request, argument) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// `FSCONFIG_CMD_CREATE` and the flags of include/uapi/linux/mount.h.
const FSCONFIG_CMD_CREATE: libc::c_long = 6;
const FSOPEN_CLOEXEC: libc::c_long = 1;
const FSMOUNT_CLOEXEC: libc::c_long = 1;

/// Mounts a file system that needs no device, attached nowhere (5.2): its files are reached through the descriptor
/// alone, no path changes for anybody, and closing it unmounts.
pub(crate) fn mount_detached(file_system: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string that lives through the call.
    let context =
        owned(unsafe { libc::syscall(libc::SYS_fsopen, file_system.as_ptr(), FSOPEN_CLOEXEC) })?;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: this command takes neither key nor value.
    let created = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            none,
            none,
            0,
        )
    };
    if created < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes no pointers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0) })
}

/// Opens a file for reading relative to a folder.
pub(crate) fn open_at(folder: BorrowedFd<'_>, path: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the path is a C string that lives through the call; no mode is needed without O_CREAT.
    owned(libc::c_long::from(unsafe {
        libc::openat(
            folder.as_raw_fd(),
            path.as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    }))
}

/// Gives the calling thread a root folder of its own, apart from that of the process. Needs CAP_SYS_CHROOT.
pub(crate) fn root_of_thread(folder: &CStr) -> io::Result<()> {
    // SAFETY: unshare takes a number; the folder is a C string that lives through the call.
    if unsafe { libc::unshare(libc::CLONE_FS) } < 0 || unsafe { libc::chroot(folder.as_ptr()) } < 0
    {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Puts the calling thread, and no other, into a network namespace. Needs CAP_SYS_ADMIN in it.
pub(crate) fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes numbers.
    if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets this process have as many descriptors as it may give itself. False: it has no more to give.
fn allow_more_files() -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: limit lives through both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) < 0
            || limit.rlim_cur >= limit.rlim_max
        {
            return false;
        }
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
    }
}

/// Does what takes descriptors; again with more of them, if there were too few.
pub(crate) fn with_files<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let done = work();
    match &done {
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) && allow_more_files() => work(),
        _ => done,
    }
}

/// The system has too little of something, and what was asked for may well be there.
pub(crate) fn is_short(error: &io::Error) -> bool {
    let short = [libc::EMFILE, libc::ENFILE, libc::ENOMEM];
    error.raw_os_error().is_some_and(|e| short.contains(&e))
}

/// What to do about an error, as the end of the sentence that tells it; empty where nobody knows.
pub(crate) fn cure(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => ": raise the hard limit of open files (ulimit -Hn)",
        Some(libc::ENFILE) => ": raise the machine's limit of open files (sysctl fs.file-max)",
        _ => "",
    }
}

/// Of a clock, in nanoseconds; zero for a clock that this kernel does not have.
pub(crate) fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: time lives through the call.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}
