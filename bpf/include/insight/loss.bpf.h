/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RETRANSMIT, FAST_RECOVERY and TIMEOUT: what TCP does about losses. */
#ifndef NW_INSIGHT_LOSS_BPF_H
#define NW_INSIGHT_LOSS_BPF_H

#include "insight/life.bpf.h"
#include "retransmit.bpf.h"

/* tcp_cong_state_set, 5.19: else both are found by looking. */
const volatile bool nw_has_cong_state = false;
/* tcp_retransmit_skb tells of failures too, 6.17. */
const volatile bool nw_has_retransmit_error = false;

/* From one congestion state to another: which event that is, if any. */
static __always_inline void nw_tell_recovery(struct nw_insight *e,
					     struct sock *sk,
					     struct tcp_sock *tp, __u8 old,
					     __u8 ca_state, bool expired)
{
	bool timeout = nw_wants(NW_EVENT_TIMEOUT) && expired;
	bool recovery = nw_wants(NW_EVENT_FAST_RECOVERY) &&
			ca_state == TCP_CA_Recovery && old != TCP_CA_Recovery;

	if (!timeout && !recovery)
		return;
	nw_clear(e);
	if (!nw_fill_owned(e, sk, tp))
		return;
	e->ca_state = ca_state;
	e->old_ca_state = old;
	nw_emit_insight(e, timeout ? NW_EVENT_TIMEOUT : NW_EVENT_FAST_RECOVERY);
}

/* The congestion state is about to be set. */
static __always_inline int nw_cong_state_set(struct sock *sk, __u8 ca_state)
{
	struct tcp_sock *tp = nw_watched(sk);
	struct nw_insight e;

	/* each expired timer sets Loss, also when it is set already */
	if (tp)
		nw_tell_recovery(&e, sk, tp, nw_congestion_state(tp), ca_state,
				 ca_state == TCP_CA_Loss);
	return 0;
}

/*
 * The same by looking: both begin with a retransmission. The count of timeouts
 * in a row starts anew when something is acknowledged.
 */
static __always_inline void nw_look_for_recovery(struct nw_insight *e,
						 struct sock *sk,
						 struct tcp_sock *tp,
						 struct nw_seen *seen)
{
	__u8 old = seen->ca_state, ca_state = nw_congestion_state(tp);
	__u8 timeouts = tp->inet_conn.icsk_retransmits;
	bool expired = ca_state == TCP_CA_Loss && timeouts &&
		       (timeouts != seen->timeouts ||
			tp->snd_una != seen->timeout_una);

	if (nw_has_cong_state)
		return;
	seen->ca_state = ca_state;
	seen->timeouts = timeouts;
	seen->timeout_una = tp->snd_una;
	nw_tell_recovery(e, sk, tp, old, ca_state, expired);
}

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
	e.cause = nw_retransmit_type(tp, BPF_CORE_READ(cb, tcp_flags));
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
	if (nw_allowed(&e.tuple, nw_known_owner(s), sk))
		nw_emit_insight(&e, NW_EVENT_RETRANSMIT);
	return 0;
}

#endif /* NW_INSIGHT_LOSS_BPF_H */
