// One program that calls another through a map which the source fills.
#include <gadget/gadget.h>

struct event {
	__u64 which;
};

GADGET_TRACER_MAP(events, 4096)

int called(void *ctx);
int empty(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, int(void *));
} jumps SEC(".maps") = {
	.values = {
		[1] = (void *)&empty,
		[2] = (void *)&called,
	},
};

static __always_inline void emit(void *ctx, __u64 which)
{
	struct event event = { .which = which };

	gadget_output_buf(ctx, &events, &event, sizeof(event));
}

SEC("uprobe/libc:l64a")
int caller(void *ctx)
{
	if (gadget_should_discard_data_current())
		return 0;
	bpf_tail_call(ctx, &jumps, 1);
	emit(ctx, 1);
	bpf_tail_call(ctx, &jumps, 2);
	emit(ctx, 99);
	return 0;
}

SEC("uprobe")
int called(void *ctx)
{
	emit(ctx, 2);
	return 0;
}

SEC("uprobe")
int empty(void *ctx)
{
	emit(ctx, 98);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
