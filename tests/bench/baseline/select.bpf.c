/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a getppid costs that a gadget looks at and leaves out, by way of leaving it out: with NOTHING it looks at nothing,
 * with MNTNS it asks as Inspektor Gadget's headers do, else as ours do.
 */
#include <gadget/gadget.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct record {
	__u64 timestamp;
	struct gadget_process process;
};

GADGET_TRACER_MAP(records, 4 << 20)

#ifdef MNTNS
/* The name, type and size of the map, and how the number is read, are those of Inspektor Gadget. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} gadget_mntns_filter_map SEC(".maps");

static __always_inline bool left_out(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 mntns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);

	return !bpf_map_lookup_elem(&gadget_mntns_filter_map, &mntns);
}
#elif defined(NOTHING)
static __always_inline bool left_out(void)
{
	return true;
}
#else
static __always_inline bool left_out(void)
{
	return gadget_should_discard_data_current();
}
#endif

SEC("tracepoint/syscalls/sys_enter_getppid")
int on_getppid(void *ctx)
{
	struct record *record;

	if (left_out())
		return 0;
	record = gadget_reserve_buf(&records, sizeof(*record));
	if (!record)
		return 0;
	record->timestamp = bpf_ktime_get_boot_ns();
	gadget_process_populate(&record->process);
	gadget_submit_buf(ctx, &records, record, sizeof(*record));
	return 0;
}
