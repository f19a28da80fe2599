/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RESET: sent or received, with the kernel's reason where it tells one. */
#ifndef NW_INSIGHT_RESET_BPF_H
#define NW_INSIGHT_RESET_BPF_H

#include "insight/connects.bpf.h"
#include "skb.bpf.h"

/* tcp_send_reset tells a reason, 6.10. */
const volatile bool nw_has_reset_reason = false;

/* sk may be NULL (nothing listens there) or the remains of a connection. */
static __always_inline int nw_reset_sent(struct sock *sk, struct sk_buff *skb,
					 __u32 reason)
{
	struct nw_headers headers = {};
	struct nw_socket *s = NULL;
	struct tcp_sock *tp = NULL;
	struct nw_insight e = {};
	int marks = NW_MARK_NONE;

	if (sk)
		e.head.netns = nw_sock_netns(sk);
	else if (skb)
		e.head.netns = nw_skb_netns(skb);
	if (!nw_netns_allowed(e.head.netns))
		return 0;
	if (sk)
		tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		nw_fill_owned(&e, sk, tp);
		s = nw_socket_find(sk);
	} else {
		e.head.ts_ns = bpf_ktime_get_ns();
		e.head.kind = NW_KIND_INSIGHT;
		e.age_ns = NW_UNKNOWN;
		if (sk)
			e.state = sk->__sk_common.skc_state;
	}
	/* an answer to a packet, or the socket's own decision */
	if (skb && skb->skb_iif && nw_skb_headers(skb, true, &headers))
		e.tuple = headers.tuple;
	else if (!tp)
		return 0;
	e.cause = reason;
	/* what a listener resets nobody will accept */
	if (tp && e.state != TCP_LISTEN)
		marks = nw_insight_judge(&e, sk, s);
	else if (!nw_allowed(&e.tuple, nw_known_owner(s), tp ? sk : NULL))
		marks = NW_OUT;
	if (marks == NW_OUT)
		return 0;
	e.marks = marks;
	nw_emit_insight(&e, NW_EVENT_RESET);
	return 0;
}

static __always_inline int nw_reset_received(struct sock *sk)
{
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
	nw_clear(&e);
	if (!nw_fill_owned(&e, sk, tp))
		return 0;
	e.received = 1;
	nw_emit_insight(&e, NW_EVENT_RESET);
	return 0;
}

#endif /* NW_INSIGHT_RESET_BPF_H */
