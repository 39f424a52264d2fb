// A numbered record for each getppid of one thread; every `drop_every`th is discarded after it was reserved.
// With FOREIGN it writes them as an object does that knows nothing of our headers' macros.
#include <gadget/gadget.h>

struct event {
	__u64 number;
	__u8 padding[PADDING];
};

#ifdef FOREIGN
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");
#undef gadget_reserve_buf
#define gadget_reserve_buf(map, size) bpf_ringbuf_reserve(map, size, 0)
#undef GADGET_RINGBUF_FLAGS
#define GADGET_RINGBUF_FLAGS(map) 0
#else
GADGET_TRACER_MAP(events, 4096)
#endif

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
