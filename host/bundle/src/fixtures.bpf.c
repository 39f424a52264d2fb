/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the tests of this crate hold manifests against. Stands alone, so that any clang builds it. */
typedef unsigned int u32;
typedef unsigned long long u64;
typedef u64 gadget_timestamp;
typedef u32 gadget_pid;
typedef gadget_pid own_pid;
typedef u64 gadget_mntns_id;

#define SEC(name) __attribute__((section(name), used))
#define MARK(name) const void *const name __attribute__((unused)) = 0

enum mode { READ = 1, WRITE = 2 };

struct process {
	own_pid pid;
	char comm[16];
};

struct sockaddr_in {
	unsigned short sin_family;
	unsigned short sin_port;
	u32 sin_addr;
	unsigned char pad[8];
};

struct event {
	gadget_timestamp time;
	struct process proc;
	int error;
	unsigned char address[16];
	gadget_mntns_id slots[4];
	enum mode mode;
	u32 low : 3, high : 20;
	union {
		u64 number;
		double real;
	} value;
	struct sockaddr_in peer;
	char path[];
};

struct {
	int (*type)[27];
	int (*max_entries)[262144];
} events SEC(".maps");

struct {
	int (*type)[1];
	int (*max_entries)[1024];
	u32 *key;
	struct process *value;
} starts SEC(".maps");

struct {
	int (*type)[6];
	int (*max_entries)[1];
	u32 *key;
	u64 (*value)[2];
} events_ledger SEC(".maps");

struct {
	int (*type)[2];
	int (*max_entries)[4];
	u32 *key;
	u64 *value;
} slots SEC(".maps");

const volatile _Bool want_path = 0;
const volatile short limit = -5;
const volatile char prefix[8] = "abc";
const volatile double rate = 0.5;
int plain = 7;

const struct event *const event_type __attribute__((unused)) = 0;
MARK(gadget_tracer_open___events___event);
MARK(gadget_param_want_path);
MARK(gadget_param_limit);
MARK(gadget_param_prefix);
MARK(gadget_param_rate);

SEC("tracepoint/syscalls/sys_enter_openat") int on_open(void *ctx)
{
	return want_path + limit + prefix[0] + plain;
}

SEC("?tp_btf/sched_process_exit") int on_exit(void *ctx)
{
	return 0;
}

SEC("uretprobe/libc.so.6:malloc") int on_malloc(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
