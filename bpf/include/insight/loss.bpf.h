/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RETRANSMIT, and the two hooks where a loss shows: what TCP does about losses. */
#ifndef NW_INSIGHT_LOSS_BPF_H
#define NW_INSIGHT_LOSS_BPF_H

#include "insight/connects.bpf.h"

/* tcp_retransmit_skb tells of failures too, 6.17. */
const volatile bool nw_has_retransmit_error = false;

/* A segment has arrived and has not been looked at. */
static __always_inline int nw_segment_arrived(struct sock *sk,
					      const struct sk_buff *skb)
{
	struct tcp_sock *tp = nw_watched(sk);
	struct nw_insight e;
	struct nw_seen *seen;

	if (!tp)
		return 0;
	seen = nw_seen_of(sk);
	if (seen) {
		nw_tell_changes(&e, sk, tp, seen);
		/* that a recovery is over shows in what arrives */
		if (!nw_has_cong_state)
			seen->ca_state = nw_congestion_state(tp);
	}
	nw_tell_sack(&e, sk, tp, skb);
	return 0;
}

static __always_inline int nw_retransmitted(struct sock *sk,
					    const struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = (struct tcp_skb_cb *)skb->cb;
	struct tcp_sock *tp = nw_watched(sk);
	struct nw_insight e;
	struct nw_socket *s;
	struct nw_seen *seen;

	if (!tp)
		return 0;
	s = nw_socket_find(sk);
	seen = nw_seen_of(sk);
	if (s && seen)
		nw_tell_connect(&e, sk, tp, s, seen);
	if (seen)
		nw_look_for_recovery(&e, sk, tp, seen);
	if (!nw_wants(NW_EVENT_RETRANSMIT))
		return 0;
	nw_clear(&e);
	if (!nw_fill_owned(&e, sk, tp))
		return 0;
	e.cause = nw_retransmit_type(s, tp, BPF_CORE_READ(cb, tcp_flags));
	e.segments = BPF_CORE_READ(cb, tcp_gso_segs);
	e.seq = BPF_CORE_READ(cb, seq);
	e.bytes = skb->len;
	nw_emit_insight(&e, NW_EVENT_RETRANSMIT);
	return 0;
}

/* The listener's record, with the ends of the request. */
static __always_inline int
nw_synack_retransmitted(struct sock *sk, const struct request_sock *req)
{
	struct tcp_sock *tp = nw_watched(sk);
	struct nw_socket *s;
	struct nw_insight e = {};
	int marks;

	if (!tp)
		return 0;
	s = nw_socket_find(sk);
	e.head.ts_ns = bpf_ktime_get_ns();
	e.head.kind = NW_KIND_INSIGHT;
	e.head.netns = nw_sock_netns(sk);
	e.age_ns = NW_UNKNOWN;
	e.state = TCP_NEW_SYN_RECV;
	e.cause = NW_RETRANSMIT_SYNACK;
	e.segments = 1;
	nw_request_tuple(&e.tuple, req);
	if (s && s->owner_source != NW_OWNER_NONE)
		e.task = s->owner.task;
	marks = nw_insight_judge(&e, sk, s);
	if (marks == NW_OUT)
		return 0;
	e.marks = marks;
	nw_emit_insight(&e, NW_EVENT_RETRANSMIT);
	return 0;
}

#endif /* NW_INSIGHT_LOSS_BPF_H */
