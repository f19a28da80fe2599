/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A socket for hooks that have its address and no type: read field by field.
 */
#ifndef NW_PROBE_BPF_H
#define NW_PROBE_BPF_H

#include "socket.bpf.h"

static __always_inline __u32 nw_probe_netns(struct sock *sk)
{
	return nw_has_kernel_context ?
		       nw_cast(struct sock, sk)
			       ->__sk_common.skc_net.net->ns.inum :
		       BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void nw_probe_tuple(struct nw_tuple *t, struct sock *sk)
{
	struct inet_sock *inet = (struct inet_sock *)sk;

	t->family = nw_read(sk, __sk_common.skc_family);
	t->local_port = bpf_ntohs(nw_read(inet, inet_sport));
	t->peer_port = bpf_ntohs(nw_read(sk, __sk_common.skc_dport));
	if (t->family == AF_INET) {
		nw_map_ipv4(t->local_addr,
			    nw_read(sk, __sk_common.skc_rcv_saddr));
		nw_map_ipv4(t->peer_addr, nw_read(sk, __sk_common.skc_daddr));
		return;
	}
	BPF_CORE_READ_INTO((struct in6_addr *)t->local_addr, sk,
			   __sk_common.skc_v6_rcv_saddr);
	BPF_CORE_READ_INTO((struct in6_addr *)t->peer_addr, sk,
			   __sk_common.skc_v6_daddr);
	if (nw_is_mapped(t->local_addr))
		t->family = AF_INET;
}

#endif /* NW_PROBE_BPF_H */
