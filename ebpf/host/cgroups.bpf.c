/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Cgroups that come and go, told to the host at once: who made one, by which command line, the mount namespace of
 * what runs in it, and when the last process has left it. Read by host/kernel/src/cgroups, which has the numbers and offsets of this file once more.
 *
 * BTF tracepoints alone, whose arguments are typed pointers; no helper that is younger than Linux 5.10.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/cgroup.h>

/* The hierarchy that is watched: 0 is that of cgroup v2, always. */
const volatile __u32 hierarchy = 0;
/* In a hierarchy of v1: which controller of it tells a task's cgroup. Numbers of this file, see controller_id(). */
const volatile __u32 controller = 0;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/linux/cgroup-defs.h; with more fields than vmlinux.h has */
struct cgroup___watched;
struct cgroup_root___watched {
	int hierarchy_id;
};
struct cgroup_subsys_state___watched {
	struct cgroup___watched *cgroup;
	struct cgroup_subsys_state___watched *parent;
};
struct cgroup___watched {
	struct cgroup_subsys_state___watched self;
	int level;
	struct kernfs_node *kn;
	struct cgroup_root___watched *root;
};
struct css_set___watched {
	struct cgroup_subsys_state___watched *subsys[16];
};

/* include/linux/ns_common.h since 6.18, fs/mount.h before: a number that no other namespace ever had */
struct ns_common___id {
	__u64 ns_id;
};
struct mnt_namespace___id {
	struct ns_common___id ns;
};
struct mnt_namespace___seq {
	__u64 seq;
};

#pragma clang attribute pop

/* include/linux/cgroup_subsys.h: which numbers they have, each kernel decides for itself */
enum cgroup_subsys_id {
	memory_cgrp_id,
	pids_cgrp_id,
	freezer_cgrp_id,
	devices_cgrp_id,
	cpu_cgrp_id,
};

#define PATH_BYTES 1024 /* TRACE_CGROUP_PATH_LEN of kernel/cgroup/cgroup-internal.h, with the NUL */
#define ARGS_BYTES 1024

enum {
	MADE = 1,
	REMOVED = 2,
	ENTERED = 3,
	EMPTIED = 4,
};
enum {
	PATH_CUT = 1,
	ARGS_CUT = 2,
	ARGS_UNREADABLE = 4,
};

struct head {
	__u32 kind;
	__u32 flags;
	__u64 boot_ns;
	__u64 cgroup;
};

struct made {
	struct head head;
	__u64 parent;
	__u64 maker_cgroup;
	__u32 maker_mntns;
	__u32 maker_tgid;
	__u32 maker_parent;
	__u32 level;
	__u16 path_length;
	__u16 args_length;
	__u32 __pad;
	char comm[TASK_COMM_LEN];
	char bytes[]; /* the path, then the arguments, each with its NUL; neither has one at its end for sure */
};

struct entered {
	struct head head;
	__u64 mntns_id;
	__u32 mntns;
	__u32 tgid;
};

_Static_assert(sizeof(struct head) == 24, "as the host reads it");
_Static_assert(sizeof(struct made) == 80, "as the host reads it");
_Static_assert(sizeof(struct entered) == 40, "as the host reads it");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} cgroup_events SEC(".maps");

/*
 * How many events were begun, for how many of them the ring had no room, and how many newcomers gadget_cgroups had no room
 * for. Mapped by the host: an event is counted
 * before anybody can be in the cgroup that it is about, so that a host that has handled as many has handled all that
 * could matter to a record it has in hand.
 */
struct progress {
	__u64 begun;
	__u64 lost;
	__u64 unmarked;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct progress);
} cgroup_progress SEC(".maps");

/* The mount namespace of the maker. */
struct mntns {
	__u64 id; /* 0 where the kernel has none */
	__u64 inum;
};

/* Cgroups that nobody has executed anything in yet, except in the mount namespace of the maker. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct mntns);
} fresh_cgroups SEC(".maps");

/* For `made`, which runs with the kernel's lock on the buffer of paths held: never twice at once. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct made) + PATH_BYTES + ARGS_BYTES);
} made_scratch SEC(".maps");

/*
 * Read by a helper and not through the typed pointer: for each pointer that is followed in one the verifier looks for
 * four names in all of the kernel's types, one after the other, which takes longer than all else at the load.
 */
static __always_inline bool is_watched(struct cgroup___watched *cgroup)
{
	return BPF_CORE_READ(cgroup, root, hierarchy_id) == (int)hierarchy;
}

