//! Packet sockets: nothing but a hook for a socket filter.
#![allow(
    unsafe_code,
    reason = "system calls without a wrapper in the standard library"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A socket that sees all packets of this thread's network namespace, with a filter that looks at each. Between the first
/// packet and the filter there is nothing: the socket is bound when it has it.
pub(crate) fn filter_all(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // Protocol 0: no packet comes yet.
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just made, for us alone.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // What a filter lets pass would lie there for nobody: the smallest queue that the kernel gives.
    set(&socket, libc::SO_RCVBUF, 0)?;
    set(&socket, libc::SO_ATTACH_BPF, program.as_raw_fd())?;
    let size = size_of::<libc::sockaddr_ll>();
    // SAFETY: a sockaddr_ll is integers only.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: address lives through the call, and size is its own.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            std::ptr::from_ref(&address).cast(),
            size as libc::socklen_t,
        )
    };
    if bound < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn set(socket: &OwnedFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: value lives through the call, and the size is its own.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
