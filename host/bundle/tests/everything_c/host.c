/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest natively, with a stand-in for the host that prints what it is handed.
 */
#include <gadget.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sdk/calls.h"
#include "sdk/params.h"

const struct gadget__started *gadget__init(void);
const struct gadget__verdict *gadget__process(uint32_t source, const uint8_t *span, size_t size);
void gadget__tick(uint32_t timer, uint32_t due);
void gadget__added(const gadget_owner *owners, size_t count);
void gadget__removed(const gadget_owner *owners, size_t count);
void gadget__stop(void);
void *gadget__cabi_realloc(void *old, size_t old_size, size_t align, size_t size);
uint8_t *gadget__pages(size_t size);

static struct {
	const char *params[6];
	const char *refuse;
	bool all;
	uint16_t wanted[16];
	size_t wants;
	uint32_t timers;
	uint8_t maps[3][64];
	size_t sizes[3];
	size_t key_sizes[3];
} host = {
	.params = { "", "-3", "p", "1", "true", "1.5" },
	.all = true,
	.key_sizes = { 4, 4, 8 },
};

/* How much memory the guest has. */
static size_t used;

uint8_t *gadget__pages(size_t size)
{
	static _Alignas(65536) uint8_t memory[256 << 20];

	/* Memory that was not cleared shows who forgets to. */
	used += size;
	return used > sizeof(memory) ? NULL : memset(memory + used - size, 0xa5, size);
}

static struct gadget__list list(const void *bytes, size_t size)
{
	void *copy = gadget__cabi_realloc(NULL, 0, 1, size);

	memcpy(copy, bytes, size);
	return (struct gadget__list){ copy, size };
}

static void hex(const void *at, size_t size)
{
	const uint8_t *bytes = at;

	for (; size; size--)
		printf("%02x", *bytes++);
}

void gadget__host_emit(uint32_t table, uint32_t rows, const void *origin, size_t origins,
		       const struct gadget__column *columns, size_t count, struct gadget__answer *answer)
{
	answer->failed = host.refuse != NULL;
	if (host.refuse) {
		answer->list = list(host.refuse, strlen(host.refuse));
		return;
	}
	printf("table %u: %u rows", table, rows);
	if (origins)
		printf(" from");
	for (size_t at = 0; at < origins && at < 4; at++)
		printf(" %u", ((const gadget_u32 *)origin)[at]);
	printf(origins > 4 ? " and %zu more\n" : "\n", origins - 4);
	for (; count; count--, columns++) {
		const struct gadget__list *buffers = columns->buffers.at;

		printf(" column %u:", columns->index);
		for (size_t at = 0; at < columns->buffers.size; at++) {
			printf(" [");
			hex(buffers[at].at, buffers[at].size);
			printf("]");
		}
		printf("\n");
	}
}

void gadget__host_end_frame(uint32_t table)
{
	printf("table %u: end of frame\n", table);
}

void gadget__host_wanted(uint32_t table, struct gadget__list *answer)
{
	uint16_t all[16];

	(void)table;
	for (uint16_t at = 0; at < 16; at++)
		all[at] = at;
	*answer = host.all ? list(all, sizeof(all)) : list(host.wanted, host.wants * 2);
	answer->size /= 2;
}

void gadget__host_log(uint32_t level, const void *text, size_t size)
{
	printf("log %u: %.*s\n", level, (int)size, (const char *)text);
	fflush(stdout);
}

void gadget__host_param(uint32_t param, struct gadget__list *answer)
{
	*answer = list(host.params[param], strlen(host.params[param]));
}

uint64_t gadget__host_boot(void)
{
	return UINT64_MAX;
}

uint64_t gadget__host_wall(void)
{
	return 0;
}

void gadget__host_every(uint64_t period, struct gadget__answer *answer)
{
	(void)period;
	*answer = (struct gadget__answer){ .number = ++host.timers };
}

void gadget__host_once(uint64_t delay, struct gadget__answer *answer)
{
	gadget__host_every(delay, answer);
}

void gadget__host_cancel(uint32_t timer)
{
	printf("timer %u is over\n", timer);
}

/* A map holds one entry. */
void gadget__host_lookup(uint32_t grant, const void *key, size_t key_size, struct gadget__option *answer)
{
	size_t padded = (key_size + 7) & ~(size_t)7;

	*answer = (struct gadget__option){ .failed = 0 };
	if (!host.sizes[grant] || memcmp(host.maps[grant], key, key_size))
		return;
	answer->some = true;
	answer->list = list(host.maps[grant] + padded, host.sizes[grant] - padded);
}

