// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// What the walker has to find: programs, maps, variables, markers and every kind of field.
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define TASK_COMM_LEN 16

typedef __u64 gadget_mntns_id;
typedef gadget_mntns_id outer_id;

enum color { RED, GREEN = 7, BLUE = -1 };
enum wide { SMALL = 1, LARGE = 0x123456789abcULL };

struct creds {
	__u32 uid;
	__u32 gid;
};

struct process {
	char comm[TASK_COMM_LEN];
	__u32 pid;
	struct creds creds;
	struct {
		__u32 pid;
		char comm[TASK_COMM_LEN];
	} parent;
};

struct event {
	outer_id mntns;
	struct process proc;
	union {
		__u32 v4;
		__u8 v6[16];
	};
	union {
		int number;
		float real;
	} either;
	enum color color;
	enum wide wide;
	bool ok;
	signed char tiny;
	unsigned int low : 3;
	unsigned int high : 13;
	int negative : 5;
	double ratio;
	__u16 ports[4];
	void *address;
	struct creds both[2];
	long long total;
	char path[];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct creds);
} by_pid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 24);
} counts SEC(".maps");

const void *gadget_tracer_exec___events___event __attribute__((unused));
const struct event *type_of_exec __attribute__((unused)); // or the struct is not in the BTF
const void *gadget_param_target_uid __attribute__((unused));

const volatile __u32 target_uid = 4000000000;
const volatile char wanted[16] = "bash";
const volatile bool failed_only = false;
static volatile __u64 seen;
__u32 tuned = 5;

struct task_struct___here {
	int pid;
	struct task_struct___here *real_parent;
} __attribute__((preserve_access_index));

static __attribute__((noinline)) int helper(int x)
{
	return x * target_uid + wanted[x & 15] + tuned;
}

SEC("tracepoint/syscalls/sys_enter_execve")
int enter_execve(void *ctx)
{
	struct task_struct___here *task = (void *)bpf_get_current_task();
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	if (failed_only)
		seen++;
	event->proc.pid = BPF_CORE_READ(task, pid);
	event->proc.parent.pid = BPF_CORE_READ(task, real_parent, pid);
	event->color = helper(event->proc.pid);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct___here *parent, struct task_struct___here *child)
{
	__u32 pid = BPF_CORE_READ(child, pid);
	struct creds *creds = bpf_map_lookup_elem(&by_pid, &pid);
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&counts, &zero);

	if (creds && count)
		*count += creds->uid;
	return 0;
}

SEC("uretprobe/libc:malloc")
int on_malloc(void *ctx)
{
	enum wide wide = LARGE;

	bpf_printk("%d", wide);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
