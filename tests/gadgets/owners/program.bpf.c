/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* owners: programs that start, with what says whose they are. For tests. */
#include <gadget/gadget.h>

struct event {
	gadget_timestamp timestamp_raw;
	gadget_mntns_id mntns_id;
	gadget_cgroup_id cgroup_id;
};

GADGET_TRACER_MAP(events, 64 * 1024)
GADGET_TRACER(exec, events, event)

SEC("tp_btf/sched_process_exec")
int owners_exec(void *ctx)
{
	struct event *event;

	if (gadget_should_discard_data_current())
		return 0;
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->timestamp_raw = bpf_ktime_get_boot_ns();
	event->mntns_id = gadget_get_mntns_id();
	event->cgroup_id = bpf_get_current_cgroup_id();
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