void gadget__host_update(uint32_t grant, const void *key, size_t key_size, const void *value, size_t value_size,
			 struct gadget__answer *answer)
{
	size_t padded = (key_size + 7) & ~(size_t)7;

	memset(host.maps[grant], 0, padded);
	memcpy(host.maps[grant], key, key_size);
	memcpy(host.maps[grant] + padded, value, value_size);
	host.sizes[grant] = padded + value_size;
	*answer = (struct gadget__answer){ .failed = 0 };
}

void gadget__host_delete(uint32_t grant, const void *key, size_t key_size, struct gadget__answer *answer)
{
	*answer = (struct gadget__answer){ .failed = 0 };
	answer->yes = host.sizes[grant] && !memcmp(host.maps[grant], key, key_size);
	if (answer->yes)
		host.sizes[grant] = 0;
}

void gadget__host_read_all(uint32_t grant, struct gadget__answer *answer)
{
	uint8_t span[80] = { (uint8_t)host.sizes[grant] };

	*answer = (struct gadget__answer){ .failed = host.refuse != NULL };
	memcpy(span + 8, host.maps[grant], host.sizes[grant]);
	answer->list = host.refuse ? list(host.refuse, strlen(host.refuse)) :
				     list(span, host.sizes[grant] ? 8 + host.sizes[grant] : 0);
}

/* The record at 16 is 2's, so are the mount namespace 8 and the container 0123456789ab; the cgroup 1 << 40 is 1's. */
void gadget__host_of_records(const uint32_t *offsets, size_t count, struct gadget__list *answer)
{
	uint32_t owners[8];
	size_t at;

	for (at = 0; at < count; at++)
		owners[at] = offsets[at] == 16 ? 2 : 0;
	*answer = list(owners, count * 4);
	answer->size = count;
}

void gadget__host_by_cgroup(const uint64_t *cgroups, size_t count, struct gadget__list *answer)
{
	uint32_t owners[8];
	size_t at;

	for (at = 0; at < count; at++)
		owners[at] = cgroups[at] == (uint64_t)1 << 40;
	*answer = list(owners, count * 4);
	answer->size = count;
}

uint32_t gadget__host_by_mount_namespace(uint64_t mount_namespace, uint64_t at)
{
	return mount_namespace == 8 && at == 9 ? 2 : 0;
}

uint32_t gadget__host_by_id(const void *id, size_t size)
{
	return size == 12 && !memcmp(id, "0123456789ab", 12) ? 2 : 0;
}

/* 1 is the container web, 2 is in the pod pod. */
void gadget__host_field(const uint32_t *owners, size_t count, const void *name, size_t size,
			struct gadget__answer *answer)
{
	bool container = size == 9 && !memcmp(name, "container", 9), pod = size == 11 && !memcmp(name, "k8s.podName", 11);
	struct gadget__field texts[8] = { { .some = false } };
	size_t at;

	*answer = (struct gadget__answer){ .failed = !container && !pod };
	if (answer->failed) {
		answer->list = list("no such field", 13);
		return;
	}
	for (at = 0; at < count; at++) {
		texts[at].some = owners[at] == (container ? 1 : 2);
		if (texts[at].some)
			texts[at].text = list(container ? "web" : "pod", 3);
	}
	answer->list = list(texts, count * sizeof(*texts));
	answer->list.size = count;
}

/* A span in the making, one byte beside every alignment. */
static struct {
	uint8_t bytes[64 * 1024 * 24 + 1];
	size_t size;
} span;

static void record(uint32_t flags, const void *payload, size_t size)
{
	uint8_t *at = span.bytes + 1 + span.size;
	uint32_t head[2] = { (uint32_t)size | flags, 3 };

	memcpy(at, head, 8);
	memcpy(at + 8, payload, size);
	memset(at + 8 + size, 0xaa, -size & 7);
	span.size += 8 + ((size + 7) & ~(size_t)7);
}

static void process(uint32_t source)
{
	const struct gadget__verdict *verdict = gadget__process(source, span.bytes + 1, span.size);

	printf("verdict %u %u %u\n", verdict->of[0], verdict->of[1], verdict->of[2]);
	span.size = 0;
}

