/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A system call's arguments at its end.
 *
 * The usual way is a program at sys_enter that keeps the arguments in a map for the program at
 * sys_exit. There is no need: the registers with which the task entered the kernel are still saved
 * when it leaves, only the return value has been written. One program and no map is half the cost for
 * the traced task, nothing is lost when a map is full, and the memory that pointers point to is
 * certainly paged in, because the kernel has read it by then.
 *
 * Not for execve and execveat that succeeded (the registers are the new program's) and not for
 * fork's child.
 */
#ifndef __GADGET_SYSCALL_H
#define __GADGET_SYSCALL_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

/* Argument `n` (a constant from 0 to 5) of the system call that the current task is leaving. */
static __always_inline __u64 gadget_syscall_arg(int n)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

#if defined(__TARGET_ARCH_x86)
	switch (n) {
	case 0:
		return regs->di;
	case 1:
		return regs->si;
	case 2:
		return regs->dx;
	case 3:
		return regs->r10;
	case 4:
		return regs->r8;
	default:
		return regs->r9;
	}
#elif defined(__TARGET_ARCH_arm64)
	switch (n) {
	case 0:
		return regs->orig_x0;
	case 1:
		return regs->regs[1];
	case 2:
		return regs->regs[2];
	case 3:
		return regs->regs[3];
	case 4:
		return regs->regs[4];
	default:
		return regs->regs[5];
	}
#else
#error "build with -D__TARGET_ARCH_x86 or -D__TARGET_ARCH_arm64"
#endif
}

#endif /* __GADGET_SYSCALL_H */
