/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* stack: where getppid(2) is called from, in the kernel and in the process; without a guest. For tests. */
#include <gadget/gadget.h>

#define MAX_FRAMES 32

struct event {
	gadget_pid pid;
	__u32 __pad;
	__u64 kernel_stack[MAX_FRAMES];
	__u64 user_stack[MAX_FRAMES];
};

GADGET_TRACER_MAP(events, 256 * 1024)
GADGET_TRACER(calls, events, event)

SEC("tracepoint/syscalls/sys_enter_getppid")
int stack_call(void *ctx)
{
	struct event *event;

	if (gadget_should_discard_data_current())
		return 0;
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->__pad = 0;
	/* What is not needed of the room, and all of it when there is no stack, the kernel fills with zeros. */
	bpf_get_stack(ctx, event->kernel_stack, sizeof(event->kernel_stack), 0);
	bpf_get_stack(ctx, event->user_stack, sizeof(event->user_stack), BPF_F_USER_STACK);
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
