// A socket filter that counts UDP packets to a port by network namespace.
#include <gadget/gadget.h>
#include <gadget/netns.h>
#include <bpf/bpf_endian.h>

const volatile __u32 port = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("socket")
int count(struct __sk_buff *skb)
{
	__u32 netns = gadget_skb_netns(skb);
	__u64 zero = 0, *found;
	__u8 proto = 0;
	__be16 to = 0;

	bpf_skb_load_bytes_relative(skb, 9, &proto, sizeof(proto), 1);
	bpf_skb_load_bytes_relative(skb, 22, &to, sizeof(to), 1);
	if (proto != 17 || bpf_ntohs(to) != port)
		return 0;
	bpf_map_update_elem(&counts, &netns, &zero, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&counts, &netns);
	if (found)
		__sync_fetch_and_add(found, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
