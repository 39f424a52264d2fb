// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Asks whether the kernel's struct is like this one.
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

SEC("raw_tp/matches")
int matches(void *ctx)
{
	return bpf_core_type_matches(struct task_struct);
}

char LICENSE[] SEC("license") = "GPL";
