/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Kernel structures of sockets, and the contexts of iterators over them. As in core_kernel.h: only the
 * fields that are read, and order and offsets do not matter. Who reads others declares all of them
 * and does not include this. A full vmlinux.h has them already.
 */
#ifndef __GADGET_SOCKETS_H
#define __GADGET_SOCKETS_H

#include <vmlinux.h>

#ifdef __GADGET_CORE_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/net/net_namespace.h */
typedef struct {
	struct net *net;
} possible_net_t;

/* include/uapi/linux/in6.h */
struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

/* include/net/sock.h; of connections that wait for their end and of such that begin, too */
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num; /* local port, in host byte order */
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};
struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
};

/* include/linux/net.h */
struct socket {
	struct sock *sk;
};

/* include/net/sock.h: a socket and its inode are one */
struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};

/* include/net/inet_sock.h, include/linux/udp.h */
struct inet_sock {
	struct sock sk;
};
struct udp_sock {
	struct inet_sock inet;
};

/* net/ipv4/tcp_ipv4.c, net/ipv4/udp.c; uid is that of who made the socket */
struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	uid_t uid;
};
struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
	uid_t uid;
	int bucket;
};

#pragma clang attribute pop

#endif /* __GADGET_CORE_KERNEL_H */

#endif /* __GADGET_SOCKETS_H */
