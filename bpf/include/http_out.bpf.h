/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Points in time of what goes out: when it was written, handed to IP, and sent
 * again. Part of http_explain.bpf.h.
 */
#ifndef NW_HTTP_OUT_BPF_H
#define NW_HTTP_OUT_BPF_H

#include "flow.bpf.h"
#include "http_parts.bpf.h"
#include "sequence.bpf.h"

/* Since data was missing until it is sent again; what was counted does not. */
static __always_inline __u64 nw_resend(__u64 *until_ns, __u64 from, __u64 now)
{
	__u64 begin = from > *until_ns ? from : *until_ns;

	*until_ns = now;
	return now > begin ? now - begin : 0;
}

/* When data was handed over first; `now` if that is so long ago that nobody knows. */
static __always_inline __u64 nw_first_sent(const struct nw_points *p, __u32 seq,
					   __u64 now)
{
	__u32 nearest = 1U << 31, us = now >> 10;

	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_SENT_LOG; i++) {
		const struct nw_sent_at *at =
			&p->sent[nw_masked(i, NW_SENT_LOG - 1)];
		__u32 behind = seq - at->seq;

		if (at->us && behind < nearest) {
			nearest = behind;
			us = at->us;
		}
	}
	return now - ((__u64)((__u32)(now >> 10) - us) << 10);
}

static __always_inline bool nw_has_seq(__u32 seq, __u32 first, __u32 end)
{
	return seq - first < end - first;
}

/* This end sends again what begins at `seq`. Rare: a frame of its own. */
NW_HTTP_FN int nw_points_resent(__u32 block, __u32 seq, __u64 now)
{
	struct nw_points *p = nw_points_at(block);
	__u64 from;

	if (!p)
		return 0;
	from = nw_first_sent(p, seq, now);
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED && i < p->used; i++) {
		struct nw_ended *e = nw_ended_at(p, i);

		if (nw_ended_is(p, i, NW_ENDED_TO_ACK) &&
		    nw_has_seq(seq, e->first_seq, nw_ended_seq(p, i))) {
			e->record.wait_retransmit_ns +=
				nw_resend(&e->resent_until_ns, from, now);
			e->record.retransmits++;
		}
	}
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_REQUESTS; i++) {
		struct nw_request_points *r =
			&p->request[nw_masked(i, NW_REQUESTS - 1)];

		if (r->at[NW_POINT_HANDED] &&
		    nw_has_seq(seq, r->first_seq, r->end_seq)) {
			r->resent_ns +=
				nw_resend(&r->resent_until_ns, from, now);
			r->retransmits++;
		}
	}
	if (!nw_seq_before(seq, p->began_seq)) {
		p->resent_ns += nw_resend(&p->resent_until_ns, from, now);
		p->resent++;
	}
	return 0;
}

static __always_inline void nw_points_sent(struct nw_points *p, __u32 seq,
					   __u64 now)
{
	struct nw_sent_at *at =
		&p->sent[nw_masked(p->sent_count, NW_SENT_LOG - 1)];

	p->sent_count++;
	at->seq = seq;
	at->us = (__u32)(now >> 10) | 1;
}

/* ---- the message that goes out ---- */

/* Global, so that the verifier looks at it once. `sock` is a number. */
NW_HTTP_FN __u64 nw_written_outside(__u32 index, __u64 sock, __u32 seq)
{
	return nw_written_among_many(index, sock, seq);
}

static __always_inline __u64 nw_flow_written(const struct nw_flow *flow,
					     const struct nw_points *p,
					     __u32 seq)
{
	if (!flow)
		return 0;
	/* nothing of it is reckoned before it is known to be there */
	barrier_var(flow);
	if (flow->many_writes)
		return nw_written_outside(flow->many_writes, p->owner, seq);
	return nw_written_among_few(&flow->few_writes, seq);
}

static __always_inline void nw_points_begin_out(const struct nw_flow *flow,
						struct nw_points *p,
						const struct tcp_sock *tp,
						__u32 first_seq)
{
	p->began_window_jiffies = nw_window_jiffies(tp);
	p->began_seq = first_seq;
	p->began_ns = nw_flow_written(flow, p, first_seq);
	p->began_full_us = flow ? flow->full_us : 0;
	p->resent_ns = 0;
	p->resent_until_ns = 0;
	p->resent = 0;
}

static __always_inline __u64 nw_began_ns(const struct nw_flow *flow,
					 const struct nw_points *p,
					 __u32 first_seq)
{
	return first_seq == p->began_seq ? p->began_ns :
					   nw_flow_written(flow, p, first_seq);
}

static __always_inline __u64 nw_buffer_ns(const struct nw_flow *flow,
					  const struct nw_points *p)
{
	if (!nw_http_sees_buffer || !flow)
		return NW_UNKNOWN;
	return (__u64)(flow->full_us - p->began_full_us) << 10;
}

