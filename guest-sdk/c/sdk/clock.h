/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time. Fixed within one call of the guest; virtual when a recording is replayed.
 */
#ifndef GADGET_CLOCK_H
#define GADGET_CLOCK_H

#include <stdint.h>

/* Nanoseconds of CLOCK_BOOTTIME, the clock of the records. */
uint64_t gadget_clock_boot(void);

/* Nanoseconds since 1970. */
uint64_t gadget_clock_wall(void);

#endif
