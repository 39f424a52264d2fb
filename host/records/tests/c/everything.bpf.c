// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A record with a field of every sort that the decoder reads.
#include <gadget/gadget.h>

typedef __u16 umode_t;
typedef __u32 dev_t;
typedef __u32 uid_t;

enum state { TCP_NONE, TCP_ESTABLISHED = 1, TCP_LISTEN_ = 10, TCP_OTHER = -1 };
enum huge { SMALL = 1, LARGE = 1ULL << 40 };

struct pair {
	__u16 a;
	__u16 b;
};

struct event {
	struct gadget_l4endpoint_t src;
	struct gadget_l4endpoint_t dst;
	struct gadget_l3endpoint_t nameserver;
	__be32 saddr;
	__be16 sport;
	__be16 id;
	gadget_errno error_raw;
	gadget_signal sig;
	gadget_syscall syscall_raw;
	gadget_duration took;
	gadget_bytes size;
	umode_t mode;
	dev_t dev;
	uid_t owner;
	__u8 mac[6];
	enum state state;
	enum huge huge;
	unsigned int low : 3;
	unsigned int : 5;
	bool ok;
	union {
		int number;
		float real;
	};
	union {
		struct {
			__u64 number;
		} inner;
		__u64 other;
	} either;
	struct pair pairs[2];
	void *address;
	__u32 tail[];
};

GADGET_TRACER_MAP(events, 4096)
GADGET_TRACER(everything, events, event)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
