/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A record of 128 bytes for every getppid of one thread. No ledger and no header: nothing but the ring is measured. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The size that the host gives a ring at least, so that both readers have the same. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} records SEC(".maps");

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
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record)
		return 0;
	record->timestamp = bpf_ktime_get_boot_ns();
	record->thread = thread;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	__builtin_memset(record->text, 'x', sizeof(record->text));
	bpf_ringbuf_submit(record, 0);
	return 0;
}
