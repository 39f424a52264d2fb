/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * trace_exec: every program that starts, and every execve(2) and execveat(2) that fails.
 *
 * A start is seen where the kernel announces it (sched_process_exec), whichever thread called and
 * whatever the call: the arguments then lie in one piece at the top of the new program's stack, and
 * they are what runs, an interpreter of a script included (as in /proc/PID/cmdline). A failure is
 * seen where the call returns, when its arguments are still in the saved registers. No call has to be
 * remembered between its two ends.
 */
#include <gadget/gadget.h>
#include <gadget/path.h>

#define ARGS_SIZE 16384 /* bytes of arguments that are kept */
#define ARGS_MAX 128 /* arguments that are kept of a call that failed */
#define ARG_SIZE 4096 /* bytes that are kept of one of them */

/* Report the working directory as well. */
const volatile bool paths = false;
GADGET_PARAM(paths);

/* Only programs that started. */
const volatile bool ignore_failed = false;
GADGET_PARAM(ignore_failed);

struct event {
	gadget_timestamp timestamp_raw; /* when the program started or the call failed */
	struct gadget_process proc; /* of a program that started: its own, new comm */
	gadget_errno error; /* 0: it started */
	__s32 ret; /* what the call returned: 0, or -error */
	__u32 args_count; /* arguments passed; of a call that failed, those in this record */
	__u32 args_size; /* bytes of arguments in this record */
	__u32 file_size; /* bytes of `file`, with its NUL */
	__u32 cwd_size; /* bytes of the working directory, with its NUL; 0: not asked for */
	bool args_truncated; /* some arguments, or parts of them, are not in the record */
	__u8 __pad[7];
	/*
	 * The path that was called, up to a NUL. Behind its `file_size` bytes follow `args_size` bytes
	 * of arguments, each ended by a NUL (the last one perhaps not, if truncated), and `cwd_size`
	 * bytes of the working directory; with it the record ends.
	 */
	char file[];
};

/* What a record is built in. */
struct draft {
	struct gadget_path_walk walk;
	__u64 cut; /* not 0: some argument is not whole */
	__u8 record[sizeof(struct event) + GADGET_PATH_MAX + ARGS_SIZE + GADGET_PATH_BUFFER]
		__attribute__((aligned(8)));
};

GADGET_TRACER_MAP(events, 4 * 1024 * 1024)
GADGET_TRACER(exec, events, event)
/* Two, because a start may interrupt the report of a failed call. */
GADGET_SCRATCH(started, sizeof(struct draft))
GADGET_SCRATCH(failed, sizeof(struct draft))

static __always_inline struct event *begin(struct draft *draft, int ret)
{
	struct event *event = (struct event *)draft->record;

	event->timestamp_raw = bpf_ktime_get_boot_ns();
	gadget_process_populate(&event->proc);
	event->error = -ret;
	event->ret = ret;
	event->args_count = 0;
	event->args_size = 0;
	event->file_size = 0;
	event->cwd_size = 0;
	event->args_truncated = false;
	__builtin_memset(event->__pad, 0, sizeof(event->__pad));
	return event;
}

/* `file_size` is what bpf_probe_read_*_str returned. */
static __always_inline __u64 end_file(struct event *event, long file_size)
{
	if (file_size < 1) {
		event->file[0] = 0;
		file_size = 1;
	}
	event->file_size = file_size;
	return *(volatile __u32 *)&event->file_size; /* one value, however it came about */
}

