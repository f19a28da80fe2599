/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* HTTP connections that end: the requests that are not answered any more. */
#ifndef NW_HTTP_END_BPF_H
#define NW_HTTP_END_BPF_H

#include "http_explain.bpf.h"

#define NW_ETIMEDOUT 110

/* How a connection ends, as its socket says it. */
static __always_inline __u32 nw_http_outcome_of(const struct sock *sk,
						int old_state)
{
	int error = sk->sk_err;

	if (error == NW_ETIMEDOUT)
		return NW_HTTP_TIMEOUT;
	/* without a FIN from here it was cut */
	return error || old_state == TCP_ESTABLISHED ||
			       old_state == TCP_CLOSE_WAIT ?
		       NW_HTTP_RESET :
		       NW_HTTP_CLOSED;
}

struct nw_http_ending {
	struct nw_http_connection *c;
	__u64 now;
	__u32 outcome;
	__u32 acked; /* by the other end: all that this one has sent */
};

static long nw_http_end_step(__u32 i, struct nw_http_ending *ending)
{
	return !nw_http_end_next(&ending->c->http, ending->now, ending->outcome,
				 ending->acked);
}

/* All that wait, the response that was under way, and the step that finds none. */
#define NW_HTTP_ENDINGS (NW_HTTP_DEPTH + 2)

static __always_inline void nw_http_end_open(struct nw_http_connection *c,
					     struct sock *sk, int old_state)
{
	struct nw_http_ending ending = {.c = c};
	struct tcp_sock *tp;

	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || ending.c->http.off || !ending.c->http.request)
		return;
	ending.now = bpf_ktime_get_ns();
	ending.outcome = nw_http_outcome_of(sk, old_state);
	ending.acked = nw_http_role(&ending.c->http) == NW_HTTP_ROLE_CLIENT ||
		       tp->snd_una == tp->write_seq;
	nw_loop(NW_HTTP_ENDINGS, nw_http_end_step, &ending);
}

/* TCP_CLOSE: what has not been answered will not be, as far as it counts. */
static __always_inline void nw_http_socket_closed(struct sock *sk,
						  int old_state, bool counts)
{
	struct nw_http_connection *c =
		bpf_sk_storage_get(&http_connections, sk, 0, 0);

	if (!c)
		return;
	if (c->points)
		nw_points_end(c->points);
	if (counts)
		nw_http_end_open(c, sk, old_state);
	nw_points_release(c);
}

#endif /* NW_HTTP_END_BPF_H */
