/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * For gadgets that keep sums in the kernel instead of records. A record of a newcomer, of which the host does not know
 * yet whether it is wanted, is held back and dropped if it is not; a sum can't be. So newcomers are not counted until they
 * are decided, and how often that was is told: gadget_uncounted. Not part of gadget.h: the map is for those who sum.
 */
#ifndef __GADGET_COUNT_H
#define __GADGET_COUNT_H

#include <gadget/filter.h>

/* Events that were not counted because their cgroup was not decided. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} gadget_uncounted SEC(".maps");

/* Does what happens in this cgroup count? By the cgroup alone, for programs that know whose it is. */
static __always_inline bool gadget_should_count_cgroup(gadget_cgroup_id id)
{
	struct gadget_cgroup *cgroup;
	__u64 *uncounted;
	__u32 zero = 0;

	if (!gadget_filter_by_cgroup)
		return true;
	cgroup = bpf_map_lookup_elem(&gadget_cgroups, &id);
	if (!cgroup)
		return false;
	if (cgroup->state == GADGET_CGROUP_CHOSEN)
		return true;
	uncounted = bpf_map_lookup_elem(&gadget_uncounted, &zero);
	if (uncounted)
		__sync_fetch_and_add(uncounted, 1);
	return false;
}

/* Does what the current task does count? Instead of gadget_should_discard_data_current(). */
static __always_inline bool gadget_should_count_current(void)
{
	if (___gadget_discard_current_task())
		return false;
	return !gadget_filter_by_cgroup || gadget_should_count_cgroup(bpf_get_current_cgroup_id());
}

#endif /* __GADGET_COUNT_H */
