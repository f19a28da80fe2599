/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the time of HTTP exchanges goes: takes the points of http_points.bpf.h
 * at packets and at reads, for http_parts.bpf.h.
 */
#ifndef NW_HTTP_EXPLAIN_BPF_H
#define NW_HTTP_EXPLAIN_BPF_H

#include "flow.bpf.h"
#include "http_parts.bpf.h"
#include "sequence.bpf.h"

/* What is told of a packet. */
#define NW_POINTS_OUT 1
#define NW_POINTS_DATA 2
#define NW_POINTS_ACK 4

/* ---- what is sent again ---- */

/* Since data was missing until it is sent again; what was counted does not. */
static __always_inline __u64 nw_resend(__u64 *until_ns, __u64 from, __u64 now)
{
	__u64 begin = from > *until_ns ? from : *until_ns;

	*until_ns = now;
	return now > begin ? now - begin : 0;
}

/* When data was handed over first; `now` if that is so long ago that nobody knows. */
static __always_inline __u64 nw_first_sent(const struct nw_points *p, __u32 seq,
					   __u64 now)
{
	__u32 nearest = 1U << 31, us = now >> 10;

	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_SENT_LOG; i++) {
		const struct nw_sent_at *at =
			&p->sent[nw_masked(i, NW_SENT_LOG - 1)];
		__u32 behind = seq - at->seq;

		if (at->us && behind < nearest) {
			nearest = behind;
			us = at->us;
		}
	}
	return now - ((__u64)((__u32)(now >> 10) - us) << 10);
}

static __always_inline bool nw_has_seq(__u32 seq, __u32 first, __u32 end)
{
	return seq - first < end - first;
}

/* This end sends again what begins at `seq`. Rare: a frame of its own. */
NW_HTTP_FN int nw_points_resent(__u32 block, __u32 seq, __u64 now)
{
	struct nw_points *p = nw_points_at(block);
	__u64 from;

	if (!p)
		return 0;
	from = nw_first_sent(p, seq, now);
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED; i++) {
		struct nw_ended *e = &p->ended[nw_masked(i, NW_ENDED - 1)];

		if (e->state == NW_ENDED_TO_ACK &&
		    nw_has_seq(seq, e->first_seq, e->end_seq)) {
			e->record.wait_retransmit_ns +=
				nw_resend(&e->resent_until_ns, from, now);
			e->record.retransmits++;
		}
	}
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_REQUESTS; i++) {
		struct nw_request_points *r =
			&p->request[nw_masked(i, NW_REQUESTS - 1)];

		if (r->at[NW_POINT_HANDED] &&
		    nw_has_seq(seq, r->first_seq, r->end_seq)) {
			r->resent_ns +=
				nw_resend(&r->resent_until_ns, from, now);
			r->retransmits++;
		}
	}
	if (!nw_seq_before(seq, p->began_seq)) {
		p->resent_ns += nw_resend(&p->resent_until_ns, from, now);
		p->resent++;
	}
	return 0;
}

static __always_inline void nw_points_sent(struct nw_points *p, __u32 seq,
					   __u64 now)
{
	struct nw_sent_at *at =
		&p->sent[nw_masked(p->sent_count, NW_SENT_LOG - 1)];

	p->sent_count++;
	at->seq = seq;
	at->us = (__u32)(now >> 10) | 1;
}

/* ---- the message that goes out ---- */

static __always_inline __u32 nw_full_us(struct bpf_sock *sk)
{
	struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);

	return flow ? flow->full_us : 0;
}

static __always_inline void
nw_points_begin_out(struct bpf_sock *sk, struct nw_points *p, __u32 first_seq)
{
	p->began_seq = first_seq;
	p->began_ns = nw_written_ns(sk, p->owner, first_seq);
	p->began_full_us = nw_full_us(sk);
	p->resent_ns = 0;
	p->resent_until_ns = 0;
	p->resent = 0;
}

