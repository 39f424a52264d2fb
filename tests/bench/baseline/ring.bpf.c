/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A record of 128 bytes for every getppid of one thread. Both readers get this object. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/buffer.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The size that the host gives a ring at least, so that both readers have the same. */
GADGET_TRACER_MAP(records, 4 << 20)

const volatile __u32 traced_tid = 0;

struct record {
	__u64 timestamp;
	__u64 thread;
	char comm[16];
	char text[96];
};

SEC("tracepoint/syscalls/sys_enter_getppid")
int on_getppid(void *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct record *record;

	if ((__u32)thread != traced_tid)
		return 0;
	record = gadget_reserve_buf(&records, sizeof(*record));
	if (!record)
		return 0;
	record->timestamp = bpf_ktime_get_boot_ns();
	record->thread = thread;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	__builtin_memset(record->text, 'x', sizeof(record->text));
	gadget_submit_buf(ctx, &records, record, sizeof(*record));
	return 0;
}
