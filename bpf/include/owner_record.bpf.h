/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The record that shows whose a connection is, for the reader that has kept what came before. */
#ifndef NW_OWNER_RECORD_BPF_H
#define NW_OWNER_RECORD_BPF_H

#include "ring.bpf.h"
#include "socket_life.bpf.h"

static __always_inline void nw_emit_owner(struct sock *sk, __u32 kind,
					  __u32 netns,
					  const struct nw_tuple *tuple,
					  const struct nw_owner *owner,
					  bool allowed)
{
	struct nw_connection_owner *record = nw_reserve(sizeof(*record));

	if (!record)
		return;
	__builtin_memset(record, 0, sizeof(*record));
	record->head.ts_ns = bpf_ktime_get_ns();
	record->head.sock = (__u64)sk;
	record->head.kind = kind;
	record->head.netns = netns;
	record->tuple = *tuple;
	record->task = owner->task;
	nw_fill_acceptor(record, owner);
	record->allowed = allowed;
	nw_submit(record);
}

/* accept() has returned this socket. */
static __always_inline void nw_emit_accepted(struct sock *sk,
					     const struct nw_owner *owner)
{
	struct nw_tuple tuple = {};

	nw_probe_tuple(&tuple, sk);
	if (nw_tuple_allowed(&tuple))
		nw_emit_owner(sk, NW_KIND_CONNECTION_OWNER, nw_probe_netns(sk),
			      &tuple, owner, nw_owner_allowed(owner, sk));
}

/* The process that uses it now is its owner. */
static __always_inline void nw_emit_user(struct sock *sk, struct tcp_sock *tp,
					 const struct nw_socket *s, __u32 kind)
{
	struct nw_tuple tuple = {};

	nw_sock_tuple(tp, &tuple);
	if (nw_tuple_allowed(&tuple))
		nw_emit_owner(sk, kind, nw_sock_netns(sk), &tuple, &s->owner,
			      nw_owner_allowed(&s->owner, sk));
}

/* Nobody has accepted it, so it was its listener's: its marks from now on. */
static __always_inline int nw_end_unaccepted(struct sock *sk,
					     struct nw_socket *s,
					     const struct nw_tuple *tuple,
					     int marks)
{
	bool allowed = nw_counts(marks);

	nw_emit_owner(sk, NW_KIND_CONNECTION_UNACCEPTED, nw_sock_netns(sk),
		      tuple, &s->owner, allowed);
	s->verdict = allowed ? NW_VERDICT_WATCH : NW_VERDICT_IGNORE;
	return allowed ? NW_MARK_NONE : NW_OUT;
}

#endif /* NW_OWNER_RECORD_BPF_H */
