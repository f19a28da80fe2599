/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Received packets: from the driver's hands to the stack they wait in an array,
 * found by their skb's address.
 */
#ifndef NW_RECEIVE_BPF_H
#define NW_RECEIVE_BPF_H

#include "flow.bpf.h"

#define NW_RX_SLOTS 4096

struct nw_rx_slot {
	__u64 skb; /* 0 = free */
	__u64 mac_ns; /* arrival */
	__u64 ip_ns; /* 0 = the stack has not taken it yet */
	__u64 pad;
};

struct nw_rx_set {
	struct nw_rx_slot way[NW_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NW_RX_SLOTS / NW_WAYS);
	__type(key, __u32);
	__type(value, struct nw_rx_set);
} rx_slots SEC(".maps");

static __always_inline struct nw_rx_set *nw_rx_set(__u64 skb)
{
	__u32 index = nw_hash(skb) & (NW_RX_SLOTS / NW_WAYS - 1);

	return bpf_map_lookup_elem(&rx_slots, &index);
}

/* A packet enters from below: remember when. The stalest entry gives way. */
static __always_inline void nw_rx_arrive(__u64 skb, __u64 now)
{
	struct nw_rx_set *set = nw_rx_set(skb);
	__u64 oldest = NW_UNKNOWN;
	__u32 chosen = 0;

	if (!set)
		return;
	for (int i = 0; i < NW_WAYS; i++) {
		__u64 key = set->way[i].skb;
		__u64 age = !key || key == skb ? 0 : set->way[i].mac_ns;

		if (age < oldest) {
			oldest = age;
			chosen = i;
		}
	}
	chosen &= NW_WAYS - 1;
	set->way[chosen].mac_ns = now;
	set->way[chosen].ip_ns = 0;
	set->way[chosen].skb = skb;
}

static __always_inline struct nw_rx_slot *nw_rx_find(__u64 skb)
{
	struct nw_rx_set *set = nw_rx_set(skb);

	if (!set)
		return NULL;
	for (int i = 0; i < NW_WAYS; i++)
		if (set->way[i].skb == skb)
			return &set->way[i];
	return NULL;
}

/*
 * The packet that TCP on this CPU has just been given: told by fentry where
 * the kernel allows that, for the exact moment, and for kernels before 6.2,
 * where cgroup_skb does not know its skb.
 */
struct nw_rx_now {
	__u64 mac_ns; /* arrival; 0 = not seen */
	__u64 ip_ns; /* IP took it; 0 = not seen */
	__u64 tcp_ns; /* TCP took it; 0 = none */
	__be32 ports; /* as in the TCP header */
	__be32 seq;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_rx_now);
} rx_now SEC(".maps");

/* fentry programs tell where IP and TCP begin; set by the reader. */
const volatile bool nw_exact = false;

static __always_inline int nw_reach_tcp(const struct sk_buff *skb)
{
	struct nw_rx_slot *slot;
	struct nw_rx_now *now;
	__u32 zero = 0;

	if (!nw_skb_watched(skb))
		return 0;
	now = bpf_map_lookup_elem(&rx_now, &zero);
	if (!now)
		return 0;
	slot = nw_rx_find(nw_number(skb));
	now->mac_ns = slot && slot->ip_ns ? slot->mac_ns : 0;
	now->ip_ns = slot ? slot->ip_ns : 0;
	bpf_probe_read_kernel(&now->ports,
			      sizeof(now->ports) + sizeof(now->seq),
			      skb->head + skb->transport_header);
	now->tcp_ns = bpf_ktime_get_ns();
	return 0;
}

/* Takes over what fentry has told of this very packet. */
static __always_inline void nw_take_exact(struct nw_packet *p,
					  const struct nw_headers *h)
{
	struct nw_rx_now *now;
	__u32 zero = 0;

	now = bpf_map_lookup_elem(&rx_now, &zero);
	if (!now || !now->tcp_ns || now->ports != h->ports ||
	    now->seq != bpf_htonl(h->seq))
		return;
	if (now->mac_ns) {
		p->mac_ns = now->ip_ns - now->mac_ns;
		p->ip_ns = now->tcp_ns - now->ip_ns;
	}
	p->head.ts_ns = now->tcp_ns;
	now->tcp_ns = 0;
}

static __always_inline void nw_receive(struct __sk_buff *ctx,
				       struct bpf_sock *sk,
				       const struct nw_headers *h,
				       struct nw_packet *p)
{
	struct nw_rx_slot *slot = NULL;

	if (nw_exact)
		nw_take_exact(p, h);
	else if (nw_has_kernel_context)
		slot = nw_rx_find(nw_number(bpf_cast_to_kern_ctx(ctx)));
	if (slot && slot->ip_ns) {
		p->mac_ns = slot->ip_ns - slot->mac_ns;
		p->ip_ns = p->head.ts_ns - slot->ip_ns;
		slot->skb = 0;
	}
	if (!nw_wait(sk, p))
		nw_finish_packet(p);
}

#endif /* NW_RECEIVE_BPF_H */
