/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * trace_tcp: TCP connections that are made, fail, are accepted, and end.
 *
 * Everything follows from the states of sockets (inet_sock_set_state), but for two things that change
 * none: who takes a connection that the kernel accepted by itself, seen where accept(2) returns; and
 * a connect(2) that fails before it sent anything, seen where that returns.
 *
 * A state changes in the context of a system call, or while a packet is received or a timer runs, on
 * top of whatever process was there. So the process of a connection is remembered with its socket from
 * the connect or accept on, and with it that it was asked for: what is remembered is wanted.
 */
#include <gadget/gadget.h>

#define CONNECTIONS 65536 /* remembered at once; beyond, those are forgotten that were idle longest */
#define TOLD 4096

/* include/linux/socket.h, include/uapi/linux/in.h, include/uapi/linux/stat.h */
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* include/uapi/asm-generic/errno*.h, include/linux/errno.h; the same on amd64 and arm64 */
#define EINTR 4
#define EBADF 9
#define ENOTSOCK 88
#define EISCONN 106
#define EALREADY 114
#define EINPROGRESS 115
#define ECANCELED 125
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
};

/* include/net/sock.h: bits of skc_flags, of sk_shutdown */
#define SOCK_DEAD 0
#define SOCK_DONE 1
#define SHUTDOWN_MASK 3

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/uapi/linux/in6.h */
struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

/* include/net/sock.h */
typedef struct {
	struct net *net;
} possible_net_t;
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	unsigned short skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
	volatile unsigned char skc_state;
};
typedef struct {
	int owned;
} socket_lock_t;
struct socket;
struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	int sk_err;
	__u16 sk_protocol;
	__u8 sk_shutdown;
	struct socket *sk_socket;
};

/* include/net/inet_sock.h, include/linux/tcp.h */
struct inet_sock {
	__be16 inet_sport;
};
struct tcp_sock {
	__u32 snd_una;
	__u32 write_seq;
	__u64 bytes_acked;
	__u64 bytes_received;
};

/* include/uapi/linux/net.h, include/linux/net.h, include/linux/fdtable.h */
typedef enum {
	SS_FREE = 0,
	SS_UNCONNECTED,
} socket_state;
struct socket {
	socket_state state;
	struct file *file;
	struct sock *sk;
};
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
};
struct file___socket {
	void *private_data;
	struct inode *f_inode;
};
struct task_struct___files {
	struct files_struct *files;
};

#pragma clang attribute pop

/* include/uapi/linux/in.h, in6.h: user space's layouts */
struct sockaddr_any {
	__u16 family;
	__be16 port;
	__be32 v4; /* of IPv6 the flow */
	__be32 v6[4];
};

enum what {
	connect, /* this side began it */
	accept, /* the other side began it, and a process took it */
	close, /* it is over, or this side has nothing more to say or to hear */
};

struct event {
	gadget_timestamp timestamp;
	struct gadget_process proc; /* who connected or accepted; 0: not known */
	enum what what;
	gadget_errno error; /* of connect: why it failed; of close: what broke it */
	gadget_netns_id netns;
	bool counted; /* `sent` and `received` are known */
	__u8 __pad[3];
	struct gadget_l4endpoint_t src; /* this side */
	struct gadget_l4endpoint_t dst; /* the other side */
	gadget_duration duration; /* of connect: until the answer; of close: since then. 0: not known */
	gadget_bytes sent; /* what this side wrote, whether or not it arrived */
	gadget_bytes received;
};

/* What is remembered of a socket. */
struct connection {
	struct gadget_process proc;
	__u64 since; /* connecting: since when; then: since when it is connected. 0: not known */
	enum {
		CONNECTING,
		CONNECTED,
		ACCEPTED,
		OVER, /* its end was told; states may follow */
	} stage;
	__u32 __pad;
};

GADGET_TRACER_MAP(events, 1024 * 1024)
GADGET_TRACER(connections, events, event)

/* By the address of the socket, from connect or accept until its last state. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CONNECTIONS);
	__type(key, __u64);
	__type(value, struct connection);
} known SEC(".maps");

/*
 * Sockets whose end is told although no system call has said so yet, with the number of their inode,
 * which no other socket has: a connect(2) or accept(2) that returns later must not tell it again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TOLD);
	__type(key, __u64);
	__type(value, __u64);
} told SEC(".maps");

static __always_inline bool is_tcp(__u16 protocol, __u16 family)
{
	return protocol == IPPROTO_TCP && (family == AF_INET || family == AF_INET6);
}

/* The socket's end is told: who asks for it with a system call is told nothing. */
static __always_inline void tell(__u64 key, __u64 inode)
{
	bpf_map_update_elem(&told, &key, &inode, BPF_ANY);
}

