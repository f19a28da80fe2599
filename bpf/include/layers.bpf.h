/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Layer times of a packet: how long the MAC, IP and TCP layers held it.
 *
 * receive   MAC  driver hands it over -> protocol stack takes it
 *                (netif_rx_entry, napi_gro_*_entry -> netif_receive_skb)
 *           IP   -> TCP takes it (cgroup_skb/ingress)
 *           TCP  -> the application has read its last byte
 *                (tcp_rcv_space_adjust, copied_seq)
 * transmit  TCP  application writes its first byte (tcp_sendmsg_locked)
 *                -> TCP hands it to IP (skb->tstamp)
 *           IP   -> queueing discipline (net_dev_queue)
 *           MAC  -> driver (net_dev_start_xmit)
 *
 * Received packets are found again by their skb's address, transmitted ones by
 * ports, seq and ack (segmentation gives them new addresses), in
 * set-associative arrays: 5 ns where a hash costs 280 ns.
 */
#ifndef NW_LAYERS_BPF_H
#define NW_LAYERS_BPF_H

#include "histogram.bpf.h"
#include "packet.bpf.h"

#define NW_WAYS 4
#define NW_RX_SLOTS 4096
#define NW_TX_SLOTS 1024

enum nw_layer {
	NW_LAYER_MAC = 0,
	NW_LAYER_IP = 1,
	NW_LAYER_TCP = 2,
	NW_LAYERS = 3,
};

/* [receive, transmit][mac, ip, tcp][ipv4, ipv6] */
struct nw_layer_totals {
	struct nw_histogram duration[2][NW_LAYERS][2];
	__u64 not_measured[2][NW_LAYERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_layer_totals);
} layer_totals SEC(".maps");

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

/*
 * A kernel pointer as a number. The verifier forbids arithmetic on a pointer
 * but allows the difference of two, so this is the distance to a fixed place.
 */
static __always_inline __u64 nw_number(const void *pointer)
{
	return (__u64)pointer - (__u64)&nw_filter;
}

static __always_inline __u32 nw_hash(__u64 key)
{
	/* Fibonacci hashing: the high bits of the product are well mixed */
	return (key * 0x9e3779b97f4a7c15ULL) >> 40;
}

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

static __always_inline bool nw_skb_watched(const struct sk_buff *skb)
{
	__be16 protocol = skb->protocol;

	if (protocol != bpf_htons(ETH_P_IP) &&
	    protocol != bpf_htons(ETH_P_IPV6))
		return false;
	if (!nw_filter.netns_count)
		return true;
	return nw_netns_allowed(skb->dev->nd_net.net->ns.inum);
}

/*
 * Transmitted packets between IP and the driver. A slot is taken with an
 * atomic compare-and-swap: many CPUs send at once.
 */
struct nw_tx_slot {
	__u64 key; /* 0 = free, NW_TX_BUSY = being filled */
	__u64 queue_ns; /* 0 = the queueing discipline has not got it yet */
	struct nw_packet packet;
};

#define NW_TX_BUSY 1ULL
/* A packet the device never sent (dropped in a queue) frees its slot. */
#define NW_TX_STALE_NS 4000000000ULL

struct nw_tx_set {
	struct nw_tx_slot way[NW_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NW_TX_SLOTS / NW_WAYS);
	__type(key, __u32);
	__type(value, struct nw_tx_set);
} tx_slots SEC(".maps");

/*
 * By ports, seq and ack, not by socket: a SYN-ACK belongs to the listener when
 * IP sees it and to the request later. Never 0 or NW_TX_BUSY (bit 1).
 */
static __always_inline __u64 nw_tx_key(__u32 ports, __u32 seq, __u32 ack,
				       bool payload)
{
	return (((__u64)ports << 32 | seq) ^ (__u64)ack * 0x85ebca6b ^
		(payload ? 4 : 0)) |
	       2;
}

static __always_inline struct nw_tx_set *nw_tx_set(__u64 key)
{
	__u32 index = nw_hash(key) & (NW_TX_SLOTS / NW_WAYS - 1);

	return bpf_map_lookup_elem(&tx_slots, &index);
}

/* Data written by the application and not yet handed to IP, per socket. */
#define NW_WRITES 32
#define NW_PENDING 64

struct nw_write {
	__u32 seq; /* of the first byte */
	__u32 pad;
	__u64 ns;
};

/* A received packet the application has not read. */
struct nw_pending {
	__u64 ns; /* when TCP got it */
	__u64 mac_ns;
	__u64 ip_ns;
	__u32 seq;
	__u32 ack;
	__u32 payload_bytes;
	__u32 skb_bytes;
	__u32 state; /* enum nw_pending_state */
	__u8 tcp_flags;
	__u8 http_heads;
	__u8 pad[2];
};

enum nw_pending_state {
	NW_PENDING_FREE = 0,
	NW_PENDING_READY = 1,
};

struct nw_flow {
	__u32 write_count; /* entries ever written; newest at count - 1 */
	__u32 head; /* next to pop */
	__u32 tail; /* next to push */
	__u32 pad;
	struct nw_write writes[NW_WRITES];
	struct nw_pending pending[NW_PENDING];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_flow);
} flows SEC(".maps");

/*
 * Counts one time. Global, so that the verifier looks at it once: inlined, its
 * branches multiply with those of the two other layers.
 */
__noinline int nw_count_layer(__u32 transmit, __u32 layer, __u32 ipv6, __u64 ns)
{
	__u32 zero = 0;
	struct nw_layer_totals *totals =
		bpf_map_lookup_elem(&layer_totals, &zero);

	if (!totals || transmit > 1 || layer >= NW_LAYERS || ipv6 > 1)
		return 0;
	if (ns == NW_UNKNOWN)
		totals->not_measured[transmit][layer]++;
	else
		nw_histogram_add(&totals->duration[transmit][layer][ipv6], ns,
				 NW_UNIT_125_NS);
	return 0;
}

static __always_inline void nw_count_layers(const struct nw_packet *p)
{
	__u32 ipv6 = p->tuple.family == AF_INET6, transmit = !p->rx;

	nw_count_layer(transmit, NW_LAYER_MAC, ipv6, p->mac_ns);
	nw_count_layer(transmit, NW_LAYER_IP, ipv6, p->ip_ns);
	if (p->payload_bytes)
		nw_count_layer(transmit, NW_LAYER_TCP, ipv6, p->tcp_ns);
}

#endif /* NW_LAYERS_BPF_H */
