//! Names of signals.
//!
//! From the kernel's `include/uapi/asm-generic/signal.h`, which arm64 uses, and
//! `arch/x86/include/uapi/asm/signal.h`; the numbers are equal. Real-time signals are named as
//! `kill -l` does, which is libc's view: the first two that the kernel has are libc's own, so that
//! `SIGRTMIN` is 34.

/// By number, from 0; empty: no such signal.
const NAMES: [&str; 32] = [
    "",
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Other names for some of them.
const ALIASES: [(&str, u64); 3] = [("SIGIOT", 6), ("SIGCLD", 17), ("SIGPOLL", 29)];

const RT_MIN: u64 = 34;
const RT_MAX: u64 = 64;
/// From here on real-time signals are counted from the last one.
const RT_MIDDLE: u64 = 50;

/// Adds the name of a signal; false, adding nothing, when it has none. 0, which is no signal but
/// may be sent to see whether a process is there, has none.
pub(super) fn push(number: u64, out: &mut String) -> bool {
    let mut offset = |name: &str, sign: char, by: u64| {
        out.push_str(name);
        if by > 0 {
            out.push(sign);
            crate::decimal::push(by, out);
        }
    };
    match number {
        1..32 => offset(NAMES.get(number as usize).unwrap_or(&""), '+', 0),
        RT_MIN..RT_MIDDLE => offset("SIGRTMIN", '+', number - RT_MIN),
        RT_MIDDLE..=RT_MAX => offset("SIGRTMAX", '-', RT_MAX - number),
        _ => return false,
    }
    true
}

/// The number of a signal by its name, with or without `SIG`.
pub(super) fn number(word: &str) -> Option<u64> {
    let bare = word.strip_prefix("SIG").unwrap_or(word);
    let is = |name: &str| name.strip_prefix("SIG") == Some(bare);
    if bare.is_empty() {
        return None;
    }
    if let Some(number) = NAMES.iter().position(|name| is(name)) {
        return Some(number as u64);
    }
    if let Some((_, number)) = ALIASES.iter().find(|(name, _)| is(name)) {
        return Some(*number);
    }
    let by = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        None => rest.is_empty().then_some(0),
        Some(digits) => super::parse::decimal(digits).filter(|by| *by <= RT_MAX - RT_MIN),
    };
    match (bare.strip_prefix("RTMIN"), bare.strip_prefix("RTMAX")) {
        (Some(rest), _) => by(rest, '+').map(|by| RT_MIN + by),
        (_, Some(rest)) => by(rest, '-').map(|by| RT_MAX - by),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        let name = |number| {
            let mut out = String::new();
            push(number, &mut out).then_some(out)
        };
        for (number, want) in [
            (1, "SIGHUP"),
            (9, "SIGKILL"),
            (15, "SIGTERM"),
            (31, "SIGSYS"),
            (34, "SIGRTMIN"),
            (49, "SIGRTMIN+15"),
            (50, "SIGRTMAX-14"),
            (64, "SIGRTMAX"),
        ] {
            assert_eq!(name(number).as_deref(), Some(want));
        }
        for number in [0, 32, 33, 65, u64::MAX] {
            assert_eq!(name(number), None, "{number}");
        }
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        for (word, want) in [
            ("SIGKILL", Some(9)),
            ("KILL", Some(9)),
            ("SIGPOLL", Some(29)),
            ("SIGRTMIN+30", Some(64)),
            ("RTMAX-30", Some(34)),
            ("SIGRTMIN+31", None),
            ("SIGRTMIN-1", None),
            ("SIGRTMIN+", None),
            ("SIG", None),
            ("", None),
            ("kill", None),
        ] {
            assert_eq!(number(word), want, "{word}");
        }
    }
}
