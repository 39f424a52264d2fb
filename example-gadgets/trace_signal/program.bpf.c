/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* trace_signal: every signal, when it is sent. */
#include <gadget/gadget.h>

/* What became of it: TRACE_SIGNAL_* of include/trace/events/signal.h */
enum signal_result {
	DELIVERED = 0,
	IGNORED = 1, /* the receiver ignores it */
	ALREADY_PENDING = 2, /* the same signal waits there already */
	OVERFLOW_FAIL = 3, /* the queue was full: lost */
	LOSE_INFO = 4, /* the queue was full: only the number arrived */
};

struct event {
	gadget_timestamp timestamp;
	struct gadget_process proc; /* who sent it */
	gadget_signal signal;
	gadget_tid target; /* who gets it */
	enum signal_result result;
	__s32 code; /* si_code: above 0 the kernel made it, while `proc` ran */
};

GADGET_TRACER_MAP(events, 1024 * 1024)
GADGET_TRACER(signals, events, event)

SEC("tracepoint/signal/signal_generate")
int signal_generate(struct trace_event_raw_signal_generate *ctx)
{
	struct event *event;

	if (gadget_should_discard_data_current())
		return 0;
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->timestamp = bpf_ktime_get_boot_ns();
	gadget_process_populate(&event->proc);
	event->signal = ctx->sig;
	event->target = ctx->pid;
	event->result = ctx->result;
	event->code = ctx->code;
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
