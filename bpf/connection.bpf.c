// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * connection: the life and the state of every TCP connection.
 *
 * Traces  sock:inet_sock_set_state (open, close, failed connect, time in each
 *         state), syscalls:sys_exit_accept{,4} (the accepting process),
 *         sys_exit_listen (the port that it has found),
 *         sock:sock_send_length, sock:sock_recv_length (the one that uses it),
 *         tcp:tcp_retransmit_skb and tcp_retransmit_synack (causes);
 *         iterates task/file once (owners of sockets older than netwatch) and
 *         tcp once per interval (the present value of everything).
 * Emits   nw_connection at open, at close and per iteration, and when a listener
 *         closes whose accept queue has overflowed;
 *         nw_connection_owner at accept and when another process takes over.
 *         Totals in connection_totals.
 * Cost    none per packet; see `make bench` for ns per state change. 50 ns per
 *         call that sends or receives, to know whether the process is new.
 */
#include "connection.bpf.h"
#include "connection_totals.bpf.h"
#include "listeners.bpf.h"
#include "owner_record.bpf.h"
#include "retransmit.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

NW_RECORD(nw_connection);
NW_KEPT(nw_connection);
NW_RECORD(nw_connection_owner);
NW_ENUM(nw_outcome);
NW_ENUM(nw_retransmit_type);
NW_ENUM(nw_role);
NW_ENUM(nw_owner_source);
NW_ENUM(nw_mark);
NW_ENUM(nw_counted);
NW_ENUM(nw_ecn);

static __always_inline void nw_emit_connection(struct sock *sk,
					       const struct nw_turn *turn,
					       const struct nw_tuple *tuple,
					       __u32 kind, int old_state,
					       int state, __u8 marks)
{
	struct nw_connection *c = nw_reserve(sizeof(*c));

	if (!c)
		return;
	__builtin_memset(c, 0, sizeof(*c));
	c->head.kind = kind;
	c->head.ts_ns = turn->now_ns;
	c->tuple = *tuple;
	c->old_state = old_state;
	c->state = state;
	c->marks = marks;
	nw_fill_connection(c, sk, turn->tp, turn->s);
	nw_submit(c);
}

/* True of a listener that closes and has something to tell of its queue. */
static __always_inline bool nw_ends_listening(struct sock *sk, int old_state,
					      int state)
{
	return old_state == TCP_LISTEN && state == TCP_CLOSE &&
	       nw_overflows_of(sk);
}

static __always_inline void nw_state_changed(struct sock *sk, int old_state,
					     int state)
{
	struct nw_connection_totals *totals;
	struct nw_tuple tuple = {};
	struct nw_turn turn;
	struct nw_socket *s;
	__u32 kind, zero = 0;
	int marks;

	kind = nw_socket_turn(&turn, sk, old_state, state);
	nw_listener_turn(&turn, sk, old_state, state);
	if (kind == NW_TURN_NONE)
		return;
	s = turn.s;
	if (kind == NW_TURN_BEGIN)
		nw_begin_retransmits(s, turn.tp);
	/* shut down first and closed later (tcp_close_state()): it stays where it is */
	if (old_state == state) {
		s->state_ns = turn.since_ns;
		return;
	}
	if (kind != NW_TURN_STATE || (old_state == TCP_LISTEN &&
				      !nw_ends_listening(sk, old_state, state)))
		return;
	nw_sock_tuple(turn.tp, &tuple);
	marks = nw_judge(sk, s, &tuple);
	if (old_state == TCP_LISTEN) {
		if (marks != NW_OUT && nw_counts(marks))
			nw_emit_connection(sk, &turn, &tuple,
					   NW_KIND_LISTENER_CLOSE, old_state,
					   state, NW_MARK_NONE);
		return;
	}
	if (state == TCP_CLOSE && marks != NW_OUT && (marks & NW_MARK_UNJUDGED))
		marks = nw_end_unaccepted(sk, s, &tuple, marks);
	if (marks == NW_OUT)
		return;
	totals = bpf_map_lookup_elem(&connection_totals, &zero);
	if (nw_ends_handshake(old_state, state)) {
		/* so far a client has sent SYNs again, and a server nothing */
		nw_recover_retransmits(s, turn.tp, old_state);
		nw_note_handshake(totals, &turn, old_state, marks);
		nw_emit_connection(sk, &turn, &tuple, NW_KIND_CONNECTION_OPEN,
				   old_state, state, marks);
		return;
	}
	nw_settle_handshake(totals, s, marks);
	if (nw_counts(marks))
		nw_count_state(totals, old_state, turn.since_ns, turn.now_ns);
	if (state == TCP_CLOSE) {
		nw_recover_retransmits(s, turn.tp, old_state);
		marks |= nw_count_close(totals, s, sk, turn.tp, old_state,
					turn.now_ns) *
			 NW_MARK_OUTCOME;
		nw_emit_connection(sk, &turn, &tuple, NW_KIND_CONNECTION_CLOSE,
				   old_state, state, marks);
	}
}

NW_NESTED("inet_sock_set_state", inet_sock_set_state)

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int state)
{
	NW_MAY_NEST(inet_sock_set_state);
	/* as it begins too: another CPU may have counted one as it ended */
	if (old_state == TCP_CLOSE && state == TCP_LISTEN)
		nw_forget_overflows(sk);
	nw_state_changed(sk, old_state, state);
	if (old_state == TCP_LISTEN && state == TCP_CLOSE)
		nw_forget_overflows(sk);
	return 0;
}

