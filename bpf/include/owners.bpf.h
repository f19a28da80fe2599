/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps the owner of every TCP socket, for a source whose own hooks run where
 * nobody's process does: in the socket's storage, and by the two ends of the
 * connection, for packets that never reach their socket. The bodies of the
 * programs inet_sock_set_state, sys_exit_accept, sys_exit_accept4, task_file
 * and forget_socket.
 */
#ifndef NW_OWNERS_BPF_H
#define NW_OWNERS_BPF_H

#include "descriptor.bpf.h"
#include "owner.bpf.h"

struct nw_ends {
	struct nw_tuple tuple;
	__u32 netns;
};

struct nw_owned {
	__u64 sock;
	struct nw_task task; /* pid 0 = not known */
};

/* Connections from the handshake's end to their close. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct nw_ends);
	__type(value, struct nw_owned);
} owners_by_ends SEC(".maps");

/* The socket at the local end of a connection; NULL if it is not known. */
static __always_inline struct nw_owned *
nw_owner_by_ends(const struct nw_tuple *tuple, __u32 netns)
{
	struct nw_ends ends = {.tuple = *tuple, .netns = netns};

	return bpf_map_lookup_elem(&owners_by_ends, &ends);
}

/* A handshake is over, or a connection. */
static __always_inline void nw_note_ends(struct sock *sk, struct tcp_sock *tp,
					 int state)
{
	struct nw_ends ends = {.netns = nw_sock_netns(sk)};
	struct nw_owned owned = {.sock = (__u64)sk};
	struct nw_socket *s;

	nw_sock_tuple(tp, &ends.tuple);
	if (state == TCP_CLOSE) {
		bpf_map_delete_elem(&owners_by_ends, &ends);
		return;
	}
	s = nw_socket_find(sk);
	if (s)
		owned.task = s->task;
	bpf_map_update_elem(&owners_by_ends, &ends, &owned, BPF_ANY);
}

/* The same for a socket that can only be read field by field. */
static __always_inline void nw_note_owned(struct sock *sk, __u32 netns,
					  const struct nw_task *task,
					  __u64 flag)
{
	struct nw_ends ends = {.netns = netns};
	struct nw_owned owned = {.sock = (__u64)sk, .task = *task};
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (state == TCP_LISTEN || state == TCP_CLOSE || state == TCP_SYN_SENT)
		return;
	nw_probe_tuple(&ends.tuple, sk);
	bpf_map_update_elem(&owners_by_ends, &ends, &owned, flag);
}

/* connect() and listen() run in the process that owns the socket. */
static __always_inline int nw_note_state(struct sock *sk, int old_state,
					 int state)
{
	__u64 key = (__u64)sk;
	struct nw_socket *s;
	struct tcp_sock *tp;

	tp = nw_watched(sk);
	if (!tp)
		return 0;
	if (state == TCP_SYN_SENT || state == TCP_LISTEN) {
		s = nw_socket_make(sk);
		if (!s)
			return 0;
		nw_current_task(&s->task);
		s->owner_source = NW_OWNER_CONNECT;
	} else if (state == TCP_SYN_RECV && old_state != TCP_SYN_SENT) {
		/* told of a socket that had this address before */
		bpf_map_delete_elem(&shared_accepted, &key);
		s = nw_socket_find(sk);
		if (s)
			s->owner_source =
				s->task.pid ? NW_OWNER_LISTENER : NW_OWNER_NONE;
	} else if (state == TCP_ESTABLISHED || state == TCP_CLOSE) {
		nw_note_ends(sk, tp, state);
	}
	return 0;
}

/* accept() has returned a descriptor. */
static __always_inline int nw_note_accept(long fd)
{
	struct nw_task task = {};
	struct sock *sk;
	__u32 netns;
	__u64 key;

	if (fd < 0)
		return 0;
	sk = nw_sock_of_fd(fd);
	if (!sk || !nw_is_tcp(sk))
		return 0;
	netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (!nw_netns_allowed(netns))
		return 0;
	key = (__u64)sk;
	nw_current_task(&task);
	bpf_map_update_elem(&shared_accepted, &key, &task, BPF_ANY);
	nw_note_owned(sk, netns, &task, BPF_ANY);
	return 0;
}

/* Once, at start. */
static __always_inline int nw_note_file(struct bpf_iter__task_file *ctx)
{
	/* read once: older verifiers do not know that a second read is not NULL either */
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct nw_task owner = {};
	struct sock *sk;
	__u32 netns;

	if (!task || !file)
		return 0;
	nw_hold_file(task, file);
	sk = nw_sock_of(file);
	if (!sk || !nw_is_tcp(sk))
		return 0;
	netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (!nw_netns_allowed(netns))
		return 0;
	nw_task_of(&owner, task);
	/* the first who has it open */
	nw_note_owned(sk, netns, &owner, BPF_NOEXIST);
	return 0;
}

/* Before 5.11: what storage in the socket would forget by itself. */
static __always_inline int nw_forget_owner(struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&shared_socket_table, &key);
	return 0;
}

/* Who owns a socket, as far as it is known. */
static __always_inline void nw_fill_owner(struct nw_task *task, struct sock *sk)
{
	struct nw_socket *s = nw_socket_find(sk);

	if (!s)
		return;
	nw_adopt_owner(s, (__u64)sk);
	if (s->owner_source != NW_OWNER_NONE)
		*task = s->task;
}

#endif /* NW_OWNERS_BPF_H */
