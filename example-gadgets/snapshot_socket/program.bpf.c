/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* snapshot_socket: the sockets of every network namespace, and the processes that have them. */
#include <gadget/gadget.h>
#include <gadget/netns.h>
#include <gadget/sockets.h>
#include <bpf/bpf_endian.h>

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define SOCKFS_MAGIC 0x534F434B
#define AF_INET 2
#define AF_INET6 10

enum socket_proto {
	TCP = 6,
	UDP = 17,
};

/* Up to NEW_SYN_RECV those of include/net/tcp_states.h */
enum socket_state {
	ESTABLISHED = 1,
	SYN_SENT,
	SYN_RECV,
	FIN_WAIT1,
	FIN_WAIT2,
	TIME_WAIT,
	CLOSE,
	CLOSE_WAIT,
	LAST_ACK,
	LISTEN,
	CLOSING,
	NEW_SYN_RECV,
	UNCONNECTED = 100,
	CONNECTED,
};

/* Who has a socket. */
struct socket_process {
	gadget_comm comm[TASK_COMM_LEN];
	gadget_mntns_id mntns_id;
	gadget_cgroup_id cgroup_id;
	gadget_pid pid;
	__u32 __pad;
};

struct socket_entry {
	struct socket_process proc;
	__u64 inode;
	struct gadget_l4endpoint_t src;
	struct gadget_l4endpoint_t dst;
	gadget_netns_id netns;
	gadget_uid uid;
	enum socket_proto proto;
	enum socket_state state;
};

struct owned {
	struct socket_process proc;
	__u64 inode;
};

/* By the address of its struct sock. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 22);
	__type(key, __u64);
	__type(value, struct owned);
} owners SEC(".maps");

GADGET_ITER(sockets, socket_entry, socket_owners, tcp_sockets, udp_sockets)

/* Is somebody else asked for? */
static __always_inline bool is_unwanted(struct task_struct *task, const struct owned *owned)
{
	const struct cred *cred = task->real_cred;

	if (gadget_filter_followed && !gadget_is_followed(task))
		return true;
	if (gadget_filter_tid && gadget_filter_tid != owned->proc.pid)
		return true;
	if (gadget_should_discard_uid(cred->uid.val) || gadget_should_discard_gid(cred->gid.val))
		return true;
	return gadget_should_discard_comm(owned->proc.comm);
}

/* Before the others: which process has which socket. */
SEC("iter/task_file")
int socket_owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct owned owned = {};
	struct inode *inode;
	__u64 sock;

	if (!task || !file)
		return 0;
	inode = file->f_inode;
	if ((inode->i_mode & S_IFMT) != S_IFSOCK || inode->i_sb->s_magic != SOCKFS_MAGIC)
		return 0;
	sock = (__u64)BPF_CORE_READ((struct socket *)file->private_data, sk);
	if (!sock)
		return 0;
	bpf_probe_read_kernel_str(owned.proc.comm, sizeof(owned.proc.comm),
				  task->group_leader->comm);
	owned.proc.pid = task->tgid;
	owned.proc.mntns_id = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	owned.proc.cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	owned.inode = inode->i_ino;
	if (is_unwanted(task, &owned))
		return 0;
	/* Processes come in the order of their ids: the first one stays. */
	bpf_map_update_elem(&owners, &sock, &owned, BPF_NOEXIST);
	return 0;
}

static __always_inline bool is_filtered(void)
{
	return gadget_filter_followed || gadget_filter_tid || gadget_filter_by_uid ||
	       gadget_filter_by_gid || gadget_filter_by_comm;
}

static __always_inline __u64 socket_inode(struct sock *sock)
{
	struct socket *socket = BPF_CORE_READ(sock, sk_socket);
	struct socket_alloc *both;

	/* One that nobody has accepted yet, or that was closed. */
	if (!socket)
		return 0;
	both = (void *)socket - bpf_core_field_offset(struct socket_alloc, socket);
	return BPF_CORE_READ(both, vfs_inode.i_ino);
}

static __always_inline int show(struct seq_file *seq, struct sock_common *common, __u32 uid,
				enum socket_proto proto, enum socket_state state)
{
	struct socket_entry entry = {};
	__u64 sock = (__u64)common;
	struct owned *owned;

	if (common->skc_family == AF_INET) {
		entry.src.version = entry.dst.version = 4;
		entry.src.addr_raw.v4 = common->skc_rcv_saddr;
		entry.dst.addr_raw.v4 = common->skc_daddr;
	} else if (common->skc_family == AF_INET6) {
		entry.src.version = entry.dst.version = 6;
		BPF_CORE_READ_INTO(&entry.src.addr_raw.v6, common, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&entry.dst.addr_raw.v6, common, skc_v6_daddr);
	} else {
		return 0;
	}
	entry.src.proto_raw = entry.dst.proto_raw = proto;
	entry.src.port = common->skc_num;
	entry.dst.port = bpf_ntohs(common->skc_dport);
	entry.netns = BPF_CORE_READ(common, skc_net.net, ns.inum);
	entry.uid = uid;
	entry.proto = proto;
	entry.state = state;
	/* The others have never been anybody's, or are no more. */
	if (state != TIME_WAIT && state != NEW_SYN_RECV)
		entry.inode = socket_inode((struct sock *)common);
	owned = bpf_map_lookup_elem(&owners, &sock);
	/* With another inode it was that of an older socket in the same place. */
	if (owned && owned->inode == entry.inode) {
		entry.proc = owned->proc;
	} else if (is_filtered()) {
		return 0;
	} else {
		entry.proc.cgroup_id = gadget_netns_cgroup(entry.netns);
	}
	bpf_seq_write(seq, &entry, sizeof(entry));
	return 0;
}

SEC("iter/tcp")
int tcp_sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;

	if (!common)
		return 0;
	return show(ctx->meta->seq, common, ctx->uid, TCP, common->skc_state);
}

SEC("iter/udp")
int udp_sockets(struct bpf_iter__udp *ctx)
{
	struct udp_sock *udp = ctx->udp_sk;
	struct sock_common *common;

	if (!udp)
		return 0;
	common = &udp->inet.sk.__sk_common;
	return show(ctx->meta->seq, common, ctx->uid, UDP,
		    common->skc_state == ESTABLISHED ? CONNECTED : UNCONNECTED);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
