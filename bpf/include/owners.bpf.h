/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps the owner of every TCP socket, for a source whose own hooks run where
 * nobody's process does: in the socket's storage, and by the two ends of the
 * connection, or the one of a listener, for packets that never reach their
 * socket. With a filter by
 * process it shows the reader who accepts what. The bodies of the
 * programs inet_sock_set_state, sys_exit_accept, sys_exit_accept4, task_file,
 * user_sends, user_receives, user_reads and forget_socket.
 */
#ifndef NW_OWNERS_BPF_H
#define NW_OWNERS_BPF_H

#include "listeners.bpf.h"
#include "owner_record.bpf.h"

struct nw_owned_ends {
	struct nw_tuple tuple;
	__u32 netns;
};

struct nw_owned {
	__u64 sock;
	struct nw_owner owner; /* pid 0 = not known */
	__u64 unaccepted; /* it is the listener's so far */
};

/* Connections from the handshake's end to their close. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct nw_owned_ends);
	__type(value, struct nw_owned);
} owners_by_ends SEC(".maps");

/* The socket at the local end of a connection; NULL if it is not known. */
static __always_inline struct nw_owned *
nw_owner_by_ends(const struct nw_tuple *tuple, __u32 netns)
{
	struct nw_owned_ends ends = {.tuple = *tuple, .netns = netns};

	return bpf_map_lookup_elem(&owners_by_ends, &ends);
}

/* A handshake is over, or another process uses the connection. */
static __always_inline void nw_note_ends(struct sock *sk, struct tcp_sock *tp,
					 const struct nw_socket *s)
{
	struct nw_owned_ends ends = {.netns = nw_sock_netns(sk)};
	struct nw_owned owned = {.sock = (__u64)sk};

	nw_sock_tuple(tp, &ends.tuple);
	if (s->owner_source != NW_OWNER_NONE)
		owned.owner = s->owner;
	owned.unaccepted = s->role == NW_ROLE_SERVER &&
			   s->owner_source <= NW_OWNER_LISTENER;
	nw_table_set(&owners_by_ends, &ends, &owned);
}

/* A connection is over; nobody may have accepted it. */
static __always_inline void nw_forget_ends(struct sock *sk, struct tcp_sock *tp,
					   struct nw_socket *s)
{
	struct nw_owned_ends ends = {.netns = nw_sock_netns(sk)};
	int marks;

	nw_sock_tuple(tp, &ends.tuple);
	bpf_map_delete_elem(&owners_by_ends, &ends);
	if (!s || !nw_owner_filtered())
		return;
	marks = nw_judge(sk, s, &ends.tuple);
	if (marks != NW_OUT && (marks & NW_MARK_UNJUDGED))
		nw_end_unaccepted(sk, s, &ends.tuple, marks);
}

/*
 * The same as nw_note_ends() for a socket that can only be read field by field;
 * `known`: what is noted already stays.
 */
static __always_inline void
nw_note_owned(struct sock *sk, const struct nw_owner *owner, bool known)
{
	struct nw_owned_ends ends = {.netns = nw_probe_netns(sk)};
	struct nw_owned owned = {.sock = (__u64)sk, .owner = *owner};
	__u8 state = nw_probe_state((__u64)sk);
	bool noted;

	if (state == TCP_LISTEN || state == TCP_CLOSE || state == TCP_SYN_SENT)
		return;
	nw_probe_tuple(&ends.tuple, sk);
	noted = known ? nw_table_add(&owners_by_ends, &ends, &owned) :
			nw_table_set(&owners_by_ends, &ends, &owned);
	/* its hook may have run between the two looks */
	if (noted && nw_probe_state((__u64)sk) == TCP_CLOSE)
		bpf_map_delete_elem(&owners_by_ends, &ends);
}

static __always_inline int nw_note_state(struct sock *sk, int old_state,
					 int state)
{
	struct nw_turn turn;
	__u32 kind = nw_socket_turn(&turn, sk, old_state, state);

	nw_listener_turn(&turn, sk, old_state, state);
	if (state == TCP_CLOSE && turn.tp)
		nw_forget_ends(sk, turn.tp, turn.s);
	else if (state == TCP_ESTABLISHED && kind == NW_TURN_STATE)
		nw_note_ends(sk, turn.tp, turn.s);
	return 0;
}

static __always_inline int nw_note_accept(long fd)
{
	struct nw_owner owner = {};
	struct sock *sk = nw_accepted_by(&owner, fd, true);

	if (!sk)
		return 0;
	nw_note_owned(sk, &owner, false);
	if (nw_owner_filtered())
		nw_emit_accepted(sk, &owner);
	return 0;
}

/* Another process uses it. */
static __always_inline int nw_note_user(struct sock *sk, struct nw_socket *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 use = nw_take_over(s);

	if (use == NW_USE_NONE || !tp)
		return 0;
	nw_note_ends(sk, tp, s);
	if (use == NW_USE_FIRST && nw_owner_filtered())
		nw_emit_user(sk, tp, s, NW_KIND_CONNECTION_OWNER);
	return 0;
}

/* Once, at start: the first who has a socket open. */
static __always_inline int nw_note_file(struct bpf_iter__task_file *ctx)
{
	/* read once: older verifiers do not know that a second read is not NULL either */
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct nw_owner owner = {};
	struct sock *sk;

	if (!task || !file)
		return 0;
	nw_hold_file(ctx);
	sk = nw_sock_of(file);
	sk = sk ? nw_tcp_of(sk) : NULL;
	if (!sk || !nw_netns_allowed(nw_probe_netns(sk)))
		return 0;
	nw_owner_of(&owner, task);
	if (nw_probe_state((__u64)sk) == TCP_LISTEN)
		nw_note_listening(sk, &owner, true);
	else
		nw_note_owned(sk, &owner, true);
	return 0;
}

#endif /* NW_OWNERS_BPF_H */
