/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The namespaces and the cgroup of the current task. */
#ifndef __GADGET_MNTNS_H
#define __GADGET_MNTNS_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/types.h>

/*
 * Mount namespace of the current task; 0 for a task that is exiting.
 *
 * The pointer from bpf_get_current_task_btf() is typed, so these are plain loads whose faults the
 * kernel catches, and no call of bpf_probe_read_kernel.
 */
static __always_inline gadget_mntns_id gadget_get_mntns_id(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->nsproxy->mnt_ns->ns.inum;
}

/* Network namespace of the current task; 0 for a task that is exiting. */
static __always_inline gadget_netns_id gadget_get_netns_id(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->nsproxy->net_ns->ns.inum;
}

#endif /* __GADGET_MNTNS_H */