/* A client's request that has been handed over whole. */
static __always_inline void nw_settle_request(const struct nw_flow *flow,
					      struct nw_points *p,
					      const struct tcp_sock *tp,
					      struct nw_request_points *r)
{
	r->at[NW_POINT_HANDED] = r->at[0];
	r->at[NW_POINT_WRITTEN] = nw_began_ns(flow, p, r->first_seq);
	r->at[NW_POINT_WRITTEN_ALL] = nw_flow_written(flow, p, r->end_seq - 1);
	r->inner_ns = nw_buffer_ns(flow, p);
	r->other_ns = p->resent_ns;
	r->retransmits = p->resent;
	r->window_jiffies = nw_window_jiffies(tp) - p->began_window_jiffies;
	r->resent_until_ns = r->at[NW_POINT_HANDED];
}

/* A server's response that has been handed over whole. */
static __always_inline void nw_settle_response(const struct nw_flow *flow,
					       struct nw_points *p,
					       const struct tcp_sock *tp,
					       __u32 place, bool closes)
{
	struct nw_ended *e = nw_ended_at(p, place);
	struct nw_http_exchange *x = &e->record;
	const struct nw_request_points *r = nw_request_points(p, x->number);
	bool whole =
		r->number == x->number && nw_seq_before(x->number, p->whole);
	__u64 written;

	e->at[0] = e->start_ns;
	e->at[1] = NW_LATER;
	e->at[2] = NW_LATER;
	if (whole) {
		if (r->at[NW_POINT_WHOLE])
			e->at[1] = r->at[NW_POINT_WHOLE];
		if (r->at[NW_POINT_READ]) {
			e->at[2] = r->at[NW_POINT_READ];
			x->run_queue_ns = r->other_ns;
		}
		x->reordering_ns = r->inner_ns;
	}
	written = nw_began_ns(flow, p, e->first_seq);
	e->at[3] = p->written_ns > e->at[2] ? p->written_ns : e->at[2];
	e->at[4] = written;
	e->at[5] = nw_flow_written(flow, p, nw_ended_seq(p, place) - 1);
	e->at[6] = x->head.ts_ns;
	/* it ends with the connection: close() was its last write */
	if (closes && e->at[5])
		e->at[5] = e->at[6];
	p->written_ns = e->at[5];
	x->early = written && written < e->at[2];
	x->send_buffer_ns = nw_buffer_ns(flow, p);
	x->send_retransmit_ns = p->resent_ns;
	x->receive_window_ns =
		nw_jiffies_ns(nw_window_jiffies(tp) - p->began_window_jiffies);
	x->retransmits = p->resent;
	x->wait_retransmit_ns = 0;
	x->unexplained =
		written && e->at[5] ? NW_EXPLAINED : NW_UNEXPLAINED_NO_WRITE;
	e->resent_until_ns = e->at[6];
}

/*
 * Once per packet that goes out, of a connection with points. Global, so that the
 * verifier looks at it once and not once per path.
 */
NW_HTTP_FN int nw_points_out(struct __sk_buff *ctx,
			     const struct nw_http_connection *c,
			     const struct nw_headers *h, __u64 now)
{
	struct nw_points *p = c ? nw_points_of(c) : NULL;
	struct bpf_sock *sk = ctx->sk;
	const struct nw_http_dir *d;
	const struct nw_flow *flow;
	struct tcp_sock *tp;

	if (!p || !h || !sk)
		return 0;
	tp = nw_points_socket(ctx, sk);
	if (!tp)
		return 0;
	d = &c->http.dir[NW_HTTP_OUT];
	if (nw_seq_before(tp->snd_nxt, h->seq + h->payload_bytes +
					       !!(h->flags & NW_TCP_FIN)))
		nw_points_sent(p, h->seq, now);
	else
		nw_points_resent(c->points, h->seq, now);
	if (d->first_ns != now && !p->fresh && p->settled == p->whole)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	if (d->first_ns == now)
		nw_points_begin_out(flow, p, tp, d->first_seq);
	if (nw_http_role(&c->http) == NW_HTTP_ROLE_CLIENT) {
		NW_HTTP_LOOP
		for (__u32 i = 0; i < NW_REQUESTS; i++) {
			if (p->settled == p->whole)
				break;
			nw_settle_request(flow, p, tp,
					  nw_request_points(p, p->settled));
			p->settled++;
		}
		return 0;
	}
	if (!p->fresh)
		return 0;
	p->fresh = 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED && i < p->used; i++) {
		if (!nw_ended_is(p, i, NW_ENDED_NEW))
			continue;
		nw_settle_response(flow, p, tp, i, !h->payload_bytes);
		nw_ended_set(p, i, NW_ENDED_TO_ACK);
	}
	return 0;
}

#endif /* NW_HTTP_OUT_BPF_H */
