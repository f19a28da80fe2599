/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What netwatch remembers about a socket, in the socket itself
 * (BPF_MAP_TYPE_SK_STORAGE: a pointer away, freed with it, no table to fill):
 * its owner, its role, its age and its retransmissions. Maps whose names begin
 * with "shared_" are one and the same in all sources of a process.
 */
#ifndef NW_SOCKET_BPF_H
#define NW_SOCKET_BPF_H

#include "owner.bpf.h"
#include "storage.bpf.h"
#include "tuple.bpf.h"

enum nw_verdict {
	NW_VERDICT_NONE = 0,
	NW_VERDICT_WATCH = 1,
	NW_VERDICT_IGNORE = 2,
};

struct nw_socket {
	__u64 open_ns; /* 0 = not seen opening */
	__u64 state_ns; /* when it entered its present state; 0 = not seen */
	__u64 handshake_ns; /* 0 = not seen */
	struct nw_owner owner;
	__u32 retransmits[NW_SOCKET_RETRANSMITS];
	__u32 loss_high_seq; /* marks the loss that has loss_cause */
	__u32 retrans_counted; /* of the socket's own total_retrans */
	__u16 rtos_seen; /* of its total_rto */
	__u8 retrans_known; /* the two above have been set */
	__u8 role;
	__u8 owner_source;
	__u8 verdict;
	__u8 uncounted; /* its handshake: the owner was not known yet */
	__u8 loss_cause; /* enum nw_retransmit_type; 0 = no timer has expired */
	__u32 syn_recv_us; /* how long it was in SYN_RECV, if uncounted */
	__u32 given_ms; /* clock / 2^20 when first seen accepted; 0 = not */
};

/* A child gets a copy of its listener's storage: the first guess at its owner. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct nw_socket);
} shared_sockets SEC(".maps");

/*
 * The same by the socket's address, for kernels before 5.11, whose tracing
 * programs cannot reach socket storage; the reader makes it small elsewhere.
 * tcp_destroy_sock removes what is in it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct nw_socket);
} shared_socket_table SEC(".maps");

/* 5.11, as all that tracing programs may do with sockets. */
static __always_inline bool nw_has_socket_storage(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id,
					  BPF_FUNC_sock_from_file);
}

/* What is remembered of a socket; NULL if nothing is. */
static __always_inline struct nw_socket *nw_socket_find(void *sk)
{
	__u64 key = (__u64)sk;

	if (nw_has_socket_storage())
		return bpf_sk_storage_get(&shared_sockets, sk, 0, 0);
	return bpf_map_lookup_elem(&shared_socket_table, &key);
}

static __always_inline struct nw_socket *nw_socket_by_address(__u64 key)
{
	struct nw_socket none = {};

	return nw_table_make(&shared_socket_table, &key, &none);
}

/* The same, made if it is not there; NULL if there is no memory for it. */
static __always_inline struct nw_socket *nw_socket_make(void *sk)
{
	if (nw_has_socket_storage())
		return nw_storage_make(&shared_sockets, sk);
	return nw_socket_by_address((__u64)sk);
}

/* Of a subflow, what is told of the connection that it belongs to. */
static __noinline void nw_adopt_mptcp(struct nw_socket *s, __u64 sock)
{
	__u64 key = nw_mptcp_of(sock);
	struct nw_owner *known =
		key ? bpf_map_lookup_elem(&shared_mptcp, &key) : NULL;

	if (!known || (s->owner_source == NW_OWNER_USER &&
		       s->owner.task.pid == known->task.pid))
		return;
	s->owner = *known;
	s->owner_source = NW_OWNER_USER;
	s->verdict = NW_VERDICT_NONE;
}

/* Takes over what accept() told of a socket of plain TCP, if it has told something since. */
static __always_inline void nw_adopt_accepted(struct nw_socket *s, __u64 key)
{
	struct nw_owner *owner;

	if (s->owner_source > NW_OWNER_LISTENER)
		return;
	owner = bpf_map_lookup_elem(&shared_accepted, &key);
	if (!owner)
		return;
	s->owner = *owner;
	s->owner_source = NW_OWNER_ACCEPT;
	s->verdict = NW_VERDICT_NONE;
	bpf_map_delete_elem(&shared_accepted, &key);
}

/* The same of any socket: what is told of the connection. */
static __always_inline void nw_adopt_owner(struct nw_socket *s, struct sock *sk)
{
	nw_adopt_mptcp(s, (__u64)sk);
	nw_adopt_accepted(s, (__u64)sk);
}

/* What is known of the process that owns a socket; NULL if nothing is. */
static __always_inline const struct nw_owner *
nw_known_owner(const struct nw_socket *s)
{
	const struct nw_owner *owner = NULL;

	if (s && s->owner_source != NW_OWNER_NONE)
		owner = &s->owner;
	/* whoever asks looks at the pointer, not at owner_source again */
	barrier_var(owner);
	return owner;
}

/* True if the filter asks for more than the network namespace. */
static __always_inline bool nw_socket_filtered(void)
{
	return nw_owner_filtered() || nw_filter.family ||
	       nw_filter.local_port_count || nw_filter.peer_port_count ||
	       nw_filter.port_count || nw_filter.local_addr_count ||
	       nw_filter.peer_addr_count;
}

