//! What a machine must have before anything is loaded.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsFd;

use crate::sys::os;
use crate::tracefs::Tracefs;

/// Something that is missing, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: String,
    /// What it is needed for, or how its lack shows.
    pub why: String,
    /// What to do.
    pub cure: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is missing: {}; {}", self.what, self.why, self.cure)
    }
}

/// What a gadget needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The kernel's types: relocations, tp_btf programs.
    pub btf: bool,
    /// Tracepoints by category and name.
    pub tracefs: bool,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            btf: true,
            tracefs: true,
        }
    }
}

/// Where the kernel keeps its types (CONFIG_DEBUG_INFO_BTF).
pub(crate) const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Bits of include/uapi/linux/capability.h.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What is missing; empty when gadgets can be loaded. Changes nothing: a tracefs that nobody mounted counts as there
/// if it can be mounted, which happens detached and for this process alone.
#[must_use]
pub fn check(needs: Needs) -> Vec<Missing> {
    let mut missing = Vec::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    missing.extend(privileges(&status));
    // With too few privileges the rest would only repeat it.
    if !missing.is_empty() {
        return missing;
    }
    missing.extend(namespace(
        &fs::read_to_string("/proc/self/uid_map").unwrap_or_default(),
    ));
    let locked = lockdown(&security_file("lockdown").unwrap_or_default());
    // Then tracefs is empty, so nothing in the kernel holds on to it, and unmounting it crashes the kernel (seen on 6.12).
    let tracefs_is_safe = locked.is_none();
    missing.extend(locked);
    if needs.btf {
        missing.extend(fs::metadata(KERNEL_BTF).err().map(|error| btf(&error)));
    }
    if needs.tracefs && tracefs_is_safe {
        missing.extend(Tracefs::open().err().map(|error| {
            let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
            tracefs(&error, mount(&mounts, "tracefs"))
        }));
    }
    missing
}

/// A file of securityfs, such as `lockdown`: where it is mounted, else from a mount of our own that hangs nowhere.
pub(crate) fn security_file(name: &str) -> Option<String> {
    if let Ok(text) = fs::read_to_string(format!("/sys/kernel/security/{name}")) {
        return Some(text);
    }
    let root = os::mount_detached(c"securityfs").ok()?;
    let file = os::open_at(root.as_fd(), &CString::new(name).ok()?).ok()?;
    io::read_to_string(fs::File::from(file)).ok()
}

/// The effective capabilities, a bit each, of what /proc/self/status says.
pub(crate) fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

pub(crate) fn privileges(status: &str) -> Option<Missing> {
    let effective = effective(status)?;
    let has = |capability: u32| effective >> capability & 1 == 1;
    if has(CAP_SYS_ADMIN) || has(CAP_BPF) && has(CAP_PERFMON) {
        return None;
    }
    let lacking: Vec<&str> = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|(bit, _)| !has(*bit))
        .map(|(_, name)| name)
        .collect();
    Some(Missing {
        what: format!("the privilege to load eBPF programs ({})", lacking.join(" and ")),
        why: "the kernel lets only root load programs that trace".into(),
        cure: "run it as root, with sudo, or grant CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8)".into(),
    })
}

pub(crate) fn namespace(uid_map: &str) -> Option<Missing> {
    let numbers: Vec<&str> = uid_map.split_whitespace().collect();
    if numbers.is_empty() || numbers == ["0", "0", "4294967295"] {
        return None;
    }
    Some(Missing {
        what: "the initial user namespace".into(),
        why: "this process runs in a user namespace of its own, whose root the kernel lets load nothing".into(),
        cure: "run it outside of the rootless container, as the machine's root".into(),
    })
}

pub(crate) fn lockdown(state: &str) -> Option<Missing> {
    state.contains("[confidentiality]").then(|| Missing {
        what: "leave to read kernel memory".into(),
        why: "the kernel is locked down for confidentiality, which forbids it to eBPF programs"
            .into(),
        cure: "boot with lockdown=integrity or without lockdown=".into(),
    })
}

pub(crate) fn btf(error: &io::Error) -> Missing {
    Missing {
        what: format!("the kernel's type information ({KERNEL_BTF}: {error})"),
        why: "gadgets are fitted to the running kernel with it".into(),
        cure: "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as all large distributions' are; in a container, mount \
               /sys/kernel/btf"
            .into(),
    }
}

/// `place` is where it is mounted, if it is.
pub(crate) fn tracefs(error: &io::Error, place: Option<&str>) -> Missing {
    let why = "tracepoints get their numbers from it";
    match place {
        Some(place) => Missing {
            what: "leave to read tracefs".into(),
            why: format!("{why}, and {place} is closed to this user"),
            cure: "run it as root, or add CAP_DAC_READ_SEARCH".into(),
        },
        None => Missing {
            what: format!("tracefs ({error})"),
            why: format!("{why}, and it could neither be found nor mounted"),
            cure: "mount it (mount -t tracefs nodev /sys/kernel/tracing), or add CAP_SYS_ADMIN"
                .into(),
        },
    }
}

/// Where the first file system of this type is mounted, as /proc/self/mounts has it.
pub(crate) fn mount<'a>(mounts: &'a str, file_system: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let place = words.next()?;
        (words.next()? == file_system).then_some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_by_capability() {
        let status = |bits: &[u32]| {
            let mask: u64 = bits.iter().map(|bit| 1 << bit).sum();
            format!(
                "Name:\tig\nCapPrm:\t0000000000000000\nCapEff:\t{mask:016x}\nCapBnd:\t000001ffffffffff\n"
            )
        };
        assert_eq!(privileges(&status(&[CAP_SYS_ADMIN])), None);
        assert_eq!(privileges(&status(&[CAP_BPF, CAP_PERFMON])), None);
        let missing = privileges(&status(&[CAP_BPF])).unwrap();
        assert_eq!(
            missing.what,
            "the privilege to load eBPF programs (CAP_PERFMON)"
        );
        assert!(
            privileges(&status(&[]))
                .unwrap()
                .what
                .contains("CAP_BPF and CAP_PERFMON")
        );
    }

    #[test]
    fn user_namespaces_are_told_apart() {
        assert_eq!(namespace("         0          0 4294967295\n"), None);
        assert_eq!(namespace(""), None);
        assert!(namespace("         0       1000          1\n").is_some());
    }

    #[test]
    fn only_confidentiality_is_in_the_way() {
        assert_eq!(lockdown("none [integrity] confidentiality\n"), None);
        assert!(lockdown("none integrity [confidentiality]\n").is_some());
        assert_eq!(lockdown(""), None);
    }

    #[test]
    fn tracefs_that_is_closed_is_not_one_that_is_not_there() {
        let mounts = "proc /proc proc rw 0 0\nnone /sys/kernel/tracing tracefs rw 0 0\n";
        let error = io::Error::from_raw_os_error(libc::EPERM);
        let closed = tracefs(&error, mount(mounts, "tracefs"));
        assert!(closed.why.contains("/sys/kernel/tracing"), "{closed}");
        assert!(closed.cure.contains("CAP_DAC_READ_SEARCH"), "{closed}");
        let absent = tracefs(&error, mount("proc /proc proc rw 0 0\n", "tracefs"));
        assert!(absent.cure.contains("mount -t tracefs"), "{absent}");
    }

    #[test]
    fn nothing_is_missing_here() {
        assert_eq!(check(Needs::default()), []);
    }
}
