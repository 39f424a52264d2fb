// Iterators over tasks and over sockets.
#include <gadget/gadget.h>
#include <gadget/sockets.h>

const volatile __u32 process = 0;

struct entry {
	__u32 first;
	__u32 second;
	__u8 rest[248]; /* so that a few hundred of them fill the kernel's buffer */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[1 << 16]);
} large SEC(".maps");

static __always_inline void put(struct bpf_iter_meta *meta, __u32 first, __u32 second)
{
	struct entry entry = {.first = first, .second = second};

	bpf_seq_write(meta->seq, &entry, sizeof(entry));
}

SEC("iter/task")
int threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && task->tgid == process)
		put(ctx->meta, task->tgid, task->pid);
	return 0;
}

SEC("iter/tcp")
int connections(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;

	if (common && common->skc_state == 10)
		put(ctx->meta, BPF_CORE_READ(common, skc_net.net, ns.inum), common->skc_num);
	return 0;
}

SEC("iter/task")
int too_large(struct bpf_iter__task *ctx)
{
	__u32 zero = 0;
	void *bytes = bpf_map_lookup_elem(&large, &zero);

	if (ctx->task && bytes)
		bpf_seq_write(ctx->meta->seq, bytes, 1 << 16);
	return 0;
}

SEC("?iter/no_such_thing")
int nothing(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
