/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SEND and RECEIVE: what a process gives to a socket and takes from it. */
#ifndef NW_INSIGHT_DATA_BPF_H
#define NW_INSIGHT_DATA_BPF_H

#include "insight/changes.bpf.h"

#define NW_MSG_PEEK 2

static __always_inline __u32 nw_ahead(__u32 later, __u32 earlier)
{
	__s32 distance = (__s32)(later - earlier);

	return distance > 0 ? distance : 0;
}

static __always_inline int nw_moved(struct sock *sk, int bytes, __u32 event)
{
	struct nw_insight e = {};
	struct nw_socket *s;
	struct tcp_sock *tp;

	if (bytes <= 0)
		return 0;
	tp = nw_watched(sk);
	if (!tp)
		return 0;
	s = nw_socket_find(sk);
	nw_fill(&e, sk, tp, s);
	nw_fill_current(&e);
	e.bytes = bytes;
	e.queued = event == NW_EVENT_SEND ?
			   nw_ahead(tp->write_seq, tp->snd_nxt) :
			   nw_ahead(tp->rcv_nxt, tp->copied_seq);
	if (nw_insight_allowed(&e, sk))
		nw_emit(&e, event);
	return 0;
}

/* A look ahead (MSG_PEEK) takes nothing. */
static __always_inline int nw_received(struct sock *sk, int bytes, int flags)
{
	return flags & NW_MSG_PEEK ? 0 : nw_moved(sk, bytes, NW_EVENT_RECEIVE);
}

#endif /* NW_INSIGHT_DATA_BPF_H */
