/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the host's log.
 */
#ifndef GADGET_LOG_H
#define GADGET_LOG_H

#include "text.h"

/* How much a message matters. */
enum gadget_level {
	GADGET_ERROR, /* something failed */
	GADGET_WARN, /* something may be wrong */
	GADGET_INFO, /* worth knowing */
	GADGET_DEBUG, /* for the gadget's author */
};

/* Writes a message, with the arguments of gadget_format(). Bytes that are not UTF-8 are replaced. */
__attribute__((format(printf, 2, 3))) void gadget_log(enum gadget_level level, const char *format, ...);

/* The same, shorter. */
#define gadget_error(...) gadget_log(GADGET_ERROR, __VA_ARGS__)
#define gadget_warn(...) gadget_log(GADGET_WARN, __VA_ARGS__)
#define gadget_info(...) gadget_log(GADGET_INFO, __VA_ARGS__)
#define gadget_debug(...) gadget_log(GADGET_DEBUG, __VA_ARGS__)

/* Ends the guest in a trap, after a message: for what can't happen. The call's records are lost to the trap. */
_Noreturn __attribute__((format(printf, 1, 2))) void gadget_panic(const char *format, ...);

/*
 * Why the last function that failed in this call did so, in the host's words: valid until the call returns. Those
 * functions say that they fail with a reason.
 */
struct gadget_bytes gadget_reason(void);

#endif
