/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Records to user space, counted.
 *
 * Every ring has a ledger beside it: how many records were attempted, and how many of them got no
 * room. The host reads it when the gadget stops and compares it with what arrived, so a lost record
 * is a number and never a guess. That only holds if records go through the macros below; an object
 * that calls bpf_ringbuf_reserve itself is shown with `lost: unknown`.
 *
 * Every ring also has a place where its reader says how full the ring may become before it wants to
 * be woken: the host's reader naps by the clock while much comes, and a storm may begin in a nap.
 *
 * The map is always passed as &name, where `name` was declared with GADGET_TRACER_MAP(name, size):
 * the macros paste "_ledger" and "_wakeup" onto it.
 */
#ifndef __GADGET_BUFFER_H
#define __GADGET_BUFFER_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

/* The value of a ledger: one per CPU, the host adds them up. */
struct gadget_ledger {
	__u64 attempted; /* records a program wanted to write, discarded ones included */
	__u64 not_reserved; /* those of them for which the ring had no room, or was locked */
};

/* When a reader that naps wants to be woken; mapped into its memory. */
struct gadget_wakeup {
	__u64 at; /* the reader's: once the producers' position is here or beyond; 0: it does not nap */
	__u64 done; /* the programs': the last `at` for which one of them woke it */
};

/*
 * GADGET_TRACER_MAP(name, size): the ring buffer `name` of `size` bytes (a power of two, at least a
 * page; the host may make it larger), its ledger `name_ledger` and its reader's `name_wakeup`.
 */
#define GADGET_TRACER_MAP(name, size)                     \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_RINGBUF);       \
		__uint(max_entries, size);                \
	} name SEC(".maps");                              \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);  \
		__uint(max_entries, 1);                   \
		__type(key, __u32);                       \
		__type(value, struct gadget_ledger);      \
	} name##_ledger SEC(".maps");                     \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY);         \
		__uint(map_flags, BPF_F_MMAPABLE);        \
		__uint(max_entries, 1);                   \
		__type(key, __u32);                       \
		__type(value, struct gadget_wakeup);      \
	} name##_wakeup SEC(".maps");

/*
 * 0, by which the kernel wakes a reader that has caught up, or once a nap BPF_RB_FORCE_WAKEUP.
 *
 * Nothing here is atomic, nor needs to be. A position that is not seen at once is seen with the next
 * record, because positions only grow; several CPUs may wake the reader for the same `at`, which does
 * no harm; and if the reader dies in its nap, it is woken in vain once.
 */
static __always_inline __u64 ___gadget_wakeup(void *ring, void *wakeup_map)
{
	__u32 zero = 0;
	volatile struct gadget_wakeup *wakeup = bpf_map_lookup_elem(wakeup_map, &zero);
	__u64 at;

	if (!wakeup)
		return 0;
	at = wakeup->at;
	if (!at || wakeup->done == at || bpf_ringbuf_query(ring, BPF_RB_PROD_POS) < at)
		return 0;
	wakeup->done = at;
	return BPF_RB_FORCE_WAKEUP;
}

/*
 * Flags of every record that is handed over. The macro is there for other readers than the host's; the
 * benches build their batched baseline with it.
 */
#ifndef GADGET_RINGBUF_FLAGS
#define GADGET_RINGBUF_FLAGS(map) ___gadget_wakeup(map, map##_wakeup)
#endif

/* Atomic although the slot is per CPU: a program may be interrupted by another one in mid-add. */
static __always_inline void ___gadget_count(void *ledger_map, bool reserved)
{
	__u32 zero = 0;
	struct gadget_ledger *ledger = bpf_map_lookup_elem(ledger_map, &zero);

	if (!ledger)
		return;
	__sync_fetch_and_add(&ledger->attempted, 1);
	if (!reserved)
		__sync_fetch_and_add(&ledger->not_reserved, 1);
}

/*
 * void *gadget_reserve_buf(&map, size): room for a record of a constant size, or NULL. What comes
 * back is not zeroed. Every path must end in gadget_submit_buf or gadget_discard_buf.
 */
#define gadget_reserve_buf(map, size)                                  \
	({                                                             \
		void *___buf = bpf_ringbuf_reserve(map, size, 0);      \
		___gadget_count(map##_ledger, ___buf != (void *)0);    \
		___buf;                                                \
	})

/* long gadget_submit_buf(ctx, &map, buf, size): hands a reserved record over; always 0. */
#define gadget_submit_buf(ctx, map, buf, size) \
	({                                     \
		(void)(ctx);                   \
		(void)(size);                  \
		bpf_ringbuf_submit(buf, GADGET_RINGBUF_FLAGS(map)); \
		0L;                            \
	})

/*
 * void gadget_discard_buf(buf): takes a reserved record back. The consumer skips and counts it. It
 * takes room until then and wakes nobody: decide first, reserve then.
 */
#define gadget_discard_buf(buf) bpf_ringbuf_discard(buf, 0)

/*
 * long gadget_output_buf(ctx, &map, buf, size): copies `size` bytes (need not be constant) into the
 * ring; 0, or a negative error when there was no room. The way for records of varying length: build
 * them in a per-CPU map (GADGET_SCRATCH) and put out only the bytes used.
 */
#define gadget_output_buf(ctx, map, buf, size)                           \
	({                                                               \
		(void)(ctx);                                             \
		long ___error = bpf_ringbuf_output(map, buf, size, GADGET_RINGBUF_FLAGS(map)); \
		___gadget_count(map##_ledger, ___error == 0);            \
		___error;                                                \
	})

/*
 * GADGET_SCRATCH(name, size): `size` bytes per CPU (at most 32 KiB) to build one record in, got with
 * gadget_scratch(&name). Keep a scratch to programs of one kind: two tracepoint programs never
 * interrupt each other on a CPU, but a raw or BTF tracepoint may interrupt them, or be preempted by
 * another program in the midst of its work.
 */
#define GADGET_SCRATCH(name, size)                       \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, 1);                  \
		__uint(key_size, 4);                     \
		__uint(value_size, size);                \
	} name SEC(".maps");

static __always_inline void *gadget_scratch(void *map)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}

#endif /* __GADGET_BUFFER_H */
