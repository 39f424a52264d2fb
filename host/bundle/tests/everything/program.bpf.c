/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Every kind of field that a record can have. For tests of what is generated; it is never loaded. */
#include <gadget/gadget.h>

enum colour { RED = 1, GREEN = -2 };

struct point {
	__s16 x;
	__u8 y;
} __attribute__((packed));

struct event {
	gadget_timestamp stamp;
	struct gadget_process proc;
	enum colour colour;
	bool yes;
	char letter;
	__u16 low : 3, mid : 10, high : 3;
	__s32 negative : 4, rest : 28;
	union {
		__u32 word;
		__u8 bytes[4];
	};
	struct {
		__u16 inner;
	} __attribute__((packed)) named;
	struct point points[3]; /* not aligned */
	__u32 numbers[4];
	__u64 type; /* a keyword of Rust */
	void *pointer;
	char comm[12];
	char tail[];
} __attribute__((packed));

struct plain {
	__u32 value;
	__u8 address[16]; /* the end of a record may be missing */
};

struct pair_key {
	__u32 a, b;
};

struct pair {
	__u64 first;
	__u16 second;
};

const volatile bool kernel_side = false;
GADGET_PARAM(kernel_side);

GADGET_TRACER_MAP(events, 64 * 1024)
GADGET_TRACER_MAP(others, 64 * 1024)
GADGET_TRACER(stop, events, event)
GADGET_TRACER(plain, others, plain)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __s64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u16);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct pair_key);
	__type(value, struct pair);
} pairs SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getppid")
int everything(void *ctx)
{
	__u32 key = 0;

	if (gadget_should_discard_data_current() || kernel_side)
		return 0;
	bpf_map_lookup_elem(&counts, &key);
	bpf_map_lookup_elem(&per_cpu, &key);
	bpf_map_lookup_elem(&pairs, &(struct pair_key){});
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
