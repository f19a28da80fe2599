/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The record of one event of the source life: filled from its socket, judged by
 * what the user asked for, handed over.
 */
#ifndef NW_LIFE_EMIT_BPF_H
#define NW_LIFE_EMIT_BPF_H

#include "pinned.bpf.h"
#include "ring.bpf.h"
#include "socket.bpf.h"
#include "life_record.h"

#define NW_LIFE_BIT(event) (1U << (event))

const volatile struct nw_life_filter nw_life_filter = {};

/* What the user did not ask for is dead code to the verifier. */
#define nw_wants(event) (nw_life_filter.events & NW_LIFE_BIT(event))

/*
 * Whether the process that connected or accepted is in the user's pinned maps,
 * by the socket's address: later it cannot be asked. Leaves with the connection;
 * one that finds no room is a record lost.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u8);
} life_pinned SEC(".maps");

static __always_inline void nw_remember_pinned(__u64 sock)
{
	__u8 verdict = nw_current_in_pinned_maps();

	if ((nw_by_cgroup_map || nw_by_mntns_map) &&
	    bpf_map_update_elem(&life_pinned, &sock, &verdict, BPF_ANY))
		nw_lose_record();
}

/* `by_process`: the process that runs is the one it is about. */
static __always_inline bool nw_in_pinned_maps(__u64 sock, bool by_process)
{
	__u8 *verdict;

	if (!nw_by_cgroup_map && !nw_by_mntns_map)
		return true;
	verdict = bpf_map_lookup_elem(&life_pinned, &sock);
	if (verdict)
		return *verdict;
	return by_process && nw_current_in_pinned_maps();
}

/* What a socket that had this address before has left behind. */
static __always_inline void nw_forget_before(__u64 sock)
{
	if (nw_by_cgroup_map || nw_by_mntns_map)
		bpf_map_delete_elem(&life_pinned, &sock);
}

/* What a record says of its socket, whatever has happened. */
static __always_inline void nw_fill_life(struct nw_life *e, struct sock *sk,
					 struct tcp_sock *tp,
					 const struct nw_socket *s, __u64 now)
{
	e->head.ts_ns = now;
	e->head.sock = (__u64)sk;
	e->head.kind = NW_KIND_LIFE;
	e->head.netns = nw_sock_netns(sk);
	e->duration_ns = NW_UNKNOWN;
	e->handshake_ns = s->handshake_ns ? s->handshake_ns : NW_UNKNOWN;
	nw_sock_tuple(tp, &e->tuple);
	e->role = s->role;
	nw_fill_acceptor(e, &s->owner);
	if (s->owner_source != NW_OWNER_NONE)
		e->task = s->owner.task;
}

/* `owner`: the one it is told of; NULL = not known. */
static __always_inline bool nw_life_allowed(const struct nw_life *e,
					    const struct nw_owner *owner,
					    struct sock *sk, bool by_process)
{
	if (nw_life_filter.uid_asked &&
	    (!e->task.pid || e->task.uid != nw_life_filter.uid))
		return false;
	return nw_allowed(&e->tuple, owner, sk) &&
	       nw_in_pinned_maps(e->head.sock, by_process);
}

/* The same of the socket's owner. */
static __always_inline bool nw_life_wanted(const struct nw_life *e,
					   struct sock *sk,
					   const struct nw_socket *s,
					   bool by_process)
{
	return nw_life_allowed(e, nw_known_owner(s), sk, by_process);
}

/* One event of a socket that nw_life_allowed() let through. */
static __noinline int nw_emit_life(struct nw_life *e, __u32 event)
{
	struct nw_life *record = nw_reserve(sizeof(*record));

	if (!record)
		return 0;
	*record = *e;
	record->event = event;
	nw_submit(record);
	return 0;
}

#endif /* NW_LIFE_EMIT_BPF_H */
