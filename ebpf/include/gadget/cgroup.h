/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The cgroups that the user asked for: one map that the host fills, that its watcher of cgroups marks newcomers in, and
 * that all objects of a run share. Keys are ids of cgroups of v2, also on machines that have both hierarchies.
 */
#ifndef __GADGET_CGROUP_H
#define __GADGET_CGROUP_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

/* Set by the host: only cgroups that are in gadget_cgroups. */
const volatile bool gadget_filter_by_cgroup = false;

enum gadget_cgroup_state {
	GADGET_CGROUP_CHOSEN = 1, /* wanted */
	GADGET_CGROUP_PENDING = 2, /* new: the host finds out whether it is, and holds its records until then */
};

/* Of a cgroup that is not there at all nothing is wanted. */
struct gadget_cgroup {
	__u32 state;
	__u32 __pad;
	__u64 owner; /* id of the cgroup that stands for the container: the outermost; 0: this one */
};

/*
 * As it stands here it has one entry and costs nothing; the host puts its own, for a million, in its place. Preallocated
 * here, because before Linux 6.1 programs at perf events are refused with a map that is not.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct gadget_cgroup);
} gadget_cgroups SEC(".maps");

#endif /* __GADGET_CGROUP_H */
