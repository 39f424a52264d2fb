/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: blocks of a power of two up to half a page, from a list for each size; larger ones of whole pages, from a list
 * in the order of their addresses, whose neighbours are joined.
 */
#include "memory.h"
#include "rows.h"

#define GADGET__PAGE ((size_t)65536)
#define GADGET__SMALLEST 32
#define GADGET__CLASSES 11 /* 32 bytes to 32 KiB */

/* What stands in front of each block. */
struct gadget__block {
	_Alignas(16) size_t size; /* of the whole */
	struct gadget__block *next; /* in the list of free ones, or in that of the call */
};

static struct gadget__block *gadget__small[GADGET__CLASSES];
static struct gadget__block *gadget__large;
static uint8_t *gadget__page; /* what is left of the page that small blocks are cut from */
static size_t gadget__page_left;
static struct gadget__block *gadget__call; /* what the host made in this call */

#ifdef __wasm__
/* `size` bytes, whole pages, that were never used; NULL: there are no more. */
static uint8_t *gadget__pages(size_t size)
{
	size_t page = __builtin_wasm_memory_grow(0, size / GADGET__PAGE);

	return page == SIZE_MAX ? NULL : (uint8_t *)(page * GADGET__PAGE);
}
#else
uint8_t *gadget__pages(size_t size);
#endif

static struct gadget__block *gadget__take_small(size_t size)
{
	size_t class = 0;
	struct gadget__block *block;

	while ((size_t)GADGET__SMALLEST << class < size)
		class++;
	size = (size_t)GADGET__SMALLEST << class;
	block = gadget__small[class];
	if (block) {
		gadget__small[class] = block->next;
		return block;
	}
	if (gadget__page_left < size) {
		gadget__page = gadget__pages(GADGET__PAGE);
		gadget__page_left = gadget__page ? GADGET__PAGE : 0;
		if (!gadget__page)
			return NULL;
	}
	block = (struct gadget__block *)(void *)gadget__page;
	gadget__page += size;
	gadget__page_left -= size;
	block->size = size;
	return block;
}

static struct gadget__block *gadget__take_large(size_t size)
{
	struct gadget__block **link, *block, *rest;

	size = (size + GADGET__PAGE - 1) & ~(GADGET__PAGE - 1);
	for (link = &gadget__large; (block = *link); link = &block->next) {
		if (block->size < size)
			continue;
		if (block->size > size) {
			rest = (struct gadget__block *)(void *)((uint8_t *)block + size);
			rest->size = block->size - size;
			rest->next = block->next;
			*link = rest;
		} else {
			*link = block->next;
		}
		block->size = size;
		return block;
	}
	block = (struct gadget__block *)(void *)gadget__pages(size);
	if (block)
		block->size = size;
	return block;
}

static void gadget__give_large(struct gadget__block *block)
{
	struct gadget__block **link = &gadget__large, *before = NULL;

	while (*link && *link < block) {
		before = *link;
		link = &before->next;
	}
	block->next = *link;
	*link = block;
	if (block->next && (uint8_t *)block + block->size == (uint8_t *)block->next) {
		block->size += block->next->size;
		block->next = block->next->next;
	}
	if (before && (uint8_t *)before + before->size == (uint8_t *)block) {
		before->size += block->size;
		before->next = block->next;
	}
}

/* Room for `size` bytes; NULL: there is no more. */
static void *gadget__take(size_t size)
{
	struct gadget__block *block;

	if (size > SIZE_MAX - 2 * GADGET__PAGE)
		return NULL;
	size += sizeof(*block);
	block = size > GADGET__PAGE / 2 ? gadget__take_large(size) : gadget__take_small(size);
	return block ? block + 1 : NULL;
}

void gadget_free(void *memory)
{
	struct gadget__block *block = memory;
	size_t class = 0;

	if (!block)
		return;
	block--;
	if (block->size > GADGET__PAGE / 2) {
		gadget__give_large(block);
		return;
	}
	while ((size_t)GADGET__SMALLEST << class < block->size)
		class++;
	block->next = gadget__small[class];
	gadget__small[class] = block;
}

static void *gadget__take_or_panic(size_t size)
{
	void *memory = gadget__take(size);

	if (!memory)
		gadget_panic("out of memory: no room for %zu bytes more", size);
	return memory;
}

void *gadget_alloc(size_t size)
{
	return __builtin_memset(gadget__take_or_panic(size), 0, size);
}

void *gadget_resize(void *old, size_t size)
{
	size_t has = old ? ((struct gadget__block *)old)[-1].size - sizeof(struct gadget__block) : 0;
	void *memory;

	if (old && size <= has)
		return old;
	memory = gadget__take_or_panic(size);
	if (old)
		__builtin_memcpy(memory, old, has);
	gadget_free(old);
	return memory;
}

void gadget__grow(struct gadget__buffer *buffer, size_t size)
{
	size_t room = buffer->room * 2 > size ? buffer->room * 2 : size;

	buffer->at = gadget_resize(buffer->at, room);
	buffer->room = ((struct gadget__block *)(void *)buffer->at)[-1].size - sizeof(struct gadget__block);
}

/* No message: the host may not be called while it waits for memory. The name tells what happened. */
_Noreturn __attribute__((noinline)) static void gadget_out_of_memory(void)
{
	__builtin_trap();
}

/* The canonical ABI's `realloc`: memory for what the host hands over, given back when the call returns. */
#ifdef __wasm__
__attribute__((export_name("cabi_realloc")))
#endif
void *gadget__cabi_realloc(void *old, size_t old_size, size_t align, size_t size)
{
	struct gadget__block *block;

	(void)align; /* 16 is enough for all */
	block = gadget__take(size);
	if (!block)
		gadget_out_of_memory();
	if (old_size)
		__builtin_memcpy(block, old, old_size < size ? old_size : size);
	block[-1].next = gadget__call;
	gadget__call = block - 1;
	return block;
}

/* Gives back what the host made in this call. */
static void gadget__forget(void)
{
	while (gadget__call) {
		struct gadget__block *block = gadget__call;

		gadget__call = block->next;
		gadget_free(block + 1);
	}
}

#ifdef __wasm__
/* With bulk memory these builtins are instructions, not calls of the functions themselves. */
void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	return __builtin_memcpy(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
	return __builtin_memmove(to, from, size);
}

void *memset(void *to, int byte, size_t size)
{
	return __builtin_memset(to, byte, size);
}

int memcmp(const void *one, const void *other, size_t size)
{
	const uint8_t *left = one, *right = other;

	for (; size; size--, left++, right++) {
		if (*left != *right)
			return *left < *right ? -1 : 1;
	}
	return 0;
}

size_t strlen(const char *string)
{
	size_t size = 0;

	while (string[size])
		size++;
	return size;
}
#endif