NW_NESTED("tcp_retransmit_skb", tcp_retransmit_skb)

SEC("?tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, struct sock *sk, struct sk_buff *skb)
{
	struct nw_tuple tuple = {};
	struct tcp_skb_cb *cb = (struct tcp_skb_cb *)skb->cb;
	struct nw_socket *s;
	struct tcp_sock *tp;
	__u32 segments, uncounted, type, late = 0;

	NW_MAY_NEST(tcp_retransmit_skb);
	tp = nw_watched(sk);
	if (!tp)
		return 0;
	s = nw_socket_make(sk);
	segments = BPF_CORE_READ(cb, tcp_gso_segs);
	if (s && s->retrans_known) {
		/* nothing if it failed before TCP counted it: newer kernels tell */
		uncounted = nw_uncounted(s, tp);
		if (segments > uncounted)
			segments = uncounted;
		late = uncounted - segments;
	}
	type = nw_retransmit_type(s, tp, BPF_CORE_READ(cb, tcp_flags));
	if (s)
		nw_adopt_owner(s, sk);
	nw_sock_tuple(tp, &tuple);
	if (nw_socket_allowed(sk, s, &tuple)) {
		if (s)
			nw_count_late(s, tp, TCP_ESTABLISHED, late);
		nw_count_retransmit(s, type, segments);
	}
	if (s)
		nw_begin_retransmits(s, tp);
	return 0;
}

NW_NESTED("tcp_retransmit_synack", tcp_retransmit_synack)

SEC("?tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcp_retransmit_synack, struct sock *sk, struct request_sock *req)
{
	struct nw_tuple tuple = {};
	struct nw_socket *s;
	struct tcp_sock *tp;

	NW_MAY_NEST(tcp_retransmit_synack);
	tp = nw_watched(sk);
	if (!tp)
		return 0;
	s = nw_socket_find(sk);
	if (s)
		nw_note_synack(s, tp);
	nw_request_tuple(&tuple, req);
	if (nw_allowed(&tuple, nw_known_owner(s), sk))
		nw_count_retransmit(s, NW_RETRANSMIT_SYNACK, 1);
	return 0;
}

static __always_inline int nw_accepted(long fd)
{
	struct nw_owner owner = {};
	struct sock *sk = nw_accepted_by(&owner, fd, true);

	if (sk)
		nw_emit_accepted(sk, &owner);
	return 0;
}

/* Its handshake was the affair of the one before, whom accept() has named. */
static __always_inline int nw_used_by(struct sock *sk, struct nw_socket *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct nw_tuple tuple = {};
	__u32 use, zero = 0;
	int marks;

	if (!tp)
		return 0;
	if (s->uncounted) {
		nw_sock_tuple(tp, &tuple);
		marks = nw_judge(sk, s, &tuple);
		if (marks != NW_OUT)
			nw_settle_handshake(
				bpf_map_lookup_elem(&connection_totals, &zero),
				s, marks);
	}
	use = nw_take_over(s);
	if (use != NW_USE_NONE)
		nw_emit_user(sk, tp, s,
			     use == NW_USE_FIRST ? NW_KIND_CONNECTION_OWNER :
						   NW_KIND_CONNECTION_HANDOVER);
	return 0;
}

NW_ACCEPT_PROGRAMS(nw_accepted)
NW_USER_PROGRAMS(nw_used_by)
NW_LISTEN_PROGRAM
NW_HOLDER_PROGRAM
NW_FORGET_PROGRAM

/* too much for the stack beside the rest */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_connection);
} scratch SEC(".maps");

SEC("iter/tcp")
int tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct nw_connection *c;
	struct nw_socket *s;
	struct tcp_sock *tp;
	struct sock *sk;
	__u32 zero = 0;
	int marks;

	if (!common)
		return 0;
	tp = bpf_skc_to_tcp_sock(common);
	if (!tp)
		return 0;
	sk = &tp->inet_conn.icsk_inet.sk;
	if (!nw_netns_allowed(nw_sock_netns(sk)))
		return 0;
	c = bpf_map_lookup_elem(&scratch, &zero);
	if (!c)
		return 0;
	__builtin_memset(c, 0, sizeof(*c));
	nw_sock_tuple(tp, &c->tuple);
	s = nw_subflow_kind(tp) ? nw_socket_make(sk) : nw_socket_find(sk);
	if (s)
		nw_adopt_owner(s, sk);
	if (s && s->owner_source != NW_OWNER_NONE &&
	    sk->__sk_common.skc_state == TCP_LISTEN)
		nw_note_listening(sk, &s->owner, true);
	marks = nw_judge(sk, s, &c->tuple);
	/* a listener is there to be shown; a connection must be somebody's */
	if (marks == NW_OUT || !nw_counts(marks) ||
	    ((marks & NW_MARK_UNJUDGED) &&
	     sk->__sk_common.skc_state != TCP_LISTEN))
		return 0;
	if (s)
		nw_settle_handshake(bpf_map_lookup_elem(&connection_totals,
							&zero),
				    s, NW_MARK_NONE);
	if (s)
		nw_recover_retransmits(s, tp, sk->__sk_common.skc_state);
	c->head.kind = NW_KIND_CONNECTION_SAMPLE;
	c->head.ts_ns = bpf_ktime_get_ns();
	c->state = sk->__sk_common.skc_state;
	c->old_state = c->state;
	nw_fill_connection(c, sk, tp, s);
	bpf_seq_write(ctx->meta->seq, c, sizeof(*c));
	return 0;
}
