/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Transmitted packets: from IP to the driver they wait in an array, found by
 * ports, seq and ack, since segmentation gives them new addresses.
 */
#ifndef NW_TRANSMIT_BPF_H
#define NW_TRANSMIT_BPF_H

#include "flow.bpf.h"

#define NW_TX_SLOTS 1024

/*
 * Transmitted packets between IP and the driver. A slot is taken with an
 * atomic compare-and-swap: many CPUs send at once.
 */
struct nw_tx_slot {
	__u64 key; /* 0 = free, NW_TX_BUSY = being filled */
	__u64 queue_ns; /* 0 = the queueing discipline has not got it yet */
	__u64 skb; /* of the last one of a CPU */
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
 * The packet that this CPU has handed over last: nearly always the one that the
 * next tracepoint asks for, in memory that is warm. What was there before and
 * has not left yet goes to the array above. Only soft interrupts of the same
 * CPU come in between, and they find NW_TX_BUSY then.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_tx_slot);
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

static __always_inline struct nw_tx_set *nw_tx_set(__u64 key)
{
	__u32 index = nw_hash(key) & (NW_TX_SLOTS / NW_WAYS - 1);

	return bpf_map_lookup_elem(&tx_slots, &index);
}

static __always_inline struct nw_tx_slot *nw_tx_last(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&tx_last, &zero);
}

static __noinline int nw_finish_slot(struct nw_tx_slot *slot)
{
	if (slot)
		nw_finish_packet(&slot->packet);
	return 0;
}

/* Puts a packet into the array; the record goes out at once if there is no room. */
static __noinline int nw_tx_store(const struct nw_packet *packet,
				  __u64 queue_ns, __u64 key)
{
	struct nw_tx_set *set = nw_tx_set(key);

	if (!packet || !set)
		return 0;
	for (int i = 0; i < NW_WAYS; i++) {
		struct nw_tx_slot *slot = &set->way[i];
		__u64 old = slot->key;

		if (old == NW_TX_BUSY ||
		    (old && packet->head.ts_ns - slot->packet.head.ts_ns <
				    NW_TX_STALE_NS))
			continue;
		if (__sync_val_compare_and_swap(&slot->key, old, NW_TX_BUSY) !=
		    old)
			continue;
		if (old)
			nw_finish_slot(slot);
		slot->queue_ns = queue_ns;
		slot->packet = *packet;
		slot->key = key;
		return 0;
	}
	nw_finish_packet(packet);
	return 0;
}

/* Moves the last packet of this CPU to the array. */
static __always_inline void nw_tx_put_away(struct nw_tx_slot *last)
{
	__u64 key = last->key;

	last->key = NW_TX_BUSY;
	barrier();
	nw_tx_store(&last->packet, last->queue_ns, key);
	barrier();
	last->key = 0;
}

static __always_inline void nw_transmit(struct __sk_buff *ctx,
					struct bpf_sock *sk,
					const struct nw_headers *h,
					struct nw_packet *p)
{
	struct nw_tx_slot *last = nw_tx_last();
	__u64 key, old, handed_ns = ctx->tstamp;

	if (p->payload_bytes) {
		__u64 written = nw_written_ns(sk, p->head.sock, p->seq);

		if (written && handed_ns >= written)
			p->tcp_ns = handed_ns - written;
	}
	key = nw_tx_key(h->ports, p->seq, p->ack, p->payload_bytes != 0);
	old = last ? last->key : NW_TX_BUSY;
	if (old == NW_TX_BUSY || !nw_has_kernel_context) {
		nw_tx_store(p, 0, key);
		return;
	}
	if (old)
		nw_tx_put_away(last);
	last->key = NW_TX_BUSY;
	barrier();
	last->queue_ns = 0;
	last->skb = nw_number(bpf_cast_to_kern_ctx(ctx));
	last->packet = *p;
	barrier();
	last->key = key;
}

static __always_inline bool nw_tx_is(const struct nw_tx_slot *slot, __u64 key,
				     __u32 seq, __u32 ack)
{
	return slot->key == key && slot->packet.seq == seq &&
	       slot->packet.ack == ack;
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
	struct nw_tx_slot *last = nw_tx_last();
	struct nw_tx_set *set;
	__u32 payload, seq, ack;
	__u64 key;

	/* the same socket too: the memory of a dropped packet is used again */
	if (last && last->skb == nw_number(skb) && last->key > NW_TX_BUSY &&
	    last->packet.head.sock == (__u64)skb->sk)
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
	/* a segment of it has an address of its own */
	if (last && nw_tx_is(last, key, seq, ack))
		return last;
	set = nw_tx_set(key);
	if (!set)
		return NULL;
	for (int i = 0; i < NW_WAYS; i++)
		if (nw_tx_is(&set->way[i], key, seq, ack))
			return &set->way[i];
	return NULL;
}

#endif /* NW_TRANSMIT_BPF_H */
