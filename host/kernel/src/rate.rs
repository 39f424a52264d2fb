//! The limit of records that each container may write in a second (`gadget/buffer.h`).

use ig_object::{Hook, Object};

use crate::error::{LoadError, hook_text};
use crate::load::LoadOptions;

/// The variable of the headers with the limit: a 64-bit number, 0 for none.
pub const MAX_RATE_VARIABLE: &str = "gadget_max_rate";
/// The map of the headers in which the records of each container and second are counted.
const RATES_MAP: &str = "gadget_rates";
/// Containers that may write in the same second, each with its own limit.
const CONTAINERS: u32 = 16384;

/// Makes room for the counters if there is a limit.
///
/// The programs count for the container of the current task. What runs for packets or sockets has no current task but
/// the one that it happens to interrupt, so that there is no limit for an object that has such a program.
pub(crate) fn make_room(object: &Object<'_>, options: &mut LoadOptions) -> Result<(), LoadError> {
    let limited = options
        .variables
        .get(MAX_RATE_VARIABLE)
        .is_some_and(|limit| limit.iter().any(|byte| *byte != 0));
    if !limited || object.map(RATES_MAP).is_none() {
        return Ok(());
    }
    let stranger = object
        .programs()
        .iter()
        .filter(|program| !options.exclude.contains(&program.name))
        .find(|program| !has_current_task(&program.hook));
    if let Some(program) = stranger {
        return Err(LoadError::Variable {
            variable: MAX_RATE_VARIABLE.to_owned(),
            cause: format!(
                "the program {:?} ({}) runs in whatever task it interrupts, so nobody knows which container to limit; run this \
                 gadget without a limit",
                program.name,
                hook_text(&program.hook)
            ),
        });
    }
    options
        .max_entries
        .entry(RATES_MAP.to_owned())
        .or_insert(CONTAINERS);
    Ok(())
}

/// Whether the current task has to do with why the program runs. For tracepoints their author knows; what this tells apart is
/// the type of the program.
fn has_current_task(hook: &Hook) -> bool {
    match hook {
        Hook::SocketFilter => false,
        Hook::Other { section } => {
            let word = section.split(['/', '.']).next().unwrap_or_default();
            [
                "kprobe",
                "kretprobe",
                "ksyscall",
                "kretsyscall",
                "fentry",
                "fexit",
                "fmod_ret",
                "lsm",
                "usdt",
                "perf_event",
                "iter",
            ]
            .contains(&word)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_for_packets_have_no_current_task() {
        for section in [
            "tracepoint/syscalls/sys_enter_open",
            "uprobe/libc:malloc",
            "kprobe.multi/tcp_*",
            "fentry.s/vfs_open",
            "iter/task",
            "perf_event",
        ] {
            assert!(has_current_task(&Hook::parse(section)), "{section}");
        }
        for section in [
            "xdp",
            "xdp.frags",
            "classifier/ingress",
            "tc/ingress",
            "tcx/egress",
            "socket",
            "socket1",
            "cgroup_skb/egress",
            "sockops",
        ] {
            assert!(!has_current_task(&Hook::parse(section)), "{section}");
        }
    }
}
