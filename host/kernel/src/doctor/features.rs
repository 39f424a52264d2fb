//! What has to be tried: which maps and programs the kernel takes.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use aya::maps::MapType;
use aya::sys::is_map_supported;
use ig_object::btf::{Btf, Kind};

use super::{Check, State};
use crate::sys::os;
use crate::sys::program::{self, Type};
use crate::tracefs::Tracefs;

/// Of the kernel alone (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

/// Something that the kernel may be able to do.
struct Feature {
    name: &'static str,
    /// No gadget runs without it.
    required: bool,
    /// What is impossible without it.
    lack: &'static str,
    cure: &'static str,
}

impl Feature {
    fn judge(&self, may_try: bool, tried: impl FnOnce() -> Result<(), String>) -> Check {
        if !may_try {
            return Check::new(
                self.name,
                State::Unknown,
                "not tried because of what is missing above",
            );
        }
        match tried() {
            Ok(()) => Check::new(self.name, State::Ok, "works"),
            Err(found) => {
                let state = if self.required {
                    State::Missing
                } else {
                    State::Warning
                };
                Check::new(self.name, state, found)
                    .meaning(self.lack)
                    .cure(self.cure)
            }
        }
    }
}

/// Tries each, unless something forbids all of it. `types` is the kernel's BTF, if it has any.
pub(super) fn all(may_try: bool, types: Option<&[u8]>) -> Vec<Check> {
    let types = types.and_then(|types| Btf::parse(types).ok());
    // By the number of a type in the kernel's BTF.
    let target = |name: &str, kind: Kind| -> Result<u32, String> {
        let types = types.as_ref().ok_or("the kernel's types can't be read")?;
        let id = types.find(name, kind);
        Ok(id.ok_or_else(|| format!("this kernel has no {name}"))?.0)
    };
    let mut checks = Vec::new();
    let mut add = |feature: Feature, tried: &dyn Fn() -> Result<(), String>| {
        checks.push(feature.judge(may_try, tried));
    };
    add(
        Feature {
            name: "ring-buffer",
            required: true,
            lack: "records reach ig through it",
            cure: "boot Linux 5.8 or newer; in a container, allow bpf(2)",
        },
        &|| map(MapType::RingBuf),
    );
    add(
        Feature {
            name: "task-storage",
            required: true,
            lack: "gadgets remember in it which tasks they follow",
            cure: "boot Linux 5.11 or newer; in a container, allow bpf(2)",
        },
        &|| map(MapType::TaskStorage),
    );
    add(
        Feature {
            name: "tracepoint",
            required: true,
            lack: "nearly all gadgets hook tracepoints",
            cure: "boot a kernel with CONFIG_BPF_EVENTS and CONFIG_PERF_EVENTS; in a container, allow bpf(2) and \
                   perf_event_open(2)",
        },
        &tracepoint,
    );
    add(
        Feature {
            name: "raw-tracepoint",
            required: false,
            lack: "gadgets that hook raw tracepoints can't run",
            cure: "boot Linux 4.17 or newer with CONFIG_BPF_EVENTS",
        },
        &|| program(Type::RAW_TRACEPOINT, 0),
    );
    add(
        Feature {
            name: "btf-tracepoint",
            required: false,
            lack: "`-- CMD` and `--pid` can't follow children, and gadgets that hook tp_btf can't run",
            cure: "boot Linux 5.5 or newer with CONFIG_DEBUG_INFO_BTF",
        },
        &|| {
            let id = target("btf_trace_sched_process_fork", Kind::Typedef)?;
            program(Type::BTF_TRACEPOINT, id)
        },
    );
    add(
        Feature {
            name: "uprobe",
            required: false,
            lack: "gadgets that hook functions of programs and libraries can't run",
            cure: "boot a kernel with CONFIG_UPROBE_EVENTS",
        },
        &|| program(Type::KPROBE, 0).and_then(|()| event_source("uprobe")),
    );
    add(
        Feature {
            name: "kprobe",
            required: false,
            lack: "gadgets that hook functions of the kernel by kprobes can't run; tracepoints do not need them",
            cure: "boot a kernel with CONFIG_KPROBE_EVENTS",
        },
        &|| program(Type::KPROBE, 0).and_then(|()| event_source("kprobe")),
    );
    add(
        Feature {
            name: "fentry",
            required: false,
            lack: "gadgets that hook functions of the kernel by fentry or fexit can't run; tracepoints do not need \
                   them",
            cure: "boot a kernel with CONFIG_FUNCTION_TRACER and CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS (arm64: \
                   Linux 6.4 or newer)",
        },
        &|| {
            // Made to be attached to (net/bpf/test_run.c): nobody calls it.
            let id = target("bpf_fentry_test1", Kind::Func)?;
            let loaded = program::load_nothing(Type::FENTRY, id).map_err(|e| words(&e))?;
            program::attach(loaded.as_fd())
                .map(drop)
                .map_err(|e| words(&e))
        },
    );
    add(
        Feature {
            name: "lsm",
            required: false,
            lack: "gadgets that hook what the kernel decides about security can't run",
            cure: "boot a kernel with CONFIG_BPF_LSM, and with bpf in lsm=",
        },
        &|| {
            let id = target("bpf_lsm_file_open", Kind::Func)?;
            program(Type::LSM, id)?;
            match crate::host::security_file("lsm") {
                Some(list) if !list.trim().split(',').any(|lsm| lsm == "bpf") => {
                    Err(format!("bpf is not in {}", list.trim()))
                }
                _ => Ok(()),
            }
        },
    );
    checks
}