static __always_inline __u64 nw_began_ns(struct bpf_sock *sk,
					 const struct nw_points *p,
					 __u32 first_seq)
{
	return first_seq == p->began_seq ?
		       p->began_ns :
		       nw_written_ns(sk, p->owner, first_seq);
}

static __always_inline __u64 nw_buffer_ns(struct bpf_sock *sk,
					  const struct nw_points *p)
{
	if (!nw_http_sees_buffer)
		return NW_UNKNOWN;
	return (__u64)(nw_full_us(sk) - p->began_full_us) << 10;
}

/* A client's request that has been handed over whole. */
static __always_inline void nw_settle_request(struct bpf_sock *sk,
					      struct nw_points *p,
					      struct nw_request_points *r)
{
	r->at[NW_POINT_HANDED] = r->at[0];
	r->at[NW_POINT_WRITTEN] = nw_began_ns(sk, p, r->first_seq);
	r->at[NW_POINT_WRITTEN_ALL] =
		nw_written_ns(sk, p->owner, r->end_seq - 1);
	r->inner_ns = nw_buffer_ns(sk, p);
	r->other_ns = p->resent_ns;
	r->retransmits = p->resent;
	r->resent_until_ns = r->at[NW_POINT_HANDED];
}

/* A server's response that has been handed over whole. */
static __always_inline void
nw_settle_response(struct bpf_sock *sk, struct nw_points *p, struct nw_ended *e)
{
	struct nw_http_exchange *x = &e->record;
	const struct nw_request_points *r = nw_request_points(p, x->number);
	bool whole =
		r->number == x->number && nw_seq_before(x->number, p->whole);
	__u64 written;

	e->at[0] = e->start_ns;
	e->at[1] = NW_LATER;
	e->at[2] = NW_LATER;
	if (whole) {
		if (r->at[NW_POINT_WHOLE])
			e->at[1] = r->at[NW_POINT_WHOLE];
		if (r->at[NW_POINT_READ])
			e->at[2] = r->at[NW_POINT_READ];
		x->reordering_ns = r->inner_ns;
		x->run_queue_ns = r->other_ns;
	}
	written = nw_began_ns(sk, p, e->first_seq);
	e->at[3] = p->written_ns > e->at[2] ? p->written_ns : e->at[2];
	e->at[4] = written;
	e->at[5] = nw_written_ns(sk, p->owner, e->end_seq - 1);
	e->at[6] = x->head.ts_ns;
	p->written_ns = e->at[5];
	x->early = written && written < e->at[2];
	x->send_buffer_ns = nw_buffer_ns(sk, p);
	x->send_retransmit_ns = p->resent_ns;
	x->retransmits = p->resent;
	x->wait_retransmit_ns = 0;
	x->unexplained =
		written && e->at[5] ? NW_EXPLAINED : NW_UNEXPLAINED_NO_WRITE;
	e->resent_until_ns = e->at[6];
}

/* Once per packet that goes out, of a connection with points. */
NW_HTTP_FN int nw_points_out(struct __sk_buff *ctx, __u32 seq, __u32 end_seq,
			     __u64 now)
{
	struct nw_http_connection *c = nw_http_connection(ctx);
	struct nw_points *p = c ? nw_points_of(c) : NULL;
	struct bpf_sock *sk = ctx->sk;
	struct bpf_tcp_sock *tp;
	struct nw_http_dir *d;

	if (!p || !sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	tp = sk ? bpf_tcp_sock(sk) : NULL;
	if (!tp)
		return 0;
	d = &c->http.dir[NW_HTTP_OUT];
	if (nw_seq_before(tp->snd_nxt, end_seq))
		nw_points_sent(p, seq, now);
	else
		nw_points_resent(c->points, seq, now);
	if (d->first_ns == now)
		nw_points_begin_out(sk, p, d->first_seq);
	if (nw_http_role(&c->http) == NW_HTTP_ROLE_CLIENT) {
		NW_HTTP_LOOP
		for (__u32 i = 0; i < NW_REQUESTS; i++) {
			if (p->settled == p->whole)
				break;
			nw_settle_request(sk, p,
					  nw_request_points(p, p->settled));
			p->settled++;
		}
		return 0;
	}
	if (!p->fresh)
		return 0;
	p->fresh = 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED; i++) {
		struct nw_ended *e = &p->ended[nw_masked(i, NW_ENDED - 1)];

		if (e->state != NW_ENDED_NEW)
			continue;
		nw_settle_response(sk, p, e);
		nw_http_barrier();
		*(volatile __u32 *)&e->state = NW_ENDED_TO_ACK;
	}
	return 0;
}

