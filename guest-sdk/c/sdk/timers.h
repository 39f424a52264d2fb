/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers, which call gadget_tick(). A timer is a number that is never used again.
 */
#ifndef GADGET_TIMERS_H
#define GADGET_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

/* Calls gadget_tick() every `period` nanoseconds from now on. False, with a reason: too many timers, or too short. */
bool gadget_timer_every(uint64_t period, uint32_t *timer);

/* Calls gadget_tick() once, after `delay` nanoseconds. False, with a reason: there are too many timers. */
bool gadget_timer_once(uint64_t delay, uint32_t *timer);

/* Stops a timer. One that is already over is no error. */
void gadget_timer_cancel(uint32_t timer);

#endif
