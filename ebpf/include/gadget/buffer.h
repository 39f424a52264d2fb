/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Records to user space, counted.
 *
 * Every ring has a ledger beside it: how many records were attempted, how many of them got no room, and how many were
 * beyond what one container may write. The host reads it when the gadget stops and compares it with what arrived, so a lost record
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
#include <gadget/cgroup.h>

/* The value of a ledger: one per CPU, the host adds them up. */
struct gadget_ledger {
	__u64 attempted; /* records a program wanted to write, discarded ones included */
	__u64 not_reserved; /* those of them for which the ring had no room, or was locked */
	__u64 excluded; /* those of them that were beyond gadget_max_rate; no room was asked for */
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

/* ---- so that one container can't hide the others ---- */

/*
 * Set by the host: how many records a second each container may write into the rings of this object; 0: no limit.
 *
 * The seconds are those of the boot clock, and each has a counter of its own. No second has more records than that, and
 * so no span of a second that lies across two has more than twice as many. A bucket that fills all the time would be
 * smoother, but two numbers that change together take a lock, which such programs may not have, or a compare-and-swap, which
 * may lose for ever; a counter is added to and read, and what is read is never less than one's own turn. On several CPUs at
 * once a few less may pass.
 */
const volatile __u64 gadget_max_rate = 0;

struct gadget_rate {
	__u64 owner; /* id of the cgroup that stands for the container */
	__u64 second;
};

/* Records by container and second. The host makes it larger if there is a limit; the oldest go when it is full. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct gadget_rate);
	__type(value, __u64);
} gadget_rates SEC(".maps");

/* Has the container of this cgroup written all it may? Called once a record. */
static __always_inline bool ___gadget_beyond_rate(__u64 id)
{
	struct gadget_rate rate = { .owner = id };
	struct gadget_cgroup *cgroup;
	volatile __u64 *records;
	__u64 none = 0;

	if (!id)
		return false;
	cgroup = bpf_map_lookup_elem(&gadget_cgroups, &id);
	if (cgroup && cgroup->owner)
		rate.owner = cgroup->owner;
	rate.second = bpf_ktime_get_boot_ns() / 1000000000;
	records = bpf_map_lookup_elem(&gadget_rates, &rate);
	if (!records) {
		/* Of several CPUs one makes it. */
		bpf_map_update_elem(&gadget_rates, &rate, &none, BPF_NOEXIST);
		records = bpf_map_lookup_elem(&gadget_rates, &rate);
		if (!records)
			return false;
	}
	__sync_fetch_and_add(records, 1);
	return *records > gadget_max_rate;
}

/* Atomic although the slot is per CPU: a program may be interrupted by another one in mid-add. */
static __always_inline void ___gadget_count(void *ledger_map, bool reserved, bool excluded)
{
	__u32 zero = 0;
	struct gadget_ledger *ledger = bpf_map_lookup_elem(ledger_map, &zero);

	if (!ledger)
		return;
	__sync_fetch_and_add(&ledger->attempted, 1);
	if (excluded)
		__sync_fetch_and_add(&ledger->excluded, 1);
	else if (!reserved)
		__sync_fetch_and_add(&ledger->not_reserved, 1);
}

/*
 * void *gadget_reserve_buf(&map, size): room for a record of a constant size, or NULL: there was none, or the container
 * of the current task has written all it may. What comes back is not zeroed. Every path must end in gadget_submit_buf or
 * gadget_discard_buf.
 */
#define gadget_reserve_buf(map, size) gadget_reserve_buf_as(map, size, bpf_get_current_cgroup_id())

/*
 * The same for a record that is not the current task's: `cgroup` is the id of the cgroup whose it is, or 0 if nobody can
 * tell, and then there is no limit. For programs that run in whatever task the interrupt found.
 */
#define gadget_reserve_buf_as(map, size, cgroup)                                             \
	({                                                                                   \
		void *___buf = (void *)0;                                                    \
		bool ___excluded = gadget_max_rate && ___gadget_beyond_rate(cgroup);         \
		if (!___excluded)                                                            \
			___buf = bpf_ringbuf_reserve(map, size, 0);                          \
		___gadget_count(map##_ledger, ___buf != (void *)0, ___excluded);             \
		___buf;                                                                      \
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
 * ring; 0, or a negative error when there was no room or the container of the current task has written all it may. The way
 * for records of varying length: build them in a per-CPU map (GADGET_SCRATCH) and put out only the bytes used.
 */
#define gadget_output_buf(ctx, map, buf, size) \
	gadget_output_buf_as(ctx, map, buf, size, bpf_get_current_cgroup_id())

/* The same for a record that is not the current task's, as gadget_reserve_buf_as() has it. */
#define gadget_output_buf_as(ctx, map, buf, size, cgroup)                                    \
	({                                                                                   \
		(void)(ctx);                                                                 \
		long ___error = -11; /* EAGAIN */                                            \
		bool ___excluded = gadget_max_rate && ___gadget_beyond_rate(cgroup);         \
		if (!___excluded)                                                            \
			___error = bpf_ringbuf_output(map, buf, size, GADGET_RINGBUF_FLAGS(map)); \
		___gadget_count(map##_ledger, ___error == 0, ___excluded);                   \
		___error;                                                                    \
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
