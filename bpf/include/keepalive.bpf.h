/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Segments that TCP gives up though nothing is wrong: probes that ask whether
 * the other end is still there, or whether its window has opened. Their sequence
 * number is the one before the next, on purpose, with a byte at most (RFC 9293,
 * sections 3.8.4 and 3.8.6.1); the answer is all that they want.
 */
#ifndef NW_KEEPALIVE_BPF_H
#define NW_KEEPALIVE_BPF_H

#include "skb.bpf.h"

/* TCP_OLD_SEQUENCE of this kernel; 0 = it has none. Set by the reader. */
const volatile __u32 nw_old_sequence = 0;

/* `sk` (NULL = not known) is to be read field by field. */
static __always_inline bool nw_is_keepalive(struct sock *sk, __u32 reason,
					    const struct nw_headers *h)
{
	__u8 flags =
		h->flags & (NW_TCP_FIN | NW_TCP_SYN | NW_TCP_RST | NW_TCP_ACK);
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	__u8 state;

	if (!sk || !nw_old_sequence || reason != nw_old_sequence ||
	    h->payload_bytes > 1 || flags != NW_TCP_ACK)
		return false;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	/* these two are too short to have a next number */
	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV &&
	       h->seq == BPF_CORE_READ(tp, rcv_nxt) - 1;
}

#endif /* NW_KEEPALIVE_BPF_H */
