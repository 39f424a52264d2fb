//! Which sections of programs the loader knows (aya-obj 0.3, `ProgramSection`).

/// The section's name as the loader takes it; none when it knows nothing like it. A leading `?` is gone.
pub(super) fn accepted(name: &str) -> Option<String> {
    let name = name.strip_prefix('?').unwrap_or(name);
    let (kind, rest) = name
        .split_once('/')
        .map_or((name, None), |(kind, rest)| (kind, Some(rest)));
    let second = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let known = match kind {
        "kprobe" | "kretprobe" | "uprobe" | "uprobe.s" | "uretprobe" | "uretprobe.s" | "tp_btf"
        | "tracepoint" | "tp" | "raw_tp" | "raw_tracepoint" | "socket" | "sk_msg" | "sockops"
        | "classifier" | "lirc_mode2" | "perf_event" | "lsm" | "lsm.s" | "lsm_cgroup"
        | "fentry" | "fentry.s" | "fexit" | "fexit.s" | "freplace" | "flow_dissector"
        | "sk_lookup" | "iter" | "iter.s" => true,
        "xdp" | "xdp.frags" => matches!(second, None | Some("cpumap" | "devmap")),
        "sk_reuseport" => matches!(rest, None | Some("migrate")),
        "sk_skb" => matches!(second, Some("stream_parser" | "stream_verdict")),
        "cgroup_skb" => matches!(second, Some("ingress" | "egress")),
        "cgroup" => second.is_some_and(|second| CGROUP.contains(&second)),
        _ => false,
    };
    if known {
        return Some(name.to_owned());
    }
    match kind {
        "tc" | "tcx" | "action" => Some(format!("classifier/{}", rest.unwrap_or("tc"))),
        _ if rest.is_none() && kind.starts_with("socket") => Some(format!("socket/{kind}")),
        _ => None,
    }
}

/// What may follow `cgroup/`.
const CGROUP: &[&str] = &[
    "skb",
    "sysctl",
    "dev",
    "getsockopt",
    "setsockopt",
    "sock",
    "post_bind4",
    "post_bind6",
    "sock_create",
    "sock_release",
    "bind4",
    "bind6",
    "connect4",
    "connect6",
    "getpeername4",
    "getpeername6",
    "getsockname4",
    "getsockname6",
    "sendmsg4",
    "sendmsg6",
    "recvmsg4",
    "recvmsg6",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_loader_takes_them() {
        for (name, expected) in [
            (
                "tracepoint/syscalls/sys_enter_open",
                Some("tracepoint/syscalls/sys_enter_open"),
            ),
            (
                "?tp_btf/sched_process_fork",
                Some("tp_btf/sched_process_fork"),
            ),
            (
                "uretprobe.s//bin/bash:readline",
                Some("uretprobe.s//bin/bash:readline"),
            ),
            ("tc/ingress", Some("classifier/ingress")),
            ("tc", Some("classifier/tc")),
            ("socket1", Some("socket/socket1")),
            ("socket", Some("socket")),
            ("xdp/devmap", Some("xdp/devmap")),
            ("xdp/other", None),
            ("cgroup/connect4", Some("cgroup/connect4")),
            ("cgroup/other", None),
            ("usdt/libc:setjmp", None),
            ("syscall", None),
            ("struct_ops/init", None),
        ] {
            assert_eq!(accepted(name).as_deref(), expected, "{name}");
        }
    }
}
