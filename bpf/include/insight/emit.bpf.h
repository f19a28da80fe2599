/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fills the record of an event, judges it by the filters, counts it, hands it
 * over. What is counted is exact even when the ring is full.
 */
#ifndef NW_INSIGHT_EMIT_BPF_H
#define NW_INSIGHT_EMIT_BPF_H

#include "duration.h"
#include "histogram.bpf.h"
#include "ring.bpf.h"
#include "socket.bpf.h"
#include "insight/record.h"

const volatile struct nw_insight_filter nw_insight_filter = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_insight_totals);
} insight_totals SEC(".maps");

/* What the user did not ask for is dead code to the verifier. */
#define nw_wants(event) (nw_insight_filter.events & NW_BIT(event))
#define nw_wants_any(mask) (nw_insight_filter.events & (mask))

static __always_inline void nw_fill_values(struct nw_insight *e,
					   struct tcp_sock *tp)
{
	e->srtt_us = tp->srtt_us;
	e->mdev_us = tp->mdev_us;
	e->min_rtt_us = tp->rtt_min.s[0].v;
	e->cwnd = tp->snd_cwnd;
	e->ssthresh = tp->snd_ssthresh;
	e->rcv_wnd = tp->rcv_wnd;
	e->snd_wnd = tp->snd_wnd;
	e->lost_out = tp->lost_out;
	e->sacked_out = tp->sacked_out;
	e->rto = tp->inet_conn.icsk_rto;
	e->has_sock = 1;
}

/* The same where a program knows the socket by its address alone. */
static __always_inline void nw_probe_values(struct nw_insight *e,
					    struct tcp_sock *tp)
{
	e->srtt_us = BPF_CORE_READ(tp, srtt_us);
	e->mdev_us = BPF_CORE_READ(tp, mdev_us);
	e->min_rtt_us = BPF_CORE_READ(tp, rtt_min.s[0].v);
	e->cwnd = BPF_CORE_READ(tp, snd_cwnd);
	e->ssthresh = BPF_CORE_READ(tp, snd_ssthresh);
	e->rcv_wnd = BPF_CORE_READ(tp, rcv_wnd);
	e->snd_wnd = BPF_CORE_READ(tp, snd_wnd);
	e->lost_out = BPF_CORE_READ(tp, lost_out);
	e->sacked_out = BPF_CORE_READ(tp, sacked_out);
	e->rto = BPF_CORE_READ(tp, inet_conn.icsk_rto);
	e->has_sock = 1;
}

/*
 * A program has one record on its stack and fills it once for each event: two
 * would be too many for the stack.
 */
static __always_inline void nw_clear(struct nw_insight *e)
{
	__builtin_memset(e, 0, sizeof(*e));
}

/* The socket's side of a record: everything but the event itself. */
static __always_inline void nw_fill_insight(struct nw_insight *e,
					    struct sock *sk,
					    struct tcp_sock *tp,
					    struct nw_socket *s)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;

	e->head.ts_ns = bpf_ktime_get_ns();
	e->head.sock = (__u64)sk;
	e->head.kind = NW_KIND_INSIGHT;
	e->head.netns = nw_sock_netns(sk);
	e->state = sk->__sk_common.skc_state;
	e->ca_state = BPF_CORE_READ_BITFIELD(icsk, icsk_ca_state);
	e->old_ca_state = e->ca_state;
	nw_sock_tuple(tp, &e->tuple);
	nw_fill_values(e, tp);
	e->age_ns = NW_UNKNOWN;
	if (!s)
		return;
	e->age_ns = nw_between(s->open_ns, e->head.ts_ns);
	nw_fill_acceptor(e, &s->owner);
	if (s->owner_source != NW_OWNER_NONE)
		e->task = s->owner.task;
}

/* The process is the one that runs: it sends, reads, connects or accepts. */
static __always_inline void nw_fill_current(struct nw_insight *e,
					    struct nw_owner *owner)
{
	nw_current_owner(owner);
	e->task = owner->task;
	if (e->accepted_by == e->task.pid)
		e->accepted_by = 0;
	e->tid = (__u32)bpf_get_current_pid_tgid();
}

/*
 * NW_OUT, or the marks of the record. A function of its own, after which the
 * verifier goes on once and not once for each way through the filter.
 */
static __noinline int nw_insight_judge(const struct nw_insight *e,
				       struct sock *sk, struct nw_socket *s)
{
	return nw_judge(sk, s, &e->tuple);
}

/* The filters by value; what is not known is in no range. */
static __always_inline bool nw_values_allowed(const struct nw_insight *e,
					      __u32 event)
{
	const volatile struct nw_insight_filter *f = &nw_insight_filter;
	__u32 rtt_us = e->srtt_us >> 3;

	if (f->state && f->state != e->state)
		return false;
	if (f->age_asked &&
	    (e->age_ns == NW_UNKNOWN || e->age_ns < f->min_age_ns ||
	     e->age_ns > f->max_age_ns))
		return false;
	if (f->rtt_asked &&
	    (!e->srtt_us || rtt_us < f->min_rtt_us || rtt_us > f->max_rtt_us))
		return false;
	return !f->bytes_asked ||
	       ((NW_BIT(event) & NW_EVENTS_WITH_BYTES) &&
		e->bytes >= f->min_bytes && e->bytes <= f->max_bytes);
}

static __always_inline void nw_count_rtt(struct nw_insight_totals *totals,
					 const struct nw_insight *e)
{
	__u32 us = e->srtt_us >> 3, bits = nw_bit_length(us), bucket = us;

	if (us > 15) {
		barrier_var(bits);
		bits &= 31;
		bucket = 16 * (bits - 4) + ((us >> (bits - 5)) & 15);
	}
	barrier_var(bucket);
	if (bucket < NW_RTT_BUCKETS)
		__sync_fetch_and_add(&totals->rtt[bucket], 1);
	__sync_fetch_and_add(&totals->rtt_us, us);
	__sync_fetch_and_add(&totals->cwnd, e->cwnd);
}

static __always_inline void nw_count_event(const struct nw_insight *e,
					   __u32 event)
{
	struct nw_insight_totals *totals;
	__u32 zero = 0;

	totals = bpf_map_lookup_elem(&insight_totals, &zero);
	if (!totals)
		return;
	barrier_var(event);
	if (event < NW_EVENTS)
		__sync_fetch_and_add(&totals->events[event], 1);
	if (event == NW_EVENT_SEND)
		__sync_fetch_and_add(&totals->bytes_sent, e->bytes);
	else if (event == NW_EVENT_RECEIVE)
		__sync_fetch_and_add(&totals->bytes_received, e->bytes);
	else if (event == NW_EVENT_RETRANSMIT)
		__sync_fetch_and_add(&totals->segments_retransmitted,
				     e->segments);
	else if (event == NW_EVENT_RTT_UPDATE)
		nw_count_rtt(totals, e);
}

/* One event that the filter lets through, or may. */
static __noinline int nw_emit_insight(struct nw_insight *e, __u32 event)
{
	struct nw_insight *record;

	if (!nw_values_allowed(e, event))
		return 0;
	if (!(e->marks & NW_MARK_UNJUDGED))
		nw_count_event(e, event);
	record = nw_reserve(sizeof(*record));
	if (!record)
		return 0;
	*record = *e;
	record->event = event;
	nw_submit(record);
	return 0;
}

#endif /* NW_INSIGHT_EMIT_BPF_H */