static size_t event(uint8_t *to, int32_t colour)
{
	uint64_t stamp = 77, all = UINT64_MAX, one = 1;
	uint8_t rest[] = { 1, 'x', 0xad, 0xca, 0xfe, 0xff, 0xff, 0xff, 1, 2, 3, 4, 0x34, 0x12,
			   0xff, 0xff, 10, 0xf4, 1, 20, 3, 0, 30 };
	uint32_t numbers[] = { 1, 2, 3, 4 };
	uint8_t *at = to;

	at = (uint8_t *)memcpy(at, &stamp, 8) + 8;
	memset(at, 0, 72);
	at = (uint8_t *)memcpy(at, "process\0ignored!", 16) + 72;
	at = (uint8_t *)memcpy(at, &colour, 4) + 4;
	at = (uint8_t *)memcpy(at, rest, sizeof(rest)) + sizeof(rest);
	at = (uint8_t *)memcpy(at, numbers, 16) + 16;
	at = (uint8_t *)memcpy(at, &all, 8) + 8;
	at = (uint8_t *)memcpy(at, &one, 8) + 8;
	at = (uint8_t *)memcpy(at, "exactly 12 b", 12) + 12;
	at = (uint8_t *)memcpy(at, "one\0two", 8) + 8;
	return (size_t)(at - to);
}

static void fields(void)
{
	uint8_t bytes[512];
	const struct event *read = (const struct event *)(void *)(bytes + 1);

	event(bytes + 1, -2);
	printf("fields %llu %d %u %c %u %#x %u %d %d %#x %u %d %d %llu %llu %.*s\n", (unsigned long long)read->stamp,
	       read->colour, read->yes, read->letter, read->low, read->mid, read->high, read->negative, read->rest,
	       read->word, read->bytes[3], read->points[1].x, read->points[2].y, (unsigned long long)read->type,
	       (unsigned long long)read->pointer, 12, read->comm);
}

static void formats(void)
{
	char buffer[64], little[8];
	struct gadget_bytes text;

	text = gadget_format(buffer, sizeof(buffer), "%d|%5u|%-4x|%04X|%c|%s|%.2s|%-3s|%zu|%lld|%%", -5, 7u, 0xabu, 0xcdu, 'c',
			     "str", "cut", "x", (size_t)9, -1LL);
	printf("format %s %d\n", buffer, text.size == strlen(buffer));
	text = gadget_format(little, sizeof(little), "%s", "more than there is room for");
	printf("format %s %zu\n", little, text.size);
	gadget_debug("\xc3\xa9 \xff \xe2\x82 \xed\xa0\x80 \xf0\x9f\x98\x80 \xf0\x9f\x98");
	gadget_debug("%0600d", 1);
}

static void floats(void)
{
	const char *texts[] = { "0", "-0", "1.5", "-123456.789", "0.1", "179769313486231570000000000000000000000000000000000000000"
				"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
				"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
				"000000000000000000000000000000000000000000000000000000000000000000",
				"5e-324", "2.2250738585072014e-308", "2.225073858507201e-308", "1e308", "2e308", "9007199254740993",
				"123456789012345678901234567890", "4.9406564584124654e-324", "2e-324", "3e-324", "8.5e-7",
				"6.02214076e23", "1.7976931348623157e308", "0.30000000000000004", "9007199254740991.5" };
	size_t at, wrong = 0, tried = 0;
	uint64_t state = 88172645463325252u;
	char text[64];

	for (at = 0; at < sizeof(texts) / sizeof(*texts); at++, tried++) {
		double expected = strtod(texts[at], NULL), got;

		host.params[5] = texts[at];
		got = gadget__param_f64(5);
		if (memcmp(&got, &expected, 8))
			printf("float %s is %a, not %a\n", texts[at], got, expected);
	}
	for (at = 0; at < 20000; at++, tried++) {
		double expected, got;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(&expected, &state, 8);
		if (expected != expected || expected - expected != 0)
			continue;
		snprintf(text, sizeof(text), "%.17g", expected);
		if (strchr(text, 'e') && strchr(text, '+'))
			memmove(strchr(text, '+'), strchr(text, '+') + 1, strlen(strchr(text, '+')));
		host.params[5] = text;
		got = gadget__param_f64(5);
		wrong += memcmp(&got, &expected, 8) != 0;
	}
	host.params[5] = "1.5";
	gadget__stop(); /* gives the texts back */
	printf("floats: %zu wrong\n", wrong);
}