/* ---- what comes in ---- */

/* Whether data waits for earlier data; before TCP has the packet. */
static __always_inline void nw_points_order(struct nw_points *p,
					    struct tcp_sock *tp, __u32 seq,
					    bool data, __u64 now)
{
	if (p->gap_ns && !tp->out_of_order_queue.rb_node &&
	    p->filled_ns >= p->gap_ns) {
		p->reordering_ns += p->filled_ns - p->gap_ns;
		p->gap_ns = 0;
	}
	if (!data)
		return;
	if (nw_seq_before(tp->rcv_nxt, seq)) {
		if (!p->gap_ns)
			p->gap_ns = now;
	} else if (p->gap_ns) {
		p->filled_ns = now;
	}
}

/* A client's response that has come whole, but perhaps with a gap before its end. */
static __always_inline void nw_settle_received(struct nw_points *p,
					       struct tcp_sock *tp,
					       struct nw_ended *e, bool gap)
{
	struct nw_http_exchange *x = &e->record;
	const struct nw_request_points *r = nw_request_points(p, x->number);
	__u64 first_ns = e->at[0];

	e->at[0] = p->began_ns;
	e->at[1] = NW_LATER;
	e->at[2] = NW_LATER;
	if (r->number == x->number && nw_seq_before(x->number, p->settled)) {
		e->at[0] = r->at[NW_POINT_WRITTEN];
		e->at[1] = r->at[NW_POINT_WRITTEN_ALL];
		e->at[2] = r->at[NW_POINT_HANDED];
		x->send_buffer_ns = r->inner_ns;
		x->send_retransmit_ns = r->other_ns;
		x->wait_retransmit_ns = r->resent_ns;
		x->retransmits = r->retransmits;
	}
	x->early = first_ns < e->at[2];
	e->at[3] = first_ns;
	e->at[4] = gap ? 0 : x->head.ts_ns;
	x->network_ns = (__u64)tp->rtt_min.s[0].v * 1000;
	x->reordering_ns =
		(gap ? 0 : nw_reordering(p, x->head.ts_ns)) -
		(first_ns == x->head.ts_ns ? nw_reordering(p, first_ns) :
					     p->began_reordering_ns);
	x->unexplained =
		e->at[0] && e->at[1] ? NW_EXPLAINED : NW_UNEXPLAINED_NO_WRITE;
}

static __always_inline void nw_points_acked(struct nw_points *p, __u32 block,
					    __u32 ack, __u64 now)
{
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED; i++) {
		struct nw_ended *e = &p->ended[nw_masked(i, NW_ENDED - 1)];

		if (e->state != NW_ENDED_TO_ACK ||
		    nw_seq_before(ack, e->end_seq) ||
		    __sync_val_compare_and_swap(&e->state, NW_ENDED_TO_ACK,
						NW_ENDED_BUSY) !=
			    NW_ENDED_TO_ACK)
			continue;
		e->record.delivery_ns = nw_between(e->at[6], now);
		nw_ended_emit(block, i);
	}
}

