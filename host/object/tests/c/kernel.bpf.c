// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Every way in which a program asks about the running kernel's types.
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct list_head {
	struct list_head *next, *prev;
} __attribute__((preserve_access_index));

struct task_struct___here {
	int pid;
	char comm[16];
	struct task_struct___here *real_parent;
	struct list_head children;
	unsigned int sched_migrated : 1;
} __attribute__((preserve_access_index));

struct task_struct___older {
	int no_such_field;
} __attribute__((preserve_access_index));

struct no_such_struct {
	int field;
} __attribute__((preserve_access_index));

enum pid_type {
	PIDTYPE_PID,
	PIDTYPE_TGID,
};

struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);
typedef int (*no_such_function_t)(void);

struct work_struct {
	work_func_t func;
} __attribute__((preserve_access_index));

SEC("raw_tp/sched_process_exec")
int ask(__u64 *ctx)
{
	struct task_struct___here *task = (void *)ctx[0];
	struct task_struct___older *older = (void *)ctx[0];
	struct work_struct *work = (void *)ctx[1];
	__u64 sum = 0;

	sum += BPF_CORE_READ(task, real_parent, pid);
	sum += BPF_CORE_READ(task, comm[3]);
	sum += (__u64)BPF_CORE_READ(task, children.next);
	sum += BPF_CORE_READ_BITFIELD_PROBED(task, sched_migrated);
	sum += (__u64)BPF_CORE_READ(work, func);
	sum += bpf_core_field_exists(older->no_such_field);
	sum += bpf_core_field_size(task->comm);
	sum += bpf_core_type_exists(struct no_such_struct) << 1;
	sum += bpf_core_type_exists(struct task_struct___here) << 2;
	sum += bpf_core_type_exists(work_func_t) << 3;
	sum += bpf_core_type_exists(no_such_function_t) << 4;
	sum += bpf_core_type_size(struct task_struct___here);
	sum += bpf_core_type_id_kernel(struct task_struct___here);
	sum += bpf_core_type_id_local(struct task_struct___here);
	sum += bpf_core_enum_value(enum pid_type, PIDTYPE_TGID);
	return sum;
}

SEC("tp_btf/sched_process_fork")
int hooked(__u64 *ctx)
{
	return 0;
}

SEC("fentry/do_exit")
int entered(__u64 *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
