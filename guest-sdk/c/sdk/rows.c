/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what is not worth a place in every gadget's loop. */
#include "host.h"
#include "log.h"
#include "rows.h"

struct gadget_bytes gadget__span;

static gadget_i32 *gadget__offsets(const struct gadget__node *node)
{
	return (gadget_i32 *)node->values.at;
}

void gadget__append_long(struct gadget__buffer *buffer, struct gadget_bytes bytes)
{
	if (buffer->room - buffer->size < bytes.size)
		gadget__grow(buffer, buffer->size + bytes.size);
	__builtin_memcpy(buffer->at + buffer->size, bytes.at, bytes.size);
	buffer->size += bytes.size;
}

/* Room for one offset more than there will be values. */
void gadget__grow_offsets(struct gadget__node *node)
{
	bool first = !node->values.room;

	gadget__grow(&node->values, ((size_t)node->count + 2) * 4);
	if (first)
		gadget__offsets(node)[0] = 0;
}

/* Sets the size of the validity bits to that of `count` values; new bits are 0. */
static void gadget__size_validity(struct gadget__node *node, uint32_t count)
{
	size_t size = ((size_t)count + 7) / 8;

	if (node->validity.room < size)
		gadget__grow(&node->validity, size);
	if (size > node->validity.size)
		__builtin_memset(node->validity.at + node->validity.size, 0, size - node->validity.size);
	node->validity.size = size;
	if (count % 8)
		node->validity.at[size - 1] &= (uint8_t)((1u << count % 8) - 1);
}

/* The next value is valid, and there are nulls before it. */
void gadget__mark_valid(struct gadget__node *node)
{
	gadget__size_validity(node, node->count + 1);
	node->validity.at[node->count / 8] |= (uint8_t)(1u << node->count % 8);
}

/* Appends nulls until there are `count` values. */
static void gadget__fill(struct gadget__node *node, uint32_t count)
{
	size_t size;

	if (!node->validity.size && node->count) {
		gadget__size_validity(node, node->count);
		__builtin_memset(node->validity.at, 0xff, node->validity.size);
		gadget__size_validity(node, node->count);
	}
	gadget__size_validity(node, count);
	switch (node->kind) {
	case GADGET__NUMBER:
		size = (size_t)count * node->width;
		if (node->values.room < size)
			gadget__grow(&node->values, size);
		__builtin_memset(node->values.at + (size_t)node->count * node->width, 0,
				 size - (size_t)node->count * node->width);
		node->count = count;
		break;
	case GADGET__STRUCT:
		node->count = count;
		break;
	default:
		while (node->count < count) {
			size_t end = node->kind == GADGET__LIST ? node[1].count : node->data.size;

			if (node->values.room < ((size_t)node->count + 2) * 4)
				gadget__grow_offsets(node);
			gadget__offsets(node)[node->count] = (int32_t)end;
			gadget__offsets(node)[++node->count] = (int32_t)end;
		}
	}
}

/* Takes values back until there are `count`. */
static void gadget__cut(struct gadget__node *node, uint32_t count)
{
	if (node->validity.size)
		gadget__size_validity(node, count);
	if (node->kind == GADGET__TEXT)
		node->data.size = (size_t)gadget__offsets(node)[count];
	if (node->kind == GADGET__LIST)
		gadget__cut(node + 1, (uint32_t)gadget__offsets(node)[count]);
	if (node->kind == GADGET__STRUCT) {
		struct gadget__node *field = node + 1;

		for (; field < node + node->nodes; field += field->nodes) {
			if (field->count > count)
				gadget__cut(field, count);
		}
	}
	node->count = count;
}

/* Fills with nulls, or takes back, until there are `count` values. */
void gadget__settle(struct gadget__node *node, uint32_t count)
{
	if (node->count < count)
		gadget__fill(node, count);
	else
		gadget__cut(node, count);
}

/* Appends a null. */
void gadget__null(struct gadget__node *node)
{
	gadget__fill(node, node->count + 1);
}

