/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Transmitted packets: from IP to the driver they wait in an array, found by
 * ports, seq and ack, since segmentation gives them new addresses.
 */
#ifndef NW_TRANSMIT_BPF_H
#define NW_TRANSMIT_BPF_H

#include "layers.bpf.h"

#define NW_TX_SLOTS 1024

/*
 * Transmitted packets between IP and the driver. A slot is taken with an
 * atomic compare-and-swap: many CPUs send at once.
 */
struct nw_tx_slot {
	__u64 key; /* 0 = free, NW_TX_BUSY = being filled */
	__u64 queue_ns; /* 0 = the queueing discipline has not got it yet */
	__u64 skb; /* as IP saw it; 0 = not known */
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
 * The packet that this CPU has last put into a slot: nearly always the one that
 * the next tracepoint asks for.
 */
struct nw_tx_last {
	__u64 skb;
	__u32 set;
	__u32 way;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_tx_last);
} tx_last SEC(".maps");

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

static __always_inline __u32 nw_tx_index(__u64 key)
{
	return nw_hash(key) & (NW_TX_SLOTS / NW_WAYS - 1);
}

/* What a search through the writes of a socket looks for, and finds. */
struct nw_write_search {
	struct nw_flow *flow;
	__u32 seq;
	__u32 pad;
	__u64 ns; /* 0 = not found */
};

/* One step back from the newest write; 1 ends the search. */
static long nw_search_write(__u32 i, struct nw_write_search *search)
{
	struct nw_flow *flow = search->flow;
	__u32 index = flow->write_count - 1 - i;
	struct nw_write *w = &flow->writes[index & (NW_WRITES - 1)];

	if (i >= flow->write_count)
		return 1;
	if ((__s32)(search->seq - w->seq) < 0)
		return 0;
	search->ns = w->ns;
	return 1;
}

/* When the application wrote the byte with this sequence number; 0 = unknown. */
static __always_inline __u64 nw_written_ns(struct nw_flow *flow, __u32 seq)
{
	struct nw_write_search search = {.flow = flow, .seq = seq};

	/* nearly always the newest write */
	if (nw_search_write(0, &search) || search.ns)
		return search.ns;
	nw_loop(NW_WRITES, nw_search_write, &search);
	return search.ns;
}

static __noinline int nw_finish_slot(struct nw_tx_slot *slot)
{
	if (slot)
		nw_finish_packet(&slot->packet);
	return 0;
}

/* Notes where the packet is; returns its skb, 0 if the kernel does not tell. */
static __always_inline __u64 nw_tx_remember(struct __sk_buff *ctx, __u32 set,
					    __u32 way)
{
	struct nw_tx_last *last;
	__u32 zero = 0;

	if (!nw_has_kernel_context)
		return 0;
	last = bpf_map_lookup_elem(&tx_last, &zero);
	if (!last)
		return 0;
	last->skb = nw_number(bpf_cast_to_kern_ctx(ctx));
	last->set = set;
	last->way = way;
	return last->skb;
}

static __always_inline struct nw_tx_slot *
nw_tx_find_last(const struct sk_buff *skb)
{
	__u32 zero = 0, index;
	struct nw_tx_last *last = bpf_map_lookup_elem(&tx_last, &zero);
	struct nw_tx_slot *slot;
	struct nw_tx_set *set;

	if (!last || !last->skb || last->skb != nw_number(skb))
		return NULL;
	index = last->set;
	set = bpf_map_lookup_elem(&tx_slots, &index);
	if (!set)
		return NULL;
	slot = &set->way[last->way & (NW_WAYS - 1)];
	return slot->skb == last->skb && slot->key > NW_TX_BUSY ? slot : NULL;
}

static __always_inline void nw_transmit(struct __sk_buff *ctx,
					struct bpf_sock *sk,
					const struct nw_headers *h,
					struct nw_packet *p)
{
	struct nw_tx_set *set;
	__u64 key, handed_ns = ctx->tstamp;
	__u32 index;

	if (p->payload_bytes) {
		struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);
		__u64 written = flow ? nw_written_ns(flow, p->seq) : 0;

		if (written && handed_ns >= written)
			p->tcp_ns = handed_ns - written;
	}
	key = nw_tx_key(h->ports, p->seq, p->ack, p->payload_bytes != 0);
	index = nw_tx_index(key);
	set = bpf_map_lookup_elem(&tx_slots, &index);
	if (!set)
		return;
	for (int i = 0; i < NW_WAYS; i++) {
		struct nw_tx_slot *slot = &set->way[i];
		__u64 old = slot->key;

		if (old == NW_TX_BUSY ||
		    (old &&
		     p->head.ts_ns - slot->packet.head.ts_ns < NW_TX_STALE_NS))
			continue;
		if (__sync_val_compare_and_swap(&slot->key, old, NW_TX_BUSY) !=
		    old)
			continue;
		if (old)
			nw_finish_slot(slot);
		slot->queue_ns = 0;
		slot->skb = nw_tx_remember(ctx, index, i);
		slot->packet = *p;
		slot->key = key;
		return;
	}
	nw_finish_packet(p);
}

/* The slot of a packet on its way out; NULL if it is not one of ours. */
static __always_inline struct nw_tx_slot *nw_tx_find(const struct sk_buff *skb)
{
	struct {
		__u32 ports;
		__be32 seq;
		__be32 ack;
		__u8 header;
		__u8 flags;
	} tcp;
	struct nw_tx_slot *last = nw_tx_find_last(skb);
	struct nw_tx_set *set;
	__u32 payload, seq, ack, index;
	__u64 key;

	if (last)
		return last;
	if (!skb->sk || !nw_skb_watched(skb))
		return NULL;
	if (bpf_probe_read_kernel(&tcp, sizeof(tcp),
				  skb->head + skb->transport_header))
		return NULL;
	payload = skb->len -
		  (skb->transport_header - (__u32)(skb->data - skb->head)) -
		  (tcp.header >> 4) * 4;
	seq = bpf_ntohl(tcp.seq);
	ack = bpf_ntohl(tcp.ack);
	key = nw_tx_key(tcp.ports, seq, ack, payload != 0);
	index = nw_tx_index(key);
	set = bpf_map_lookup_elem(&tx_slots, &index);
	if (!set)
		return NULL;
	for (int i = 0; i < NW_WAYS; i++) {
		struct nw_tx_slot *slot = &set->way[i];

		if (slot->key == key && slot->packet.seq == seq &&
		    slot->packet.ack == ack)
			return slot;
	}
	return NULL;
}

#endif /* NW_TRANSMIT_BPF_H */
