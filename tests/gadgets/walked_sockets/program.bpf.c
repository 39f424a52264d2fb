/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* walked_sockets: listening TCP sockets, of which some can't be read. For tests. */
#include <gadget/gadget.h>
#include <gadget/sockets.h>

#define LISTEN 10

/* The kernel gathers 8 pages, and this is more. */
#define TOO_MUCH (1 << 16)

const volatile __u64 unreadable = 0;
GADGET_PARAM(unreadable);
const volatile __u64 crooked = 0;
GADGET_PARAM(crooked);

struct socket_entry {
	gadget_netns_id netns;
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[TOO_MUCH]);
} zeros SEC(".maps");

GADGET_ITER(sockets, socket_entry, walk_sockets)

SEC("iter/tcp")
int walk_sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct seq_file *seq = ctx->meta->seq;
	struct socket_entry entry = {};
	__u32 zero = 0;
	void *bytes = bpf_map_lookup_elem(&zeros, &zero);

	if (!common || !bytes || common->skc_state != LISTEN)
		return 0;
	entry.netns = BPF_CORE_READ(common, skc_net.net, ns.inum);
	entry.port = common->skc_num;
	if (entry.port == unreadable)
		bpf_seq_write(seq, bytes, TOO_MUCH);
	/* No whole record. */
	else if (entry.port == crooked)
		bpf_seq_write(seq, &entry, 3);
	else
		bpf_seq_write(seq, &entry, sizeof(entry));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
