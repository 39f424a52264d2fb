/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* plain: a gadget without a guest; every getppid(2). For tests. */
#include <gadget/gadget.h>

struct event {
	gadget_timestamp timestamp_raw;
	gadget_pid pid;
	gadget_comm comm[TASK_COMM_LEN];
};

GADGET_TRACER_MAP(events, 256 * 1024)
GADGET_TRACER(calls, events, event)

SEC("tracepoint/syscalls/sys_enter_getppid")
int plain_call(void *ctx)
{
	struct event *event;

	if (gadget_should_discard_data_current())
		return 0;
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->timestamp_raw = bpf_ktime_get_boot_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
