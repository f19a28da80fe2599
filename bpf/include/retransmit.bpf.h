/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Retransmitted segments by cause, counted as the kernel counts them
 * (TcpRetransSegs): per socket in its storage, and in total.
 *
 *   cause            what the kernel counts beside      how it is told
 *   fast             TCPFastRetrans                     what nothing below is
 *   tail_loss_probe  TCPLossProbes                      that timer is pending
 *   syn              TCPSynRetrans                      the segment's flag
 *   synack           TCPSynRetrans                      a tracepoint of its own
 *   timeout          TCPTimeouts, TCPSlowStartRetrans   in TCP_CA_Loss, which
 *                                                       an expired timer set
 *   zero_window      nothing                            the same, but the peer
 *                                                       has closed its window
 *   path_mtu         TCPSlowStartRetrans                in TCP_CA_Loss, which
 *                                                       no timer set
 *   fast_open        TCPSlowStartRetrans (TCPFastRe-    the same, with data of
 *                    trans before 5.12)                 the SYN not taken
 *
 * While the kernel deals with an expired retransmission timer no timer is
 * pending: it has taken this one down and not yet set it up again. Whatever else
 * happens with segments in flight happens while one is. What it sends later in
 * the same loss, as answers come in, has the cause of that expiry: remembered
 * with the high_seq that marks the loss.
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
 * True if something that the socket has sent is not acknowledged. The sequence
 * numbers of a connection before are left in a socket that is used again.
 */
static __always_inline bool nw_is_in_flight(struct tcp_sock *tp)
{
	return tp->segs_out && tp->snd_una != tp->snd_nxt;
}

/* True while the kernel deals with an expired retransmission timer. */
static __always_inline bool nw_timer_expired(struct tcp_sock *tp)
{
	return !tp->inet_conn.icsk_pending && nw_is_in_flight(tp);
}

/*
 * True of a window that the peer has closed over what was already sent: an
 * expiry is then no timeout but time to ask again, unless nobody holds the
 * socket any more. `state`: that in which the timer expired.
 */
static __always_inline bool nw_is_window_closed(struct tcp_sock *tp, int state)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	return !tp->snd_wnd && state != TCP_SYN_SENT && state != TCP_SYN_RECV &&
	       !(sk->__sk_common.skc_flags & (1UL << SOCK_DEAD));
}

/*
 * True of an expiry that TCPTimeouts counts, but for those of a SYN-ACK, which
 * are its listener's, also where fast open has made a socket for it already.
 */
static __always_inline bool nw_is_timeout(struct tcp_sock *tp, int state)
{
	return !tp->fastopen_rsk && !nw_is_window_closed(tp, state);
}

/* A server has acknowledged the SYN and not the data in it. */
static __always_inline bool nw_fast_open_refused(struct tcp_sock *tp)
{
	return BPF_CORE_READ_BITFIELD(tp, syn_data) && tp->bytes_acked == 1;
}

/* Why it is in TCP_CA_Loss. */
static __always_inline __u32 nw_loss_cause(struct nw_socket *s,
					   struct tcp_sock *tp)
{
	int state = tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;
	__u8 cause;

	if (nw_timer_expired(tp)) {
		cause = nw_is_window_closed(tp, state) ?
				NW_RETRANSMIT_ZERO_WINDOW :
				NW_RETRANSMIT_TIMEOUT;
		if (s) {
			s->loss_high_seq = tp->high_seq;
			s->loss_cause = cause;
		}
		return cause;
	}
	if (tp->inet_conn.icsk_retransmits)
		return NW_RETRANSMIT_TIMEOUT;
	if (s && s->loss_cause && s->loss_high_seq == tp->high_seq)
		return s->loss_cause;
	if (nw_fast_open_refused(tp))
		return NW_RETRANSMIT_FAST_OPEN;
	/* not seen expiring: only a timer leaves a way back (tcp_init_undo) */
	return tp->undo_marker ? NW_RETRANSMIT_TIMEOUT : NW_RETRANSMIT_PATH_MTU;
}

/*
 * tcp_enter_loss() and tcp_enter_recovery() have set the congestion state by
 * now; a tail loss probe leaves it alone and is still the pending timer.
 */
static __always_inline __u32 nw_retransmit_type(struct nw_socket *s,
						struct tcp_sock *tp,
						__u16 tcp_flags)
{
	__u8 state = nw_congestion_state(tp);

	if (tcp_flags & NW_TCPHDR_SYN)
		return NW_RETRANSMIT_SYN;
	if (state == TCP_CA_Loss)
		return nw_loss_cause(s, tp);
	if (state == TCP_CA_Recovery)
		return NW_RETRANSMIT_FAST;
	if (nw_fast_open_refused(tp))
		return NW_RETRANSMIT_FAST_OPEN;
	return tp->inet_conn.icsk_pending == NW_ICSK_TIME_LOSS_PROBE ?
		       NW_RETRANSMIT_TAIL_LOSS_PROBE :
		       NW_RETRANSMIT_FAST;
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
	if (s && type < NW_SOCKET_RETRANSMITS)
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
 * A SYN-ACK was sent again and counted. Where fast open has made a socket for it
 * already, that socket's counter has it as well, while it is in SYN_RECV.
 */
static __always_inline void nw_note_synack(struct nw_socket *s,
					   struct tcp_sock *tp)
{
	if (nw_uncounted(s, tp))
		s->retrans_counted++;
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
	else if (bpf_core_field_exists(tp->total_rto) &&
		 tp->total_rto != s->rtos_seen)
		type = NW_RETRANSMIT_TIMEOUT;
	else if (nw_congestion_state(tp) == TCP_CA_Loss)
		type = nw_loss_cause(s, tp);
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
