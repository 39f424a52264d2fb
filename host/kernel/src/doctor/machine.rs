//! What can be read: release, privileges, mounts.

use std::io;

use super::{Check, State};
use crate::cgroups::uses_cgroup2;
use crate::host::{self, mount};
use crate::tracefs::Tracefs;

/// The oldest kernel that the headers for gadgets are written for (`ebpf/README.md`).
const OLDEST: (u32, u32) = (5, 15);

/// Of include/uapi/linux/capability.h, by number.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities in words: whichever list is the shorter one.
fn named(set: u64) -> String {
    let of = |wanted: bool| -> Vec<&str> {
        CAPABILITIES
            .iter()
            .enumerate()
            .filter(|(bit, _)| (set >> bit & 1 == 1) == wanted)
            .map(|(_, name)| *name)
            .collect()
    };
    let (held, lacking) = (of(true), of(false));
    if lacking.is_empty() {
        "all capabilities".into()
    } else if held.is_empty() {
        "no capabilities".into()
    } else if lacking.len() < held.len() {
        format!("all capabilities but {}", lacking.join(", "))
    } else {
        held.join(", ")
    }
}

pub(super) fn kernel(release: &str, arch: &str) -> Check {
    let release = release.trim();
    let found = format!("Linux {release}, {arch}");
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let version = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => {
            return Check::new("kernel", State::Unknown, found)
                .meaning("its release is not a number, so its age is not known")
                .cure("see what the checks below say of it");
        }
    };
    if version < OLDEST {
        return Check::new("kernel", State::Warning, found)
            .meaning("gadgets are written for Linux 5.15 and newer; what it lacks is below")
            .cure("boot a newer kernel");
    }
    Check::new("kernel", State::Ok, found)
}

pub(super) fn privileges(status: &str) -> Check {
    let effective = host::effective(status).map_or_else(
        || "capabilities can't be read from /proc/self/status".to_owned(),
        named,
    );
    match host::privileges(status) {
        None => Check::new("privileges", State::Ok, effective),
        Some(mut missing) => {
            missing.what = format!("{}; it has {effective}", missing.what);
            Check::missing("privileges", missing)
        }
    }
}

pub(super) fn user_namespace(uid_map: &str) -> Check {
    match host::namespace(uid_map) {
        None => Check::new("user-namespace", State::Ok, "the machine's own"),
        Some(missing) => Check::missing("user-namespace", missing),
    }
}

/// `state` is what securityfs says; none: it could not be read.
pub(super) fn lockdown(state: Option<&str>, mounts: &str) -> Check {
    let name = "lockdown";
    let Some(state) = state else {
        // A kernel that is built without it has no such file.
        if mount(mounts, "securityfs").is_some() {
            return Check::new(name, State::Ok, "not in this kernel");
        }
        return Check::new(name, State::Unknown, "securityfs is not mounted")
            .meaning("only lockdown=confidentiality would keep gadgets from running")
            .cure("mount it to see (mount -t securityfs none /sys/kernel/security), or run this as root");
    };
    if let Some(missing) = host::lockdown(state) {
        return Check::missing(name, missing);
    }
    let mode = state
        .split(['[', ']'])
        .nth(1)
        .filter(|mode| !mode.is_empty())
        .unwrap_or("none");
    Check::new(name, State::Ok, mode)
}

pub(super) fn btf(types: &io::Result<Vec<u8>>) -> Check {
    match types {
        Ok(types) => Check::new(
            "btf",
            State::Ok,
            format!("{}, {} KiB", host::KERNEL_BTF, types.len() / 1024),
        ),
        Err(error) => Check::missing("btf", host::btf(error)),
    }
}

/// Opens it, or mounts it, only if that can work.
pub(super) fn tracefs(mounts: &str, may_try: bool) -> Check {
    let name = "tracefs";
    let place = mount(mounts, "tracefs");
    if !may_try {
        let found = place.map_or("not mounted".to_owned(), |p| format!("mounted at {p}"));
        return Check::new(
            name,
            State::Unknown,
            format!("{found}; not tried because of what is missing above"),
        );
    }
    match (Tracefs::open(), place) {
        (Ok(_), Some(place)) => Check::new(name, State::Ok, format!("mounted at {place}")),
        (Ok(_), None) => Check::new(
            name,
            State::Ok,
            "not mounted; ig mounts it for itself alone, attached nowhere",
        ),
        (Err(error), place) => Check::missing(name, host::tracefs(&error, place)),
    }
}

/// `setting` is net.core.bpf_jit_enable; empty where it can't be read, which root alone can.
pub(super) fn jit(setting: &str) -> Option<Check> {
    match setting.trim() {
        "" => None,
        "0" => Some(
            Check::new("jit", State::Warning, "switched off")
                .meaning("the kernel interprets eBPF programs, which slows down what they trace")
                .cure("sysctl net.core.bpf_jit_enable=1"),
        ),
        _ => Some(Check::new("jit", State::Ok, "on")),
    }
}

