/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The name that sources for Inspektor Gadget include for gadget_process_populate(). */
#ifndef __GADGET_COMMON_H
#define __GADGET_COMMON_H

#include <gadget/process.h>

#endif /* __GADGET_COMMON_H */
