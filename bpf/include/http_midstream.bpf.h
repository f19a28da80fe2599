/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP connections that are older than netwatch: who is the client, and whose
 * turn it is.
 */
#ifndef NW_HTTP_MIDSTREAM_BPF_H
#define NW_HTTP_MIDSTREAM_BPF_H

#include "http_exchange.bpf.h"

/*
 * Who connected, of a connection that is older than netwatch: where its own port
 * has a listener it was accepted. enum nw_http_role.
 */
static __noinline int nw_http_find_role(struct __sk_buff *ctx,
					const struct nw_tuple *tuple)
{
	struct bpf_sock_tuple to = {};
	struct bpf_sock *listener;

	if (tuple->family == AF_INET) {
		to.ipv4.daddr = *(const __u32 *)(tuple->local_addr + 12);
		to.ipv4.dport = bpf_htons(tuple->local_port);
		listener = bpf_sk_lookup_tcp(ctx, &to, sizeof(to.ipv4),
					     BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(to.ipv6.daddr, tuple->local_addr,
				 sizeof(to.ipv6.daddr));
		to.ipv6.dport = bpf_htons(tuple->local_port);
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

	if (!tp)
		return 0;
	received = tp->inet_conn.icsk_ack.lrcvtime;
	if (role == NW_HTTP_ROLE_SERVER)
		return tp->bytes_acked &&
				       (__s32)(tp->lsndtime - received) >= 0 ?
			       1 + NW_HTTP_OUT :
			       0;
	return tp->bytes_received && tp->rcv_tstamp == received ?
		       1 + NW_HTTP_IN :
		       0;
}

static __always_inline void
nw_http_begin_midstream(struct __sk_buff *ctx, struct bpf_sock *sk,
			struct nw_http_connection *c,
			const struct nw_tuple *tuple)
{
	if (!c->role)
		c->role = nw_http_find_role(ctx, tuple);
	nw_http_midstream(&c->http, nw_http_turn((void *)sk, c->role));
	nw_http_take_for(NW_HTTP_TAKEN_MIDSTREAM);
}

#endif /* NW_HTTP_MIDSTREAM_BPF_H */
