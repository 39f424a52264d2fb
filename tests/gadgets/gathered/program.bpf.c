/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* gathered: every getppid(2), numbered, without a guest. For tests. */
#include <gadget/gadget.h>

struct event {
	__u64 sequence; /* from 0, in the order of the calls */
	gadget_comm comm[TASK_COMM_LEN];
};

GADGET_TRACER_MAP(events, 1024 * 1024)
GADGET_TRACER(calls, events, event)

static __u64 next;

SEC("tracepoint/syscalls/sys_enter_getppid")
int gathered_call(void *ctx)
{
	struct event *event;

	if (gadget_should_discard_data_current())
		return 0;
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->sequence = __sync_fetch_and_add(&next, 1);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
