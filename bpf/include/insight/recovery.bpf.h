/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * FAST_RECOVERY and TIMEOUT. There is a TIMEOUT for each expiry of a connection's
 * retransmission timer, as TCPTimeouts counts them; that counter has the expiries
 * of SYN-ACKs in it as well, which are RETRANSMIT with the cause synack.
 */
#ifndef NW_INSIGHT_RECOVERY_BPF_H
#define NW_INSIGHT_RECOVERY_BPF_H

#include "insight/changes.bpf.h"
#include "retransmit.bpf.h"

/* tcp_cong_state_set, 5.19: else both are found by looking. */
const volatile bool nw_has_cong_state = false;

/* From one congestion state to another: which event that is, if any. */
static __always_inline void nw_tell_recovery(struct nw_insight *e,
					     struct sock *sk,
					     struct tcp_sock *tp, __u8 old,
					     __u8 ca_state, bool expired)
{
	bool timeout = nw_wants(NW_EVENT_TIMEOUT) && expired;
	bool recovery = nw_wants(NW_EVENT_FAST_RECOVERY) &&
			ca_state == TCP_CA_Recovery && old != TCP_CA_Recovery;

	if (!timeout && !recovery)
		return;
	nw_clear(e);
	if (!nw_fill_owned(e, sk, tp))
		return;
	e->ca_state = ca_state;
	e->old_ca_state = old;
	nw_emit_insight(e, timeout ? NW_EVENT_TIMEOUT : NW_EVENT_FAST_RECOVERY);
}

/* The congestion state is about to be set. */
static __always_inline int nw_cong_state_set(struct sock *sk, __u8 ca_state)
{
	struct tcp_sock *tp = nw_watched(sk);
	struct nw_insight e;
	bool expired;
	__u8 old;

	if (!tp)
		return 0;
	old = nw_congestion_state(tp);
	/* each expired timer sets Loss, also when it is set already */
	expired = ca_state == TCP_CA_Loss &&
		  (old == TCP_CA_Loss || nw_timer_expired(tp)) &&
		  nw_is_timeout(tp, sk->__sk_common.skc_state);
	nw_tell_recovery(&e, sk, tp, old, ca_state, expired);
	return 0;
}

/* The expiry that ends a connection sets no congestion state and sends nothing. */
static __always_inline void nw_tell_last_timeout(struct nw_insight *e,
						 struct sock *sk,
						 struct tcp_sock *tp,
						 int old_state, int state)
{
	__u8 ca_state = nw_congestion_state(tp);

	if (state == TCP_CLOSE && nw_timer_expired(tp) &&
	    nw_is_timeout(tp, old_state))
		nw_tell_recovery(e, sk, tp, ca_state, ca_state, true);
}

/*
 * The same by looking: both begin with a retransmission. The count of timeouts
 * in a row starts anew when something is acknowledged.
 */
static __always_inline void nw_look_for_recovery(struct nw_insight *e,
						 struct sock *sk,
						 struct tcp_sock *tp,
						 struct nw_seen *seen)
{
	__u8 old = seen->ca_state, ca_state = nw_congestion_state(tp);
	__u8 timeouts = tp->inet_conn.icsk_retransmits;
	bool expired = ca_state == TCP_CA_Loss && timeouts &&
		       (timeouts != seen->timeouts ||
			tp->snd_una != seen->timeout_una);

	if (nw_has_cong_state)
		return;
	seen->ca_state = ca_state;
	seen->timeouts = timeouts;
	seen->timeout_una = tp->snd_una;
	nw_tell_recovery(e, sk, tp, old, ca_state, expired);
}

#endif /* NW_INSIGHT_RECOVERY_BPF_H */