fn map(kind: MapType) -> Result<(), String> {
    match is_map_supported(kind) {
        Ok(true) => Ok(()),
        Ok(false) => Err("this kernel does not know it".to_owned()),
        Err(error) => Err(words(&error.io_error)),
    }
}

fn program(of: Type, target: u32) -> Result<(), String> {
    program::load_nothing(of, target)
        .map(drop)
        .map_err(|e| words(&e))
}

/// A program is taken, and there is an event for it to hang on; it is not hung there.
fn tracepoint() -> Result<(), String> {
    program(Type::TRACEPOINT, 0)?;
    // A lack of it has a check of its own.
    let Ok(tracefs) = Tracefs::open() else {
        return Ok(());
    };
    let id = tracefs
        .tracepoint("sched", "sched_process_fork")
        .map_err(|e| format!("its number can't be read from tracefs ({e})"))?;
    os::perf_event_tracepoint(id).map(drop).map_err(|error| {
        let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
        let paranoid = paranoid.unwrap_or_default();
        format!(
            "perf_event_open(2) fails ({error}; kernel.perf_event_paranoid is {})",
            paranoid.trim()
        )
    })
}

/// Whether perf has this source of events.
fn event_source(name: &str) -> Result<(), String> {
    let path = format!("/sys/bus/event_source/devices/{name}");
    if Path::new(&path).exists() {
        Ok(())
    } else {
        Err(format!("not in this kernel (there is no {path})"))
    }
}

fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "this kernel forbids it".to_owned(),
        Some(libc::EINVAL) => "this kernel does not know it".to_owned(),
        Some(libc::EOPNOTSUPP | ENOTSUPP | libc::ENOSYS) => "not in this kernel".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURE: Feature = Feature {
        name: "thing",
        required: false,
        lack: "so what",
        cure: "try harder",
    };

    #[test]
    fn what_does_not_work_is_missing_only_if_nothing_runs_without_it() {
        let refused = || Err("no".to_owned());
        let check = FEATURE.judge(true, refused);
        assert_eq!(
            check,
            Check::new("thing", State::Warning, "no")
                .meaning("so what")
                .cure("try harder")
        );
        let required = Feature {
            required: true,
            ..FEATURE
        };
        assert_eq!(required.judge(true, refused).state, State::Missing);
        assert_eq!(required.judge(true, || Ok(())).state, State::Ok);
    }

    #[test]
    fn nothing_is_tried_where_it_can_not_work() {
        let check = FEATURE.judge(false, || unreachable!("it is not tried"));
        assert_eq!(check.state, State::Unknown);
    }

    #[test]
    fn a_program_for_nothing_is_refused() {
        assert!(program(Type::BTF_TRACEPOINT, 0).is_err());
        assert!(program(Type::TRACEPOINT, 0).is_ok());
    }

    #[test]
    fn without_types_what_needs_them_says_so() {
        let checks = all(true, None);
        let check = checks.iter().find(|c| c.name == "btf-tracepoint");
        assert_eq!(
            check.map(|c| (c.state, c.found.as_str())),
            Some((State::Warning, "the kernel's types can't be read"))
        );
    }
}
