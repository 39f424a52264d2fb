/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The name that sources for Inspektor Gadget include for gadget_should_discard_mntns_id(). */
#ifndef __GADGET_MNTNS_FILTER_H
#define __GADGET_MNTNS_FILTER_H

#include <gadget/mntns.h>
#include <gadget/filter.h>

#endif /* __GADGET_MNTNS_FILTER_H */
