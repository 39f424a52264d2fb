/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text as the kernel hands it over: bytes, often ended by NUL, not always UTF-8.
 */
#ifndef GADGET_TEXT_H
#define GADGET_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Numbers as they lie in a record or a map's value: at any address. They are read and assigned like the plain ones;
 * only a pointer to one must have this type.
 */
typedef uint16_t gadget_u16 __attribute__((aligned(1), may_alias));
typedef uint32_t gadget_u32 __attribute__((aligned(1), may_alias));
typedef uint64_t gadget_u64 __attribute__((aligned(1), may_alias));
typedef int16_t gadget_i16 __attribute__((aligned(1), may_alias));
typedef int32_t gadget_i32 __attribute__((aligned(1), may_alias));
typedef int64_t gadget_i64 __attribute__((aligned(1), may_alias));
typedef float gadget_f32 __attribute__((aligned(1), may_alias));
typedef double gadget_f64 __attribute__((aligned(1), may_alias));

/* Bytes that lie somewhere else: text or not, without a NUL at the end. What columns of text and bytes take. */
struct gadget_bytes {
	const uint8_t *at;
	size_t size;
};

/* `size` bytes at `at`. */
static inline struct gadget_bytes gadget_bytes(const void *at, size_t size)
{
	return (struct gadget_bytes){ (const uint8_t *)at, size };
}

/*
 * The bytes from `at` up to the first NUL, or all `most` of them, which are all there. Eight at a time: each turn of a loop costs a check of
 * the deadline in a sandbox.
 */
static inline struct gadget_bytes gadget_until_nul(const void *at, size_t most)
{
	const uint8_t *bytes = (const uint8_t *)at;
	size_t size = 0;

	for (; size + 8 <= most; size += 8) {
		uint64_t word = *(const gadget_u64 *)(bytes + size);
		uint64_t zeros = (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;

		if (zeros)
			return gadget_bytes(at, size + (size_t)__builtin_ctzll(zeros) / 8);
	}
	while (size < most && bytes[size])
		size++;
	return gadget_bytes(at, size);
}

/* The text in an array of `char`, such as a field of a record: `gadget_chars(event->comm)`. */
#define gadget_chars(array)                                                                              \
	gadget_until_nul((array), sizeof(array) + 0 * sizeof(char[1 - 2 * gadget__is_pointer(array)]))
/* The size of what a pointer points at is not known: see gadget_until_nul() and gadget_string(). */
#define gadget__is_pointer(array) __builtin_types_compatible_p(__typeof__(array), __typeof__(&(array)[0]))

/* The text in a string, without its NUL: `gadget_string("even")`. */
static inline struct gadget_bytes gadget_string(const char *string)
{
	return gadget_bytes(string, __builtin_strlen(string));
}

/* What is behind the first `size` bytes; nothing when there are fewer. */
static inline struct gadget_bytes gadget_skip(struct gadget_bytes bytes, size_t size)
{
	size = size < bytes.size ? size : bytes.size;
	return gadget_bytes(bytes.at + size, bytes.size - size);
}

/* The first `size` bytes, or all when there are fewer. */
static inline struct gadget_bytes gadget_first(struct gadget_bytes bytes, size_t size)
{
	return gadget_bytes(bytes.at, size < bytes.size ? size : bytes.size);
}

/*
 * Takes the next text of an array that holds several, each ended by a NUL, such as a command's arguments. What follows
 * the last NUL is one more unless it is empty. False: there is none left.
 *
 *	while (gadget_split(&arguments, &argument))
 *		exec_add_args(argument);
 */
static inline bool gadget_split(struct gadget_bytes *rest, struct gadget_bytes *text)
{
	if (!rest->size)
		return false;
	*text = gadget_until_nul(rest->at, rest->size);
	*rest = gadget_skip(*rest, text->size + 1);
	return true;
}

/* Whether the two hold the same bytes. */
static inline bool gadget_equal(struct gadget_bytes one, struct gadget_bytes other)
{
	return one.size == other.size && (!one.size || !__builtin_memcmp(one.at, other.at, one.size));
}

/*
 * Writes text into `buffer`, with a NUL at the end, and gives it without that; what `size` bytes do not hold is cut off.
 *
 * `format` is that of printf with d, i, u, x, X, c, s, p and %, lengths hh to ll and z, a width, the flags 0 and -, and
 * a precision of s. There are no floats.
 */
__attribute__((format(printf, 3, 4))) struct gadget_bytes gadget_format(char *buffer, size_t size, const char *format,
									 ...);

#endif