static __always_inline __u64 id_of(struct cgroup___watched *cgroup)
{
	return BPF_CORE_READ(cgroup, kn, id);
}

static __always_inline struct progress *begin(void)
{
	__u32 zero = 0;
	struct progress *progress = bpf_map_lookup_elem(&cgroup_progress, &zero);

	if (progress)
		__sync_fetch_and_add(&progress->begun, 1);
	return progress;
}

static __always_inline void put_out(struct progress *progress, void *record, __u64 size)
{
	if (bpf_ringbuf_output(&cgroup_events, record, size, 0))
		__sync_fetch_and_add(&progress->lost, 1);
}

/*
 * A newcomer passes all gadgets' filters from before its first instruction on, until the host has decided. It belongs to
 * whom the cgroup above belongs to, until the host says otherwise. What happens to this entry, and when:
 * host/kernel/src/cgroups/filter.rs.
 */
static __always_inline void mark(struct progress *progress, __u64 id, __u64 parent)
{
	struct gadget_cgroup cgroup = { .state = GADGET_CGROUP_PENDING };
	struct gadget_cgroup *above = bpf_map_lookup_elem(&gadget_cgroups, &parent);

	if (above)
		cgroup.owner = above->owner ? above->owner : parent;
	if (bpf_map_update_elem(&gadget_cgroups, &id, &cgroup, BPF_NOEXIST))
		__sync_fetch_and_add(&progress->unmarked, 1);
}

static __always_inline void mntns_of(struct task_struct *task, struct mntns *mntns)
{
	struct mnt_namespace *ns = BPF_CORE_READ(task, nsproxy, mnt_ns);
	struct mnt_namespace___id *with_id = (void *)ns;
	struct mnt_namespace___seq *with_seq = (void *)ns;

	mntns->id = 0;
	mntns->inum = BPF_CORE_READ(ns, ns.inum);
	if (bpf_core_field_exists(with_id->ns.ns_id))
		mntns->id = BPF_CORE_READ(with_id, ns.ns_id);
	else if (bpf_core_field_exists(with_seq->seq))
		mntns->id = BPF_CORE_READ(with_seq, seq);
}

