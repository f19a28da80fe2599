/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP connections that are older than netwatch: who is the client, and whose
 * turn it is.
 */
#ifndef NW_HTTP_MIDSTREAM_BPF_H
#define NW_HTTP_MIDSTREAM_BPF_H

#include "http_exchange.bpf.h"

/*
 * Who connected, of a connection that is older than netwatch: accept() gives a
 * socket the backlog of its listener, which may be gone since. Where that is 0, a
 * socket whose own port has a listener was accepted. enum nw_http_role.
 */
static __always_inline int nw_http_find_role(struct __sk_buff *ctx,
					     struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	struct bpf_sock_tuple to = {};
	struct bpf_sock *listener;

	if (tp && tp->inet_conn.icsk_inet.sk.sk_max_ack_backlog)
		return NW_HTTP_ROLE_SERVER;
	if (ctx->protocol == bpf_htons(ETH_P_IP)) {
		to.ipv4.daddr = sk->src_ip4;
		to.ipv4.dport = bpf_htons(sk->src_port);
		listener = bpf_sk_lookup_tcp(ctx, &to, sizeof(to.ipv4),
					     BPF_F_CURRENT_NETNS, 0);
	} else {
		to.ipv6.daddr[0] = sk->src_ip6[0];
		to.ipv6.daddr[1] = sk->src_ip6[1];
		to.ipv6.daddr[2] = sk->src_ip6[2];
		to.ipv6.daddr[3] = sk->src_ip6[3];
		to.ipv6.dport = bpf_htons(sk->src_port);
		listener = bpf_sk_lookup_tcp(ctx, &to, sizeof(to.ipv6),
					     BPF_F_CURRENT_NETNS, 0);
	}
	if (!listener)
		return NW_HTTP_ROLE_CLIENT;
	bpf_sk_release(listener);
	return NW_HTTP_ROLE_SERVER;
}

/*
 * Whose data came last: 1 + its way, 0 = not known. The kernel keeps when a
 * socket last sent data, received some, and received an acknowledgement; of a
 * client's own data the first of these is this packet's already.
 */
static __always_inline __u32 nw_http_turn(struct sock *sk, __u32 role)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 received;
	bool answered;

	if (!tp)
		return 0;
	received = tp->inet_conn.icsk_ack.lrcvtime;
	if (role == NW_HTTP_ROLE_SERVER) {
		answered = tp->bytes_acked &&
			   (__s32)(tp->lsndtime - received) >= 0;
		return 1 + (answered ? NW_HTTP_OUT : NW_HTTP_IN);
	}
	answered = tp->bytes_received && tp->rcv_tstamp == received;
	return 1 + (answered ? NW_HTTP_IN : NW_HTTP_OUT);
}

/* Global, so that the verifier looks at it once and not once per path. */
NW_HTTP_FN int nw_http_begin_midstream(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct nw_http_connection *c;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	c = bpf_sk_storage_get(&http_connections, sk, 0, 0);
	if (!c)
		return 0;
	if (!c->role)
		c->role = nw_http_find_role(ctx, sk);
	nw_http_midstream(&c->http, nw_http_turn((void *)sk, c->role));
	nw_http_take_for(NW_HTTP_TAKEN_MIDSTREAM);
	return 0;
}

#endif /* NW_HTTP_MIDSTREAM_BPF_H */
