/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in the making: what the generated functions of a table stand on. Authors use those.
 *
 * A column is a tree of nodes, as its type is: a list has one below it, a struct one for each field. The nodes of a table
 * lie one behind the other, a parent before its children, which is the order in which the contract wants their Arrow
 * buffers: validity bits (lowest first, 1 = valid; empty: no nulls), then values or offsets and what they point into.
 * Buffers are used again, so that a running gadget does not allocate.
 *
 * Nobody closes a value: a node knows by the place where its next value belongs what to fill with nulls, or what to take
 * back because it was set twice.
 */
#ifndef GADGET_ROWS_H
#define GADGET_ROWS_H

#include "record.h"

/* Rows kept before they are handed over in the midst of a call. */
#define GADGET__MOST_ROWS (32 * 1024)

/* Memory that grows. */
struct gadget__buffer {
	uint8_t *at;
	size_t size;
	size_t room;
};

enum gadget__kind { GADGET__NUMBER, GADGET__TEXT, GADGET__LIST, GADGET__STRUCT };

/* A column, or a part of one. */
struct gadget__node {
	uint8_t kind;
	uint8_t width; /* bytes of a number */
	uint16_t up; /* how far in front its parent lies; 0: it is a column */
	uint16_t nodes; /* of it and all below it */
	uint32_t count; /* values, the one in the making included */
	struct gadget__buffer validity; /* empty until there is a null */
	struct gadget__buffer values; /* numbers; of texts and lists one offset more than values, from 0 */
	struct gadget__buffer data; /* of texts */
};

/* A `list` of the canonical ABI. */
struct gadget__list {
	const void *at;
	size_t size;
};

/* The contract's record `column`, in the canonical ABI's layout. */
struct gadget__column {
	uint16_t index;
	struct gadget__list buffers;
};

/* A table. */
struct gadget__table {
	uint16_t index; /* its place in the manifest */
	uint16_t columns; /* how many the guest computes, at most 64 */
	const uint16_t *indexes; /* their places in the table */
	struct gadget__node *nodes;
	struct gadget__column *emitted; /* room for what is handed over */
	struct gadget__list *buffers;
	uint32_t rows; /* the one in the making included */
	bool asked; /* `wanted` is the host's answer in this call */
	uint64_t wanted; /* bit n: somebody needs column n */
	uint64_t open; /* the same while there is a row in the making, else 0 */
	struct gadget__buffer origin; /* for each row the offset of its record */
};

/* The records of this call. */
extern struct gadget_bytes gadget__span;

uint64_t gadget__ask(struct gadget__table *table);
void gadget__flush(struct gadget__table *table);
void gadget__end_frame(struct gadget__table *table);
_Noreturn void gadget__no_record(const struct gadget__table *table);
void gadget__grow(struct gadget__buffer *buffer, size_t size);
void gadget__grow_offsets(struct gadget__node *node);
void gadget__mark_valid(struct gadget__node *node);
void gadget__settle(struct gadget__node *node, uint32_t count);
void gadget__null(struct gadget__node *node);
void gadget__begin(struct gadget__table *table, struct gadget__node *node);
void gadget__open(struct gadget__table *table, struct gadget__node *node);
uint32_t gadget__place(struct gadget__table *table, struct gadget__node *node);
void gadget__append_long(struct gadget__buffer *buffer, struct gadget_bytes bytes);

/* Which columns somebody needs; asked once a call. */
static inline uint64_t gadget__wanted(struct gadget__table *table)
{
	return table->asked ? table->wanted : gadget__ask(table);
}

/* Begins a row. */
static inline void gadget__row(struct gadget__table *table)
{
	if (table->rows >= GADGET__MOST_ROWS)
		gadget__flush(table);
	table->open = gadget__wanted(table);
	table->rows++;
}

/* Begins a row that comes from a record of this call. */
static inline void gadget__row_from(struct gadget__table *table, const void *record)
{
	size_t origin = (uintptr_t)record - (uintptr_t)gadget__span.at - GADGET__HEADER;

	if (origin >= gadget__span.size)
		gadget__no_record(table);
	gadget__row(table);
	if (table->origin.room - table->origin.size < 4)
		gadget__grow(&table->origin, table->origin.size + 4);
	*(gadget_u32 *)(table->origin.at + table->origin.size) = (uint32_t)origin;
	table->origin.size += 4;
}

/* The place of the next value of a column: that of the row in the making. */
static inline void gadget__at_row(const struct gadget__table *table, struct gadget__node *column)
{
	if (column->count != table->rows - 1)
		gadget__settle(column, table->rows - 1);
}

/* The place of the next value of a node below a column; opens what it lies in. */
static inline void gadget__at(struct gadget__table *table, struct gadget__node *node)
{
	uint32_t place = gadget__place(table, node);

	if (node->count != place)
		gadget__settle(node, place);
}

/* Opens a list that is a column, if it is not open. */
static inline void gadget__open_column(struct gadget__table *table, struct gadget__node *column)
{
	if (column->count != table->rows)
		gadget__begin(table, column);
}

static inline void gadget__valid(struct gadget__node *node)
{
	if (node->validity.size)
		gadget__mark_valid(node);
}

/* Appends a number to a node. */
#define GADGET__NUMBERS(name, type, unaligned)                                                      \
	static inline void gadget__push_##name(struct gadget__node *node, type value)               \
	{                                                                                           \
		size_t size = (size_t)node->count * sizeof(value);                                  \
                                                                                                    \
		if (node->values.room - size < sizeof(value))                                       \
			gadget__grow(&node->values, size + sizeof(value));                          \
		*(unaligned *)(node->values.at + size) = value;                                     \
		gadget__valid(node);                                                                \
		node->count++;                                                                      \
	}

GADGET__NUMBERS(bool, bool, uint8_t)
GADGET__NUMBERS(i8, int8_t, int8_t)
GADGET__NUMBERS(i16, int16_t, gadget_i16)
GADGET__NUMBERS(i32, int32_t, gadget_i32)
GADGET__NUMBERS(i64, int64_t, gadget_i64)
GADGET__NUMBERS(u8, uint8_t, uint8_t)
GADGET__NUMBERS(u16, uint16_t, gadget_u16)
GADGET__NUMBERS(u32, uint32_t, gadget_u32)
GADGET__NUMBERS(u64, uint64_t, gadget_u64)
GADGET__NUMBERS(f32, float, gadget_f32)
GADGET__NUMBERS(f64, double, gadget_f64)

/* Up to this many bytes a loop over words beats the call that a bulk copy is in a sandbox. */
#define GADGET__SHORT 64

/* Appends text or bytes to a node. */
static inline void gadget__push_bytes(struct gadget__node *node, struct gadget_bytes bytes)
{
	struct gadget__buffer *data = &node->data;
	uint8_t *to;
	size_t at = 0;

	if (bytes.size > GADGET__SHORT) {
		gadget__append_long(data, bytes);
	} else {
		if (data->room - data->size < GADGET__SHORT)
			gadget__grow(data, data->size + GADGET__SHORT);
		to = data->at + data->size;
		for (; at + 8 <= bytes.size; at += 8)
			*(gadget_u64 *)(to + at) = *(const gadget_u64 *)(bytes.at + at);
		for (; at < bytes.size; at++)
			to[at] = bytes.at[at];
		data->size += bytes.size;
	}
	if (node->values.room < ((size_t)node->count + 2) * 4)
		gadget__grow_offsets(node);
	gadget__valid(node);
	node->count++;
	((gadget_i32 *)node->values.at)[node->count] = (int32_t)data->size;
}

#endif
