/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much data a connection has carried: the kernel's counts without the
 * sequence numbers of SYN and FIN. Which end a connection is, if nobody saw it
 * begin.
 */
#ifndef NW_VOLUME_BPF_H
#define NW_VOLUME_BPF_H

#include "sequence.bpf.h"
#include "socket.bpf.h"

#define NW_SOCK_DONE 1 /* enum sock_flags: the peer's FIN has been taken */

static __always_inline bool nw_fin_queued(int state)
{
	return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 ||
	       state == TCP_CLOSING || state == TCP_LAST_ACK;
}

/*
 * True if every sequence number that was used stands for data or a FIN: no SYN
 * was one of them.
 */
static __always_inline bool nw_syn_is_missing(struct tcp_sock *tp, int state)
{
	__u64 used =
		tp->bytes_acked + nw_seq_distance(tp->snd_nxt, tp->snd_una);
	__u64 data = tp->bytes_sent - tp->bytes_retrans;

	if (nw_fin_queued(state) && tp->snd_nxt == tp->write_seq)
		data++;
	return used == data;
}

/*
 * Which end a connection in `state` is: enum nw_role. One that is older than
 * netwatch shows it: accept() gives a socket the backlog of its listener, and
 * connect() gives it none. Where the listener's is 0, the bytes show it.
 */
static __always_inline __u8 nw_role_of(struct sock *sk, struct tcp_sock *tp,
				       const struct nw_socket *s, int state)
{
	if (s && (s->role == NW_ROLE_CLIENT || s->role == NW_ROLE_SERVER))
		return s->role;
	if (state == TCP_LISTEN)
		return s ? s->role : NW_ROLE_UNKNOWN;
	if (state == TCP_SYN_SENT)
		return NW_ROLE_CLIENT;
	if (state == TCP_SYN_RECV || state == TCP_CLOSE)
		return NW_ROLE_UNKNOWN;
	return sk->sk_max_ack_backlog || nw_syn_is_missing(tp, state) ?
		       NW_ROLE_SERVER :
		       NW_ROLE_CLIENT;
}

/* What is no data in the byte counts of a connection in `state`: enum nw_counted. */
static __always_inline __u8 nw_counted_beside_data(struct sock *sk,
						   struct tcp_sock *tp,
						   const struct nw_socket *s,
						   int state)
{
	__u8 counted = NW_COUNTED_NONE;
	__u64 acked = tp->bytes_acked;

	if (acked && nw_role_of(sk, tp, s, state) == NW_ROLE_CLIENT) {
		counted |= NW_COUNTED_SYN;
		acked--;
	}
	if (acked && nw_fin_queued(state) && tp->snd_una == tp->write_seq)
		counted |= NW_COUNTED_FIN;
	if (tp->bytes_received &&
	    (sk->__sk_common.skc_flags & (1UL << NW_SOCK_DONE)))
		counted |= NW_COUNTED_PEER_FIN;
	return counted;
}

/* Data that the peer has acknowledged, and data received, of a connection in `state`. */
static __always_inline void nw_data_volume(struct sock *sk, struct tcp_sock *tp,
					   const struct nw_socket *s, int state,
					   __u64 *bytes_sent,
					   __u64 *bytes_received)
{
	__u8 counted = nw_counted_beside_data(sk, tp, s, state);

	*bytes_sent = tp->bytes_acked - !!(counted & NW_COUNTED_SYN) -
		      !!(counted & NW_COUNTED_FIN);
	*bytes_received =
		tp->bytes_received - !!(counted & NW_COUNTED_PEER_FIN);
}

#endif /* NW_VOLUME_BPF_H */
