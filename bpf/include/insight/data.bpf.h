/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SEND and RECEIVE: what a process gives to a socket and takes from it. */
#ifndef NW_INSIGHT_DATA_BPF_H
#define NW_INSIGHT_DATA_BPF_H

#include "calls.bpf.h"
#include "insight/changes.bpf.h"
#include "sequence.bpf.h"

static __always_inline int nw_moved(struct sock *sk, int bytes, __u32 event)
{
	struct nw_owner owner = {};
	struct nw_insight e = {};
	struct nw_socket *s;
	struct tcp_sock *tp;

	if (bytes <= 0)
		return 0;
	tp = nw_watched(sk);
	if (!tp)
		return 0;
	s = nw_socket_find(sk);
	nw_fill_insight(&e, sk, tp, s);
	nw_fill_current(&e, &owner);
	e.bytes = bytes;
	e.queued = event == NW_EVENT_SEND ?
			   nw_seq_distance(tp->write_seq, tp->snd_nxt) :
			   nw_seq_distance(tp->rcv_nxt, tp->copied_seq);
	if (nw_allowed(&e.tuple, &owner, sk))
		nw_emit_insight(&e, event);
	return 0;
}

/* A look ahead (MSG_PEEK) takes nothing. */
static __always_inline int nw_received(struct sock *sk, int bytes, int flags)
{
	return flags & NW_MSG_PEEK ? 0 : nw_moved(sk, bytes, NW_EVENT_RECEIVE);
}

/* What nw_fill_insight() reads, field by field; what the socket's storage knows is unknown. */
static __always_inline void nw_probe_fill(struct nw_insight *e, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct inet_connection_sock *icsk = (struct inet_connection_sock *)sk;

	e->head.ts_ns = bpf_ktime_get_ns();
	e->head.sock = (__u64)sk;
	e->head.kind = NW_KIND_INSIGHT;
	e->head.netns = nw_probe_netns(sk);
	e->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	e->ca_state = BPF_CORE_READ_BITFIELD_PROBED(icsk, icsk_ca_state);
	e->old_ca_state = e->ca_state;
	nw_probe_tuple(&e->tuple, sk);
	e->srtt_us = BPF_CORE_READ(tp, srtt_us);
	e->mdev_us = BPF_CORE_READ(tp, mdev_us);
	e->min_rtt_us = BPF_CORE_READ(tp, rtt_min.s[0].v);
	e->cwnd = BPF_CORE_READ(tp, snd_cwnd);
	e->ssthresh = BPF_CORE_READ(tp, snd_ssthresh);
	e->rcv_wnd = BPF_CORE_READ(tp, rcv_wnd);
	e->snd_wnd = BPF_CORE_READ(tp, snd_wnd);
	e->lost_out = BPF_CORE_READ(tp, lost_out);
	e->sacked_out = BPF_CORE_READ(tp, sacked_out);
	e->rto = BPF_CORE_READ(icsk, icsk_rto);
	e->has_sock = 1;
	e->age_ns = NW_UNKNOWN;
}

/* nw_moved() for a hook that knows the socket by its address alone, or not (NULL). */
static __always_inline int nw_probe_moved(struct sock *sk, int bytes,
					  __u32 event)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct nw_owner owner = {};
	struct nw_insight e = {};

	if (!sk || bytes <= 0)
		return 0;
	nw_probe_fill(&e, sk);
	nw_fill_current(&e, &owner);
	e.bytes = bytes;
	e.queued = event == NW_EVENT_SEND ?
			   nw_seq_distance(BPF_CORE_READ(tp, write_seq),
					   BPF_CORE_READ(tp, snd_nxt)) :
			   nw_seq_distance(BPF_CORE_READ(tp, rcv_nxt),
					   BPF_CORE_READ(tp, copied_seq));
	if (nw_allowed(&e.tuple, &owner, sk))
		nw_emit_insight(&e, event);
	return 0;
}

static __always_inline int nw_begin(struct sock *sk, bool is_wanted)
{
	if (!nw_call_begins(sk, is_wanted))
		nw_lose_record();
	return 0;
}

#endif /* NW_INSIGHT_DATA_BPF_H */