static __always_inline void
nw_points_came(struct nw_points *p, struct tcp_sock *tp, __u32 block, bool gap)
{
	p->fresh = 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED; i++) {
		struct nw_ended *e = &p->ended[nw_masked(i, NW_ENDED - 1)];

		if (e->state != NW_ENDED_NEW)
			continue;
		nw_settle_received(p, tp, e, gap);
		/* all was read before its end was known, which is the connection's */
		if (!gap && !nw_seq_before(tp->copied_seq, e->end_seq)) {
			nw_client_ends(e, e->record.head.ts_ns);
			nw_ended_emit(block, i);
			continue;
		}
		nw_http_barrier();
		*(volatile __u32 *)&e->state = NW_ENDED_TO_READ;
	}
}

/* Once per packet that comes in, of a connection with points; `what`: data, ack. */
NW_HTTP_FN int nw_points_in(struct __sk_buff *ctx, __u32 seq, __u32 ack,
			    __u32 what, __u64 now)
{
	struct nw_http_connection *c = nw_http_connection(ctx);
	struct nw_points *p = c ? nw_points_of(c) : NULL;
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tp;
	bool gap;

	if (!p || !sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	nw_points_order(p, tp, seq, what & NW_POINTS_DATA, now);
	gap = nw_seq_before(tp->rcv_nxt, seq);
	if ((what & NW_POINTS_DATA) && c->http.dir[NW_HTTP_IN].first_ns == now)
		p->began_reordering_ns = nw_reordering(p, now);
	if (nw_http_role(&c->http) == NW_HTTP_ROLE_CLIENT) {
		if (p->fresh)
			nw_points_came(p, tp, c->points, gap);
		return 0;
	}
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_REQUESTS; i++) {
		struct nw_request_points *r;

		if (p->settled == p->whole)
			break;
		r = nw_request_points(p, p->settled);
		if (gap)
			r->at[NW_POINT_WHOLE] = 0;
		else
			r->inner_ns += nw_reordering(p, now);
		p->settled++;
	}
	if (what & NW_POINTS_ACK)
		nw_points_acked(p, c->points, ack, now);
	return 0;
}

/* ---- the application reads ---- */

/* How long the task that runs was kept waiting for a CPU since it was here last. */
static __always_inline __u64 nw_run_queue(struct nw_points *p)
{
	struct task_struct *task;
	__u64 delay, waited = NW_UNKNOWN;

	if (!nw_has_task_btf())
		return NW_UNKNOWN;
	task = bpf_get_current_task_btf();
	if (!bpf_core_field_exists(task->sched_info))
		return NW_UNKNOWN;
	delay = task->sched_info.run_delay;
	if (p->task == (__u32)task->pid)
		waited = delay - p->run_delay_ns;
	p->task = task->pid;
	p->run_delay_ns = delay;
	return waited;
}

static __always_inline void nw_points_reader(struct nw_points *p)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct task_struct *task;

	if (p->pid == pid || !nw_has_task_btf())
		return;
	task = bpf_get_current_task_btf();
	__builtin_memcpy(p->comm, task->group_leader->comm, sizeof(p->comm));
	p->pid = pid;
}

/* The gap before the end was filled by what came last while there was one. */
static __always_inline void nw_points_filled(const struct nw_points *p,
					     __u64 *at, __u64 *reordering_ns)
{
	if (*at || !p->filled_ns)
		return;
	*at = p->filled_ns;
	*reordering_ns += nw_reordering(p, p->filled_ns);
}

static __always_inline void nw_points_read_responses(struct nw_points *p,
						     __u32 block, __u32 copied,
						     __u64 waited, __u64 now)
{
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED; i++) {
		struct nw_ended *e = &p->ended[nw_masked(i, NW_ENDED - 1)];

		if (e->state != NW_ENDED_TO_READ ||
		    nw_seq_before(copied, e->end_seq) ||
		    __sync_val_compare_and_swap(&e->state, NW_ENDED_TO_READ,
						NW_ENDED_BUSY) !=
			    NW_ENDED_TO_READ)
			continue;
		nw_points_filled(p, &e->at[4], &e->record.reordering_ns);
		e->record.run_queue_ns = waited;
		nw_client_ends(e, now);
		nw_ended_emit(block, i);
	}
}

