/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which tasks the user asked for.
 *
 * The host sets the variables below before the programs are loaded. They are constants for the
 * verifier, which removes every branch that they rule out: with no filter set,
 * gadget_should_discard_data_current() costs nothing at all. Call it first.
 *
 * "pid" and "tid" are user space's words: the kernel's tgid and pid. A process is asked for (`--pid`) by
 * a mark, because what it starts belongs to it: gadget_filter_followed.
 */
#ifndef __GADGET_FILTER_H
#define __GADGET_FILTER_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <gadget/types.h>
#include <gadget/mntns.h>
#include <gadget/cgroup.h>

/* ---- set by the host, not by the gadget ---- */

const volatile __u32 gadget_filter_tid = 0; /* 0: any */
const volatile bool gadget_filter_by_uid = false;
const volatile __u32 gadget_filter_uid = 0; /* real uid, if gadget_filter_by_uid */
const volatile bool gadget_filter_by_gid = false;
const volatile __u32 gadget_filter_gid = 0; /* real gid, if gadget_filter_by_gid */
const volatile bool gadget_filter_by_comm = false;
const volatile char gadget_filter_comm[TASK_COMM_LEN] = {}; /* the whole name, padded with NUL */
const volatile bool gadget_filter_followed = false; /* only tasks marked in gadget_followed */

/* ---- following a process and what it starts ---- */

/*
 * A task with storage in this map is followed, and so is every thread of a process whose leader is.
 * The value is 1 and never read.
 *
 * The host marks a process through a pidfd (the map's key in user space); before Linux 6.9 a pidfd
 * means a process, so it is the leader that gets the mark and that its threads look at. Each task
 * that gadget_follow_fork sees carries a mark of its own as well: a thread that calls execve becomes
 * the leader, and the old one goes with its storage. What is left: before 6.9, a thread that existed
 * when the host marked its process, is not its leader and calls execve. With 6.9 and newer the host
 * marks such threads one by one (PIDFD_THREAD).
 */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} gadget_followed SEC(".maps");

/* Is `task` followed? `task` is a typed pointer: bpf_get_current_task_btf(), or an argument of tp_btf. */
static __always_inline bool gadget_is_followed(struct task_struct *task)
{
	struct task_struct *leader;

	if (bpf_task_storage_get(&gadget_followed, task, (void *)0, 0))
		return true;
	leader = task->group_leader;
	return leader != task && bpf_task_storage_get(&gadget_followed, leader, (void *)0, 0);
}

/*
 * Passes the mark on: runs in the parent, before the child does. Loaded by the host when
 * gadget_filter_followed is set and by nobody otherwise ("?": libbpf does not load it unasked).
 */
