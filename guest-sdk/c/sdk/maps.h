/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gadget's own eBPF maps, as far as the manifest grants them. The generated header wraps these functions in ones
 * that know keys and values.
 */
#ifndef GADGET_MAPS_H
#define GADGET_MAPS_H

#include "record.h"

/* What became of a question to a map. */
enum gadget_found {
	GADGET_FAILED = -1, /* with a reason */
	GADGET_ABSENT = 0, /* the map does not hold the key */
	GADGET_FOUND = 1, /* it holds it, or, after a deletion, held it */
};

/* The keys and values of a map that were not looked at yet. They are there until the call returns. */
struct gadget_entries {
	struct gadget_bytes rest;
};

enum gadget_found gadget__lookup(uint32_t grant, struct gadget_bytes key, struct gadget_bytes *value);
bool gadget__update(uint32_t grant, struct gadget_bytes key, struct gadget_bytes value);
enum gadget_found gadget__delete(uint32_t grant, struct gadget_bytes key);
bool gadget__read_all(uint32_t grant, struct gadget_entries *entries);

/* Takes the next entry of a map whose keys have `key_size` bytes: in span framing, the key padded to 8 bytes. */
bool gadget__entry(struct gadget_entries *entries, size_t key_size, struct gadget_bytes *key,
		   struct gadget_bytes *value);

/* Copies what is in `from` to `to`, which has `size` bytes; what is missing becomes 0. */
void gadget__copy(void *to, size_t size, struct gadget_bytes from);

#endif
