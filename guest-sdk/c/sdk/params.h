/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters: what the user set, or the manifest's default. The host hands out canonical text of the manifest's type,
 * which it has checked.
 */
#ifndef GADGET_PARAMS_H
#define GADGET_PARAMS_H

#include "text.h"

bool gadget__param_bool(uint32_t param);
int64_t gadget__param_i64(uint32_t param);
uint64_t gadget__param_u64(uint32_t param);
double gadget__param_f64(uint32_t param);
struct gadget_bytes gadget__param_text(uint32_t param);

#endif
