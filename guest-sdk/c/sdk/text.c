/* SPDX-License-Identifier: Apache-2.0 */
/* Text: printf's format, UTF-8, and numbers out of text. */
#include <stdarg.h>

#include "host.h"
#include "log.h"
#include "memory.h"

/* Where formatted text goes: as much as there is room for, and how much it would be. */
struct gadget__text {
	char *at;
	size_t room;
	size_t size;
};

static void gadget__put(struct gadget__text *text, char byte, size_t times)
{
	for (; times; times--, text->size++) {
		if (text->size < text->room)
			text->at[text->size] = byte;
	}
}

/* The flags, width and precision of one conversion. */
struct gadget__conversion {
	bool left;
	bool zeros;
	size_t width;
	size_t precision;
};

static void gadget__put_text(struct gadget__text *text, const struct gadget__conversion *how, const char *at, size_t size,
			     char sign)
{
	size_t whole = size + (sign != 0);
	size_t fill = how->width > whole ? how->width - whole : 0;

	if (!how->left && !how->zeros)
		gadget__put(text, ' ', fill);
	if (sign)
		gadget__put(text, sign, 1);
	if (!how->left && how->zeros)
		gadget__put(text, '0', fill);
	for (; size; size--)
		gadget__put(text, *at++, 1);
	if (how->left)
		gadget__put(text, ' ', fill);
}

static void gadget__put_number(struct gadget__text *text, const struct gadget__conversion *how, uint64_t number,
			       unsigned int base, char ten, char sign)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		unsigned int digit = (unsigned int)(number % base);

		digits[--at] = (char)(digit < 10 ? '0' + digit : (unsigned int)ten + digit - 10);
		number /= base;
	} while (number);
	gadget__put_text(text, how, digits + at, sizeof(digits) - at, sign);
}

static size_t gadget__digits(const char **format)
{
	size_t number = 0;

	for (; **format >= '0' && **format <= '9'; ++*format)
		number = number * 10 + (size_t)(**format - '0');
	return number;
}

static void gadget__print(struct gadget__text *text, const char *format, va_list arguments)
{
	for (; *format; format++) {
		struct gadget__conversion how = { .precision = SIZE_MAX };
		unsigned int longs = 0;
		const char *string;
		int64_t number;
		size_t size;
		char one;

		if (*format != '%') {
			gadget__put(text, *format, 1);
			continue;
		}
		for (format++; *format == '-' || *format == '0'; format++) {
			how.left |= *format == '-';
			how.zeros |= *format == '0';
		}
		how.width = gadget__digits(&format);
		if (*format == '.') {
			if (*++format == '*') {
				format++;
				how.precision = (size_t)va_arg(arguments, int);
			} else {
				how.precision = gadget__digits(&format);
			}
		}
		for (; *format == 'l' || *format == 'h' || *format == 'z'; format++)
			longs += *format == 'l' ? 1 : *format == 'z' ? 3 : 0;
		switch (*format) {
		case 'd':
		case 'i':
			number = longs == 0 ? va_arg(arguments, int) :
				 longs == 2 ? va_arg(arguments, long long) :
					      va_arg(arguments, long);
			gadget__put_number(text, &how, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10, 0,
					   number < 0 ? '-' : 0);
			break;
		case 'u':
		case 'x':
		case 'X':
			gadget__put_number(text, &how,
					   longs == 0 ? va_arg(arguments, unsigned int) :
					   longs == 1 ? va_arg(arguments, unsigned long) :
					   longs == 2 ? va_arg(arguments, unsigned long long) :
							va_arg(arguments, size_t),
					   *format == 'u' ? 10 : 16, *format == 'x' ? 'a' : 'A', 0);
			break;
		case 'p':
			gadget__put_number(text, &how, (uintptr_t)va_arg(arguments, void *), 16, 'a', 0);
			break;
		case 'c':
			one = (char)va_arg(arguments, int);
			gadget__put_text(text, &how, &one, 1, 0);
			break;
		case 's':
			string = va_arg(arguments, const char *);
			for (size = 0; size < how.precision && string[size];)
				size++;
			gadget__put_text(text, &how, string, size, 0);
			break;
		case 0:
			return;
		default:
			gadget__put(text, *format, 1);
		}
	}
}

struct gadget_bytes gadget_format(char *buffer, size_t size, const char *format, ...)
{
	struct gadget__text text = { buffer, size ? size - 1 : 0, 0 };
	va_list arguments;

	va_start(arguments, format);
	gadget__print(&text, format, arguments);
	va_end(arguments);
	if (text.size > text.room)
		text.size = text.room;
	if (size)
		buffer[text.size] = 0;
	return gadget_bytes(buffer, text.size);
}

/* How many of the first bytes are one character, or the beginning of one that goes wrong behind them. */
static size_t gadget__character(struct gadget_bytes text, bool *valid)
{
	uint8_t first = text.at[0], low = 0x80, high = 0xbf;
	size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
	size_t at;

	*valid = size == 1;
	if (size < 2)
		return 1;
	if (first == 0xe0)
		low = 0xa0; /* shorter forms of what fewer bytes can say */
	if (first == 0xed)
		high = 0x9f; /* surrogates */
	if (first == 0xf0)
		low = 0x90;
	if (first == 0xf4)
		high = 0x8f; /* beyond U+10FFFF */
	for (at = 1; at < size; at++, low = 0x80, high = 0xbf) {
		if (at == text.size || text.at[at] < low || text.at[at] > high)
			return at;
	}
	*valid = true;
	return size;
}

/* Copies text to `made`, which has room for three times as much, and replaces what is not UTF-8 by U+FFFD. */
static struct gadget_bytes gadget__utf8(uint8_t *made, struct gadget_bytes text)
{
	uint8_t *end = made;

	while (text.size) {
		bool valid;
		size_t size = gadget__character(text, &valid);

		__builtin_memcpy(end, valid ? text.at : (const uint8_t *)"\xef\xbf\xbd", valid ? size : 3);
		end += valid ? size : 3;
		text = gadget_skip(text, size);
	}
	return gadget_bytes(made, (size_t)(end - made));
}

/* A message of usual length takes no memory: there may be none. */
static void gadget__write(enum gadget_level level, const char *format, va_list arguments)
{
	char usual[512];
	uint8_t usual_made[3 * sizeof(usual)], *made = usual_made;
	struct gadget__text text = { usual, sizeof(usual), 0 };
	struct gadget_bytes message;
	va_list again;

	va_copy(again, arguments);
	gadget__print(&text, format, again);
	va_end(again);
	if (text.size > sizeof(usual)) {
		text.room = text.size;
		text.at = gadget_resize(NULL, text.room);
		text.size = 0;
		made = gadget_resize(NULL, 3 * text.room);
		gadget__print(&text, format, arguments);
	}
	message = gadget__utf8(made, gadget_bytes(text.at, text.size));
	gadget__host_log((uint32_t)level, message.at, message.size);
	if (made != usual_made) {
		gadget_free(made);
		gadget_free(text.at);
	}
}

__attribute__((cold)) void gadget_log(enum gadget_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	gadget__write(level, format, arguments);
	va_end(arguments);
}

_Noreturn __attribute__((cold)) void gadget_panic(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	gadget__write(GADGET_ERROR, format, arguments);
	va_end(arguments);
	__builtin_trap();
}
