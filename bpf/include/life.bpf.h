/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the source life does at each change of state, and where connect() and
 * accept() return. Softirqs have no process of their own: what is told there is
 * told of the owner that the socket's storage remembers.
 */
#ifndef NW_LIFE_BPF_H
#define NW_LIFE_BPF_H

#include "duration.h"
#include "life_emit.bpf.h"
#include "owner_record.bpf.h"
#include "volume.bpf.h"

#define NW_ECONNREFUSED 111

/* connect() is told as CONNECT, and as the STATE from CLOSE to SYN_SENT. */
#define NW_LIFE_BY_CONNECT \
	(NW_LIFE_BIT(NW_LIFE_CONNECT) | NW_LIFE_BIT(NW_LIFE_STATE))
#define nw_wants_connect() (nw_life_filter.events & NW_LIFE_BY_CONNECT)

/* Any but ACCEPT comes from a change of state. */
#define nw_sees_states() (nw_life_filter.events & ~NW_LIFE_BIT(NW_LIFE_ACCEPT))

/*
 * Sockets whose connect() has not been told, by address, and when it was. They
 * leave as they leave SYN_SENT; one that finds no room is a record lost.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} life_untold SEC(".maps");

/*
 * The socket that a thread connects: its address, by pid and tid. Threads that
 * are killed meanwhile leave theirs behind. Who has been displaced loses
 * nothing: its connect() is told when SYN_SENT ends, with its own time.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} life_callers SEC(".maps");

/* connect() or listen(): by the process that runs. */
static __always_inline void nw_begin_life(struct sock *sk, int state, __u64 now)
{
	__u64 key = (__u64)sk, caller = bpf_get_current_pid_tgid();

	nw_remember_pinned(key);
	if (state == TCP_SYN_SENT && nw_wants_connect()) {
		if (bpf_map_update_elem(&life_untold, &key, &now, BPF_ANY))
			nw_lose_record();
		bpf_map_update_elem(&life_callers, &caller, &key, BPF_ANY);
	}
}

/*
 * connect() gives a socket its state before its port, so it is told later, with
 * its own time, by who comes first: connect() returning, the SYN sent again, or
 * what ends SYN_SENT. True for the one who is to tell.
 */
static __always_inline bool nw_take_untold(__u64 sock, __u64 *connect_ns)
{
	__u64 *found;

	if (!nw_wants_connect())
		return false;
	found = bpf_map_lookup_elem(&life_untold, &sock);
	if (!found)
		return false;
	*connect_ns = *found;
	return bpf_map_delete_elem(&life_untold, &sock) == 0;
}

/*
 * `sent`: a SYN too; else connect() has failed before, and is no CONNECT. Nor
 * is a further subflow of MPTCP, which no process has asked for.
 */
static __always_inline void nw_emit_connect(struct nw_life *e, __u64 connect_ns,
					    bool sent)
{
	e->head.ts_ns = connect_ns;
	e->old_state = TCP_CLOSE;
	e->state = TCP_SYN_SENT;
	e->error = 0;
	if (nw_wants(NW_LIFE_STATE))
		nw_emit_life(e, NW_LIFE_STATE);
	if (sent && nw_wants(NW_LIFE_CONNECT) && !nw_is_joined(e->head.sock))
		nw_emit_life(e, NW_LIFE_CONNECT);
}

/* SYN_SENT is over: with neither an answer nor an error nothing has been sent. */
static __always_inline void nw_tell_connect(struct nw_life *e, struct sock *sk,
					    const struct nw_socket *s)
{
	__u64 connect_ns = 0, now = e->head.ts_ns;
	__u8 state = e->state;
	__u32 error = e->error;

	if (!nw_take_untold((__u64)sk, &connect_ns) ||
	    !nw_life_wanted(e, sk, s, false))
		return;
	nw_emit_connect(e, connect_ns, state != TCP_CLOSE || error);
	e->head.ts_ns = now;
	e->old_state = TCP_SYN_SENT;
	e->state = state;
	e->error = error;
}

