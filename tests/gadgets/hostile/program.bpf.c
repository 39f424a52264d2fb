/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * hostile: every getppid(2), numbered, into a guest that does whatever a guest must not.
 * For tests: `storm` makes exactly as many calls as it is told to.
 */
#include <gadget/gadget.h>

struct event {
	gadget_timestamp timestamp_raw;
	__u64 sequence; /* from 0, in the order of the calls */
	char filling[112]; /* 128 bytes, like a record of a real gadget */
};

GADGET_TRACER_MAP(events, 64 * 1024)
GADGET_TRACER(calls, events, event)

/* Throws away every third record after reserving it. */
const volatile bool discard_some = false;
GADGET_PARAM(discard_some);

/* For the guest, which may only look. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} kept SEC(".maps");

static __u64 next;

SEC("tracepoint/syscalls/sys_enter_getppid")
int hostile_call(void *ctx)
{
	struct event *event;
	__u64 sequence;

	if (gadget_should_discard_data_current())
		return 0;
	sequence = __sync_fetch_and_add(&next, 1);
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	if (discard_some && sequence % 3 == 0) {
		gadget_discard_buf(event);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->timestamp_raw = bpf_ktime_get_boot_ns();
	event->sequence = sequence;
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
