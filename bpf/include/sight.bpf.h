/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From what cgroup_skb sees of a packet to its record. */
#ifndef NW_SIGHT_BPF_H
#define NW_SIGHT_BPF_H

#include "early.bpf.h"
#include "transmit.bpf.h"

/* What is known of a packet when its record is made. */
struct nw_sight {
	struct nw_headers headers;
	__u64 sock;
	__u64 ts_ns;
	__u32 netns;
	__u16 http_heads;
	__u8 marks; /* enum nw_mark */
};

static __always_inline void nw_fill_record(struct nw_packet *p,
					   struct bpf_sock *sk,
					   const struct nw_sight *seen, bool rx)
{
	nw_fill_packet(p, &seen->headers, seen->sock, seen->netns, rx);
	p->head.ts_ns = seen->ts_ns;
	p->http_heads = seen->http_heads;
	if (seen->headers.flags & NW_TCP_SYN)
		p->pid = nw_owner_pid(sk);
	p->marks = seen->marks;
	if (!rx && nw_sent_before(sk, seen->sock, &seen->headers))
		p->marks |= NW_MARK_RETRANSMITTED;
}

/* A record without times. */
static __always_inline void
nw_record_plain(struct bpf_sock *sk, const struct nw_sight *seen, bool rx)
{
	struct nw_packet *record;

	/* read from there: kept in registers it takes more of the stack */
	barrier_var(seen);
	record = nw_is_told(seen->marks, seen->http_heads) ?
			 nw_reserve(sizeof(*record)) :
			 NULL;
	if (!record)
		return;
	nw_fill_record(record, sk, seen, rx);
	nw_submit(record);
}

/*
 * In frames of their own, so that the record does not lie below the calls of
 * the HTTP parser: older kernels count at least 32 bytes for each of a
 * chain of calls, and allow 512 in all.
 */
static __noinline int nw_record_received(struct __sk_buff *ctx,
					 struct bpf_sock *sk,
					 const struct nw_sight *seen)
{
	struct nw_packet packet;

	nw_fill_record(&packet, sk, seen, true);
	nw_receive(ctx, sk, &seen->headers, &packet);
	return 0;
}

/* False if there is no room for it to wait. */
static __noinline bool nw_record_sent(struct __sk_buff *ctx,
				      struct bpf_sock *sk,
				      const struct nw_sight *seen)
{
	struct nw_sent_slot *slot =
		nw_reserve_sent(ctx, &seen->headers, seen->ts_ns);

	if (!slot)
		return false;
	nw_fill_record(&slot->packet, sk, seen, false);
	slot->packet.tcp_ns =
		nw_sending_ns(sk, seen->sock, &seen->headers, seen->ts_ns);
	nw_sent_publish(slot, nw_last_sent());
	return true;
}

static __noinline int nw_record_at_once(struct __sk_buff *ctx,
					struct bpf_sock *sk,
					const struct nw_sight *seen)
{
	struct nw_packet packet;

	nw_fill_record(&packet, sk, seen, false);
	packet.tcp_ns =
		nw_sending_ns(sk, seen->sock, &seen->headers, seen->ts_ns);
	nw_finish_packet(&packet);
	return 0;
}

/* See early.bpf.h. */
static __noinline int nw_record_early(struct __sk_buff *ctx,
				      struct bpf_sock *sk,
				      const struct nw_sight *seen)
{
	struct nw_early *early = nw_early();

	if (!early)
		return 0;
	nw_fill_packet(&early->packet, &seen->headers, seen->sock, seen->netns,
		       true);
	early->packet.head.ts_ns = seen->ts_ns;
	early->packet.http_heads = seen->http_heads;
	early->packet.marks = seen->marks;
	if (!nw_http_on)
		early->heads = 0;
	if (nw_time)
		nw_receive_times(ctx, &seen->headers, &early->packet);
	early->skb = nw_has_kernel_context ?
			     nw_number(bpf_cast_to_kern_ctx(ctx)) :
			     1;
	return 0;
}

#endif /* NW_SIGHT_BPF_H */