/* Puts the record out, of whose tail `used` bytes are filled by the path that was called. */
static __always_inline int finish(void *ctx, struct draft *draft, __u64 used)
{
	struct event *event = (struct event *)draft->record;

	used += *(volatile __u32 *)&event->args_size;
	barrier_var(used);
	if (used > GADGET_PATH_MAX + ARGS_SIZE)
		return 0;
	if (paths) {
		event->cwd_size = gadget_read_cwd(&draft->walk, event->file + used);
		used += event->cwd_size;
		barrier_var(used);
		if (used > GADGET_PATH_MAX + ARGS_SIZE + GADGET_PATH_BUFFER)
			return 0;
	}
	gadget_output_buf(ctx, &events, event, sizeof(*event) + used);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int exec_started(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx[2];
	struct draft *draft;
	struct event *event;
	__u64 start, size;
	__u64 used;

	if (gadget_should_discard_data_current())
		return 0;
	draft = gadget_scratch(&started);
	if (!draft)
		return 0;
	event = begin(draft, 0);
	used = end_file(event, bpf_probe_read_kernel_str(event->file, GADGET_PATH_MAX, bprm->filename));

	start = task->mm->arg_start;
	size = task->mm->arg_end - start;
	event->args_count = bprm->argc;
	if (size > ARGS_SIZE) {
		size = ARGS_SIZE;
		event->args_truncated = true;
	}
	barrier_var(used);
	barrier_var(size);
	if (used > GADGET_PATH_MAX || size > ARGS_SIZE)
		return 0;
	if (bpf_probe_read_user(event->file + used, size, (const void *)start) == 0)
		event->args_size = size;
	else
		event->args_truncated = true;
	return finish(ctx, draft, used);
}

static __always_inline int report_failed(struct syscall_trace_exit *ctx, __u64 file, __u64 argv)
{
	/* What the loop carries stays in memory: see struct gadget_path_walk. */
	volatile __u32 *args_size;
	volatile struct draft *carried;
	struct draft *draft;
	struct event *event;
	const char *arg;
	__u64 used;
	int i;

	draft = gadget_scratch(&failed);
	if (!draft)
		return 0;
	event = begin(draft, ctx->ret);
	used = end_file(event,
			bpf_probe_read_user_str(event->file, GADGET_PATH_MAX, (const void *)file));
	barrier_var(used);
	if (used > GADGET_PATH_MAX)
		return 0;

	carried = draft;
	carried->cut = 0;
	args_size = &event->args_size;
	for (i = 0; i < ARGS_MAX; i++) {
		__u64 size = *args_size;
		long got, unread;

		/* What can't be read is zeroed by the kernel: the pointer, and the text below. */
		bpf_probe_read_user(&arg, sizeof(arg), (const void *)(argv + i * sizeof(arg)));
		if (!arg || size > ARGS_SIZE - ARG_SIZE)
			break;
		got = bpf_probe_read_user_str(event->file + used + size, ARG_SIZE, arg);
		/* In arithmetic: a branch here doubles what the verifier walks through. */
		barrier_var(got);
		unread = got >> 63; /* -1: not paged in, an empty argument keeps the place */
		barrier_var(unread);
		got = (got & ~unread) - unread;
		carried->cut |= (__u64)unread | (got & ARG_SIZE);
		*args_size = size + got;
	}
	if (i == ARGS_MAX) /* was it the last one? */
		bpf_probe_read_user(&arg, sizeof(arg), (const void *)(argv + i * sizeof(arg)));
	event->args_count = i;
	event->args_truncated = carried->cut || arg;
	return finish(ctx, draft, used);
}

static __always_inline bool unwanted(struct syscall_trace_exit *ctx)
{
	return ignore_failed || ctx->ret >= 0 || gadget_should_discard_data_current();
}

SEC("tracepoint/syscalls/sys_exit_execve")
int execve_failed(struct syscall_trace_exit *ctx)
{
	if (unwanted(ctx))
		return 0;
	return report_failed(ctx, gadget_syscall_arg(0), gadget_syscall_arg(1));
}

SEC("tracepoint/syscalls/sys_exit_execveat")
int execveat_failed(struct syscall_trace_exit *ctx)
{
	if (unwanted(ctx))
		return 0;
	return report_failed(ctx, gadget_syscall_arg(1), gadget_syscall_arg(2));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
