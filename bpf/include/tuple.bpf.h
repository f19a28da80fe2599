/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel itself knows of a socket: its namespace, its two ends, its congestion state. */
#ifndef NW_TUPLE_BPF_H
#define NW_TUPLE_BPF_H

#include "filter.bpf.h"

static __always_inline __u32 nw_sock_netns(struct sock *sk)
{
	return nw_plain(sk)->__sk_common.skc_net.net->ns.inum;
}

/* A whole socket as one of TCP, to be read; NULL if it is none. */
static __always_inline struct tcp_sock *nw_tcp_sock(struct sock *sk)
{
	if (!nw_has_kernel_context)
		return bpf_skc_to_tcp_sock(sk);
	return sk->sk_protocol == NW_IPPROTO_TCP ?
		       nw_cast(struct tcp_sock, sk) :
		       NULL;
}

/* The socket behind a hook; NULL if it is none of TCP or of another namespace. */
static __always_inline struct tcp_sock *nw_watched(struct sock *sk)
{
	return nw_netns_allowed(nw_sock_netns(sk)) ? nw_tcp_sock(sk) : NULL;
}

static __always_inline void nw_map_ipv4(__u8 *to, __be32 addr)
{
	__u32 *words = (__u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = addr;
}

static __always_inline bool nw_is_mapped(const __u8 *addr)
{
	const __u32 *words = (const __u32 *)addr;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

/*
 * inet_sport, not skc_num: at TCP_CLOSE the latter is already 0. IPv4 at an
 * IPv6 socket is IPv4, as its packets are.
 */
static __always_inline void nw_sock_tuple(struct tcp_sock *tp,
					  struct nw_tuple *t)
{
	struct inet_sock *inet = &tp->inet_conn.icsk_inet;
	struct sock *sk = &inet->sk;

	t->family = sk->__sk_common.skc_family;
	t->local_port = bpf_ntohs(inet->inet_sport);
	t->peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (t->family == AF_INET) {
		nw_map_ipv4(t->local_addr, sk->__sk_common.skc_rcv_saddr);
		nw_map_ipv4(t->peer_addr, sk->__sk_common.skc_daddr);
	} else {
		*(struct in6_addr *)t->local_addr =
			sk->__sk_common.skc_v6_rcv_saddr;
		*(struct in6_addr *)t->peer_addr = sk->__sk_common.skc_v6_daddr;
		if (nw_is_mapped(t->local_addr))
			t->family = AF_INET;
	}
}

/* The two ends of a connection that is not one yet. */
static __always_inline void nw_request_tuple(struct nw_tuple *t,
					     const struct request_sock *req)
{
	const struct sock_common *common = &req->__req_common;

	t->family = common->skc_family;
	t->local_port = common->skc_num;
	t->peer_port = bpf_ntohs(common->skc_dport);
	if (t->family == AF_INET) {
		nw_map_ipv4(t->local_addr, common->skc_rcv_saddr);
		nw_map_ipv4(t->peer_addr, common->skc_daddr);
		return;
	}
	*(struct in6_addr *)t->local_addr = common->skc_v6_rcv_saddr;
	*(struct in6_addr *)t->peer_addr = common->skc_v6_daddr;
	if (nw_is_mapped(t->local_addr))
		t->family = AF_INET;
}

/* TCP_CA_… */
static __always_inline __u8 nw_congestion_state(struct tcp_sock *tp)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;

	return BPF_CORE_READ_BITFIELD(icsk, icsk_ca_state);
}

#endif /* NW_TUPLE_BPF_H */
