/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * trace_open: every open(2), openat(2) and openat2(2), when it returns.
 *
 * Only the end of the call is hooked: the arguments are still in the task's saved registers then
 * (gadget/syscall.h).
 */
#include <gadget/gadget.h>

/* include/uapi/asm-generic/fcntl.h, the same on amd64 and arm64 */
#define O_CREAT 00000100
#define __O_TMPFILE 020000000

/* Only opens that failed. */
const volatile bool failed_only = false;
GADGET_PARAM(failed_only);

struct event {
	gadget_timestamp timestamp_raw; /* when the call returned */
	struct gadget_process proc;
	gadget_errno error; /* 0: the file was opened */
	__s32 fd; /* -1: it was not */
	gadget_file_flags flags;
	gadget_file_mode mode; /* 0 unless the call may create a file */
	char fname[]; /* as it was passed, up to a NUL; the record ends with it */
};

GADGET_TRACER_MAP(events, 4 * 1024 * 1024)
GADGET_TRACER(open, events, event)
GADGET_SCRATCH(scratch, sizeof(struct event) + GADGET_PATH_MAX)

static __always_inline int report(struct syscall_trace_exit *ctx, __u64 fname, __u32 flags, __u32 mode)
{
	long ret = ctx->ret;
	struct event *event;
	long length;

	event = gadget_scratch(&scratch);
	if (!event)
		return 0;
	event->timestamp_raw = bpf_ktime_get_boot_ns();
	gadget_process_populate(&event->proc);
	event->error = ret < 0 ? -ret : 0;
	event->fd = ret < 0 ? -1 : ret;
	event->flags = flags;
	event->mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0;
	length = bpf_probe_read_user_str(event->fname, GADGET_PATH_MAX, (const void *)fname);
	if (length < 1) {
		event->fname[0] = 0;
		length = 1;
	}
	gadget_output_buf(ctx, &events, event, sizeof(*event) + length);
	return 0;
}

static __always_inline bool unwanted(struct syscall_trace_exit *ctx)
{
	return gadget_should_discard_data_current() || (failed_only && ctx->ret >= 0);
}

#if defined(__TARGET_ARCH_x86) /* younger architectures never had open(2) */
SEC("tracepoint/syscalls/sys_exit_open")
int open_exit(struct syscall_trace_exit *ctx)
{
	if (unwanted(ctx))
		return 0;
	return report(ctx, gadget_syscall_arg(0), gadget_syscall_arg(1), gadget_syscall_arg(2));
}
#endif

SEC("tracepoint/syscalls/sys_exit_openat")
int openat_exit(struct syscall_trace_exit *ctx)
{
	if (unwanted(ctx))
		return 0;
	return report(ctx, gadget_syscall_arg(1), gadget_syscall_arg(2), gadget_syscall_arg(3));
}

SEC("tracepoint/syscalls/sys_exit_openat2")
int openat2_exit(struct syscall_trace_exit *ctx)
{
	struct open_how how = {};

	if (unwanted(ctx))
		return 0;
	bpf_probe_read_user(&how, sizeof(how), (const void *)gadget_syscall_arg(2));
	return report(ctx, gadget_syscall_arg(1), how.flags, how.mode);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
