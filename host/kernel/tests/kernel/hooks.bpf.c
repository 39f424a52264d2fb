// One program for each kind of hook; they see one thread only (gadget_filter_tid), whose calls the test makes.
#include <gadget/gadget.h>

struct event {
	__u32 which;
	__u32 tid;
	__u64 value;
};

GADGET_TRACER_MAP(events, 4096)

const volatile __u32 syscall_nr = 0;

static __always_inline int emit(void *ctx, __u32 which, __u64 value)
{
	struct event *event;

	if (gadget_should_discard_data_current())
		return 0;
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->which = which;
	event->tid = (__u32)bpf_get_current_pid_tgid();
	event->value = value;
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

struct enter {
	__u64 common;
	__u64 nr;
	__u64 args[6];
};

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_tracepoint(struct enter *ctx)
{
	return emit(ctx, 1, ctx->args[0]);
}

SEC("raw_tp/sys_enter")
int on_raw(__u64 *ctx)
{
	return ctx[1] == syscall_nr ? emit(ctx, 2, ctx[1]) : 0;
}

SEC("tp_btf/sys_enter")
int on_btf(__u64 *ctx)
{
	return ctx[1] == syscall_nr ? emit(ctx, 3, ctx[1]) : 0;
}

SEC("uprobe/libc:a64l")
int on_entry(struct pt_regs *ctx)
{
	return emit(ctx, 4, 0);
}

SEC("uretprobe/" TEST_PROGRAM ":ig_kernel_probed")
int on_return(struct pt_regs *ctx)
{
	return emit(ctx, 5, 0);
}

SEC("uprobe/" TEST_PROGRAM ":ig_kernel_probed+0x0")
int on_offset(struct pt_regs *ctx)
{
	return emit(ctx, 6, 0);
}

char LICENSE[] SEC("license") = "GPL";
