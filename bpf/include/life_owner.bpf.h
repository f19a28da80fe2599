/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the source life tells where a connection gets its process. */
#ifndef NW_LIFE_OWNER_BPF_H
#define NW_LIFE_OWNER_BPF_H

#include "life.bpf.h"

/* accept() has returned a descriptor. */
static __always_inline int nw_life_accepted(long fd)
{
	struct nw_owner owner = {};
	struct nw_life e = {};
	struct sock *sk = nw_accepted_by(&owner, fd, nw_sees_states());

	if (!sk)
		return 0;
	nw_probe_life(&e, sk, &owner, bpf_ktime_get_ns(), NW_ROLE_SERVER);
	if (e.state != TCP_CLOSE)
		nw_remember_pinned((__u64)sk);
	if (nw_wants(NW_LIFE_ACCEPT) && nw_life_allowed(&e, &owner, sk, true))
		nw_emit_life(&e, NW_LIFE_ACCEPT);
	if (nw_wants(NW_LIFE_STATE) && nw_owner_filtered())
		nw_emit_owner(sk, NW_KIND_CONNECTION_OWNER, e.head.netns,
			      &e.tuple, &owner,
			      nw_life_allowed(&e, &owner, sk, true));
	return 0;
}

/* A process uses it that no accept() has named: what was kept is its. */
static __always_inline int nw_life_used(struct sock *sk, struct nw_socket *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct nw_life e = {};

	if (nw_take_over(s) != NW_USE_FIRST || !tp ||
	    !nw_wants(NW_LIFE_STATE) || !nw_owner_filtered())
		return 0;
	nw_fill_life(&e, sk, tp, s, bpf_ktime_get_ns());
	nw_emit_owner(sk, NW_KIND_CONNECTION_OWNER, e.head.netns, &e.tuple,
		      &s->owner, nw_life_wanted(&e, sk, s, true));
	return 0;
}

#endif /* NW_LIFE_OWNER_BPF_H */
