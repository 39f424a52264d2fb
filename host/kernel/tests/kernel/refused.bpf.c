// Programs that some kernel or every verifier refuses, beside one that works.
#include <gadget/gadget.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

const volatile __u32 wanted = 7;
__u32 written = 7;

SEC("raw_tp/sys_enter")
int sound(void *ctx)
{
	return 0;
}

SEC("raw_tp/sys_exit")
int careless(void *ctx)
{
	__u32 key = wanted;
	__u64 *value = bpf_map_lookup_elem(&numbers, &key);

	return *value; /* without looking for NULL */
}

SEC("tracepoint/syscalls/sys_enter_no_such_call")
int no_tracepoint(void *ctx)
{
	return 0;
}

SEC("tp_btf/no_such_tracepoint")
int no_btf_tracepoint(__u64 *ctx)
{
	return 0;
}

SEC("raw_tp/no_such_raw")
int no_raw_tracepoint(void *ctx)
{
	return 0;
}

SEC("uprobe/libc:ig_no_such_function")
int no_function(void *ctx)
{
	return 0;
}

SEC("uprobe//no/such/file:main")
int no_file(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