SEC("?tp_btf/sched_process_fork")
int gadget_follow_fork(__u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0];
	struct task_struct *child = (struct task_struct *)ctx[1];
	__u32 mark = 1;

	if (gadget_is_followed(parent))
		bpf_task_storage_get(&gadget_followed, child, &mark, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

/* ---- the question every program asks first ---- */

/*
 * By container, unit or cgroup. A newcomer of which nothing is known yet passes: the host holds its records until it
 * knows. For programs that know the cgroup of what they speak of.
 */
static __always_inline bool gadget_should_discard_cgroup(gadget_cgroup_id cgroup)
{
	return gadget_filter_by_cgroup && !bpf_map_lookup_elem(&gadget_cgroups, &cgroup);
}

/*
 * The same by mount namespace, for sources that have nothing better. Which cgroup a mount namespace belongs to can't be told;
 * if it is the current task's, the current task's cgroup decides, else the record passes and the host decides when it has
 * read whose it is. Not for programs in interrupts, which may interrupt another unit of the host's mount namespace: keep the
 * cgroup and ask gadget_should_discard_cgroup().
 */
static __always_inline bool gadget_should_discard_mntns_id(gadget_mntns_id mntns_id)
{
	return gadget_filter_by_cgroup && mntns_id == gadget_get_mntns_id() &&
	       gadget_should_discard_cgroup(bpf_get_current_cgroup_id());
}

static __always_inline bool gadget_should_discard_tid(gadget_tid tid)
{
	return gadget_filter_tid && gadget_filter_tid != tid;
}

static __always_inline bool gadget_should_discard_uid(gadget_uid uid)
{
	return gadget_filter_by_uid && gadget_filter_uid != uid;
}

static __always_inline bool gadget_should_discard_gid(gadget_gid gid)
{
	return gadget_filter_by_gid && gadget_filter_gid != gid;
}

/* `comm` up to its NUL against the whole of gadget_filter_comm. */
static __always_inline bool gadget_should_discard_comm(const gadget_comm *comm)
{
	if (!gadget_filter_by_comm)
		return false;
	for (int i = 0; i < TASK_COMM_LEN; i++) {
		char want = gadget_filter_comm[i];

		if (comm[i] != want)
			return true;
		if (!want)
			return false;
	}
	return false;
}

/* Everything but the cgroup, which count.h asks in its own way. */
static __always_inline bool ___gadget_discard_current_task(void)
{
	if (gadget_filter_followed && !gadget_is_followed(bpf_get_current_task_btf()))
		return true;
	if (gadget_filter_tid && gadget_should_discard_tid((__u32)bpf_get_current_pid_tgid()))
		return true;
	if (gadget_filter_by_uid || gadget_filter_by_gid) {
		__u64 uid_gid = bpf_get_current_uid_gid();

		if (gadget_should_discard_uid((__u32)uid_gid) ||
		    gadget_should_discard_gid(uid_gid >> 32))
			return true;
	}
	if (gadget_filter_by_comm) {
		gadget_comm comm[TASK_COMM_LEN];

		bpf_get_current_comm(comm, sizeof(comm));
		if (gadget_should_discard_comm(comm))
			return true;
	}
	return false;
}

/* Does the user not want records of the current task? */
static __always_inline bool gadget_should_discard_data_current(void)
{
	if (___gadget_discard_current_task())
		return true;
	return gadget_filter_by_cgroup &&
	       gadget_should_discard_cgroup(bpf_get_current_cgroup_id());
}

/* ---- the same of another task ---- */

/*
 * Id of the cgroup of any task, as bpf_get_current_cgroup_id() gives it for the current one. `task` is a typed pointer:
 * bpf_get_current_task_btf(), an argument of tp_btf, the task of an iterator's context.
 */
static __always_inline gadget_cgroup_id gadget_get_task_cgroup_id(struct task_struct *task)
{
	return task->cgroups->dfl_cgrp->kn->id;
}

/* Does the user not want records of `task`? A typed pointer, as above. */
static __always_inline bool gadget_should_discard_task(struct task_struct *task)
{
	if (gadget_filter_followed && !gadget_is_followed(task))
		return true;
	if (gadget_filter_tid && gadget_should_discard_tid(task->pid))
		return true;
	if (gadget_filter_by_uid && gadget_should_discard_uid(task->cred->uid.val))
		return true;
	if (gadget_filter_by_gid && gadget_should_discard_gid(task->cred->gid.val))
		return true;
	if (gadget_filter_by_comm) {
		__u64 comm[TASK_COMM_LEN / 8] = { *(__u64 *)&task->comm[0],
						  *(__u64 *)&task->comm[8] };

		if (gadget_should_discard_comm((const gadget_comm *)comm))
			return true;
	}
	return gadget_filter_by_cgroup &&
	       gadget_should_discard_cgroup(gadget_get_task_cgroup_id(task));
}

/*
 * For a task that is known by its numbers. What else is known of it, whether it is followed and its cgroup, is that of
 * the current task if it is the current one after all. If not, it is discarded while something is followed; by its cgroup it
 * is not, but passes, and the host decides when it has read whose the record is. A program that has the task_struct asks
 * gadget_should_discard_task().
 */
static __always_inline bool gadget_should_discard_data(gadget_mntns_id mntns_id, gadget_pid pid,
						       gadget_tid tid, const gadget_comm *comm,
						       gadget_uid uid, gadget_gid gid)
{
	if (gadget_filter_followed || gadget_filter_by_cgroup) {
		/* 0 is nobody, and not the idle task that an interrupt found. */
		bool current = tid && tid == (__u32)bpf_get_current_pid_tgid();

		if (gadget_filter_followed &&
		    (!current || !gadget_is_followed(bpf_get_current_task_btf())))
			return true;
		if (gadget_filter_by_cgroup && current &&
		    gadget_should_discard_cgroup(bpf_get_current_cgroup_id()))
			return true;
	}
	(void)mntns_id;
	(void)pid;
	return gadget_should_discard_tid(tid) || gadget_should_discard_uid(uid) ||
	       gadget_should_discard_gid(gid) || gadget_should_discard_comm(comm);
}

#endif /* __GADGET_FILTER_H */
