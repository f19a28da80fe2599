/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The application reads what has come: the point in time, who it is, and whether
 * it had a CPU. Part of http_explain.bpf.h.
 */
#ifndef NW_HTTP_READ_BPF_H
#define NW_HTTP_READ_BPF_H

#include "http_parts.bpf.h"
#include "sequence.bpf.h"

/* How long the task that runs has been kept waiting for a CPU in all. */
static __always_inline __u64 nw_run_delay(struct nw_points *p,
					  struct task_struct *task, __u64 now)
{
	if (!bpf_core_field_exists(task->sched_info))
		return NW_UNKNOWN;
	if (p->task != (__u32)task->pid) {
		p->task = task->pid;
		p->task_ns = now;
	}
	p->run_delay_ns = task->sched_info.run_delay;
	return p->run_delay_ns;
}

/*
 * How much of that came since a message was whole. One read() comes here once
 * per packet that it copies: what was known when it was here last is not enough.
 */
static __always_inline __u64 nw_run_queue(const struct nw_points *p,
					  __u64 whole_ns, __u64 before,
					  __u64 delay)
{
	if (delay == NW_UNKNOWN || p->task_ns >= whole_ns)
		return NW_UNKNOWN;
	return delay - before;
}

static __always_inline void nw_points_reader(struct nw_points *p,
					     struct task_struct *task)
{
	__u32 pid = task->tgid;

	if (p->pid == pid)
		return;
	nw_current_comm(p->comm);
	p->cgroup = bpf_get_current_cgroup_id();
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

/* Both global, so that the verifier looks at each once. */
NW_HTTP_FN int nw_points_read_responses(__u32 block, __u32 copied, __u64 delay,
					__u64 now)
{
	struct nw_points *p = nw_points_at(block);

	if (!p)
		return 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED && i < p->used; i++) {
		struct nw_ended *e = nw_ended_at(p, i);

		if (!nw_ended_is(p, i, NW_ENDED_TO_READ) ||
		    nw_seq_before(copied, nw_ended_seq(p, i)) ||
		    !nw_ended_take(p, i, NW_ENDED_TO_READ))
			continue;
		nw_points_filled(p, &e->at[4], &e->record.reordering_ns);
		e->record.run_queue_ns = nw_run_queue(
			p, e->at[4], e->record.run_queue_ns, delay);
		nw_client_ends(e, now);
		nw_ended_emit(block, i);
	}
	return 0;
}

NW_HTTP_FN int nw_points_read_requests(__u32 block, __u32 copied, __u64 delay,
				       __u64 now)
{
	struct nw_points *p = nw_points_at(block);

	if (!p)
		return 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_REQUESTS; i++) {
		struct nw_request_points *r = nw_request_points(p, p->unread);

		if (p->unread == p->whole)
			return 0;
		/* its place is another one's: nothing is known of it */
		if (r->number != p->unread) {
			p->unread++;
			continue;
		}
		if (nw_seq_before(copied, r->end_seq))
			return 0;
		nw_points_filled(p, &r->at[NW_POINT_WHOLE], &r->inner_ns);
		r->other_ns = nw_run_queue(p, r->at[NW_POINT_WHOLE],
					   r->other_ns, delay);
		r->at[NW_POINT_READ] = now;
		p->unread++;
	}
	return 0;
}

/* `now`: 0 = the clock has not been read. */
static __always_inline void nw_points_read(struct sock *sk, __u64 now)
{
	struct nw_http_connection *c =
		bpf_sk_storage_get(&http_connections, sk, 0, 0);
	__u64 delay = NW_UNKNOWN;
	struct task_struct *task;
	struct nw_points *p;
	struct tcp_sock *tp;
	__u32 copied;

	if (!c || !c->points)
		return;
	p = nw_points_of(c);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!p || !tp)
		return;
	if (!now)
		now = bpf_ktime_get_ns();
	copied = tp->copied_seq;
	if (nw_has_task_btf()) {
		task = bpf_get_current_task_btf();
		nw_points_reader(p, task);
		delay = nw_run_delay(p, task, now);
	}
	if (nw_http_role(&c->http) == NW_HTTP_ROLE_CLIENT)
		nw_points_read_responses(c->points, copied, delay, now);
	else
		nw_points_read_requests(c->points, copied, delay, now);
}

#endif /* NW_HTTP_READ_BPF_H */
