/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What tests of sources of iterators resolve a manifest against. */
#define SEC(name) __attribute__((section(name), used))
#define MARK(name) const void *const name __attribute__((unused)) = (const void *)0
#define TYPE(name) const struct name *const type_##name __attribute__((unused)) = 0

struct entry {
	unsigned int pid;
	unsigned int state;
};

struct open_ended {
	unsigned int pid;
	char name[];
};

TYPE(entry);
TYPE(open_ended);
MARK(gadget_iter_sockets___entry___first___second);
MARK(gadget_iter_names___open_ended___third);
MARK(gadget_iter_others___entry___fourth___missing);

SEC("iter/task_file") int first(void *ctx) { return 0; }
SEC("iter/tcp") int second(void *ctx) { return 0; }
SEC("iter/task") int third(void *ctx) { return 0; }
SEC("tp_btf/sys_enter") int fourth(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
