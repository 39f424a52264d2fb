/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* late: every program that starts, with its command line. For tests. */
#include <gadget/gadget.h>

#define ARGS_SIZE 256

struct event {
	gadget_timestamp timestamp_raw;
	struct gadget_process proc;
	__u64 args_size; /* bytes of `args` */
	char args[ARGS_SIZE]; /* a NUL behind each */
};

GADGET_TRACER_MAP(events, 1024 * 1024)
GADGET_TRACER(starts, events, event)

SEC("tp_btf/sched_process_exec")
int late_start(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct event *event;
	__u64 start, size;

	if (gadget_should_discard_data_current())
		return 0;
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	event->timestamp_raw = bpf_ktime_get_boot_ns();
	gadget_process_populate(&event->proc);
	start = task->mm->arg_start;
	size = task->mm->arg_end - start;
	if (size > ARGS_SIZE)
		size = ARGS_SIZE;
	barrier_var(size);
	if (size <= ARGS_SIZE && bpf_probe_read_user(event->args, size, (const void *)start) == 0)
		event->args_size = size;
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
