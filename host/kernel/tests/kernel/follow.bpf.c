// Which tasks are followed: every execve of one that is, also a failing one, makes a record.
#include <gadget/gadget.h>

struct event {
	__u32 pid;
	__u32 tid;
};

GADGET_TRACER_MAP(events, 65536)

SEC("raw_tp/sys_enter")
int on_call(__u64 *ctx)
{
	struct event *event;
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	if (ctx[1] != 59 && ctx[1] != 221) // execve: amd64, arm64
		return 0;
	if (gadget_should_discard_data_current())
		return 0;
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->pid = pid_tgid >> 32;
	event->tid = (__u32)pid_tgid;
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
