/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a call. */
#include "calls.h"
#include "memory.h"

void gadget__leave(struct gadget__table *const *tables, size_t count)
{
	size_t table;

	for (table = 0; table < count; table++) {
		gadget__flush(tables[table]);
		/* What is wanted may have changed when the next call comes. */
		tables[table]->asked = false;
	}
	gadget__span = gadget_bytes(NULL, 0);
	gadget__reason = gadget_bytes(NULL, 0);
	gadget__forget();
}

const struct gadget__started *gadget__started(const char *reason)
{
	static struct gadget__started started;
	struct gadget_bytes text;

	if (reason) {
		text = gadget_string(reason);
		text = gadget__utf8(gadget_resize(NULL, 3 * text.size), text);
		started = (struct gadget__started){ true, { text.at, text.size } };
	}
	return &started;
}
