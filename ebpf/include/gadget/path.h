/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Paths from the kernel's directory entries. Not part of gadget.h: a walk costs a microsecond or
 * more, and the verifier takes some ten milliseconds over it.
 */
#ifndef __GADGET_PATH_H
#define __GADGET_PATH_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <gadget/types.h>

#define GADGET_PATH_PARTS 32 /* components that are kept, counted from the end */
#define GADGET_PATH_STEPS 48 /* steps of the walk: components and crossed mounts */
#define GADGET_NAME_MAX 256 /* longest component, with its NUL */

/* Bytes that a buffer for gadget_read_path() must have. */
#define GADGET_PATH_BUFFER (GADGET_PATH_MAX + GADGET_NAME_MAX)

/*
 * What a walk works in: a few hundred bytes that the program has in a map (GADGET_SCRATCH), because
 * they are too much for its stack. Kept in memory for another reason too: the verifier forgets what is
 * stored in a map, so the ways through one round of the loops below meet again before the next round
 * and do not multiply.
 */
struct gadget_path_walk {
	const unsigned char *parts[GADGET_PATH_PARTS]; /* names, the last component first */
	__u32 count;
	__u32 length;
};

/*
 * Writes `path` as seen from `root` (the root of the task that uses it) to `buffer`, which has room
 * for GADGET_PATH_BUFFER bytes, and returns the bytes written, with the NUL: at most GADGET_PATH_MAX +
 * 1. A path of more than GADGET_PATH_PARTS components begins with "..." in place of the first ones.
 * 0: nothing could be read.
 */
static __always_inline __u64 gadget_read_path(const struct path *path, const struct path *root,
					      volatile struct gadget_path_walk *walk, char *buffer)
{
	struct dentry *dentry = BPF_CORE_READ(path, dentry);
	struct dentry *root_dentry = BPF_CORE_READ(root, dentry);
	struct vfsmount *vfsmount = BPF_CORE_READ(path, mnt);
	struct vfsmount *root_vfsmount = BPF_CORE_READ(root, mnt);
	bool whole = false;
	__u64 length;

	if (!dentry)
		return 0;
	walk->count = 0;
	walk->length = 0;
	for (int i = 0; i < GADGET_PATH_STEPS; i++) {
		struct dentry *parent;
		__u64 count;

		if (dentry == root_dentry && vfsmount == root_vfsmount) {
			whole = true;
			break;
		}
		parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(vfsmount, mnt_root) || dentry == parent) {
			/* The top of a file system: on with where it is mounted. */
			struct mount *mount =
				(void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount || !above) {
				whole = true;
				break;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			vfsmount = (void *)above + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		count = walk->count;
		if (count >= GADGET_PATH_PARTS)
			break;
		walk->parts[count] = BPF_CORE_READ(dentry, d_name.name);
		walk->count = count + 1;
		dentry = parent;
	}

	if (!whole) {
		buffer[0] = '.';
		buffer[1] = '.';
		buffer[2] = '.';
		walk->length = 3;
	}
	for (int i = 0; i < GADGET_PATH_PARTS; i++) {
		__u64 last = (__u64)walk->count - 1;
		long size;

		if (last >= GADGET_PATH_PARTS)
			break;
		walk->count = last;
		length = walk->length;
		if (length >= GADGET_PATH_MAX)
			break;
		buffer[length] = '/';
		size = bpf_probe_read_kernel_str(buffer + length + 1, GADGET_NAME_MAX - 1,
						 walk->parts[last]);
		if (size < 1)
			break;
		walk->length = length + size; /* the slash for the NUL */
	}
	length = walk->length;
	if (length == 0) {
		buffer[0] = '/';
		length = 1;
	}
	if (length > GADGET_PATH_MAX)
		length = GADGET_PATH_MAX;
	barrier_var(length);
	if (length > GADGET_PATH_MAX)
		return 0;
	buffer[length] = 0;
	return length + 1;
}

/* The working directory of the current task; see gadget_read_path(). */
static __always_inline __u64 gadget_read_cwd(volatile struct gadget_path_walk *walk, char *buffer)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fs_struct *fs = BPF_CORE_READ(task, fs);

	if (!fs)
		return 0;
	return gadget_read_path(__builtin_preserve_access_index(&fs->pwd),
				__builtin_preserve_access_index(&fs->root), walk, buffer);
}

#endif /* __GADGET_PATH_H */