pub(super) fn cgroups(mounts: &str) -> Check {
    let name = "cgroups";
    let v1 = |found: String| {
        Check::new(name, State::Warning, found)
            .meaning(
                "records are told apart by mount namespace, by the host and not by the kernel: --unit and --cgroup pick \
                 containers alone, and --max-rate is refused",
            )
            .cure("boot with systemd.unified_cgroup_hierarchy=1")
    };
    match (mount(mounts, "cgroup2"), mount(mounts, "cgroup")) {
        (Some(place), Some(_)) if !uses_cgroup2(mounts) => {
            v1(format!("v1; no runtime uses the v2 at {place}"))
        }
        (Some(place), None) => Check::new(name, State::Ok, format!("v2 at {place}")),
        (Some(place), Some(_)) => Check::new(
            name,
            State::Ok,
            format!("v1 and v2; records carry the one of v2, at {place}"),
        ),
        (None, Some(_)) => v1("v1 alone".to_owned()),
        (None, None) => Check::new(name, State::Warning, "not mounted")
            .meaning("nobody knows whose records are")
            .cure("mount -t cgroup2 none /sys/fs/cgroup"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_by_name() {
        assert_eq!(named((1 << 41) - 1), "all capabilities");
        assert_eq!(named(u64::MAX), "all capabilities");
        assert_eq!(named(0), "no capabilities");
        assert_eq!(named(1 << 39 | 1 << 38), "CAP_PERFMON, CAP_BPF");
        assert_eq!(
            named(0x1ff_feff_ffff),
            "all capabilities but CAP_SYS_RESOURCE"
        );
        let check = privileges("CapEff:\t0000000000200000\n");
        assert_eq!(
            (check.state, check.found.as_str()),
            (State::Ok, "CAP_SYS_ADMIN")
        );
        let check = privileges("CapEff:\t0000008000000000\n");
        assert_eq!(check.state, State::Missing);
        assert_eq!(
            check.found,
            "the privilege to load eBPF programs (CAP_PERFMON); it has CAP_BPF"
        );
        assert!(check.cure.contains("root"), "{check:?}");
    }

    #[test]
    fn kernels_by_age() {
        for (release, state) in [
            ("6.18.44-fc\n", State::Ok),
            ("5.15.0-91-generic", State::Ok),
            ("7.0", State::Ok),
            ("5.14.21", State::Warning),
            ("4.19.0", State::Warning),
            ("", State::Unknown),
            ("rolling", State::Unknown),
        ] {
            assert_eq!(kernel(release, "x86_64").state, state, "{release:?}");
        }
        assert_eq!(kernel("6.1.0\n", "aarch64").found, "Linux 6.1.0, aarch64");
    }

    #[test]
    fn lockdown_by_what_it_forbids() {
        let mounted = "none /sys/kernel/security securityfs rw 0 0\n";
        let of = |state, mounts| {
            let check = lockdown(state, mounts);
            (check.state, check.found)
        };
        let integrity = Some("none [integrity] confidentiality\n");
        assert_eq!(of(integrity, ""), (State::Ok, "integrity".into()));
        assert_eq!(
            of(Some("[none] integrity confidentiality\n"), ""),
            (State::Ok, "none".into())
        );
        assert_eq!(
            of(Some("none integrity [confidentiality]\n"), "").0,
            State::Missing
        );
        assert_eq!(of(None, mounted).0, State::Ok);
        assert_eq!(of(None, "").0, State::Unknown);
    }

    #[test]
    fn tracefs_is_left_alone_where_it_can_not_work() {
        let check = tracefs("none /sys/kernel/tracing tracefs rw 0 0\n", false);
        assert_eq!(check.state, State::Unknown);
        assert!(check.found.starts_with("mounted at /sys/kernel/tracing;"));
        assert!(tracefs("", false).found.starts_with("not mounted;"));
    }

    #[test]
    fn cgroups_by_version() {
        let two = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let both = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                    cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                    cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let one = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n";
        assert_eq!(cgroups(two).found, "v2 at /sys/fs/cgroup");
        assert_eq!(cgroups(both).state, State::Ok);
        assert!(cgroups(both).found.ends_with("/sys/fs/cgroup/unified"));
        assert_eq!(cgroups(one).state, State::Warning);
        assert_eq!(cgroups(one).found, "v1 alone");
        let unused = format!("{one}none /run/cilium/cgroupv2 cgroup2 rw 0 0\n");
        assert_eq!(cgroups(&unused).state, State::Warning);
        assert_eq!(
            cgroups(&unused).found,
            "v1; no runtime uses the v2 at /run/cilium/cgroupv2"
        );
        assert_eq!(cgroups("").found, "not mounted");
    }

    #[test]
    fn a_compiler_that_is_off_is_told() {
        assert_eq!(jit(""), None);
        assert_eq!(jit("1\n").map(|c| c.state), Some(State::Ok));
        assert_eq!(jit("0\n").map(|c| c.state), Some(State::Warning));
    }
}
