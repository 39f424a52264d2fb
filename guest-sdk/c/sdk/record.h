/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records, read where they lie in the span that the host handed over (`kernel/bpf/ringbuf.c` has the framing).
 */
#ifndef GADGET_RECORD_H
#define GADGET_RECORD_H

#include "text.h"

/* What the gadget decided about one record. */
enum gadget_outcome {
	GADGET_ACCEPTED, /* used, whether it became a row or not */
	GADGET_DROPPED, /* left out on purpose, for example by a filter */
	GADGET_MALFORMED, /* not what the eBPF program should have written */
};

/* Bytes before each payload (`BPF_RINGBUF_HDR_SZ`): its length and two flags, and a word that guests ignore. */
#define GADGET__HEADER 8
/* The producer is still writing (`BPF_RINGBUF_BUSY_BIT`). The host hands over no such record. */
#define GADGET__BUSY (UINT32_C(1) << 31)
/* The producer threw the record away (`BPF_RINGBUF_DISCARD_BIT`). */
#define GADGET__DISCARD (UINT32_C(1) << 30)

/* The bytes of a record that was handed to a `gadget_on_...` function: at least its struct's. */
static inline size_t gadget_record_size(const void *record)
{
	return *(const gadget_u32 *)((const uint8_t *)record - GADGET__HEADER) & ~(GADGET__BUSY | GADGET__DISCARD);
}

/* What stands behind the struct of a record: `gadget_tail(event)`. */
#define gadget_tail(record) gadget_skip(gadget_bytes((record), gadget_record_size(record)), sizeof(*(record)))

/*
 * Takes the next record that was not discarded. Ends at the first byte that is not a whole record, so it walks any bytes
 * safely.
 */
static inline bool gadget__next(struct gadget_bytes *span, struct gadget_bytes *payload)
{
	while (span->size >= GADGET__HEADER) {
		uint32_t word = *(const gadget_u32 *)span->at;
		size_t size = word & ~(GADGET__BUSY | GADGET__DISCARD);

		if (word & GADGET__BUSY || size > span->size - GADGET__HEADER)
			return false;
		*payload = gadget_bytes(span->at + GADGET__HEADER, size);
		/* The padding of the last record may be cut off. */
		*span = gadget_skip(*span, GADGET__HEADER + ((size + 7) & ~(size_t)7));
		if (!(word & GADGET__DISCARD))
			return true;
	}
	return false;
}

#endif
