/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* asking: every getppid(2), numbered, and counted in a map. For tests. */
#include <gadget/gadget.h>

struct event {
	__u64 sequence; /* from 0, in the order of the calls */
};

const volatile __u64 step = 1;
GADGET_PARAM(step);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

GADGET_TRACER_MAP(events, 1024 * 1024)
GADGET_TRACER(calls, events, event)

static __u64 next;

SEC("tracepoint/syscalls/sys_enter_getppid")
int asking_call(void *ctx)
{
	struct event *event;
	__u64 sequence, zero = 0, *count;
	__u32 key;

	if (gadget_should_discard_data_current())
		return 0;
	sequence = __sync_fetch_and_add(&next, 1);
	key = sequence & 3;
	bpf_map_update_elem(&counts, &key, &zero, BPF_NOEXIST);
	count = bpf_map_lookup_elem(&counts, &key);
	if (count)
		__sync_fetch_and_add(count, step);
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->sequence = sequence;
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