/* Whether what the next value of a node below this one belongs to is there already. */
static bool gadget__is_open(const struct gadget__table *table, const struct gadget__node *node)
{
	const struct gadget__node *parent = node - node->up;

	if (!node->up)
		return node->count == table->rows;
	if (!gadget__is_open(table, parent))
		return false;
	if (parent->kind == GADGET__LIST)
		return node->count > (uint32_t)gadget__offsets(parent)[parent->count - 1];
	return node->count == parent->count;
}

uint32_t gadget__place(struct gadget__table *table, struct gadget__node *node)
{
	struct gadget__node *parent = node - node->up;

	if (!node->up)
		return table->rows - 1;
	gadget__open(table, parent);
	return parent->kind == GADGET__LIST ? node->count : parent->count - 1;
}

/* Begins a value of a list or struct: an empty list, or a struct whose fields are null. */
void gadget__begin(struct gadget__table *table, struct gadget__node *node)
{
	gadget__at(table, node);
	if (node->kind == GADGET__LIST) {
		if (node->values.room < ((size_t)node->count + 2) * 4)
			gadget__grow_offsets(node);
		/* Ends the one before it, which nobody closed. */
		gadget__offsets(node)[node->count] = (int32_t)node[1].count;
		gadget__offsets(node)[node->count + 1] = (int32_t)node[1].count;
	}
	gadget__valid(node);
	node->count++;
}

/* Begins a value of a list or struct if none is there for what it belongs to. */
void gadget__open(struct gadget__table *table, struct gadget__node *node)
{
	if (!gadget__is_open(table, node))
		gadget__begin(table, node);
}

/* Closes all values of a column and adds its buffers at `to`; gives the place behind them. */
static struct gadget__list *gadget__close(struct gadget__node *column, uint32_t rows, struct gadget__list *to)
{
	struct gadget__node *node, *field;

	if (column->count != rows)
		gadget__settle(column, rows);
	for (node = column; node < column + column->nodes; node++) {
		*to++ = (struct gadget__list){ node->validity.at, node->validity.size };
		switch (node->kind) {
		case GADGET__NUMBER:
			*to++ = (struct gadget__list){ node->values.at, (size_t)node->count * node->width };
			break;
		case GADGET__STRUCT:
			for (field = node + 1; field < node + node->nodes; field += field->nodes) {
				if (field->count != node->count)
					gadget__settle(field, node->count);
			}
			break;
		default:
			if (!node->values.room)
				gadget__grow_offsets(node);
			if (node->kind == GADGET__LIST)
				gadget__offsets(node)[node->count] = (int32_t)node[1].count;
			*to++ = (struct gadget__list){ node->values.at, ((size_t)node->count + 1) * 4 };
			if (node->kind == GADGET__TEXT)
				*to++ = (struct gadget__list){ node->data.at, node->data.size };
		}
	}
	return to;
}

/* Hands the rows to the host. When they are over the host's budget, they are lost and the log says so. */
void gadget__flush(struct gadget__table *table)
{
	struct gadget__list *buffers = table->buffers, *from;
	struct gadget__column *emitted = table->emitted;
	struct gadget__node *node = table->nodes;
	unsigned int column;

	table->open = 0;
	if (!table->rows)
		return;
	for (column = 0; column < table->columns; column++, node += node->nodes) {
		if (!(gadget__wanted(table) >> column & 1))
			continue;
		from = buffers;
		buffers = gadget__close(node, table->rows, buffers);
		*emitted++ = (struct gadget__column){ table->indexes[column],
						      { from, (size_t)(buffers - from) } };
	}
	gadget__emit(table, (size_t)(emitted - table->emitted));
	for (column = 0, node = table->nodes; column < table->columns; column++, node += node->nodes) {
		struct gadget__node *part = node;

		for (; part < node + node->nodes; part++) {
			part->count = 0;
			part->validity.size = 0;
			part->data.size = 0;
		}
	}
	table->rows = 0;
	table->origin.size = 0;
}

_Noreturn void gadget__no_record(const struct gadget__table *table)
{
	gadget_panic("a row of table %u comes from a record that is not of this call", table->index);
}
