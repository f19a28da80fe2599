/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is found by looking: CWND_CHANGE, RTT_UPDATE, SLOW_START, CONG_AVOID,
 * WINDOW_UPDATE, and SACK, which stands in the segment itself.
 */
#ifndef NW_INSIGHT_CHANGES_BPF_H
#define NW_INSIGHT_CHANGES_BPF_H

#include "insight/emit.bpf.h"
#include "insight/sack.bpf.h"
#include "insight/seen.bpf.h"

#define NW_EVENTS_BY_LOOKING                                          \
	(NW_BIT(NW_EVENT_CWND_CHANGE) | NW_BIT(NW_EVENT_RTT_UPDATE) | \
	 NW_BIT(NW_EVENT_SLOW_START) | NW_BIT(NW_EVENT_CONG_AVOID) |  \
	 NW_BIT(NW_EVENT_WINDOW_UPDATE))

/* The rest of a record whose event has happened, and whether it is wanted. */
static __always_inline bool nw_fill_owned(struct nw_insight *e, struct sock *sk,
					  struct tcp_sock *tp)
{
	struct nw_socket *s = nw_socket_find(sk);
	int marks;

	if (s)
		nw_adopt_owner(s, sk);
	nw_fill_insight(e, sk, tp, s);
	marks = nw_insight_judge(e, sk, s);
	e->marks = marks == NW_OUT ? NW_MARK_NONE : marks;
	return marks != NW_OUT;
}

static __always_inline void nw_emit_if(struct nw_insight *e, __u32 happened,
				       __u32 event)
{
	if (nw_wants(event) && (happened & NW_BIT(event)))
		nw_emit_insight(e, event);
}

/* Looks at a socket whose lock is held, and tells what has changed. */
static __always_inline void nw_tell_changes(struct nw_insight *e,
					    struct sock *sk,
					    struct tcp_sock *tp,
					    struct nw_seen *seen)
{
	__u32 happened;

	if (!nw_wants_any(NW_EVENTS_BY_LOOKING))
		return;
	nw_clear(e);
	happened = nw_look(e, seen, tp) & nw_insight_filter.events;
	if (!happened || !nw_fill_owned(e, sk, tp))
		return;
	nw_emit_if(e, happened, NW_EVENT_RTT_UPDATE);
	nw_emit_if(e, happened, NW_EVENT_CWND_CHANGE);
	nw_emit_if(e, happened, NW_EVENT_SLOW_START);
	nw_emit_if(e, happened, NW_EVENT_CONG_AVOID);
	nw_emit_if(e, happened, NW_EVENT_WINDOW_UPDATE);
}

static __always_inline void nw_tell_sack(struct nw_insight *e, struct sock *sk,
					 struct tcp_sock *tp,
					 const struct sk_buff *skb)
{
	if (!nw_wants(NW_EVENT_SACK))
		return;
	nw_clear(e);
	if (nw_read_sack(e, skb) && nw_fill_owned(e, sk, tp))
		nw_emit_insight(e, NW_EVENT_SACK);
}

/* The application has read, and the window may have changed. */
static __always_inline int nw_was_read(struct sock *sk)
{
	struct tcp_sock *tp = nw_watched(sk);
	struct nw_insight e;
	struct nw_seen *seen;

	if (!tp)
		return 0;
	seen = nw_seen_of(sk);
	if (seen)
		nw_tell_changes(&e, sk, tp, seen);
	return 0;
}

#endif /* NW_INSIGHT_CHANGES_BPF_H */
