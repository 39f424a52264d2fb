// What passes when cgroups are selected: kill(2) with signal 0 is what the test's processes are asked to call.
#include <gadget/gadget.h>
#include <gadget/count.h>

struct event {
	__u64 cgroup;
	__u32 pid;
	__u32 which;
};

GADGET_TRACER_MAP(events, 65536)

/* As headers up to 0.1.0 had it. */
struct old_ledger {
	__u64 attempted;
	__u64 not_reserved;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct old_ledger);
} older_ledger SEC(".maps");

/* What was counted of the calls of wanted_pid. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counted SEC(".maps");

const volatile bool verdicts = false; /* the answers of all questions, as bits */
const volatile __u32 wanted_pid = 0;
const volatile bool tasks = false; /* execs and forks, too */
const volatile bool by_output = false;
const volatile bool as_nobody = false;

static __always_inline void emit(void *ctx, __u64 cgroup, __u32 pid, __u32 which)
{
	struct event *event;

	if (by_output) {
		struct event copied = { .cgroup = cgroup, .pid = pid, .which = which };

		gadget_output_buf(ctx, &events, &copied, sizeof(copied));
		return;
	}
	if (as_nobody)
		event = gadget_reserve_buf_as(&events, sizeof(*event), 0);
	else
		event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return;
	event->cgroup = cgroup;
	event->pid = pid;
	event->which = which;
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
}

SEC("tracepoint/syscalls/sys_enter_kill")
int on_kill(struct trace_event_raw_sys_enter *ctx)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u64 uid_gid = bpf_get_current_uid_gid();
	__u64 mntns = gadget_get_mntns_id();
	__u32 pid = pid_tgid >> 32, tid = pid_tgid, which = 0, zero = 0;
	gadget_comm comm[TASK_COMM_LEN];
	__u64 *count;

	if (ctx->args[1])
		return 0;
	if (wanted_pid && wanted_pid != pid)
		return 0;
	if (!verdicts) {
		if (!gadget_should_discard_data_current())
			emit(ctx, bpf_get_current_cgroup_id(), pid, 1);
		count = bpf_map_lookup_elem(&counted, &zero);
		if (wanted_pid && count && gadget_should_count_current())
			__sync_fetch_and_add(count, 1);
		return 0;
	}
	bpf_get_current_comm(comm, sizeof(comm));
	which |= gadget_should_discard_data_current() << 0;
	which |= gadget_should_discard_task(bpf_get_current_task_btf()) << 1;
	which |= gadget_should_discard_mntns_id(mntns) << 2;
	which |= gadget_should_discard_mntns_id(1) << 3;
	which |= gadget_should_discard_data(mntns, pid, tid, comm, (__u32)uid_gid, uid_gid >> 32) << 4;
	which |= gadget_should_discard_data(mntns, 1, 1, comm, (__u32)uid_gid, uid_gid >> 32) << 5;
	which |= gadget_should_discard_cgroup(bpf_get_current_cgroup_id()) << 6;
	emit(ctx, bpf_get_current_cgroup_id(), pid, which);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(__u64 *ctx)
{
	if (tasks && !gadget_should_discard_data_current())
		emit(ctx, bpf_get_current_cgroup_id(), bpf_get_current_pid_tgid() >> 32, 2);
	return 0;
}

/* About a task that is not current. */
SEC("tp_btf/sched_process_fork")
int on_fork(__u64 *ctx)
{
	struct task_struct *child = (struct task_struct *)ctx[1];

	if (tasks && !gadget_should_discard_task(child))
		emit(ctx, gadget_get_task_cgroup_id(child), child->tgid, 3);
	return 0;
}

#ifdef PACKETS
SEC("xdp")
int packets(void *ctx)
{
	return 2;
}
#endif

char LICENSE[] SEC("license") = "GPL";
