// A numbered record for each getppid of one thread; every `drop_every`th is discarded after it was reserved.
#include <gadget/gadget.h>

struct event {
	__u64 number;
	__u8 padding[PADDING];
};

GADGET_TRACER_MAP(events, 4096)

const volatile __u64 drop_every = 0;
static __u64 calls = 0;

SEC("tracepoint/syscalls/sys_enter_getppid")
int on_call(void *ctx)
{
	struct event *event;
	__u64 number;

	if (gadget_should_discard_data_current())
		return 0;
	number = __sync_fetch_and_add(&calls, 1);
	event = gadget_reserve_buf(&events, sizeof(*event));
	if (!event)
		return 0;
	event->number = number;
	if (drop_every && number % drop_every == drop_every - 1) {
		gadget_discard_buf(event);
		return 0;
	}
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
