/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* walked: an iterator that writes 3000 numbers each time it is read. For tests. */
#include <gadget/gadget.h>

struct entry {
	__u32 pass; /* from 0 */
	__u32 sequence; /* from 0 in each pass */
};

GADGET_ITER(entries, entry, walk_prepare, walk)

static __u32 passes;
static __u32 prepared;

/* Writes nothing: it has to have run before the other. */
SEC("iter/task")
int walk_prepare(struct bpf_iter__task *ctx)
{
	if (!ctx->meta->seq_num)
		prepared = passes + 1;
	return 0;
}

SEC("iter/task")
int walk(struct bpf_iter__task *ctx)
{
	struct entry entry = {};

	/* The whole pass for the first task. */
	if (ctx->meta->seq_num || prepared != passes + 1)
		return 0;
	entry.pass = passes++;
	for (int i = 0; i < 3000; i++) {
		entry.sequence = i;
		bpf_seq_write(ctx->meta->seq, &entry, sizeof(entry));
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
