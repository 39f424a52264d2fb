//! What decides whether gadgets run on this machine, one by one: what was found, what it means, the cure.
//!
//! [`host::check`] asks the same for a run, quickly and for what is missing alone; where both look
//! at the same thing they share the code. Nothing is changed and no other process is looked at: programs that are
//! loaded to see whether the kernel takes them do nothing, and are attached to nothing that anybody calls.

mod features;
mod machine;

use crate::host::{self, Missing};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Gadgets run, but not all of them, or not as well.
    Warning,
    /// Without it no gadget runs.
    Missing,
    /// It could not be tried.
    Unknown,
    /// Neither good nor bad.
    Info,
}

impl State {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Info => "info",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A short name that stays the same from release to release.
    pub name: &'static str,
    /// How it came out.
    pub state: State,
    /// What is there, or what happened when it was tried.
    pub found: String,
    /// What follows from it; empty when nothing does.
    pub meaning: String,
    /// What to do; empty when there is nothing to do.
    pub cure: String,
}

impl Check {
    /// A check without meaning or cure: what was found speaks for itself.
    #[must_use]
    pub fn new(name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self {
            name,
            state,
            found: found.into(),
            meaning: String::new(),
            cure: String::new(),
        }
    }

    /// The same with what follows from it.
    #[must_use]
    pub fn meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = meaning.into();
        self
    }

    /// The same with what to do.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = cure.into();
        self
    }

    fn missing(name: &'static str, missing: Missing) -> Self {
        let Missing { what, why, cure } = missing;
        Self::new(name, State::Missing, what)
            .meaning(why)
            .cure(cure)
    }
}

/// Looks at everything that is the kernel's or its configuration's.
#[must_use]
pub fn examine() -> Vec<Check> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let uid_map = read("/proc/self/uid_map");
    let mounts = read("/proc/self/mounts");
    let lockdown = host::security_file("lockdown");
    // Otherwise the kernel refuses everything, whatever it could do; and under lockdown=confidentiality nobody must
    // touch tracefs (see host::check).
    let may_try = host::privileges(&status).is_none()
        && host::namespace(&uid_map).is_none()
        && host::lockdown(lockdown.as_deref().unwrap_or_default()).is_none();
    let types = std::fs::read(host::KERNEL_BTF);
    let mut checks = vec![
        machine::kernel(&read("/proc/sys/kernel/osrelease"), std::env::consts::ARCH),
        machine::privileges(&status),
        machine::user_namespace(&uid_map),
        machine::lockdown(lockdown.as_deref(), &mounts),
        machine::btf(&types),
        machine::tracefs(&mounts, may_try),
    ];
    checks.extend(features::all(may_try, types.ok().as_deref()));
    checks.extend(machine::jit(&read("/proc/sys/net/core/bpf_jit_enable")));
    checks.push(machine::cgroups(&mounts));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Needs, check};

    #[test]
    fn what_a_run_would_miss_is_missing_here_too() {
        let checks = examine();
        let missing: Vec<_> = checks
            .iter()
            .filter(|check| check.state == State::Missing)
            .collect();
        assert_eq!(check(Needs::default()), []);
        assert_eq!(missing, Vec::<&Check>::new());
        let state = |name: &str| {
            let check = checks.iter().find(|check| check.name == name);
            check.map(|check| check.state)
        };
        for name in [
            "kernel",
            "privileges",
            "user-namespace",
            "btf",
            "tracefs",
            "ring-buffer",
            "task-storage",
            "tracepoint",
            "raw-tracepoint",
            "btf-tracepoint",
        ] {
            assert_eq!(state(name), Some(State::Ok), "{name}: {checks:#?}");
        }
    }

    #[test]
    fn names_are_words_and_each_stands_once() {
        let mut names: Vec<_> = examine().into_iter().map(|check| check.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for name in names {
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(name.chars().all(plain), "{name}");
        }
    }

    #[test]
    fn whatever_is_not_well_has_a_meaning_and_a_cure() {
        for check in examine() {
            if matches!(check.state, State::Warning | State::Missing) {
                assert!(!check.meaning.is_empty(), "{check:?}");
                assert!(!check.cure.is_empty(), "{check:?}");
            }
            assert!(!check.found.is_empty(), "{check:?}");
        }
    }
}
