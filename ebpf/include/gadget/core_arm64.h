/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Kernel structures of arm64: arch/arm64/include/asm/ptrace.h and its uapi sibling */
#ifndef __GADGET_CORE_ARM64_H
#define __GADGET_CORE_ARM64_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};

struct pt_regs {
	union {
		struct user_pt_regs user_regs;
		struct {
			__u64 regs[31];
			__u64 sp;
			__u64 pc;
			__u64 pstate;
		};
	};
	__u64 orig_x0; /* the first argument: regs[0] becomes the return value */
};

#pragma clang attribute pop

#endif /* __GADGET_CORE_ARM64_H */
