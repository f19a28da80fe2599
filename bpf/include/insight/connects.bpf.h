/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CONNECT, ACCEPT and CLOSE: how a connection begins and ends. */
#ifndef NW_INSIGHT_CONNECTS_BPF_H
#define NW_INSIGHT_CONNECTS_BPF_H

#include "owner_record.bpf.h"
#include "volume.bpf.h"
#include "insight/recovery.bpf.h"

/*
 * When a socket that waits to be accepted was made, by its address: where
 * accept() returns, its storage is out of reach. Leaves then, or as it closes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} insight_waiting SEC(".maps");

static __always_inline void nw_forget_waiting(__u64 sock)
{
	bpf_map_delete_elem(&insight_waiting, &sock);
}

static __always_inline void nw_begin_insight(struct sock *sk,
					     struct nw_seen *seen, __u32 kind,
					     int state, __u64 now)
{
	__u64 key = (__u64)sk;

	nw_seen_begin(seen);
	if (kind == NW_TURN_CHILD && nw_wants(NW_EVENT_ACCEPT))
		nw_table_set(&insight_waiting, &key, &now);
	if (state != TCP_SYN_SENT)
		return;
	seen->connecting = 1;
	seen->connect_tid = (__u32)bpf_get_current_pid_tgid();
}

/*
 * connect() gives a socket its state before its port, so CONNECT is told at the
 * next hook, with the time of connect(): when the handshake ends, or when the
 * SYN is sent again.
 */
static __always_inline void
nw_tell_connect(struct nw_insight *e, struct sock *sk, struct tcp_sock *tp,
		struct nw_socket *s, struct nw_seen *seen)
{
	if (!seen->connecting)
		return;
	seen->connecting = 0;
	if (!nw_wants(NW_EVENT_CONNECT))
		return;
	nw_clear(e);
	nw_fill_insight(e, sk, tp, s);
	e->head.ts_ns = s->open_ns;
	e->age_ns = 0;
	e->srtt_us = 0;
	e->tid = seen->connect_tid;
	e->old_state = TCP_CLOSE;
	e->state = TCP_SYN_SENT;
	if (nw_insight_judge(e, sk, s) != NW_OUT)
		nw_emit_insight(e, NW_EVENT_CONNECT);
}

static __always_inline void nw_tell_close(struct nw_insight *e, struct sock *sk,
					  struct tcp_sock *tp,
					  struct nw_socket *s, int old_state)
{
	int marks;

	if (!nw_wants(NW_EVENT_CLOSE) && !nw_owner_filtered())
		return;
	nw_clear(e);
	nw_fill_insight(e, sk, tp, s);
	marks = nw_insight_judge(e, sk, s);
	if (marks != NW_OUT && (marks & NW_MARK_UNJUDGED))
		marks = nw_end_unaccepted(sk, s, &e->tuple, marks);
	if (marks == NW_OUT || !nw_wants(NW_EVENT_CLOSE))
		return;
	e->state = TCP_CLOSE;
	e->old_state = old_state;
	e->error = sk->sk_err;
	nw_data_volume(sk, tp, s, old_state, &e->bytes_sent,
		       &e->bytes_received);
	e->bytes = e->bytes_sent + e->bytes_received;
	nw_emit_insight(e, NW_EVENT_CLOSE);
}

/* `states`: the old one and the new one, the tracepoint's second and third. */
static __always_inline int nw_insight_turn(struct sock *sk,
					   const volatile __u64 *states)
{
	int old_state = states[0], state = states[1];
	struct nw_insight e;
	struct nw_turn turn;
	struct nw_seen *seen;
	__u32 kind;

	kind = nw_socket_turn(&turn, sk, old_state, state);
	if (kind == NW_TURN_NONE)
		return 0;
	/* anew: else the verifier goes on with each value that was asked for */
	old_state = states[0];
	state = states[1];
	seen = nw_seen_of(sk);
	if (!seen)
		return 0;
	if (kind != NW_TURN_STATE) {
		nw_begin_insight(sk, seen, kind, state, turn.now_ns);
		return 0;
	}
	if (old_state == TCP_LISTEN || old_state == TCP_CLOSE)
		return 0;
	nw_tell_connect(&e, sk, turn.tp, turn.s, seen);
	/* before ESTABLISHED there is nothing to compare with */
	if (state == TCP_ESTABLISHED || old_state > TCP_SYN_RECV ||
	    old_state == TCP_ESTABLISHED)
		nw_tell_changes(&e, sk, turn.tp, seen);
	nw_tell_last_timeout(&e, sk, turn.tp, old_state, state);
	if (state == TCP_CLOSE) {
		nw_tell_close(&e, sk, turn.tp, turn.s, old_state);
		if (nw_wants(NW_EVENT_ACCEPT))
			nw_forget_waiting((__u64)sk);
	}
	return 0;
}

/* accept() has returned a descriptor: what was kept of the connection is its. */
static __always_inline int nw_insight_accepted(long fd)
{
	struct nw_owner owner = {};
	struct nw_insight e = {};
	struct sock *sk = nw_accepted_by(&owner, fd, true);
	__u64 key = (__u64)sk, *made;
	bool allowed;

	if (!sk || !(nw_wants(NW_EVENT_ACCEPT) || nw_owner_filtered()))
		return 0;
	e.head.ts_ns = bpf_ktime_get_ns();
	e.head.sock = key;
	e.head.kind = NW_KIND_INSIGHT;
	e.head.netns = nw_probe_netns(sk);
	e.task = owner.task;
	e.tid = (__u32)bpf_get_current_pid_tgid();
	e.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	e.age_ns = NW_UNKNOWN;
	made = bpf_map_lookup_elem(&insight_waiting, &key);
	if (made)
		e.age_ns = e.head.ts_ns - *made;
	nw_forget_waiting(key);
	nw_probe_tuple(&e.tuple, sk);
	nw_probe_values(&e, (struct tcp_sock *)sk);
	allowed = nw_allowed(&e.tuple, &owner, sk);
	if (nw_owner_filtered())
		nw_emit_owner(sk, NW_KIND_CONNECTION_OWNER, e.head.netns,
			      &e.tuple, &owner, allowed);
	if (allowed && nw_wants(NW_EVENT_ACCEPT))
		nw_emit_insight(&e, NW_EVENT_ACCEPT);
	return 0;
}

/* A process uses it that no accept() has named: the same. */
static __always_inline int nw_insight_used(struct sock *sk, struct nw_socket *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (nw_take_over(s) == NW_USE_FIRST && tp && nw_owner_filtered())
		nw_emit_user(sk, tp, s, NW_KIND_CONNECTION_OWNER);
	return 0;
}

#endif /* NW_INSIGHT_CONNECTS_BPF_H */
