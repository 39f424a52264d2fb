/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that outlives a call. What a record or an answer of the host holds is there until the call returns.
 *
 * The host caps a guest's memory. Where there is no more, the guest ends in a trap: nothing here gives NULL.
 */
#ifndef GADGET_MEMORY_H
#define GADGET_MEMORY_H

#include <stddef.h>

/* `size` bytes of zeros, aligned to 16. */
void *gadget_alloc(size_t size);

/* The same bytes in room for `size`; those behind the old ones may be anything. `old` is not to be used any more. */
void *gadget_resize(void *old, size_t size);

/* Gives memory of gadget_alloc() or gadget_resize() back; NULL is fine. */
void gadget_free(void *memory);

/* What every C has; the compiler calls them by itself. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *one, const void *other, size_t size);
size_t strlen(const char *string);

#endif
