// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// The types of awkward.bpf.c as a newer kernel might have them.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct slot {
	__u32 b;
	__u32 a;
};

struct holder {
	__u64 more;
	__u64 number;
	struct slot slots[];
};

struct outer {
	__u64 first;
	__u64 more;
	struct holder inner;
};

SEC("raw_tp/newer")
int newer(struct outer *outer)
{
	return outer->inner.slots[0].a;
}

char LICENSE[] SEC("license") = "GPL";