/*
 * What a client gets for its SYN; where both ends connected (SYN_RECV), what
 * ends that.
 */
static __always_inline bool nw_is_answer(const struct nw_socket *s,
					 int old_state, int state)
{
	if (old_state == TCP_SYN_SENT)
		return state != TCP_SYN_RECV;
	return old_state == TCP_SYN_RECV && s->role == NW_ROLE_CLIENT;
}

/* The end of a connect(). How long it took is not known of one that began unseen. */
static __always_inline void nw_tell_answer(struct nw_life *e, struct sock *sk,
					   const struct nw_socket *s)
{
	__u64 least = nw_life_filter.min_latency_ns;
	bool refused = e->state == TCP_CLOSE;

	if (!nw_life_wanted(e, sk, s, false) ||
	    (refused && e->error != NW_ECONNREFUSED))
		return;
	e->duration_ns = nw_between(s->open_ns, e->head.ts_ns);
	if (least && (e->duration_ns == NW_UNKNOWN || e->duration_ns < least))
		return;
	if (refused && nw_wants(NW_LIFE_REFUSED))
		nw_emit_life(e, NW_LIFE_REFUSED);
	else if (!refused && nw_wants(NW_LIFE_ESTABLISHED))
		nw_emit_life(e, NW_LIFE_ESTABLISHED);
}

/*
 * The end of an established connection: its process closes or shuts it down, or
 * a reset comes first. One that nobody has accepted yet was nobody's.
 */
static __always_inline void nw_tell_end(struct nw_life *e, struct sock *sk,
					const struct nw_socket *s)
{
	bool by_process = e->state == TCP_FIN_WAIT1 || e->state == TCP_LAST_ACK;
	bool reset = e->state == TCP_CLOSE &&
		     (e->old_state == TCP_ESTABLISHED ||
		      e->old_state == TCP_CLOSE_WAIT) &&
		     s->owner_source != NW_OWNER_LISTENER;

	if (nw_wants(NW_LIFE_END) && e->old_state != e->state &&
	    (by_process || reset) && nw_life_wanted(e, sk, s, by_process))
		nw_emit_life(e, NW_LIFE_END);
}

/* All in all; of connections only whose beginning was seen. */
static __always_inline void nw_tell_close(struct nw_life *e, struct sock *sk,
					  struct tcp_sock *tp,
					  const struct nw_socket *s)
{
	if (!nw_wants(NW_LIFE_CLOSE) || !s->open_ns ||
	    s->role == NW_ROLE_LISTENER || !nw_life_wanted(e, sk, s, false))
		return;
	e->duration_ns = e->head.ts_ns - s->open_ns - s->handshake_ns;
	e->bytes_acked = tp->bytes_acked;
	e->bytes_received = tp->bytes_received;
	nw_data_volume(sk, tp, s, e->old_state, &e->data_sent,
		       &e->data_received);
	nw_emit_life(e, NW_LIFE_CLOSE);
}

/* Of a connection that nobody has accepted yet: to be kept until somebody does. */
static __always_inline int nw_state_marks(const struct nw_life *e,
					  struct sock *sk, struct nw_socket *s)
{
	int marks = NW_MARK_NONE;

	if (nw_owner_filtered() && s->role == NW_ROLE_SERVER)
		marks = nw_judge(sk, s, &e->tuple);
	if (marks == NW_OUT || (marks & NW_MARK_UNJUDGED))
		return marks;
	return nw_life_wanted(e, sk, s, false) ? NW_MARK_NONE : NW_OUT;
}

