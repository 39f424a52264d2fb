/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The header every gadget includes: everything but path.h. */
#ifndef __GADGET_GADGET_H
#define __GADGET_GADGET_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/macros.h>
#include <gadget/types.h>
#include <gadget/buffer.h>
#include <gadget/filter.h>
#include <gadget/mntns.h>
#include <gadget/process.h>
#include <gadget/syscall.h>

#endif /* __GADGET_GADGET_H */
