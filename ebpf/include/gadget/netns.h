/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whose a network namespace is: for what has no process, such as a connection that waits for its end. */
#ifndef __GADGET_NETNS_H
#define __GADGET_NETNS_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/types.h>

/*
 * By namespace the cgroup of the process that is in it for longest: a pod's sandbox, a container's
 * first process; the root for the host's. The host fills it in before a program looks into a
 * namespace.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, gadget_netns_id);
	__type(value, gadget_cgroup_id);
} gadget_netns_owners SEC(".maps");

/* The cgroup that a network namespace belongs to; 0 if nobody is in it. */
static __always_inline gadget_cgroup_id gadget_netns_cgroup(gadget_netns_id netns)
{
	gadget_cgroup_id *cgroup = bpf_map_lookup_elem(&gadget_netns_owners, &netns);

	return cgroup ? *cgroup : 0;
}

/*
 * In a socket filter, SEC("socket"): the namespace of this packet. The host writes it down before
 * the filter runs.
 */
static __always_inline gadget_netns_id gadget_skb_netns(const struct __sk_buff *skb)
{
	return skb->cb[0];
}

#endif /* __GADGET_NETNS_H */
