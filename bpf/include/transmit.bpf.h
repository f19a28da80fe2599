/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Transmitted packets between IP and the driver: the slots of sent.h as maps,
 * and how the hooks find the packet they see.
 */
#ifndef NW_TRANSMIT_BPF_H
#define NW_TRANSMIT_BPF_H

#include "device.bpf.h"
#include "flow.bpf.h"
#include "sent.h"

#define NW_SENT_SLOTS 1024

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NW_SENT_SLOTS / NW_SENT_WAYS);
	__type(key, __u32);
	__type(value, struct nw_sent_set);
} sent_sets SEC(".maps");

/*
 * The packet that this CPU has handed over last: nearly always the one that the
 * next tracepoint asks for. What was there before and has not left yet goes to
 * the sets above.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_sent_slot);
} last_sent SEC(".maps");

static __always_inline struct nw_sent_set *
nw_sent_set_of(const struct nw_sent_id *id)
{
	__u32 index = nw_sent_index(id, NW_SENT_SLOTS / NW_SENT_WAYS);

	return bpf_map_lookup_elem(&sent_sets, &index);
}

static __always_inline struct nw_sent_slot *nw_last_sent(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&last_sent, &zero);
}

static __noinline int nw_finish_slot(const struct nw_sent_slot *slot)
{
	if (slot)
		nw_finish_packet(&slot->packet);
	return 0;
}

static __always_inline void nw_sent_evict(const struct nw_sent_slot *slot)
{
	nw_finish_slot(slot);
}

/* A frame of its own, as it is rare. */
static __noinline int nw_put_away(const struct nw_packet *packet,
				  const struct nw_sent_id *id, __u64 queue_ns)
{
	struct nw_sent_set *set;

	if (!packet || !id)
		return 0;
	set = nw_sent_set_of(id);
	if (!set || !nw_sent_store(set, packet, id, queue_ns))
		nw_finish_packet(packet);
	return 0;
}

static __always_inline void nw_sent_put_away(const struct nw_packet *packet,
					     const struct nw_sent_id *id,
					     __u64 queue_ns)
{
	nw_put_away(packet, id, queue_ns);
}

/*
 * When TCP handed a packet over. Its own clock, which it reads at the beginning
 * of each transmission, without another reading here. The packet's stamp is the
 * later one of that and the time at which pacing lets it leave: a queue that
 * honours it (fq) makes the packet wait, below IP. Pacing without such a queue
 * waits before it hands over, within TCP.
 */
static __always_inline __u64 nw_handed_ns(struct __sk_buff *ctx,
					  struct bpf_sock *sk, __u64 sock)
{
	__u64 now = 0, stamp = ctx->tstamp;
	struct tcp_sock *tp;

	/* a listener's SYN-ACK and the kernel's own reset have no such socket */
	tp = stamp && sk->state != TCP_LISTEN ? nw_tcp_of_packet(sk, sock) :
						NULL;
	if (tp)
		now = tp->tcp_clock_cache;
	if (!now)
		now = bpf_ktime_get_ns();
	return stamp && stamp < now ? stamp : now;
}

/* How long TCP held what is handed over now. */
static __always_inline __u64 nw_sending_ns(struct bpf_sock *sk, __u64 sock,
					   const struct nw_headers *h,
					   __u64 handed_ns)
{
	return h->payload_bytes ?
		       nw_between(nw_written_ns(sk, sock, h->seq), handed_ns) :
		       NW_UNKNOWN;
}

/* A slot whose packet the caller fills; NULL if there is no room. */
static __always_inline struct nw_sent_slot *
nw_reserve_sent(struct __sk_buff *ctx, const struct nw_headers *h,
		__u64 handed_ns)
{
	struct nw_sent_id id = {
		.stamp = ctx->tstamp,
		.ports = h->ports,
		.seq = h->seq,
		.ack = h->ack,
		.payload = h->payload_bytes != 0,
	};

	if (!nw_has_kernel_context)
		return nw_sent_reserve(NULL, &id, handed_ns);
	id.skb = nw_number(bpf_cast_to_kern_ctx(ctx));
	return nw_sent_reserve(nw_last_sent(), &id, handed_ns);
}

struct nw_ports_seq_ack {
	__u32 ports;
	__be32 seq;
	__be32 ack;
	__u8 header;
	__u8 flags;
};

/* False if the packet's header cannot be read. */
static __always_inline bool nw_sent_identify(const struct sk_buff *skb,
					     struct nw_sent_id *id)
{
	__u32 transport = skb->transport_header;
	struct nw_ports_seq_ack tcp;

	if (bpf_probe_read_kernel(&tcp, sizeof(tcp), skb->head + transport))
		return false;
	id->skb = nw_has_kernel_context ? nw_number(skb) : 0;
	id->stamp = skb->tstamp;
	id->ports = tcp.ports;
	id->seq = bpf_ntohl(tcp.seq);
	id->ack = bpf_ntohl(tcp.ack);
	id->payload = skb->len != transport - (__u32)(skb->data - skb->head) +
					  (tcp.header >> 4) * 4;
	return true;
}

/* Takes the slot of a packet on its way out; NULL if it is not one of ours. */
static __always_inline struct nw_sent_slot *
nw_sent_take_out(const struct sk_buff *skb, struct nw_sent_slot *last)
{
	struct nw_sent_set *set;
	struct nw_sent_id id;

	/* the same socket too: the memory of a dropped packet is used again */
	if (nw_sent_find_here(last, nw_number(skb), skb->tstamp,
			      (__u64)skb->sk))
		return last;
	if (!nw_skb_watched(skb) || !nw_sent_identify(skb, &id))
		return NULL;
	set = nw_sent_set_of(&id);
	return set ? nw_sent_search(last, set, &id) : NULL;
}

#endif /* NW_TRANSMIT_BPF_H */
