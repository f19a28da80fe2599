/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SEND and RECEIVE: what a process gives to a socket and takes from it. */
#ifndef NW_INSIGHT_DATA_BPF_H
#define NW_INSIGHT_DATA_BPF_H

#include "calls.bpf.h"
#include "descriptor.bpf.h"
#include "insight/changes.bpf.h"
#include "sequence.bpf.h"
#include "taken.bpf.h"
#include "volume.bpf.h"

/* Bytes that nobody has read yet; a FIN among them is none. */
static __always_inline __u32 nw_unread_bytes(__u32 rcv_nxt, __u32 copied_seq,
					     unsigned long sock_flags)
{
	__u32 bytes = nw_seq_distance(rcv_nxt, copied_seq);

	return bytes && (sock_flags & (1UL << NW_SOCK_DONE)) ? bytes - 1 :
							       bytes;
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
	nw_probe_values(e, tp);
	e->age_ns = NW_UNKNOWN;
}

/* nw_insight_moved() for a hook that knows the socket by its address alone, or not (NULL). */
static __always_inline int nw_probe_moved(struct sock *sk, int bytes,
					  __u32 event)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct nw_owner owner = {};
	struct nw_insight e = {};

	if (!sk || bytes <= 0 || !nw_netns_allowed(nw_probe_netns(sk)))
		return 0;
	nw_probe_fill(&e, sk);
	nw_fill_current(&e, &owner);
	e.bytes = bytes;
	e.queued = event == NW_EVENT_SEND ?
			   nw_seq_distance(BPF_CORE_READ(tp, write_seq),
					   BPF_CORE_READ(tp, snd_nxt)) :
			   nw_unread_bytes(
				   BPF_CORE_READ(tp, rcv_nxt),
				   BPF_CORE_READ(tp, copied_seq),
				   BPF_CORE_READ(sk, __sk_common.skc_flags));
	if (nw_allowed(&e.tuple, &owner, sk))
		nw_emit_insight(&e, event);
	return 0;
}

/* Each in a frame of its own: two records are too many for one. */
static __noinline int nw_tcp_moved(struct sock *sk, struct tcp_sock *tp,
				   int bytes, __u32 event)
{
	struct nw_owner owner = {};
	struct nw_insight e = {};

	nw_fill_insight(&e, sk, tp, nw_socket_find(sk));
	nw_fill_current(&e, &owner);
	e.bytes = bytes;
	e.queued = event == NW_EVENT_SEND ?
			   nw_seq_distance(tp->write_seq, tp->snd_nxt) :
			   nw_unread_bytes(tp->rcv_nxt, tp->copied_seq,
					   sk->__sk_common.skc_flags);
	if (nw_allowed(&e.tuple, &owner, sk))
		nw_emit_insight(&e, event);
	return 0;
}

static __noinline int nw_mptcp_moved(struct sock *sk, int bytes, __u32 event)
{
	return nw_probe_moved(nw_tcp_of(sk), bytes, event);
}

static __always_inline int nw_insight_moved(struct sock *sk, int bytes,
					    __u32 event)
{
	struct tcp_sock *tp;

	if (bytes <= 0)
		return 0;
	tp = nw_watched(sk);
	if (tp)
		return nw_tcp_moved(sk, tp, bytes, event);
	return nw_is_mptcp(sk) ? nw_mptcp_moved(sk, bytes, event) : 0;
}

/* A look ahead (MSG_PEEK) takes nothing. */
static __always_inline int nw_insight_received(struct sock *sk, int bytes,
					       int flags)
{
	return flags & NW_MSG_PEEK ?
		       0 :
		       nw_insight_moved(sk, bytes, NW_EVENT_RECEIVE);
}

static __always_inline int nw_insight_taken(struct sock *sk, __s64 bytes)
{
	return nw_probe_moved(sk, bytes, NW_EVENT_RECEIVE);
}

static __always_inline int nw_insight_begin(struct sock *sk, bool is_wanted)
{
	if (!nw_call_begins(sk, is_wanted))
		nw_lose_record();
	return 0;
}

#endif /* NW_INSIGHT_DATA_BPF_H */
