//! Programs of a few instructions: those that do nothing, to learn whether the kernel takes their type, and those that lead to
//! another one. Layouts and numbers are those of include/uapi/linux/bpf.h.
#![allow(
    unsafe_code,
    reason = "bpf(2) takes pointers; each block proves the lengths"
)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::bpf::bpf;

const PROG_LOAD: libc::c_long = 5;
const RAW_TRACEPOINT_OPEN: libc::c_long = 17;

/// `enum bpf_prog_type`, and `enum bpf_attach_type` where the type has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Type {
    program: u32,
    attach: u32,
}

impl Type {
    const fn new(program: u32, attach: u32) -> Self {
        Self { program, attach }
    }

    pub(crate) const SOCKET_FILTER: Self = Self::new(1, 0);
    /// Also what uprobes run.
    pub(crate) const KPROBE: Self = Self::new(2, 0);
    pub(crate) const TRACEPOINT: Self = Self::new(5, 0);
    pub(crate) const PERF_EVENT: Self = Self::new(7, 0);
    pub(crate) const RAW_TRACEPOINT: Self = Self::new(17, 0);
    /// `BPF_PROG_TYPE_TRACING` as `BPF_TRACE_RAW_TP`.
    pub(crate) const BTF_TRACEPOINT: Self = Self::new(26, 23);
    /// `BPF_PROG_TYPE_TRACING` as `BPF_TRACE_FENTRY`.
    pub(crate) const FENTRY: Self = Self::new(26, 24);
    /// `BPF_PROG_TYPE_LSM` as `BPF_LSM_MAC`.
    pub(crate) const LSM: Self = Self::new(29, 27);
}

/// The part of `union bpf_attr` for `BPF_PROG_LOAD`, up to what is used here.
#[repr(C)]
#[derive(Default)]
struct ProgramAttr {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
    btf: u32,
    function_info_size: u32,
    function_info: u64,
    function_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    attach_btf_id: u32,
}

const _: () = assert!(std::mem::offset_of!(ProgramAttr, expected_attach_type) == 68);
const _: () = assert!(std::mem::offset_of!(ProgramAttr, attach_btf_id) == 108);

#[repr(C)]
struct RawTracepointAttr {
    name: u64,
    program: u32,
    padding: u32,
}

/// `struct bpf_insn`.
pub(crate) type Instruction = u64;

/// An instruction: its two registers of 4 bits each share a byte, in the order of the machine's bytes.
pub(crate) const fn instruction(
    code: u8,
    destination: u8,
    source: u8,
    offset: i16,
    value: u32,
) -> Instruction {
    let registers = if cfg!(target_endian = "little") {
        source << 4 | destination
    } else {
        destination << 4 | source
    };
    let [o0, o1] = offset.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    u64::from_ne_bytes([code, registers, o0, o1, v0, v1, v2, v3])
}

/// `register = the map`, in two instructions: an address is that of the map with this descriptor (`BPF_PSEUDO_MAP_FD`).
pub(crate) fn map_address(register: u8, map: BorrowedFd<'_>) -> [Instruction; 2] {
    let number = map.as_raw_fd().cast_unsigned();
    [instruction(0x18, register, 1, 0, number), 0]
}

/// `r0 = 0; exit`.
const NOTHING: [Instruction; 2] = [instruction(0xb7, 0, 0, 0, 0), instruction(0x95, 0, 0, 0, 0)];
const LICENCE: &CStr = c"Dual BSD/GPL";

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: both callers hand over the result of a call that makes a descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has the kernel verify a program that does nothing. `target` is the number, in the kernel's BTF, of what programs of
/// the types that need one are for; 0 for others. Nothing is attached.
pub(crate) fn load_nothing(of: Type, target: u32) -> io::Result<OwnedFd> {
    load(of, target, c"", &NOTHING)
}

/// Has the kernel verify a program, under a name of which it keeps 15 bytes; `target` as for [`load_nothing`].
pub(crate) fn load(
    of: Type,
    target: u32,
    name: &CStr,
    code: &[Instruction],
) -> io::Result<OwnedFd> {
    let mut attr = ProgramAttr {
        program_type: of.program,
        instruction_count: u32::try_from(code.len()).unwrap_or(u32::MAX),
        instructions: code.as_ptr() as u64,
        licence: LICENCE.as_ptr() as u64,
        expected_attach_type: of.attach,
        attach_btf_id: target,
        ..ProgramAttr::default()
    };
    for (to, from) in attr.name.iter_mut().take(15).zip(name.to_bytes()) {
        *to = *from;
    }
    // SAFETY: the instructions live through the call and are as many as given, the licence is a constant; no log is asked for, and all other
    // pointers are null with a count of zero.
    owned(unsafe { bpf(PROG_LOAD, &mut attr)? })
}

/// Whether programs that trace may use this map, which allocates when it is written (since 6.1). Older kernels refuse it to
/// programs at perf events and take it from others with a warning in the kernel's log, which this does not cause.
pub(crate) fn programs_may_allocate(map: BorrowedFd<'_>) -> bool {
    let [first, second] = map_address(1, map);
    let [nothing, exit] = NOTHING;
    let code = [first, second, nothing, exit];
    load(Type::PERF_EVENT, 0, c"", &code).is_ok()
}

/// Attaches a program of tracing type to what it was loaded for, until the descriptor is closed.
pub(crate) fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = RawTracepointAttr {
        name: 0,
        program: program.as_raw_fd().cast_unsigned(),
        padding: 0,
    };
    // SAFETY: the name is null, as programs of this type want it; the call takes no other pointer.
    owned(unsafe { bpf(RAW_TRACEPOINT_OPEN, &mut attr)? })
}