/* Blocks of all sizes, kept apart, given back and used again. */
static void memory(void)
{
	static uint8_t *blocks[200];
	static size_t sizes[200];
	size_t turn, at;
	uint32_t state = 1;

	/* Neighbours are one again, in whatever order they are given back. */
	for (turn = 0; turn < 6; turn++) {
		const char *order[] = { "\0\1\2", "\0\2\1", "\1\0\2", "\1\2\0", "\2\0\1", "\2\1\0" };
		size_t before;

		for (at = 0; at < 3; at++)
			blocks[at] = gadget_resize(NULL, 16 << 20);
		for (at = 0; at < 3; at++)
			gadget_free(blocks[(size_t)order[turn][at]]);
		before = used;
		gadget_free(gadget_resize(NULL, 48 << 20));
		if (used != before)
			printf("memory: it is in pieces\n");
	}
	memset(blocks, 0, sizeof(blocks));
	for (turn = 0; turn < 20000; turn++) {
		state = state * 1664525 + 1013904223;
		at = state >> 8 & 127;
		for (size_t byte = 0; blocks[at] && byte < sizes[at]; byte += 97) {
			if (blocks[at][byte] != (uint8_t)at)
				printf("memory: block %zu was changed\n", at);
		}
		if (blocks[at] && state >> 16 & 1) {
			gadget_free(blocks[at]);
			blocks[at] = NULL;
			continue;
		}
		sizes[at] = state >> (12 + (state >> 3) % 17);
		blocks[at] = gadget_resize(blocks[at], sizes[at]);
		memset(blocks[at], (int)at, sizes[at]);
	}
	for (at = 0; at < 128; at++)
		gadget_free(blocks[at]);
	for (at = 0; at < 1000; at++)
		gadget_free(gadget_alloc(at * 1000));
	printf("memory: done\n");
}

int main(int count, char **arguments)
{
	uint8_t bytes[512];
	const struct gadget__started *started;
	uint8_t per_cpu[] = { 1, 0, 9, 9, 9, 9, 9, 9, 2, 0, 9, 9, 9, 9, 9, 9 };
	uint32_t key = 5, at;
	int64_t value = 100;
	struct gadget__answer answer;

	fields();
	host.params[2] = "refuse";
	started = gadget__init();
	printf("started %u: %.*s\n", started->failed, (int)started->reason.size, (const char *)started->reason.at);
	host.params[2] = "p";
	if (gadget__init()->failed && count < 2)
		printf("it stays refused\n");
	formats();

	if (count > 1) {
		/* Ends in a trap. */
		if (!strcmp(arguments[1], "panic"))
			record(0, (uint32_t[]){ 0xdead }, 4);
		else if (!strcmp(arguments[1], "record"))
			event_row((const struct event *)(void *)bytes);
		else
			gadget_alloc((size_t)1 << 40);
		process(1);
		return 0;
	}

	record(0, bytes, event(bytes, -2));
	record(0, bytes, event(bytes, -4));
	record(0, "short", 5);
	record(GADGET__DISCARD, bytes, event(bytes, 1));
	record(0, bytes, event(bytes, 1));
	process(0);

	host.all = false;
	host.wanted[0] = 0;
	host.wanted[1] = 4;
	host.wants = 2;
	record(0, bytes, event(bytes, 1));
	process(0);
	host.wants = 0;
	record(0, bytes, event(bytes, 1));
	process(0);
	host.all = true;

	record(0, "\1\0\0\0", 4);
	record(0, "\2\0\0\0\t", 5);
	record(0, "\3\0\0\0\t\t", 6);
	record(0, "\4\0", 2);
	process(1);
	record(0, "\1\0\0\0", 4);
	process(9);

	/* Walks any bytes. */
	record(0, "\1\0\0\0", 4);
	record(GADGET__BUSY, "\1\0\0\0", 4);
	process(1);
	record(0, "\1\0\0\0", 4);
	record(0, "\1\0\0\0\0\0\0\0\0", 9);
	span.size -= 9;
	process(1);

	gadget__host_update(0, &key, 4, &value, 8, &answer);
	key = 7;
	gadget__host_update(1, &key, 4, per_cpu, sizeof(per_cpu), &answer);
	gadget__host_update(2, "\0\0\0\0\0\0\0", 8, (uint64_t[]){ 3, 4 }, 16, &answer);
	gadget__tick(1, 2);
	gadget__tick(99, 1);
	gadget__added((uint32_t[]){ 1, 2 }, 2);
	gadget__removed((uint32_t[]){ 2, 1 }, 2);
	record(0, "\1\0\0\0", 4);
	record(0, "\1\0\0\0\0\0", 7);
	process(1);
	gadget__stop();

	host.refuse = "too much";
	record(0, "\1\0\0\0", 4);
	record(0, "\1\0\0\0", 4);
	process(1);
	gadget__tick(1, 1);
	host.refuse = NULL;

	for (at = 0; at < 3 * GADGET__MOST_ROWS / 2; at++)
		record(0, "\1\0\0\0", 4);
	process(1);

	floats();
	memory();
	return 0;
}
