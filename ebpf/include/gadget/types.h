/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Types that say what a field means. Use them in record structs: the typedef's name is in the BTF, and
 * a column that shows the field takes its kind from it, unless the manifest says `kind`. Those with a
 * kind have it in brackets; the others are shown by their type.
 */
#ifndef __GADGET_TYPES_H
#define __GADGET_TYPES_H

#include <vmlinux.h>

#ifndef TASK_COMM_LEN
#define TASK_COMM_LEN 16
#endif

/* Longest path the kernel takes, with its NUL. */
#define GADGET_PATH_MAX 4096

/* ---- who ---- */

typedef __u64 gadget_mntns_id; /* [mount-ns] inode number of a mount namespace; reused by the kernel at once */
typedef __u64 gadget_cgroup_id; /* [cgroup] id of a cgroup (v2 hierarchy); not reused */
typedef __u32 gadget_netns_id; /* [net-ns] inode number of a network namespace */
typedef __u32 gadget_pid; /* [pid] process id, in the initial pid namespace */
typedef __u32 gadget_tid; /* [tid] thread id */
typedef __u32 gadget_ppid; /* [pid] process id of the parent */
typedef __u32 gadget_uid; /* [uid] */
typedef __u32 gadget_gid; /* [gid] */
typedef char gadget_comm; /* gadget_comm comm[TASK_COMM_LEN] */
typedef char gadget_pcomm; /* comm of the parent */

/* ---- when and how much ---- */

typedef __u64 gadget_timestamp; /* [timestamp] bpf_ktime_get_boot_ns() */
typedef __u64 gadget_duration; /* [duration] nanoseconds */
typedef __u64 gadget_bytes; /* [bytes] a size */

/* ---- words ---- */

typedef __u32 gadget_errno; /* [errno] positive; 0 is success */
typedef __u32 gadget_signal; /* [signal] its number */
typedef __u64 gadget_syscall; /* [syscall] number of a system call on this architecture */
typedef __u32 gadget_file_flags; /* [open-flags] flags of open(2) */
typedef __u32 gadget_file_mode; /* [file-mode] permission bits, and type bits if any */
typedef __u32 gadget_kernel_stack; /* id from bpf_get_stackid */

/* ---- network ---- */

union gadget_ip_addr_t {
	__u8 v6[16];
	__u32 v4; /* network byte order */
};
struct gadget_l3endpoint_t {
	union gadget_ip_addr_t addr_raw;
	__u8 version; /* 4 or 6; 0: there is none */
};
struct gadget_l4endpoint_t {
	union gadget_ip_addr_t addr_raw;
	__u16 port; /* host byte order */
	__u16 proto_raw; /* IPPROTO_* */
	__u8 version; /* 4 or 6; 0: there is none */
};

/* ---- metrics ---- */

typedef __u32 gadget_counter__u32;
typedef __u64 gadget_counter__u64;
typedef __u32 gadget_gauge__u32;
typedef __u64 gadget_gauge__u64;
typedef __u32 gadget_histogram_slot__u32;
typedef __u64 gadget_histogram_slot__u64;

/* ---- the process behind a record; filled by gadget_process_populate() of process.h ---- */

struct gadget_creds {
	gadget_uid uid; /* real ids, in the initial user namespace */
	gadget_gid gid;
};

struct gadget_parent {
	gadget_pcomm comm[TASK_COMM_LEN];
	gadget_ppid pid;
};

struct gadget_process {
	gadget_comm comm[TASK_COMM_LEN];
	gadget_pid pid;
	gadget_tid tid;
	gadget_mntns_id mntns_id;
	gadget_cgroup_id cgroup_id;
	struct gadget_creds creds;
	struct gadget_parent parent;
	__u32 __pad; /* written, so that no byte of an older record shows through */
};

#endif /* __GADGET_TYPES_H */
