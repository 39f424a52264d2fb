/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who caused a record. */
#ifndef __GADGET_PROCESS_H
#define __GADGET_PROCESS_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/types.h>
#include <gadget/mntns.h>

/*
 * Fills `p`, every byte of it, with the current task. For programs that run in the context of the
 * process they speak of: tracepoints of system calls, sched_process_exec, probes; not for what runs
 * in interrupts.
 */
static __always_inline void gadget_process_populate(struct gadget_process *p)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *parent = task->real_parent;
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u64 uid_gid = bpf_get_current_uid_gid();

	bpf_get_current_comm(p->comm, sizeof(p->comm));
	p->pid = pid_tgid >> 32;
	p->tid = (__u32)pid_tgid;
	p->mntns_id = task->nsproxy->mnt_ns->ns.inum;
	p->cgroup_id = bpf_get_current_cgroup_id();
	p->creds.uid = (__u32)uid_gid;
	p->creds.gid = uid_gid >> 32;
	/* In two words and not by a helper call: bytes behind the NUL may be of an older name. */
	((__u64 *)p->parent.comm)[0] = *(__u64 *)&parent->comm[0];
	((__u64 *)p->parent.comm)[1] = *(__u64 *)&parent->comm[8];
	p->parent.pid = parent->tgid;
	p->__pad = 0;
}

#endif /* __GADGET_PROCESS_H */
