/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters out of the host's text. */
#include "params.h"
#include "host.h"
#include "memory.h"

/* Its text, until the call returns. */
static struct gadget_bytes gadget__param(uint32_t param)
{
	struct gadget__list answer = { NULL, 0 };

	gadget__host_param(param, &answer);
	return gadget_bytes(answer.at, answer.size);
}

bool gadget__param_bool(uint32_t param)
{
	struct gadget_bytes text = gadget__param(param);

	return text.size && text.at[0] == 't';
}

/* Takes a sign. */
static bool gadget__minus(struct gadget_bytes *text)
{
	bool minus = text->size && text->at[0] == '-';

	*text = gadget_skip(*text, minus);
	return minus;
}

static uint64_t gadget__decimal(struct gadget_bytes text)
{
	uint64_t number = 0;

	for (; text.size && text.at[0] >= '0' && text.at[0] <= '9'; text = gadget_skip(text, 1))
		number = number * 10 + (uint64_t)(text.at[0] - '0');
	return number;
}

int64_t gadget__param_i64(uint32_t param)
{
	struct gadget_bytes text = gadget__param(param);
	bool minus = gadget__minus(&text);
	uint64_t number = gadget__decimal(text);

	return (int64_t)(minus ? 0 - number : number);
}

uint64_t gadget__param_u64(uint32_t param)
{
	return gadget__decimal(gadget__param(param));
}

struct gadget_bytes gadget__param_text(uint32_t param)
{
	struct gadget_bytes text = gadget__param(param);
	uint8_t *kept = gadget_resize(NULL, text.size);

	if (text.size)
		__builtin_memcpy(kept, text.at, text.size);
	return gadget_bytes(kept, text.size);
}

/* A whole number of 32 bits a place, the lowest first. */
#define GADGET__PLACES 44

static void gadget__multiply(uint32_t *number, uint32_t by)
{
	uint64_t carry = 0;
	unsigned int at;

	for (at = 0; at < GADGET__PLACES; at++) {
		carry += (uint64_t)number[at] * by;
		number[at] = (uint32_t)carry;
		carry >>= 32;
	}
}

/* Gives the remainder. */
static uint32_t gadget__divide(uint32_t *number, uint32_t by)
{
	uint64_t rest = 0;
	unsigned int at;

	for (at = GADGET__PLACES; at-- > 0;) {
		rest = rest << 32 | number[at];
		number[at] = (uint32_t)(rest / by);
		rest %= by;
	}
	return (uint32_t)rest;
}

/* The float nearest to 1.xxx * 2^`exponent`, where `number` has the highest 64 bits and `more` says if any follow. */
static double gadget__float(uint64_t number, int exponent, bool more)
{
	/* Below 2^-1022 fewer than 53 bits are kept. */
	int drop = exponent >= -1022 ? 11 : -1022 - exponent + 11;
	uint64_t kept, rest, half, bits;
	double value;

	if (exponent > 1023)
		return __builtin_inf();
	if (drop > 64)
		return 0;
	kept = drop == 64 ? 0 : number >> drop;
	rest = drop == 64 ? number : number & ((UINT64_C(1) << drop) - 1);
	half = UINT64_C(1) << (drop - 1);
	if (rest > half || (rest == half && (more || kept & 1)))
		kept++;
	/* The highest bit of 53 adds one to the exponent; so does a carry. */
	bits = kept + (exponent >= -1022 ? (uint64_t)(exponent + 1022) << 52 : 0);
	__builtin_memcpy(&value, &bits, sizeof(value));
	return value;
}

/* The nearest float to digits * 10^`exponent`, exactly. */
static double gadget__nearest(uint64_t digits, int exponent, bool more)
{
	uint32_t number[GADGET__PLACES] = { 0 };
	unsigned int first = exponent < 0 ? GADGET__PLACES - 2 : 0, top = GADGET__PLACES - 1, at;
	int shift, bits;
	uint64_t high;

	if (!digits || exponent < -350)
		return 0;
	if (exponent > 310)
		return __builtin_inf();
	/* Enough places below the digits that a quotient has 64 bits. */
	number[first] = (uint32_t)digits;
	number[first + 1] = (uint32_t)(digits >> 32);
	for (; exponent > 0; exponent--)
		gadget__multiply(number, 10);
	for (; exponent < 0; exponent++)
		more |= gadget__divide(number, 10) != 0;
	while (!number[top])
		top--;
	shift = __builtin_clz(number[top]);
	bits = (int)top * 32 + 31 - shift - (int)first * 32;
	high = (uint64_t)number[top] << 32 | (top > 0 ? number[top - 1] : 0);
	if (shift)
		high = high << shift | (top > 1 ? number[top - 2] >> (32 - shift) : 0);
	if (top > 1)
		more |= (uint32_t)(number[top - 2] << shift) != 0;
	for (at = 0; at + 2 < top; at++)
		more |= number[at] != 0;
	return gadget__float(high, bits, more);
}

double gadget__param_f64(uint32_t param)
{
	struct gadget_bytes text = gadget__param(param);
	bool minus = gadget__minus(&text), point = false, more = false;
	uint64_t digits = 0;
	int exponent = 0;
	double value;

	for (; text.size && text.at[0] != 'e'; text = gadget_skip(text, 1)) {
		uint8_t byte = text.at[0];

		if (byte == '.') {
			point = true;
		} else if (byte < '0' || byte > '9') {
			value = byte == 'i' ? __builtin_inf() : __builtin_nan("");
			return minus ? -value : value;
		} else if (digits < UINT64_C(1000000000000000000)) {
			digits = digits * 10 + (uint64_t)(byte - '0');
			exponent -= point;
		} else {
			more |= byte != '0';
			exponent += !point;
		}
	}
	text = gadget_skip(text, 1);
	if (text.size) {
		bool negative = gadget__minus(&text);
		int power = (int)gadget__decimal(text);

		exponent += negative ? -power : power;
	}
	value = gadget__nearest(digits, exponent, more);
	return minus ? -value : value;
}
