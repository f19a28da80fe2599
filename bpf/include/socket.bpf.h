/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What netwatch remembers about a socket, in the socket itself
 * (BPF_MAP_TYPE_SK_STORAGE: a pointer away, freed with it, no table to fill):
 * its owner, its role, its age and its retransmissions. Maps whose names begin
 * with "shared_" are one and the same in all sources of a process.
 */
#ifndef NW_SOCKET_BPF_H
#define NW_SOCKET_BPF_H

#include "filter.bpf.h"
#include "storage.bpf.h"

enum nw_verdict {
	NW_VERDICT_NONE = 0,
	NW_VERDICT_WATCH = 1,
	NW_VERDICT_IGNORE = 2,
};

struct nw_socket {
	__u64 open_ns; /* 0 = not seen opening */
	__u64 state_ns; /* when it entered its present state; 0 = not seen */
	__u64 handshake_ns; /* 0 = not seen */
	struct nw_task task;
	__u32 retransmits[NW_RETRANSMIT_TYPES];
	__u32 retrans_counted; /* of the socket's own total_retrans */
	__u16 rtos_seen; /* of its total_rto */
	__u8 retrans_known; /* the two above have been set */
	__u8 role;
	__u8 owner_source;
	__u8 verdict;
	__u8 pad[6];
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
	struct nw_socket *s, none = {};

	s = bpf_map_lookup_elem(&shared_socket_table, &key);
	if (s)
		return s;
	bpf_map_update_elem(&shared_socket_table, &key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&shared_socket_table, &key);
}

/* The same, made if it is not there; NULL if there is no memory for it. */
static __always_inline struct nw_socket *nw_socket_make(void *sk)
{
	if (nw_has_socket_storage())
		return nw_storage_make(&shared_sockets, sk);
	return nw_socket_by_address((__u64)sk);
}

/*
 * Who accepted a socket, by the socket's address: the syscall tracepoint that
 * knows the process cannot reach socket storage. Taken over at the next hook
 * that can.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct nw_task);
} shared_accepted SEC(".maps");

static __always_inline __u32 nw_sock_netns(struct sock *sk)
{
	return sk->__sk_common.skc_net.net->ns.inum;
}

/* The socket behind a hook; NULL if it is none of TCP or of another namespace. */
static __always_inline struct tcp_sock *nw_watched(struct sock *sk)
{
	if (!nw_netns_allowed(nw_sock_netns(sk)))
		return NULL;
	return bpf_skc_to_tcp_sock(sk);
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

static __always_inline void nw_task_of(struct nw_task *to,
				       struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	to->pid = task->tgid;
	to->start_ns = leader->start_boottime;
	to->uid = task->cred->uid.val;
	__builtin_memcpy(to->comm, leader->comm, sizeof(to->comm));
}

/* Since 5.11 the current task can be read without a call per field. */
static __always_inline bool nw_has_task_btf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id,
					  BPF_FUNC_get_current_task_btf);
}

static __always_inline void nw_current_task(struct nw_task *to)
{
	struct task_struct *task;

	if (nw_has_task_btf()) {
		nw_task_of(to, bpf_get_current_task_btf());
		return;
	}
	task = (struct task_struct *)bpf_get_current_task();
	to->pid = bpf_get_current_pid_tgid() >> 32;
	to->uid = (__u32)bpf_get_current_uid_gid();
	to->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	/* the process's name: a thread may carry one of its own */
	BPF_CORE_READ_STR_INTO(&to->comm, task, group_leader, comm);
}

/* Takes over what accept() told, if it has told something since. */
static __always_inline void nw_adopt_owner(struct nw_socket *s, __u64 sock)
{
	struct nw_task *task;

	if (s->owner_source > NW_OWNER_LISTENER)
		return;
	task = bpf_map_lookup_elem(&shared_accepted, &sock);
	if (!task)
		return;
	s->task = *task;
	s->owner_source = NW_OWNER_ACCEPT;
	s->verdict = NW_VERDICT_NONE;
	bpf_map_delete_elem(&shared_accepted, &sock);
}

/* True if the filter asks for more than the network namespace. */
static __always_inline bool nw_socket_filtered(void)
{
	return nw_filter.pid_count || nw_filter.comm_length ||
	       nw_filter.cgroup || nw_filter.family ||
	       nw_filter.local_port_count || nw_filter.peer_port_count ||
	       nw_filter.port_count || nw_filter.local_addr_count ||
	       nw_filter.peer_addr_count;
}

/*
 * Whether the filter lets a socket through; remembered in its storage. A
 * filter by process lets nothing through whose owner is not known.
 */
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
	allowed = nw_tuple_allowed(tuple) && nw_cgroup_allowed(sk);
	if (nw_task_filtered())
		allowed = allowed && s && s->owner_source != NW_OWNER_NONE &&
			  nw_task_allowed(&s->task);
	if (remember)
		s->verdict = allowed ? NW_VERDICT_WATCH : NW_VERDICT_IGNORE;
	return allowed;
}

/*
 * The same for one event, by its own ends and the process that it is told of.
 * Nothing is remembered; sk may be NULL.
 */
static __always_inline bool nw_event_allowed(const struct nw_tuple *tuple,
					     const struct nw_task *task,
					     struct sock *sk)
{
	if (!nw_socket_filtered())
		return true;
	if (!nw_tuple_allowed(tuple))
		return false;
	if (nw_filter.cgroup && (!sk || !nw_cgroup_allowed(sk)))
		return false;
	return !nw_task_filtered() || (task->pid && nw_task_allowed(task));
}

#endif /* NW_SOCKET_BPF_H */
