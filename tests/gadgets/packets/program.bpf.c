/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* packets: UDP packets over IPv4 to one port, in every network namespace. For tests. */
#include <gadget/gadget.h>
#include <gadget/netns.h>
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define PACKET_OUTGOING 4
#define UDP 17
#define START_NET 1 /* BPF_HDR_START_NET */

const volatile __u64 port = 0;
GADGET_PARAM(port);

struct packet {
	gadget_cgroup_id cgroup_id;
	gadget_netns_id netns;
	__u32 length;
	__u32 number;
	__u16 sender;
	bool outgoing;
	__u8 __pad;
};

struct udp_header {
	__be16 from;
	__be16 to;
	__be16 length;
	__be16 check;
	__be32 number;
};

GADGET_TRACER_MAP(events, 256 * 1024)
GADGET_TRACER(packets, events, packet)

SEC("socket1")
int packets_seen(struct __sk_buff *skb)
{
	gadget_netns_id netns = gadget_skb_netns(skb);
	struct udp_header udp;
	struct packet *packet;
	gadget_cgroup_id cgroup;
	__u8 first, proto;

	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes_relative(skb, 0, &first, 1, START_NET) ||
	    bpf_skb_load_bytes_relative(skb, 9, &proto, 1, START_NET) || proto != UDP ||
	    bpf_skb_load_bytes_relative(skb, (first & 15) * 4, &udp, sizeof(udp), START_NET) ||
	    bpf_ntohs(udp.to) != port)
		return 0;
	cgroup = gadget_netns_cgroup(netns);
	if (gadget_should_discard_cgroup(cgroup))
		return 0;
	packet = gadget_reserve_buf_as(&events, sizeof(*packet), cgroup);
	if (!packet)
		return 0;
	packet->cgroup_id = cgroup;
	packet->netns = netns;
	packet->length = skb->len;
	packet->number = bpf_ntohl(udp.number);
	packet->sender = bpf_ntohs(udp.from);
	packet->outgoing = skb->pkt_type == PACKET_OUTGOING;
	packet->__pad = 0;
	gadget_submit_buf(skb, &events, packet, sizeof(*packet));
	/* Nothing for the socket. */
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
