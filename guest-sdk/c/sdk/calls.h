/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host's calls of the guest share.
 */
#ifndef GADGET_CALLS_H
#define GADGET_CALLS_H

#include "host.h"
#include "log.h"

/* The contract's record `verdict`: how many records met which outcome. */
struct gadget__verdict {
	uint32_t of[3];
};

/* The result of `init`: `result<_, string>`. */
struct gadget__started {
	uint8_t failed;
	struct gadget__list reason;
};

/* Counts one record. */
static inline void gadget__count(struct gadget__verdict *verdict, enum gadget_outcome outcome)
{
	if ((unsigned int)outcome > GADGET_MALFORMED)
		gadget_panic("%d is no outcome of a record", (int)outcome);
	verdict->of[outcome]++;
}

/* Puts the result of `init` where the host reads it. */
const struct gadget__started *gadget__started(const char *reason);

/* A call of the gadget ends: hands the rows to the host and gives back what came from it. */
void gadget__leave(struct gadget__table *const *tables, size_t count);

#endif