/* Its part that asks for a process: by its number, its name or its cgroup. */
static __always_inline bool nw_owner_allowed(const struct nw_owner *owner,
					     struct sock *sk)
{
	if (nw_task_filtered() &&
	    !(owner && owner->task.pid && nw_task_allowed(&owner->task)))
		return false;
	if (!nw_cgroup_filtered())
		return true;
	if (owner && owner->inside)
		return owner->inside == NW_INSIDE;
	return sk && nw_cgroup_allowed(sk);
}

/*
 * The one filter: whether it lets through what happens between these two ends,
 * of this process (NULL = not known) and at this socket (NULL = at none). A
 * filter by process lets nothing through whose process is not known. The
 * process's cgroup counts, and the socket's where the process is not known.
 */
static __always_inline bool nw_allowed(const struct nw_tuple *tuple,
				       const struct nw_owner *owner,
				       struct sock *sk)
{
	if (!nw_socket_filtered())
		return true;
	return nw_tuple_allowed(tuple) && nw_owner_allowed(owner, sk);
}

/* The same for what happens at a socket outside of its process. */
static __always_inline bool nw_flow_allowed(const struct nw_tuple *tuple,
					    struct sock *sk)
{
	struct nw_socket *s = NULL;

	if (nw_owner_filtered())
		s = nw_socket_find(sk);
	if (s)
		nw_adopt_owner(s, sk);
	return nw_allowed(tuple, nw_known_owner(s), sk);
}

/* So long accept() may take to return after it has given the socket away. */
#define NW_GIVEN_MS 100

/* About a millisecond, never 0. */
static __always_inline __u32 nw_clock_ms(__u64 now_ns)
{
	return (__u32)(now_ns >> 20) | 1;
}

/*
 * True of a connection that nobody has accepted yet: it may become anybody's.
 * One that is accepted and whose process stays unknown (io_uring, for which no
 * system call returns) counts as its listener's after a while.
 */
static __always_inline bool nw_awaits_accept(struct sock *sk,
					     struct nw_socket *s)
{
	__u32 now_ms;

	if (s->role != NW_ROLE_SERVER || s->owner_source > NW_OWNER_LISTENER)
		return false;
	if (!nw_plain(sk)->sk_socket)
		return true;
	now_ms = nw_clock_ms(bpf_ktime_get_ns());
	if (!s->given_ms)
		s->given_ms = now_ms;
	return now_ms - s->given_ms < NW_GIVEN_MS;
}

/* The same for a socket; remembered in its storage. */
static __always_inline bool nw_socket_allowed(struct sock *sk,
					      struct nw_socket *s,
					      const struct nw_tuple *tuple)
{
	/* a listener answers for many peers: each is judged by itself */
	bool remember = s && sk->__sk_common.skc_state != TCP_LISTEN;
	bool allowed;

	if (!nw_socket_filtered())
		return true;
	if (remember && s->verdict)
		return s->verdict == NW_VERDICT_WATCH;
	allowed = nw_allowed(tuple, nw_known_owner(s), sk);
	if (remember && !(nw_owner_filtered() && nw_awaits_accept(sk, s)))
		s->verdict = allowed ? NW_VERDICT_WATCH : NW_VERDICT_IGNORE;
	return allowed;
}

#define NW_OUT (-1)

/*
 * The same where a record can be kept until the connection is accepted: NW_OUT,
 * or the marks of the record.
 */
static __always_inline int nw_judge(struct sock *sk, struct nw_socket *s,
				    const struct nw_tuple *tuple)
{
	bool ends_allowed, allowed;

	if (!nw_socket_filtered())
		return NW_MARK_NONE;
	if (s && s->verdict && sk->__sk_common.skc_state != TCP_LISTEN)
		return s->verdict == NW_VERDICT_WATCH ? NW_MARK_NONE : NW_OUT;
	/* looked at once: the verifier walks each of its ways through the rest */
	ends_allowed = nw_tuple_allowed(tuple);
	allowed = ends_allowed && nw_owner_allowed(nw_known_owner(s), sk);
	if (nw_owner_filtered() && (sk->__sk_common.skc_state == TCP_LISTEN ||
				    (s && nw_awaits_accept(sk, s)))) {
		if (!ends_allowed)
			return NW_OUT;
		return NW_MARK_UNJUDGED |
		       (allowed ? NW_MARK_LISTENER_ALLOWED : 0);
	}
	if (s && sk->__sk_common.skc_state != TCP_LISTEN)
		s->verdict = allowed ? NW_VERDICT_WATCH : NW_VERDICT_IGNORE;
	return allowed ? NW_MARK_NONE : NW_OUT;
}

/* True of what counts now: judged, or else its listener's. */
static __always_inline bool nw_counts(int marks)
{
	return !(marks & NW_MARK_UNJUDGED) ||
	       (marks & NW_MARK_LISTENER_ALLOWED);
}

#endif /* NW_SOCKET_BPF_H */
