// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// What libbpf takes and the loader does not: each part of it once.
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct slot {
	__u32 a;
	__u32 b;
} __attribute__((preserve_access_index));

struct holder {
	__u64 number;
	struct slot slots[];
} __attribute__((preserve_access_index));

struct outer {
	__u64 first;
	struct holder inner;
} __attribute__((preserve_access_index));

int called(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, int(void *));
} calls SEC(".maps") = {
	.values = { [2] = (void *)&called },
};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} one SEC(".maps"), two SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} maps SEC(".maps") = {
	.values = { &one, &two },
};

SEC("socket1")
int called(void *ctx)
{
	return 1;
}

SEC("tracepoint/a/b")
int plain(void *ctx)
{
	bpf_tail_call(ctx, &calls, 2);
	return 0;
}

SEC("?tracepoint/a/b")
int optional(void *ctx)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&maps, &zero) != 0;
}

SEC("raw_tp/flexible")
int flexible(__u64 *ctx)
{
	struct holder *holder = (void *)ctx[0];

	return BPF_CORE_READ(holder, slots[5].b);
}

SEC("raw_tp/nested")
int nested(__u64 *ctx)
{
	struct outer *outer = (void *)ctx[0];

	return BPF_CORE_READ(outer, inner.slots[1].a);
}

SEC("raw_tp/shared")
int stays(__u64 *ctx)
{
	struct holder *holder = (void *)ctx[0];

	return BPF_CORE_READ(holder, number);
}

SEC("raw_tp/shared")
int goes(__u64 *ctx)
{
	struct slot *slot = (void *)ctx[0];

	return BPF_CORE_READ(slot, b);
}

SEC("usdt/libc:setjmp")
int unknown(__u64 *ctx)
{
	struct slot *slot = (void *)ctx[0];

	return BPF_CORE_READ(slot, a);
}

char LICENSE[] SEC("license") = "GPL";
