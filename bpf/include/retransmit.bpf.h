/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Retransmitted segments by cause, counted as the kernel counts them
 * (TcpRetransSegs): per socket in its storage, and in total.
 */
#ifndef NW_RETRANSMIT_BPF_H
#define NW_RETRANSMIT_BPF_H

#include "socket.bpf.h"

#define NW_ICSK_TIME_LOSS_PROBE 5
#define NW_TCPHDR_SYN 0x02

struct nw_retransmit_totals {
	__u64 segments[NW_RETRANSMIT_TYPES];
	__u64 recovered; /* of these, found in the socket's own counter */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_retransmit_totals);
} retransmit_totals SEC(".maps");

/*
 * tcp_enter_loss() and tcp_enter_recovery() have set the congestion state by
 * now; a tail loss probe leaves it alone and is still the pending timer.
 */
static __always_inline __u32 nw_retransmit_type(struct tcp_sock *tp,
						__u16 tcp_flags)
{
	__u8 state = nw_congestion_state(tp);

	if (tcp_flags & NW_TCPHDR_SYN)
		return NW_RETRANSMIT_SYN;
	if (state == TCP_CA_Loss)
		return NW_RETRANSMIT_TIMEOUT;
	if (state != TCP_CA_Recovery &&
	    tp->inet_conn.icsk_pending == NW_ICSK_TIME_LOSS_PROBE)
		return NW_RETRANSMIT_TAIL_LOSS_PROBE;
	return NW_RETRANSMIT_FAST;
}

static __always_inline void nw_count_retransmit(struct nw_socket *s, __u32 type,
						__u32 segments)
{
	struct nw_retransmit_totals *totals;
	__u32 zero = 0;

	barrier_var(type);
	if (type >= NW_RETRANSMIT_TYPES)
		return;
	totals = bpf_map_lookup_elem(&retransmit_totals, &zero);
	if (totals)
		__sync_fetch_and_add(&totals->segments[type], segments);
	if (s)
		__sync_fetch_and_add(&s->retransmits[type], segments);
}

/* From here on the socket's retransmissions are ours to count. */
static __always_inline void nw_begin_retransmits(struct nw_socket *s,
						 struct tcp_sock *tp)
{
	s->retrans_counted = tp->total_retrans;
	s->rtos_seen = bpf_core_field_exists(tp->total_rto) ? tp->total_rto : 0;
	s->retrans_known = 1;
}

/* Segments that the socket has sent again and that have not been counted. */
static __always_inline __u32 nw_uncounted(const struct nw_socket *s,
					  struct tcp_sock *tp)
{
	return s->retrans_known ? tp->total_retrans - s->retrans_counted : 0;
}

/*
 * Counts what the tracepoint has not told: some kernels leave programs out now
 * and then, the socket's own counter leaves nothing out. The cause is a guess:
 * what has happened since.
 */
static __always_inline void nw_count_late(struct nw_socket *s,
					  struct tcp_sock *tp, int state,
					  __u32 segments)
{
	struct nw_retransmit_totals *totals;
	__u32 type = NW_RETRANSMIT_FAST, zero = 0;

	if (!segments)
		return;
	if (state == TCP_SYN_SENT)
		type = NW_RETRANSMIT_SYN;
	else if (nw_congestion_state(tp) == TCP_CA_Loss ||
		 (bpf_core_field_exists(tp->total_rto) &&
		  tp->total_rto != s->rtos_seen))
		type = NW_RETRANSMIT_TIMEOUT;
	nw_count_retransmit(s, type, segments);
	totals = bpf_map_lookup_elem(&retransmit_totals, &zero);
	if (totals)
		__sync_fetch_and_add(&totals->recovered, segments);
}

/* The same between two events: once established, at close, at each pull. */
static __always_inline void
nw_recover_retransmits(struct nw_socket *s, struct tcp_sock *tp, int state)
{
	nw_count_late(s, tp, state, nw_uncounted(s, tp));
	nw_begin_retransmits(s, tp);
}

#endif /* NW_RETRANSMIT_BPF_H */
