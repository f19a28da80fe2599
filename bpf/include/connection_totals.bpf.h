/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sums over all connections, counted in the kernel: exact even if a record is
 * lost on its way to the reader.
 */
#ifndef NW_CONNECTION_TOTALS_BPF_H
#define NW_CONNECTION_TOTALS_BPF_H

#include "histogram.bpf.h"
#include "retransmit.bpf.h"
#include "socket_life.bpf.h"
#include "volume.bpf.h"

#define EHOSTUNREACH 113
#define ENETUNREACH 101
#define ECONNREFUSED 111
#define ECONNRESET 104
#define ETIMEDOUT 110

/* error.type of a handshake that failed; 0 = it succeeded. */
enum nw_outcome {
	NW_OUTCOME_SUCCESS = 0,
	NW_OUTCOME_REFUSED = 1,
	NW_OUTCOME_RESET = 2,
	NW_OUTCOME_TIMED_OUT = 3,
	NW_OUTCOME_HOST_UNREACHABLE = 4,
	NW_OUTCOME_NET_UNREACHABLE = 5,
	NW_OUTCOME_OTHER = 6,
	NW_OUTCOME_CLOSED =
		7, /* by its own process, before there was an answer */
	NW_OUTCOMES = 8,
};

#define NW_STATES 14

/*
 * Sums over all connections the filter let through; index 0 client, 1 server.
 * The outcomes of clients add up to TcpActiveOpens, those of servers to
 * TcpPassiveOpens, once every handshake is over; those that are neither SUCCESS
 * nor CLOSED to TcpAttemptFails, but for requests that a reset ended before
 * there was a socket (docs/files-and-metrics.md, Causes).
 */
struct nw_connection_totals {
	__u64 outcomes[2][NW_OUTCOMES];
	__u64 bytes_sent; /* of closed connections; each byte once */
	__u64 bytes_received;
	__u64 segs_in;
	__u64 segs_out;
	struct nw_long_histogram handshake[2];
	struct nw_long_histogram duration[2];
	struct nw_fine_histogram rtt;
	struct nw_histogram state[NW_STATES]; /* visits ended */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_connection_totals);
} connection_totals SEC(".maps");

static __always_inline __u32 nw_outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return NW_OUTCOME_REFUSED;
	case ECONNRESET:
		return NW_OUTCOME_RESET;
	case ETIMEDOUT:
		return NW_OUTCOME_TIMED_OUT;
	case EHOSTUNREACH:
		return NW_OUTCOME_HOST_UNREACHABLE;
	case ENETUNREACH:
		return NW_OUTCOME_NET_UNREACHABLE;
	}
	return NW_OUTCOME_OTHER;
}

static __always_inline void nw_count_state(struct nw_connection_totals *totals,
					   int state, __u64 since_ns,
					   __u64 now_ns)
{
	__u32 from = state;

	barrier_var(from);
	if (totals && since_ns && from < NW_STATES)
		nw_histogram_add(&totals->state[from], now_ns - since_ns);
}

static __always_inline void
nw_count_established(struct nw_connection_totals *totals,
		     const struct nw_socket *s, __u32 side)
{
	__sync_fetch_and_add(&totals->outcomes[side][NW_OUTCOME_SUCCESS], 1);
	if (s->handshake_ns)
		nw_long_histogram_add(&totals->handshake[side],
				      s->handshake_ns);
}

/*
 * A handshake is over. If it is not known yet whether it counts, since nobody
 * has accepted the connection, nw_settle_handshake() counts it later.
 */
static __always_inline void
nw_note_handshake(struct nw_connection_totals *totals,
		  const struct nw_turn *turn, int old_state, int marks)
{
	struct nw_socket *s = turn->s;
	__u32 side = nw_is_client(s, old_state) ? 0 : 1;

	/* the server's handshake is its SYN-ACK's round trip */
	if (side)
		s->handshake_ns = (__u64)(turn->tp->srtt_us >> 3) * 1000;
	if (marks & NW_MARK_UNJUDGED) {
		s->uncounted = 1;
		s->syn_recv_us = (turn->now_ns - s->open_ns) / 1000;
	} else if (totals) {
		nw_count_state(totals, old_state, turn->since_ns, turn->now_ns);
		nw_count_established(totals, s, side);
	}
}

static __always_inline void
nw_settle_handshake(struct nw_connection_totals *totals, struct nw_socket *s,
		    int marks)
{
	if (!s->uncounted || (marks & NW_MARK_UNJUDGED) || !totals)
		return;
	s->uncounted = 0;
	nw_count_state(totals, TCP_SYN_RECV, s->open_ns,
		       s->open_ns + s->syn_recv_us * 1000ULL);
	nw_count_established(totals, s, 1);
}

/*
 * True when a handshake succeeds. A socket that fast open has made may be closed
 * or shut down before its SYN-ACK is answered; what it sent and received is as
 * good as any other's.
 */
static __always_inline bool nw_ends_handshake(int old_state, int state)
{
	return state == TCP_ESTABLISHED ||
	       (old_state == TCP_SYN_RECV && state != TCP_CLOSE);
}

/*
 * How a handshake that did not succeed has ended. Without an error its process
 * has closed it, or the kernel could not finish the socket and has orphaned it.
 */
static __always_inline __u32 nw_failure(const struct sock *sk)
{
	if (!sk->sk_err && !(sk->__sk_common.skc_flags & (1UL << SOCK_DEAD)))
		return NW_OUTCOME_CLOSED;
	return nw_outcome_of(sk->sk_err);
}

static __always_inline bool nw_was_established(int old_state)
{
	return old_state != TCP_SYN_SENT && old_state != TCP_SYN_RECV &&
	       old_state != TCP_LISTEN && old_state != TCP_CLOSE;
}

/* How its handshake failed; NW_OUTCOME_SUCCESS: it did not. */
static __always_inline __u32 nw_count_close(struct nw_connection_totals *totals,
					    const struct nw_socket *s,
					    struct sock *sk,
					    struct tcp_sock *tp, int old_state,
					    __u64 now)
{
	__u32 side = nw_role_of(sk, tp, s, old_state) == NW_ROLE_SERVER ? 1 : 0;

	if (!totals)
		return NW_OUTCOME_SUCCESS;
	if (!nw_was_established(old_state)) {
		__u32 outcome = nw_failure(sk);

		/* no SYN: it failed before, or TCP_FASTOPEN_CONNECT waited */
		if (old_state == TCP_SYN_SENT && !nw_is_in_flight(tp))
			return NW_OUTCOME_SUCCESS;
		if (outcome < NW_OUTCOMES)
			__sync_fetch_and_add(&totals->outcomes[side][outcome],
					     1);
		return outcome;
	}
	__sync_fetch_and_add(&totals->bytes_sent,
			     tp->bytes_sent - tp->bytes_retrans);
	/* the kernel counts the FIN as a byte, a SYN-ACK in no socket */
	__sync_fetch_and_add(&totals->bytes_received,
			     tp->bytes_received - !!(sk->__sk_common.skc_flags &
						     (1UL << SOCK_DONE)));
	__sync_fetch_and_add(&totals->segs_in, tp->segs_in);
	__sync_fetch_and_add(&totals->segs_out, tp->segs_out + side);
	if (tp->srtt_us)
		nw_fine_histogram_add(&totals->rtt, tp->srtt_us >> 3);
	if (s->open_ns)
		nw_long_histogram_add(&totals->duration[side],
				      now - s->open_ns -
					      (side ? 0 : s->handshake_ns));
	return NW_OUTCOME_SUCCESS;
}

#endif /* NW_CONNECTION_TOTALS_BPF_H */
