/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* my_gadget: files that are opened, or fail to open, by openat(2). */
#include <gadget/gadget.h>

#define PATH_SIZE 256 /* bytes that are kept of a path, with its NUL */

struct event {
	gadget_timestamp timestamp; /* when the call returned */
	gadget_comm comm[TASK_COMM_LEN];
	gadget_pid pid;
	gadget_uid uid;
	gadget_errno error; /* 0: the file was opened */
	gadget_file_flags flags;
	char path[PATH_SIZE]; /* as it was passed */
};

GADGET_TRACER_MAP(events, 1024 * 1024)
GADGET_TRACER(opens, events, event)

SEC("tracepoint/syscalls/sys_exit_openat")
int openat_exit(struct syscall_trace_exit *ctx)
{
	struct event event = { .timestamp = bpf_ktime_get_boot_ns() };

	if (gadget_should_discard_data_current())
		return 0;
	bpf_get_current_comm(event.comm, sizeof(event.comm));
	event.pid = bpf_get_current_pid_tgid() >> 32;
	event.uid = (__u32)bpf_get_current_uid_gid();
	event.error = ctx->ret < 0 ? -ctx->ret : 0;
	event.flags = gadget_syscall_arg(2);
	bpf_probe_read_user_str(event.path, sizeof(event.path), (const void *)gadget_syscall_arg(1));
	gadget_output_buf(ctx, &events, &event, sizeof(event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
