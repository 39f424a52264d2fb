//! Takes everything from this process that compiling does not need. There is no way back.

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Nobody, by convention everywhere.
const NOBODY: u32 = 65_534;

/// Address space beyond the memory that may be written: the program itself, and what threads reserve and never use.
const ADDRESSES: u64 = 4 << 30;

/// Limits of the process: seconds of CPU time, bytes that it may write to in memory, and in a file.
pub(super) fn limit(cpu: u64, memory: u64, file: u64) -> io::Result<()> {
    // When memory is short on the whole machine, this goes first. Not possible everywhere, and no matter then.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // One second after the signal that can be caught comes the one that can't.
    set(Resource::Cpu, cpu, cpu + 1)?;
    set(Resource::Data, memory, memory)?;
    let addresses = memory.saturating_add(ADDRESSES);
    set(Resource::As, addresses, addresses)?;
    set(Resource::Fsize, file, file)?;
    set(Resource::Core, 0, 0)
}

fn set(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    // A lower limit of the caller stays.
    let old = rustix::process::getrlimit(resource);
    let least = |new: u64, old: Option<u64>| Some(old.map_or(new, |old| old.min(new)));
    let hard = least(hard, old.maximum);
    let soft = least(soft, old.current).min(hard);
    let new = Rlimit {
        current: soft,
        maximum: hard,
    };
    Ok(setrlimit(resource, new)?)
}

/// Gives up rights and system calls. Open files stay open.
pub(super) fn close() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    drop_rights()?;
    // Changes of the user undo both of these, so they come after.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    set(Resource::Nofile, 3, 3)?;
    let filter = filter().map_err(io::Error::other)?;
    seccompiler::apply_filter(&filter).map_err(io::Error::other)
}

/// Another user if that is possible, and no capability in any case.
fn drop_rights() -> io::Result<()> {
    use rustix::fs::{Gid, Uid};
    let refused = |e: &Errno| matches!(*e, Errno::PERM | Errno::INVAL);
    if rustix::process::geteuid().is_root() {
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        let changed = rustix::thread::set_thread_groups(&[])
            .and_then(|()| rustix::thread::set_thread_res_gid(group, group, group))
            .and_then(|()| rustix::thread::set_thread_res_uid(user, user, user));
        // In a user namespace there may be no nobody, and in a container no right to become it.
        match changed {
            Err(e) if !refused(&e) => return Err(e.into()),
            _ => {}
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, none)?)
}

/// What compiling, its threads and its end need. Nothing that names a file, another process, an address or a kernel
/// object can be reached, and no memory becomes code.
const ALLOWED: [libc::c_long; 28] = [
    // the three files that are open
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    // memory; mmap and mprotect are below
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // threads; clone is below
    libc::SYS_futex,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // time and chance
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    // signals; tgkill, for an abort, is below
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_getrusage,
];

/// Everything else is answered as by a kernel that does not have it: for `clone3` that is what makes a C library take
/// `clone`, whose flags a filter can see.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq};
    let when = |argument, is, value: u64| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)?;
        SeccompRule::new(vec![condition]).map(|rule| vec![rule])
    };
    let thread = libc::CLONE_THREAD as u64;
    let code = libc::PROT_EXEC as u64;
    let this = u64::from(std::process::id());
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, when(0, MaskedEq(thread), thread)?);
    rules.insert(libc::SYS_mmap, when(2, MaskedEq(code), 0)?);
    rules.insert(libc::SYS_mprotect, when(2, MaskedEq(code), 0)?);
    rules.insert(libc::SYS_tgkill, when(0, Eq, this)?);
    // a stack's size; limits of others could be lowered
    rules.insert(libc::SYS_prlimit64, when(0, Eq, 0)?);
    let here = TargetArch::try_from(std::env::consts::ARCH)?;
    let deny = SeccompAction::Errno(libc::ENOSYS as u32);
    SeccompFilter::new(rules, deny, SeccompAction::Allow, here)?.try_into()
}
