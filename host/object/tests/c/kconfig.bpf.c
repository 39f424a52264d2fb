// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Asks the kernel for a variable.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;

SEC("raw_tp/version")
int version(void *ctx)
{
	return LINUX_KERNEL_VERSION;
}

char LICENSE[] SEC("license") = "GPL";