static __always_inline void nw_points_read_requests(struct nw_points *p,
						    __u32 copied, __u64 waited,
						    __u64 now)
{
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_REQUESTS; i++) {
		struct nw_request_points *r = nw_request_points(p, p->unread);

		if (p->unread == p->whole || nw_seq_before(copied, r->end_seq))
			return;
		nw_points_filled(p, &r->at[NW_POINT_WHOLE], &r->inner_ns);
		r->at[NW_POINT_READ] = now;
		r->other_ns = waited;
		p->unread++;
	}
}

static __always_inline void nw_points_read(struct sock *sk)
{
	struct nw_http_connection *c =
		bpf_sk_storage_get(&http_connections, sk, 0, 0);
	struct nw_points *p;
	struct tcp_sock *tp;
	__u64 now, waited;
	__u32 copied;

	if (!c || !c->points)
		return;
	p = nw_points_of(c);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!p || !tp)
		return;
	now = bpf_ktime_get_ns();
	copied = tp->copied_seq;
	nw_points_reader(p);
	waited = nw_run_queue(p);
	if (nw_http_role(&c->http) == NW_HTTP_ROLE_CLIENT)
		nw_points_read_responses(p, c->points, copied, waited, now);
	else
		nw_points_read_requests(p, copied, waited, now);
}

/* ---- a connection's begin and end ---- */

/* Whether payload looks like HTTP, so that a block is worth it. */
static __always_inline bool nw_points_wanted(struct __sk_buff *ctx,
					     const struct nw_headers *h)
{
	__u64 word, space;

	if (h->payload_bytes < sizeof(word) ||
	    bpf_skb_load_bytes(ctx, h->payload_offset, &word, sizeof(word)))
		return true;
	if (nw_http_is_version(word))
		return true;
	space = nw_http_find(word, ' ');
	return nw_http_is_name(word, space ? nw_http_index(space) : 8);
}

static __noinline int nw_points_begin(struct nw_http_connection *c,
				      const struct nw_tuple *tuple)
{
	__u32 zero = 0, block = nw_acquire_request_blocks();
	struct nw_points *p, *none;

	none = bpf_map_lookup_elem(&request_blocks_zero, &zero);
	if (!block || !none ||
	    bpf_map_update_elem(&request_blocks, &block, none, BPF_EXIST))
		return 0;
	p = nw_points_at(block);
	if (!p)
		return 0;
	p->owner = c->sock;
	p->tuple = *tuple;
	p->whole = c->http.in;
	p->settled = c->http.in;
	p->unread = c->http.in;
	nw_http_barrier();
	c->points = block;
	return 0;
}

/* The connection's socket has been made. */
static __always_inline void nw_points_adopt(struct nw_http_connection *c)
{
	struct nw_points *p = c->points ? nw_points_at(c->points) : NULL;

	if (!p)
		return;
	p->owner = c->sock;
	p->settled = p->whole;
}

/* The connection has ended: what waits for its last point gets none. */
static __always_inline void nw_points_end(struct nw_http_connection *c)
{
	struct nw_points *p = nw_points_of(c);

	if (!p)
		return;
	p->closing = 1;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED; i++) {
		struct nw_ended *e = &p->ended[nw_masked(i, NW_ENDED - 1)];
		__u32 state = e->state;

		if ((state != NW_ENDED_TO_ACK && state != NW_ENDED_TO_READ) ||
		    __sync_val_compare_and_swap(&e->state, state,
						NW_ENDED_BUSY) != state)
			continue;
		if (state == NW_ENDED_TO_READ) {
			/* nobody was seen reading its end */
			nw_client_ends(e, 0);
			e->at[5] = 0;
			e->record.unexplained = NW_UNEXPLAINED_NO_READ;
		}
		nw_ended_emit(c->points, i);
	}
}

#endif /* NW_HTTP_EXPLAIN_BPF_H */