static __always_inline bool was_told(__u64 key, __u64 inode)
{
	__u64 *known_inode = bpf_map_lookup_elem(&told, &key);

	if (!known_inode || *known_inode != inode)
		return false;
	bpf_map_delete_elem(&told, &key);
	return true;
}

/* ---- the record ---- */

static __always_inline void no_endpoint(struct gadget_l4endpoint_t *to)
{
	__builtin_memset(to, 0, sizeof(*to));
	to->proto_raw = IPPROTO_TCP;
}

static __always_inline void set_v4(struct gadget_l4endpoint_t *to, __be32 address)
{
	to->addr_raw.v4 = address;
	to->version = 4;
}

/* An address of IPv4 in one of IPv6 (::ffff:10.0.0.1) is that address. */
static __always_inline void set_v6(struct gadget_l4endpoint_t *to, const __be32 *words)
{
	if (!words[0] && !words[1] && words[2] == __builtin_bswap32(0xffff)) {
		set_v4(to, words[3]);
		return;
	}
	__builtin_memcpy(to->addr_raw.v6, words, 16);
	to->version = 6;
}

/* Both sides, as far as the socket knows them. One that was not chosen yet, or is forgotten again, is none. */
static __always_inline void set_endpoints(struct event *event, struct sock *sk)
{
	struct gadget_l4endpoint_t *src = &event->src, *dst = &event->dst;
	bool is_v6 = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6;
	__be32 words[4];

	no_endpoint(src);
	no_endpoint(dst);
	src->port = __builtin_bswap16(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	dst->port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (is_v6) {
		BPF_CORE_READ_INTO(&words, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
		if (words[0] || words[1] || words[2] || words[3])
			set_v6(src, words);
		BPF_CORE_READ_INTO(&words, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
		if (dst->port)
			set_v6(dst, words);
	} else {
		words[0] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		if (words[0])
			set_v4(src, words[0]);
		if (dst->port)
			set_v4(dst, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	}
}

/*
 * A record about a socket of a process in `cgroup`, 0: nobody knows of which; NULL: there is no room. The process is left to
 * the caller.
 */
static __always_inline struct event *begin(struct sock *sk, enum what what, __u32 error,
					   gadget_cgroup_id cgroup)
{
	struct event *event = gadget_reserve_buf_as(&events, sizeof(*event), cgroup);

	if (!event)
		return (void *)0;
	event->timestamp = bpf_ktime_get_boot_ns();
	event->what = what;
	event->error = error;
	event->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	event->counted = false;
	__builtin_memset(event->__pad, 0, sizeof(event->__pad));
	event->duration = 0;
	event->sent = 0;
	event->received = 0;
	set_endpoints(event, sk);
	return event;
}

static __always_inline void set_duration(struct event *event, __u64 since)
{
	if (since)
		event->duration = event->timestamp - since;
}

/*
 * What both sides wrote. The kernel counts sequence numbers, of which SYN and FIN take one each: the
 * SYN is among the acknowledged ones of who connected.
 */
static __always_inline void set_bytes(struct event *event, struct sock *sk, bool connected, int old)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	bool fin_sent = old != TCP_ESTABLISHED && old != TCP_CLOSE_WAIT && old != TCP_SYN_RECV &&
			old != TCP_CLOSE;
	__u32 unacked = BPF_CORE_READ(tp, write_seq) - BPF_CORE_READ(tp, snd_una);

	event->sent = BPF_CORE_READ(tp, bytes_acked) + unacked - connected - fin_sent;
	event->received = BPF_CORE_READ(tp, bytes_received) -
			  ((BPF_CORE_READ(sk, __sk_common.skc_flags) >> SOCK_DONE) & 1);
	event->counted = true;
}

/* Would a record of nobody be discarded? It would while anybody is asked for. */
static __always_inline bool nobody_is_unwanted(void)
{
	gadget_comm comm[TASK_COMM_LEN] = {};

	return gadget_should_discard_cgroup(0) || gadget_should_discard_data(0, 0, 0, comm, -1, -1);
}

/* ---- states: here `sk` is a typed pointer, and what it leads to is read by plain loads ---- */

static __always_inline __u64 inode_of(struct sock *sk)
{
	return sk->sk_socket->file->f_inode->i_ino;
}

/*
 * Whether the current process works on this socket: then it holds it, and packets wait. Else the
 * state changes in an interrupt, and the current process is anybody.
 */
static __always_inline bool is_held(struct sock *sk)
{
	return sk->sk_lock.owned;
}

/* SYN_SENT: who connects is remembered. */
static __always_inline void begins(struct sock *sk, __u64 key)
{
	struct connection new = {};

	if (gadget_should_discard_data_current()) {
		/* Of an older socket at this address, perhaps. */
		bpf_map_delete_elem(&known, &key);
		return;
	}
	gadget_process_populate(&new.proc);
	new.since = bpf_ktime_get_boot_ns();
	new.stage = CONNECTING;
	bpf_map_update_elem(&known, &key, &new, BPF_ANY);
}

/* The answer to a SYN is there: ESTABLISHED, or CLOSE. */
static __always_inline void answered(void *ctx, struct sock *sk, __u64 key, int new)
{
	struct connection *connection = bpf_map_lookup_elem(&known, &key);
	struct connection found = {};
	struct event *event;
	__u32 error = 0;

	if (new == TCP_CLOSE) {
		error = sk->sk_err;
		if (!error) {
			/* connect(2) itself fails, and says why when it returns. */
			if (sk->sk_socket->state == SS_UNCONNECTED) {
				bpf_map_delete_elem(&known, &key);
				return;
			}
			/* The process did not want to wait any longer. */
			error = ECANCELED;
		}
	}
	if (!connection) {
		/* Begun before the gadget was there, or not asked for. */
		if (is_held(sk) ? gadget_should_discard_data_current() : nobody_is_unwanted())
			return;
		if (is_held(sk))
			gadget_process_populate(&found.proc);
		connection = &found;
	}
	event = begin(sk, connect, error, connection->proc.cgroup_id);
	if (event) {
		event->proc = connection->proc;
		set_duration(event, connection->since);
		gadget_submit_buf(ctx, &events, event, sizeof(*event));
	}
	if (error) {
		bpf_map_delete_elem(&known, &key);
		tell(key, inode_of(sk));
		return;
	}
	found.proc = connection->proc;
	found.stage = CONNECTED;
	found.since = bpf_ktime_get_boot_ns();
	bpf_map_update_elem(&known, &key, &found, BPF_ANY);
}

/* Nothing more is to come from either side, or from this one and nobody listens any more. */
static __always_inline bool is_end(struct sock *sk, int new)
{
	switch (new) {
	case TCP_CLOSE:
	case TCP_LAST_ACK:
	case TCP_CLOSING:
		return true;
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
		/* Both: close(2). Only the half that sends: shutdown(2). */
		return (sk->sk_shutdown & SHUTDOWN_MASK) == SHUTDOWN_MASK;
	default:
		return false;
	}
}

/* A connection that nobody is remembered of ends. */
static __always_inline void ends_unknown(void *ctx, struct sock *sk, __u64 key, int old, int new)
{
	bool dead = (sk->__sk_common.skc_flags >> SOCK_DEAD) & 1;
	struct connection over = { .stage = OVER };
	struct event *event;

	if (old == TCP_SYN_RECV)
		return;
	/* Nobody has accepted it; or it was closed before the gadget was there. */
	if (!dead && !sk->sk_socket)
		return;
	if (dead && old != TCP_ESTABLISHED && old != TCP_CLOSE_WAIT)
		return;
	if (is_held(sk) ? gadget_should_discard_data_current() : nobody_is_unwanted())
		return;
	if (is_held(sk))
		gadget_process_populate(&over.proc);
	event = begin(sk, close, sk->sk_err, over.proc.cgroup_id);
	if (event) {
		event->proc = over.proc;
		gadget_submit_buf(ctx, &events, event, sizeof(*event));
	}
	if (new == TCP_CLOSE)
		tell(key, inode_of(sk));
	else
		bpf_map_update_elem(&known, &key, &over, BPF_ANY);
}

static __always_inline void ends(void *ctx, struct sock *sk, __u64 key, int old, int new)
{
	struct connection *connection = bpf_map_lookup_elem(&known, &key);
	struct event *event;

	if (!connection) {
		ends_unknown(ctx, sk, key, old, new);
		return;
	}
	if (connection->stage != OVER) {
		event = begin(sk, close, sk->sk_err, connection->proc.cgroup_id);
		if (event) {
			event->proc = connection->proc;
			set_duration(event, connection->since);
			set_bytes(event, sk, connection->stage == CONNECTED, old);
			gadget_submit_buf(ctx, &events, event, sizeof(*event));
		}
		connection->stage = OVER;
	}
	if (new == TCP_CLOSE)
		bpf_map_delete_elem(&known, &key);
}

SEC("tp_btf/inet_sock_set_state")
int state_changed(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	int old = ctx[1], new = ctx[2];
	struct connection *connection;
	__u64 key = (__u64)sk;

	/* LISTEN is no connection. */
	if (old == TCP_LISTEN && new != TCP_SYN_RECV)
		return 0;
	if (!is_tcp(sk->sk_protocol, sk->__sk_common.skc_family))
		return 0;
	switch (old) {
	case TCP_CLOSE:
		if (new == TCP_SYN_SENT)
			begins(sk, key);
		return 0;
	case TCP_LISTEN:
		bpf_map_delete_elem(&known, &key);
		return 0;
	case TCP_SYN_SENT:
		if (new == TCP_ESTABLISHED || new == TCP_CLOSE)
			answered(ctx, sk, key, new);
		return 0;
	case TCP_SYN_RECV:
		/* Both sides connected to each other at once. */
		connection = bpf_map_lookup_elem(&known, &key);
		if (connection && connection->stage == CONNECTING &&
		    (new == TCP_ESTABLISHED || new == TCP_CLOSE)) {
			answered(ctx, sk, key, new);
			return 0;
		}
		break;
	}
	if (is_end(sk, new))
		ends(ctx, sk, key, old, new);
	return 0;
}

/* ---- calls ---- */

/* The TCP socket of a file descriptor of the current process, with its inode's number; or NULL. */
static __always_inline struct sock *socket_of(__u64 fd, __u64 *inode)
{
	struct task_struct___files *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file___socket *file;
	struct file **files;
	struct socket *socket;
	struct sock *sk;

	fd = (__u32)fd;
	if (fd >= BPF_CORE_READ(table, max_fds))
		return (void *)0;
	files = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), files + fd) || !file)
		return (void *)0;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return (void *)0;
	socket = BPF_CORE_READ(file, private_data);
	/* A socket's own file, and not just a path to one. */
	if (!socket || (void *)BPF_CORE_READ(socket, file) != (void *)file)
		return (void *)0;
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || !is_tcp(BPF_CORE_READ(sk, sk_protocol), BPF_CORE_READ(sk, __sk_common.skc_family)))
		return (void *)0;
	*inode = BPF_CORE_READ(file, f_inode, i_ino);
	return sk;
}

