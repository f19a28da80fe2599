/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Points in time of what comes in: when it was whole, and what its order cost.
 * Part of http_explain.bpf.h.
 */
#ifndef NW_HTTP_IN_BPF_H
#define NW_HTTP_IN_BPF_H

#include "http_parts.bpf.h"
#include "sequence.bpf.h"

/*
 * Whether data waits for earlier data; before TCP has the packet. What TCP has
 * is not what came: packets queue up while somebody uses the socket. A segment
 * was left out where one begins behind all that came.
 */
static __always_inline void nw_points_order(struct nw_points *p,
					    struct tcp_sock *tp, __u32 seq,
					    __u32 bytes, __u64 now)
{
	__u32 came = tp->rcv_nxt, end = seq + bytes;
	bool queued = tp->out_of_order_queue.rb_node;

	if (p->gap_ns && !queued && p->filled_ns >= p->gap_ns) {
		p->reordering_ns += p->filled_ns - p->gap_ns;
		p->gap_ns = 0;
	}
	if (!bytes)
		return;
	if (p->came_seq && nw_seq_before(came, p->came_seq))
		came = p->came_seq;
	if (nw_seq_before(came, end))
		p->came_seq = end;
	if (queued || nw_seq_before(came, seq)) {
		if (!p->gap_ns)
			p->gap_ns = now;
	}
	if (p->gap_ns && nw_seq_before(seq, came))
		p->filled_ns = now;
}

/* A client's response that has come whole, but perhaps with a gap before its end. */
static __always_inline void nw_settle_received(struct nw_points *p,
					       struct tcp_sock *tp,
					       struct nw_ended *e, bool gap)
{
	struct nw_http_exchange *x = &e->record;
	const struct nw_request_points *r = nw_request_points(p, x->number);
	__u64 first_ns = e->at[0];

	e->at[0] = p->began_ns;
	e->at[1] = NW_LATER;
	e->at[2] = NW_LATER;
	if (r->number == x->number && nw_seq_before(x->number, p->settled)) {
		e->at[0] = r->at[NW_POINT_WRITTEN];
		e->at[1] = r->at[NW_POINT_WRITTEN_ALL];
		e->at[2] = r->at[NW_POINT_HANDED];
		x->send_buffer_ns = r->inner_ns;
		x->send_retransmit_ns = r->other_ns;
		x->receive_window_ns = nw_jiffies_ns(r->window_jiffies);
		x->wait_retransmit_ns = r->resent_ns;
		x->retransmits = r->retransmits;
	}
	x->early = first_ns < e->at[2];
	e->at[3] = first_ns;
	e->at[4] = gap ? 0 : x->head.ts_ns;
	x->network_ns = (__u64)tp->rtt_min.s[0].v * 1000;
	x->reordering_ns =
		(gap ? 0 : nw_reordering(p, x->head.ts_ns)) -
		(first_ns == x->head.ts_ns ? nw_reordering(p, first_ns) :
					     p->began_reordering_ns);
	x->unexplained =
		e->at[0] && e->at[1] ? NW_EXPLAINED : NW_UNEXPLAINED_NO_WRITE;
}

static __always_inline void nw_points_acked(struct nw_points *p, __u32 block,
					    __u32 ack, __u64 now)
{
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED && i < p->used; i++) {
		struct nw_ended *e = nw_ended_at(p, i);

		if (!nw_ended_is(p, i, NW_ENDED_TO_ACK) ||
		    nw_seq_before(ack, nw_ended_seq(p, i)) ||
		    !nw_ended_take(p, i, NW_ENDED_TO_ACK))
			continue;
		e->record.delivery_ns = nw_between(e->at[6], now);
		nw_ended_emit(block, i);
	}
}

static __always_inline void
nw_points_came(struct nw_points *p, struct tcp_sock *tp, __u32 block, bool gap)
{
	p->fresh = 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED && i < p->used; i++) {
		struct nw_ended *e = nw_ended_at(p, i);

		if (!nw_ended_is(p, i, NW_ENDED_NEW))
			continue;
		nw_settle_received(p, tp, e, gap);
		/* all was read before its end was known, which is the connection's */
		if (!gap &&
		    !nw_seq_before(tp->copied_seq, nw_ended_seq(p, i))) {
			nw_client_ends(e, e->record.head.ts_ns);
			nw_ended_emit(block, i);
			continue;
		}
		e->record.run_queue_ns = p->run_delay_ns;
		nw_ended_set(p, i, NW_ENDED_TO_READ);
	}
}

/* Once per packet that comes in, of a connection with points; global as that. */
NW_HTTP_FN int nw_points_in(struct __sk_buff *ctx,
			    const struct nw_http_connection *c,
			    const struct nw_headers *h, __u64 now)
{
	struct nw_points *p = c ? nw_points_of(c) : NULL;
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tp;
	bool gap;

	if (!p || !h || !sk)
		return 0;
	tp = nw_points_socket(ctx, sk);
	if (!tp)
		return 0;
	nw_points_order(p, tp, h->seq, h->payload_bytes, now);
	gap = p->gap_ns && nw_seq_before(tp->rcv_nxt, h->seq);
	if (h->payload_bytes && c->http.dir[NW_HTTP_IN].first_ns == now)
		p->began_reordering_ns = nw_reordering(p, now);
	if (nw_http_role(&c->http) == NW_HTTP_ROLE_CLIENT) {
		if (p->fresh)
			nw_points_came(p, tp, c->points, gap);
		return 0;
	}
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_REQUESTS; i++) {
		struct nw_request_points *r;

		if (p->settled == p->whole)
			break;
		r = nw_request_points(p, p->settled);
		if (r->inner_ns == NW_UNKNOWN)
			r->inner_ns = -nw_reordering(p, now);
		if (gap)
			r->at[NW_POINT_WHOLE] = 0;
		else
			r->inner_ns += nw_reordering(p, now);
		p->settled++;
	}
	if (h->flags & NW_TCP_ACK)
		nw_points_acked(p, c->points, h->ack, now);
	return 0;
}

#endif /* NW_HTTP_IN_BPF_H */
