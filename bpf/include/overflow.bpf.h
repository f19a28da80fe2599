/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Segments that find the accept queue of their listening socket full: the kernel
 * discards them and counts ListenOverflows and ListenDrops, but names no
 * listener and, for a SYN, gives no reason for the drop. A cgroup_skb program
 * sees each of them just before TCP judges it, with the listener as its socket,
 * and judges as TCP is about to:
 *
 *   segment                 overflows if the queue is full and
 *   SYN                     no request is known between these ends (if one is,
 *                           its SYN-ACK is sent again), and the queue of
 *                           requests has room or SYN cookies are allowed
 *   ACK of a request        it acknowledges the SYN-ACK within the window, and
 *                           TCP_DEFER_ACCEPT does not wait for data
 *   ACK without a request   cookies were sent lately: it may bring one back
 *
 * A reset takes none of these ways. Listeners are not locked: where another CPU
 * takes from the queue or adds to it at this very moment, the two may differ.
 */
#ifndef NW_OVERFLOW_BPF_H
#define NW_OVERFLOW_BPF_H

#include "packet.bpf.h"
#include "sequence.bpf.h"

/* TCP_SYNCOOKIE_VALID of the kernel, in seconds */
#define NW_COOKIE_SECONDS 120

enum nw_overflow {
	NW_OVERFLOW_NONE = 0,
	NW_OVERFLOW_SYN = 1,
	NW_OVERFLOW_ACK = 2, /* would have been a connection */
};

/* How long a jiffy is; 0 = not known. Set by the reader. */
const volatile __u32 nw_overflow_hz = 0;

/* As sk_acceptq_is_full(). */
static __always_inline bool nw_queue_is_full(struct sock *sk)
{
	return sk->sk_ack_backlog > sk->sk_max_ack_backlog;
}

/* inet_csk_reqsk_queue_is_full() without the way out of SYN cookies. */
static __always_inline bool nw_requests_are_full(struct sock *sk)
{
	struct inet_connection_sock *icsk = (struct inet_connection_sock *)sk;
	__u32 requests = BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter);

	return requests > sk->sk_max_ack_backlog &&
	       !BPF_CORE_READ(sk, __sk_common.skc_net.net,
			      ipv4.sysctl_tcp_syncookies);
}

/* As tcp_synq_no_recent_overflow(), the other way round. */
static __always_inline bool nw_sent_cookies(struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct sock_reuseport *group = BPF_CORE_READ(sk, sk_reuseport_cb);
	__u32 last = group ? BPF_CORE_READ(group, synq_overflow_ts) :
			     BPF_CORE_READ(tp, rx_opt.ts_recent_stamp);
	__u32 seconds;

	if (!last || !nw_overflow_hz)
		return last;
	seconds = ((__u32)bpf_jiffies64() - last) / nw_overflow_hz;
	return seconds <= NW_COOKIE_SECONDS;
}

/* What tcp_check_req() asks of the last ACK of a handshake. */
static __always_inline bool nw_completes(struct tcp_request_sock *request,
					 struct sock *listener,
					 const struct nw_headers *h)
{
	struct inet_connection_sock *icsk =
		(struct inet_connection_sock *)listener;
	__u32 next = BPF_CORE_READ(request, rcv_nxt);
	__u32 window = BPF_CORE_READ(request, req.req.__req_common.skc_rcv_wnd);
	__u32 first = BPF_CORE_READ(request, rcv_isn) + 1;

	if (h->ack != BPF_CORE_READ(request, snt_isn) + 1 ||
	    nw_seq_before(h->seq, next) ||
	    nw_seq_before(next + window, h->seq + h->payload_bytes))
		return false;
	return h->payload_bytes || (h->flags & NW_TCP_FIN) || h->seq != first ||
	       BPF_CORE_READ_BITFIELD_PROBED(request, req.req.num_timeout) >=
		       BPF_CORE_READ(icsk, icsk_accept_queue.rskq_defer_accept);
}

static __always_inline __u32 nw_fill_lookup(struct bpf_sock_tuple *ends,
					    const struct nw_headers *h)
{
	const struct nw_tuple *t = &h->tuple;

	if (t->family == AF_INET) {
		ends->ipv4.saddr = *(__u32 *)&t->peer_addr[12];
		ends->ipv4.daddr = *(__u32 *)&t->local_addr[12];
		ends->ipv4.sport = bpf_htons(t->peer_port);
		ends->ipv4.dport = bpf_htons(t->local_port);
		return sizeof(ends->ipv4);
	}
	__builtin_memcpy(ends->ipv6.saddr, t->peer_addr, 16);
	__builtin_memcpy(ends->ipv6.daddr, t->local_addr, 16);
	ends->ipv6.sport = bpf_htons(t->peer_port);
	ends->ipv6.dport = bpf_htons(t->local_port);
	return sizeof(ends->ipv6);
}

static __always_inline struct bpf_sock *nw_look_up(struct __sk_buff *ctx,
						   const struct nw_headers *h)
{
	struct bpf_sock_tuple ends = {};

	/* twice, as the verifier wants to know the size */
	if (nw_fill_lookup(&ends, h) == sizeof(ends.ipv4))
		return bpf_skc_lookup_tcp(ctx, &ends, sizeof(ends.ipv4),
					  BPF_F_CURRENT_NETNS, 0);
	return bpf_skc_lookup_tcp(ctx, &ends, sizeof(ends.ipv6),
				  BPF_F_CURRENT_NETNS, 0);
}

/* What becomes of a segment that came to a full queue. */
static __always_inline __u32 nw_overflow_of(struct __sk_buff *ctx,
					    struct sock *listener,
					    const struct nw_headers *h)
{
	__u8 flags = h->flags & (NW_TCP_SYN | NW_TCP_ACK | NW_TCP_RST);
	bool opens = flags == NW_TCP_SYN && !(h->flags & NW_TCP_FIN);
	__u32 overflow = NW_OVERFLOW_NONE;
	struct tcp_request_sock *request;
	struct bpf_sock *found;

	if (!opens && flags != NW_TCP_ACK)
		return NW_OVERFLOW_NONE;
	found = nw_look_up(ctx, h);
	if (found && found->state == BPF_TCP_NEW_SYN_RECV) {
		request = bpf_skc_to_tcp_request_sock(found);
		if (!opens && request && nw_completes(request, listener, h))
			overflow = NW_OVERFLOW_ACK;
	} else if (opens) {
		if (!nw_requests_are_full(listener))
			overflow = NW_OVERFLOW_SYN;
	} else if (nw_sent_cookies(listener)) {
		overflow = NW_OVERFLOW_ACK;
	}
	if (found)
		bpf_sk_release(found);
	return overflow;
}

/*
 * The listening socket whose accept queue a received packet finds full; NULL for
 * all others, which cost two loads and a comparison.
 */
static __always_inline struct sock *nw_full_listener(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tp;
	struct sock *listener;

	if (!sk || sk->state != BPF_TCP_LISTEN)
		return NULL;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return NULL;
	listener = &tp->inet_conn.icsk_inet.sk;
	return nw_queue_is_full(listener) ? listener : NULL;
}

#endif /* NW_OVERFLOW_BPF_H */