static __always_inline int accepted(struct syscall_trace_exit *ctx)
{
	struct connection new = {};
	struct event *event;
	struct sock *sk;
	__u64 inode;
	__u64 key;

	if (ctx->ret < 0 || gadget_should_discard_data_current())
		return 0;
	sk = socket_of(ctx->ret, &inode);
	if (!sk)
		return 0;
	key = (__u64)sk;
	gadget_process_populate(&new.proc);
	event = begin(sk, accept, 0, new.proc.cgroup_id);
	if (event) {
		event->proc = new.proc;
		gadget_submit_buf(ctx, &events, event, sizeof(*event));
	}
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE) {
		new.since = bpf_ktime_get_boot_ns();
		new.stage = ACCEPTED;
		bpf_map_update_elem(&known, &key, &new, BPF_ANY);
		return 0;
	}
	/* The other side broke it while it waited to be accepted. */
	if (was_told(key, inode))
		return 0;
	event = begin(sk, close, BPF_CORE_READ(sk, sk_err), new.proc.cgroup_id);
	if (event) {
		event->proc = new.proc;
		set_bytes(event, sk, false, TCP_CLOSE);
		gadget_submit_buf(ctx, &events, event, sizeof(*event));
	}
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int accept_exit(struct syscall_trace_exit *ctx)
{
	return accepted(ctx);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int accept4_exit(struct syscall_trace_exit *ctx)
{
	return accepted(ctx);
}

/* Where connect(2) was to lead to. */
static __always_inline void set_wish(struct gadget_l4endpoint_t *to, const void *address)
{
	struct sockaddr_any any = {};

	no_endpoint(to);
	/* One of IPv4 is shorter. */
	if (bpf_probe_read_user(&any, sizeof(any), address) &&
	    bpf_probe_read_user(&any, 8, address))
		return;
	to->port = __builtin_bswap16(any.port);
	if (any.family == AF_INET)
		set_v4(to, any.v4);
	else if (any.family == AF_INET6)
		set_v6(to, any.v6);
}

SEC("tracepoint/syscalls/sys_exit_connect")
int connect_exit(struct syscall_trace_exit *ctx)
{
	__u64 error = -ctx->ret;
	struct event *event;
	struct sock *sk;
	__u64 inode;
	__u64 key;

	if (ctx->ret >= 0)
		return 0;
	switch (error) {
	case EINTR: /* goes on, as do the next two and what restarts */
	case EINPROGRESS:
	case EALREADY:
	case ERESTARTSYS ... ERESTART_RESTARTBLOCK:
	case EISCONN: /* there is one already */
	case EBADF:
	case ENOTSOCK:
		return 0;
	}
	if (gadget_should_discard_data_current())
		return 0;
	sk = socket_of(gadget_syscall_arg(0), &inode);
	if (!sk)
		return 0;
	key = (__u64)sk;
	if (was_told(key, inode) || bpf_map_lookup_elem(&known, &key))
		return 0;
	event = begin(sk, connect, error, bpf_get_current_cgroup_id());
	if (!event)
		return 0;
	gadget_process_populate(&event->proc);
	set_wish(&event->dst, (const void *)gadget_syscall_arg(1));
	gadget_submit_buf(ctx, &events, event, sizeof(*event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
