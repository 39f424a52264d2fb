/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * row: the record of a bench's guest, in the shape of trace_open's. Its spans are made by the bench: nothing is ever
 * loaded, and the program is there because an object without one is none.
 */
#include <gadget/gadget.h>

struct event {
	gadget_timestamp timestamp_raw;
	struct gadget_process proc;
	__s32 ret; /* negative: it failed */
	__u32 flags;
	__u64 inode;
	char path[]; /* up to a NUL; the record ends with it */
};

GADGET_TRACER_MAP(events, 64 * 1024)
GADGET_TRACER(call, events, event)

SEC("tracepoint/syscalls/sys_enter_getppid")
int row_call(void *ctx)
{
	return gadget_should_discard_data_current();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