static __always_inline void nw_tell_state(struct nw_life *e, struct sock *sk,
					  const struct nw_turn *turn)
{
	int marks;

	if (!nw_wants(NW_LIFE_STATE))
		return;
	marks = nw_state_marks(e, sk, turn->s);
	if (e->state == TCP_CLOSE && marks != NW_OUT &&
	    (marks & NW_MARK_UNJUDGED))
		marks = nw_end_unaccepted(sk, turn->s, &e->tuple, marks);
	if (marks == NW_OUT)
		return;
	e->duration_ns = nw_between(turn->since_ns, e->head.ts_ns);
	e->marks = marks;
	nw_emit_life(e, NW_LIFE_STATE);
	e->marks = NW_MARK_NONE;
	e->duration_ns = NW_UNKNOWN;
}

static __always_inline int nw_life_turn(struct sock *sk, int old_state,
					int state)
{
	struct nw_life e = {};
	struct nw_turn turn;
	struct nw_socket *s;
	__u32 kind;

	kind = nw_socket_turn(&turn, sk, old_state, state);
	if (kind == NW_TURN_NONE)
		return 0;
	s = turn.s;
	if (kind == NW_TURN_BEGIN)
		nw_begin_life(sk, state, turn.now_ns);
	else if (kind == NW_TURN_CHILD)
		nw_forget_before((__u64)sk);
	nw_fill_life(&e, sk, turn.tp, s, turn.now_ns);
	e.state = state;
	e.old_state = old_state;
	e.error = sk->sk_err;
	if (old_state == TCP_SYN_SENT)
		nw_tell_connect(&e, sk, s);
	if (state != TCP_SYN_SENT)
		nw_tell_state(&e, sk, &turn);
	/* further subflows of MPTCP are not connected or closed by a process */
	if (turn.subflow != NW_SUBFLOW_JOINED) {
		if (nw_is_answer(s, old_state, state))
			nw_tell_answer(&e, sk, s);
		else
			nw_tell_end(&e, sk, s);
	}
	if (state == TCP_CLOSE) {
		nw_tell_close(&e, sk, turn.tp, s);
		nw_forget_before((__u64)sk);
	}
	return 0;
}

/* The SYN is sent again: connect() is told now if it has not been. */
static __always_inline int nw_retransmitted(struct sock *sk)
{
	__u64 connect_ns = 0;
	struct nw_life e = {};
	struct nw_socket *s;
	struct tcp_sock *tp;

	if (sk->__sk_common.skc_state != TCP_SYN_SENT ||
	    !nw_take_untold((__u64)sk, &connect_ns))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	s = nw_socket_find(sk);
	if (!tp || !s)
		return 0;
	nw_fill_life(&e, sk, tp, s, connect_ns);
	if (nw_life_wanted(&e, sk, s, false))
		nw_emit_connect(&e, connect_ns, true);
	return 0;
}

/* A record of the current process and a socket read field by field. */
static __always_inline void nw_probe_life(struct nw_life *e, struct sock *sk,
					  const struct nw_owner *owner,
					  __u64 now, __u8 role)
{
	e->head.ts_ns = now;
	e->head.sock = (__u64)sk;
	e->head.kind = NW_KIND_LIFE;
	e->head.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	e->duration_ns = NW_UNKNOWN;
	e->handshake_ns = NW_UNKNOWN;
	e->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	e->role = role;
	nw_probe_tuple(&e->tuple, sk);
	e->task = owner->task;
}

/* connect() has returned, with or without an answer. */
static __always_inline int nw_connect_returned(void)
{
	__u64 caller = bpf_get_current_pid_tgid(), connect_ns = 0, *found, key;
	struct nw_owner owner = {};
	struct nw_life e = {};

	found = bpf_map_lookup_elem(&life_callers, &caller);
	if (!found)
		return 0;
	key = *found;
	bpf_map_delete_elem(&life_callers, &caller);
	if (!nw_take_untold(key, &connect_ns))
		return 0;
	nw_current_owner(&owner);
	nw_probe_life(&e, (struct sock *)key, &owner, connect_ns,
		      NW_ROLE_CLIENT);
	if (nw_life_allowed(&e, &owner, (struct sock *)key, true))
		nw_emit_connect(&e, connect_ns, true);
	return 0;
}

#endif /* NW_LIFE_BPF_H */