#define CONTROLLER(name)                                                   \
	(bpf_core_enum_value_exists(enum cgroup_subsys_id, name##_cgrp_id) \
		 ? bpf_core_enum_value(enum cgroup_subsys_id, name##_cgrp_id) : 16)

static __always_inline __u64 controller_id(void)
{
	switch (controller) {
	case 0:
		return CONTROLLER(memory);
	case 1:
		return CONTROLLER(pids);
	case 2:
		return CONTROLLER(freezer);
	case 3:
		return CONTROLLER(devices);
	case 4:
		return CONTROLLER(cpu);
	default:
		return 16;
	}
}

/* The current task's cgroup in the hierarchy that is watched; 0 if that can't be told. */
static __always_inline __u64 current_cgroup(struct task_struct *task)
{
	struct cgroup_subsys_state___watched *css = (void *)0;
	struct css_set___watched *set;
	__u64 id;

	if (!hierarchy)
		return bpf_get_current_cgroup_id();
	id = controller_id();
	if (id >= 16)
		return 0;
	set = (void *)BPF_CORE_READ(task, cgroups);
	bpf_probe_read_kernel(&css, sizeof(css),
			      (void *)set + bpf_core_field_offset(set->subsys) + id * sizeof(css));
	if (BPF_CORE_READ(css, cgroup, root, hierarchy_id) != (int)hierarchy)
		return 0;
	return BPF_CORE_READ(css, cgroup, kn, id);
}

SEC("tp_btf/cgroup_mkdir")
int cgroup_made(__u64 *ctx)
{
	struct cgroup___watched *cgroup = (void *)ctx[0];
	const char *path = (const char *)ctx[1];
	struct task_struct *task;
	struct progress *progress;
	struct mm_struct *mm;
	struct made *made;
	struct mntns mntns;
	__u64 id, parent, start, size, length;
	__u32 zero = 0;
	long read;

	if (!is_watched(cgroup))
		return 0;
	progress = begin();
	if (!progress)
		return 0;
	id = id_of(cgroup);
	parent = BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
	if (gadget_filter_by_cgroup)
		mark(progress, id, parent);
	made = bpf_map_lookup_elem(&made_scratch, &zero);
	if (!made)
		return 0;
	task = (void *)bpf_get_current_task();
	mntns_of(task, &mntns);
	made->head.kind = MADE;
	made->head.flags = 0;
	made->head.boot_ns = bpf_ktime_get_boot_ns();
	made->head.cgroup = id;
	made->parent = parent;
	made->maker_cgroup = current_cgroup(task);
	made->maker_mntns = mntns.inum;
	made->maker_tgid = bpf_get_current_pid_tgid() >> 32;
	made->maker_parent = BPF_CORE_READ(task, real_parent, tgid);
	made->level = cgroup->level;
	made->__pad = 0;
	bpf_get_current_comm(made->comm, sizeof(made->comm));

	/* A path that fills the kernel's buffer may have been cut by the kernel. */
	read = bpf_probe_read_kernel_str(made->bytes, PATH_BYTES, path);
	if (read < 1 || read > PATH_BYTES)
		read = 1;
	if (read == PATH_BYTES)
		made->head.flags |= PATH_CUT;
	length = (__u64)(read - 1) & (PATH_BYTES - 1);
	made->path_length = length;

	/* Of threads of the kernel, none. */
	mm = BPF_CORE_READ(task, mm);
	start = BPF_CORE_READ(mm, arg_start);
	size = BPF_CORE_READ(mm, arg_end) - start;
	if (size > ARGS_BYTES)
		made->head.flags |= ARGS_CUT;
	barrier_var(size);
	if (size > ARGS_BYTES)
		size = ARGS_BYTES;
	/* All or nothing: a page that is not in memory is not waited for here. */
	if (bpf_probe_read_user(made->bytes + length, size, (const void *)start)) {
		made->head.flags |= ARGS_UNREADABLE;
		size = 0;
	}
	made->args_length = size;
	bpf_map_update_elem(&fresh_cgroups, &made->head.cgroup, &mntns, BPF_ANY);
	put_out(progress, made, sizeof(*made) + length + size);
	return 0;
}

/* The cgroup, and nothing more. */
static __always_inline void tell(__u32 kind, __u64 cgroup)
{
	struct head head = { .kind = kind };
	struct progress *progress = begin();

	if (!progress)
		return;
	head.boot_ns = bpf_ktime_get_boot_ns();
	head.cgroup = cgroup;
	put_out(progress, &head, sizeof(head));
}

SEC("tp_btf/cgroup_rmdir")
int cgroup_removed(__u64 *ctx)
{
	struct cgroup___watched *cgroup = (void *)ctx[0];
	__u64 id;

	if (!is_watched(cgroup))
		return 0;
	id = id_of(cgroup);
	bpf_map_delete_elem(&fresh_cgroups, &id);
	/* Nobody is in it who could still run, and the id does not come back. */
	if (gadget_filter_by_cgroup)
		bpf_map_delete_elem(&gadget_cgroups, &id);
	tell(REMOVED, id);
	return 0;
}

/* Nobody is in it or below it any more: its mount namespace may have ended, and the number of that be another's. */
SEC("tp_btf/cgroup_notify_populated")
int cgroup_emptied(__u64 *ctx)
{
	struct cgroup___watched *cgroup = (void *)ctx[0];
	int populated = ctx[2];

	if (populated || !is_watched(cgroup))
		return 0;
	tell(EMPTIED, id_of(cgroup));
	return 0;
}

/* Each exec of the machine comes here, and nearly all of them go no further than the lookup. */
SEC("tp_btf/sched_process_exec")
int cgroup_entered(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u64 cgroup = current_cgroup(task);
	struct mntns *maker = bpf_map_lookup_elem(&fresh_cgroups, &cgroup);
	struct entered entered = {};
	struct progress *progress;
	struct mntns mntns;

	if (!maker)
		return 0;
	mntns_of(task, &mntns);
	/* The runtime itself, before it makes the container's namespaces. */
	if (mntns.id == maker->id && mntns.inum == maker->inum)
		return 0;
	/* Of two CPUs one deletes it, and only that one tells. */
	if (bpf_map_delete_elem(&fresh_cgroups, &cgroup))
		return 0;
	progress = begin();
	if (!progress)
		return 0;
	entered.head.kind = ENTERED;
	entered.head.boot_ns = bpf_ktime_get_boot_ns();
	entered.head.cgroup = cgroup;
	entered.mntns_id = mntns.id;
	entered.mntns = mntns.inum;
	entered.tgid = bpf_get_current_pid_tgid() >> 32;
	put_out(progress, &entered, sizeof(entered));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
