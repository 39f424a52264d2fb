/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * conformance: every open of a path "case:LETTER[ARGUMENT]", numbered, or "cont:LETTER[ARGUMENT]", with whose it is. The
 * letter is what the guest is to do.
 */
#include <gadget/gadget.h>

#define PREFIX "case:"
#define OWNED_PREFIX "cont:"
#define PREFIX_SIZE 5

struct event {
	__u64 sequence; /* from 0, in the order of the calls */
	char letter;
	char argument[39]; /* as long as it is, without its NUL */
};

GADGET_TRACER_MAP(events, 64 * 1024)
GADGET_TRACER(cases, events, event)

/* About containers. */
struct owned {
	gadget_timestamp time;
	gadget_mntns_id mntns_id;
	gadget_cgroup_id cgroup_id;
	char letter;
	char argument[39]; /* as above */
};

GADGET_TRACER_MAP(owned_events, 64 * 1024)
GADGET_TRACER(owned, owned_events, owned)

/* Records by their letter. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

/* All records, counted on each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u16);
} by_cpu SEC(".maps");

static __u64 next;

static __always_inline int owned(struct syscall_trace_enter *ctx, char letter, const char *path)
{
	struct owned event = { .letter = letter };
	long length = bpf_probe_read_user_str(event.argument, sizeof(event.argument), path);

	if (length < 1 || length > sizeof(event.argument))
		return 0;
	event.time = bpf_ktime_get_boot_ns();
	event.mntns_id = gadget_get_mntns_id();
	event.cgroup_id = bpf_get_current_cgroup_id();
	gadget_output_buf(ctx, &owned_events, &event, offsetof(struct owned, argument) + length - 1);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int conformance_open(struct syscall_trace_enter *ctx)
{
	const char *path = (const char *)ctx->args[1];
	struct event event = {};
	char prefix[PREFIX_SIZE + 1];
	__u64 zero = 0, *count;
	__u32 key, first = 0, size;
	__u16 *here;
	long length;

	if (gadget_should_discard_data_current())
		return 0;
	if (bpf_probe_read_user(prefix, sizeof(prefix), path))
		return 0;
	if (!bpf_strncmp(prefix, PREFIX_SIZE, OWNED_PREFIX))
		return owned(ctx, prefix[PREFIX_SIZE], path + sizeof(prefix));
	if (bpf_strncmp(prefix, PREFIX_SIZE, PREFIX))
		return 0;
	event.letter = prefix[PREFIX_SIZE];
	length = bpf_probe_read_user_str(event.argument, sizeof(event.argument), path + sizeof(prefix));
	if (length < 1 || length > sizeof(event.argument))
		return 0;
	event.sequence = __sync_fetch_and_add(&next, 1);
	key = (__u8)event.letter;
	bpf_map_update_elem(&counts, &key, &zero, BPF_NOEXIST);
	count = bpf_map_lookup_elem(&counts, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	here = bpf_map_lookup_elem(&by_cpu, &first);
	if (here)
		(*here)++;
	/* A record that is cut off in the middle of its first field is malformed. */
	size = event.letter == 's' ? 4 : offsetof(struct event, argument) + length - 1;
	gadget_output_buf(ctx, &events, &event, size);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
