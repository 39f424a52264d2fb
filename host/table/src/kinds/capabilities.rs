//! Names of capabilities.
//!
//! From the kernel's `include/uapi/linux/capability.h`, equal on all architectures.

/// By number, from 0.
const NAMES: [&str; 41] = [
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

/// The set of all that have a name.
const ALL: u64 = (1 << NAMES.len()) - 1;

/// The name of a capability.
#[must_use]
pub fn name(number: u64) -> Option<&'static str> {
    NAMES.get(usize::try_from(number).ok()?).copied()
}

/// The number of a capability by its name, with or without `CAP_`.
#[must_use]
pub fn number(word: &str) -> Option<u64> {
    let bare = word.strip_prefix("CAP_").unwrap_or(word);
    let named = |name: &str| name.strip_prefix("CAP_") == Some(bare);
    NAMES
        .iter()
        .position(|name| named(name))
        .map(|at| at as u64)
}

/// Adds a set, a bit a capability, as `CAP_CHOWN|CAP_KILL`; bits without a name last, in hex; the
/// empty set is `0`, the one of all that have a name `all`.
pub(super) fn push_set(set: u64, out: &mut String) {
    if set == ALL {
        return out.push_str("all");
    }
    let start = out.len();
    for (bit, name) in NAMES.iter().enumerate() {
        if set >> bit & 1 == 1 {
            super::separate(start, out);
            out.push_str(name);
        }
    }
    let rest = set & !ALL;
    if rest != 0 {
        super::separate(start, out);
        out.push_str("0x");
        super::push_hex(rest, out);
    } else if set == 0 {
        out.push('0');
    }
}

/// The bits of one word of a set.
pub(super) fn bits(word: &str) -> Option<u64> {
    match word {
        "all" => Some(ALL),
        _ => number(word).map(|number| 1 << number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_names() {
        for (bit, want) in [
            (0, "CAP_CHOWN"),
            (12, "CAP_NET_ADMIN"),
            (21, "CAP_SYS_ADMIN"),
            (31, "CAP_SETFCAP"),
            (39, "CAP_BPF"),
            (40, "CAP_CHECKPOINT_RESTORE"),
        ] {
            assert_eq!(name(bit), Some(want));
            assert_eq!(number(want), Some(bit));
        }
        assert_eq!((name(41), name(u64::MAX)), (None, None));
        assert_eq!(
            (number("NET_ADMIN"), number("CAP_"), number("")),
            (Some(12), None, None)
        );
    }

    #[test]
    fn sets() {
        let words = |set| {
            let mut out = "x".to_owned();
            push_set(set, &mut out);
            out.split_off(1)
        };
        assert_eq!(words(0), "0");
        assert_eq!(words(1 << 12), "CAP_NET_ADMIN");
        assert_eq!(words(1 | 1 << 39), "CAP_CHOWN|CAP_BPF");
        assert_eq!(words(1 << 41 | 1), "CAP_CHOWN|0x20000000000");
        assert_eq!(words(1 << 63), "0x8000000000000000");
        assert_eq!(words(0x1ff_ffff_ffff), "all");
    }
}
