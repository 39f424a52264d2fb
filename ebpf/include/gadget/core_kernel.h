/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Kernel structures that are the same on every architecture, with only the fields that are read.
 * Included by our vmlinux.h; never beside a full one. Where each comes from in the kernel's tree
 * stands above it. Order and offsets do not matter (CO-RE), names and types do.
 */
#ifndef __GADGET_CORE_KERNEL_H
#define __GADGET_CORE_KERNEL_H

#ifndef TASK_COMM_LEN
#define TASK_COMM_LEN 16
#endif

/* include/uapi/linux/openat2.h: user space's layout, so nothing to relocate */
struct open_how {
	__u64 flags;
	__u64 mode;
	__u64 resolve;
};

/* include/uapi/linux/bpf.h: what programs for packets are shown of one; nothing to relocate */
struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/linux/uidgid_types.h */
typedef struct {
	uid_t val;
} kuid_t;
typedef struct {
	gid_t val;
} kgid_t;

/* include/linux/cred.h */
struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t suid;
	kgid_t sgid;
	kuid_t euid;
	kgid_t egid;
};

/* include/linux/ns_common.h */
struct ns_common {
	unsigned int inum;
};

/* fs/mount.h */
struct mnt_namespace {
	struct ns_common ns;
};

/* include/linux/pid_namespace.h */
struct pid_namespace {
	unsigned int level;
	struct ns_common ns;
};

/* include/net/net_namespace.h */
struct net {
	struct ns_common ns;
};

/* include/linux/nsproxy.h */
struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
};

/* include/linux/kernfs.h; id is the cgroup's id */
struct kernfs_node {
	__u64 id;
};

/* include/linux/cgroup-defs.h */
struct cgroup {
	struct kernfs_node *kn;
};
struct css_set {
	struct cgroup *dfl_cgrp;
};

/* include/linux/dcache.h, include/linux/fs.h */
struct qstr {
	union {
		struct {
			__u32 hash;
			__u32 len;
		};
		__u64 hash_len;
	};
	const unsigned char *name;
};
struct super_block {
	unsigned long s_magic;
};
struct inode {
	umode_t i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
};
struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

/* include/linux/mount.h, fs/mount.h */
struct vfsmount {
	struct dentry *mnt_root;
};
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

/* include/linux/path.h */
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

/* include/linux/fs_struct.h */
struct fs_struct {
	struct path root;
	struct path pwd;
};

/* include/linux/fs.h */
struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

/* include/linux/mm_types.h */
struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long env_start;
	unsigned long env_end;
	struct file *exe_file;
};

/* include/linux/binfmts.h */
struct linux_binprm {
	int argc;
	int envc;
	const char *filename; /* as it was asked for */
	const char *interp; /* what really runs: differs from filename for scripts */
};

/* include/linux/sched/signal.h */
struct signal_struct {
	int group_exit_code;
};

/* include/linux/sched.h */
struct task_struct {
	unsigned int flags;
	int exit_state;
	int exit_code;
	pid_t pid; /* the thread: what user space calls tid */
	pid_t tgid; /* the process: what user space calls pid */
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_time;
	__u64 start_boottime;
	const struct cred *real_cred;
	const struct cred *cred;
	char comm[TASK_COMM_LEN];
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
};

/* ---- contexts of iterators ---- */

/* include/linux/bpf.h; where bpf_seq_write() writes to, and how often the program has run */
struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

/* kernel/bpf/task_iter.c */
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

/* ---- contexts of tracepoint programs ---- */

/* include/linux/trace_events.h */
struct trace_entry {
	unsigned short type;
	unsigned char flags;
	unsigned char preempt_count;
	int pid;
};

/* tracepoint/syscalls/sys_enter_* and sys_exit_* (kernel/trace/trace.h) */
struct syscall_trace_enter {
	struct trace_entry ent;
	int nr;
	unsigned long args[];
};
struct syscall_trace_exit {
	struct trace_entry ent;
	int nr;
	long ret;
};

/* tracepoint/raw_syscalls/sys_enter and sys_exit (include/trace/events/syscalls.h); the contexts
 * of single system calls have the same shape, and these names are what most sources use */
struct trace_event_raw_sys_enter {
	struct trace_entry ent;
	long id;
	unsigned long args[6];
	char __data[];
};
struct trace_event_raw_sys_exit {
	struct trace_entry ent;
	long id;
	long ret;
	char __data[];
};

/* tracepoints of sched (include/trace/events/sched.h) */
struct trace_event_raw_sched_process_exec {
	struct trace_entry ent;
	__u32 __data_loc_filename;
	pid_t pid;
	pid_t old_pid;
	char __data[];
};
struct trace_event_raw_sched_process_fork {
	struct trace_entry ent;
	pid_t parent_pid;
	pid_t child_pid;
	char __data[];
};
struct trace_event_raw_sched_process_template {
	struct trace_entry ent;
	char comm[TASK_COMM_LEN];
	pid_t pid;
	int prio;
	char __data[];
};

/* tracepoints of signal (include/trace/events/signal.h) */
struct trace_event_raw_signal_generate {
	struct trace_entry ent;
	int sig;
	int errno;
	int code; /* si_code: SI_USER and below from user space, above from the kernel */
	char comm[TASK_COMM_LEN]; /* of the receiver */
	pid_t pid; /* the receiving thread */
	int group; /* for the whole process */
	int result;
	char __data[];
};

#pragma clang attribute pop

#endif /* __GADGET_CORE_KERNEL_H */
