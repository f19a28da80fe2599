/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP on packets: feeds the segments that cgroup_skb sees to the framing in
 * http.h, and emits a record per message head.
 */
#ifndef NW_HTTP_PACKET_BPF_H
#define NW_HTTP_PACKET_BPF_H

#include "http_explain.bpf.h"
#include "http_midstream.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NW_HTTP_SLOTS);
	__type(key, __u32);
	__type(value, struct nw_http_work);
} http_works SEC(".maps");

/*
 * Heads in one packet that a connection begins with, about what the packet's
 * line has room for. Of more the text is lost, counted; their exchanges are not.
 */
#define NW_EARLY_HEADS 32

/* Data that came to a listener: see early.bpf.h. */
struct nw_early {
	__u64 skb; /* of the packet; 0 = nothing waits */
	struct nw_packet packet;
	__u32 heads;
	__u32 pad;
	struct nw_http_head head[NW_EARLY_HEADS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_early);
} early_data SEC(".maps");

static __always_inline struct nw_early *nw_early(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&early_data, &zero);
}

static __always_inline struct nw_http_work *nw_http_work(__u32 slot)
{
	return bpf_map_lookup_elem(&http_works, &slot);
}

static __always_inline struct nw_http *nw_http_state(struct __sk_buff *ctx)
{
	struct nw_http_connection *c = nw_http_connection(ctx);

	return c ? &c->http : NULL;
}

static __always_inline long nw_http_load(struct __sk_buff *ctx, __u32 offset,
					 void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(ctx, offset, to, bytes);
}

static __always_inline void nw_fill_head(struct nw_http_head *r,
					 const struct nw_http_work *w,
					 const struct nw_http *h, __u64 sock)
{
	__u32 is_request = w->first.kind == NW_HTTP_REQUEST;

	r->head.ts_ns = w->now;
	r->head.sock = sock;
	r->head.kind = NW_KIND_HTTP_HEAD;
	r->head.netns = 0;
	r->seq = w->seq;
	r->offset = w->first.offset;
	r->status = w->first.status;
	r->line_bytes = w->first.bytes;
	r->method = w->first.method;
	r->version = w->first.version;
	r->truncated = w->first.truncated;
	r->rx = w->way == NW_HTTP_IN;
	r->number = is_request ? h->in - 1 : h->out;
	r->pad = 0;
	__builtin_memcpy(r->line, w->line, sizeof(r->line));
}

/* Whose head it is shows in a moment. */
static __always_inline void nw_early_head(struct nw_http_connection *c,
					  const struct nw_http_work *w)
{
	struct nw_early *early = nw_early();
	__u32 place;

	if (!early)
		return;
	place = early->heads;
	barrier_var(place);
	if (place >= NW_EARLY_HEADS) {
		nw_count_lost(true);
		return;
	}
	nw_fill_head(&early->head[place], w, &c->http, 0);
	early->heads = place + 1;
	c->heads[w->way & 1]++;
}

static __always_inline void nw_early_proxy(const struct nw_http_connection *c,
					   const struct nw_http_work *w)
{
	struct nw_early *early = nw_early();

	if (!early || early->heads)
		return;
	nw_fill_head(&early->head[0], w, &c->http, 0);
	early->head[0].head.kind = NW_KIND_HTTP_PROXY;
	early->heads = 1;
}

static __always_inline void nw_http_on_head(struct __sk_buff *ctx,
					    const struct nw_http_work *w)
{
	struct nw_http_connection *c = nw_http_connection(ctx);
	struct bpf_sock *sk = ctx->sk;
	struct nw_http_head *r;

	if (!c || !sk)
		return;
	if (sk->state == TCP_LISTEN) {
		nw_early_head(c, w);
		return;
	}
	/* a response's line is only told with its packet */
	if (nw_told < NW_TOLD_HTTP && w->first.kind != NW_HTTP_REQUEST)
		return;
	r = nw_reserve_http(sizeof(*r));
	if (!r)
		return;
	c->heads[w->way & 1]++;
	nw_fill_head(r, w, &c->http, (__u64)sk);
	nw_submit(r);
}

static __always_inline void nw_http_on_proxy(struct __sk_buff *ctx,
					     const struct nw_http_work *w)
{
	struct nw_http_connection *c = nw_http_connection(ctx);
	struct nw_http_head *r;

	if (!c)
		return;
	if (!c->sock) {
		nw_early_proxy(c, w);
		return;
	}
	r = nw_reserve_http(sizeof(*r));
	if (!r)
		return;
	nw_fill_head(r, w, &c->http, c->sock);
	r->head.kind = NW_KIND_HTTP_PROXY;
	nw_submit(r);
}

/*
 * Whether payload has passed before. TCP counts the SYN as acknowledged, and the
 * peer's FIN as received.
 */
static __always_inline bool nw_http_is_older(const struct bpf_tcp_sock *tp,
					     __u32 state)
{
	bool ended;

	barrier_var(state);
	ended = state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK ||
		state == TCP_CLOSING;
	return tp->bytes_received > ended || tp->bytes_acked > 1;
}

/* The connection's state, made at its first payload. */
static __always_inline struct nw_http_connection *
nw_http_begin_connection(struct __sk_buff *ctx, struct bpf_sock *sk)
{
	struct nw_http_connection *c =
		bpf_sk_storage_get(&http_connections, sk, 0, 0);
	struct bpf_tcp_sock *tp;
	struct nw_socket *s;

	if (c)
		return c;
	c = nw_storage_make(&http_connections, sk);
	if (!c)
		return NULL;
	c->sock = (__u64)sk;
	s = nw_socket_find(sk);
	if (s && s->role == NW_ROLE_SERVER)
		c->role = NW_HTTP_ROLE_SERVER;
	else if (s && s->role == NW_ROLE_CLIENT)
		c->role = NW_HTTP_ROLE_CLIENT;
	tp = bpf_tcp_sock(sk);
	if (!tp)
		return c;
	if (nw_http_is_older(tp, sk->state))
		nw_http_begin_midstream(ctx);
	/* a fast open sends before it knows where the peer begins */
	if (sk->state != TCP_SYN_SENT)
		nw_http_expect(&c->http, NW_HTTP_IN, tp->rcv_nxt);
	return c;
}

/* The same for a connection whose socket does not exist yet. */
static __always_inline struct nw_http_connection *
nw_http_begin_early(const struct nw_headers *h)
{
	struct nw_http_connection *c = nw_early_http();
	struct nw_early *early = nw_early();

	if (!early || !c)
		return NULL;
	early->heads = 0;
	nw_points_release(c);
	__builtin_memset(c, 0, sizeof(*c));
	c->role = NW_HTTP_ROLE_SERVER;
	nw_http_expect(&c->http, NW_HTTP_IN,
		       h->seq + !!(h->flags & NW_TCP_SYN));
	return c;
}

/* What the first bytes have shown, and what has become of it. */
static __always_inline void nw_http_note_taken(const struct nw_http *h,
					       bool was_seen)
{
	if (!was_seen && h->seen && !h->old)
		nw_http_take_for(NW_HTTP_TAKEN_HTTP);
	if (h->off == NW_HTTP_OFF_TUNNEL)
		nw_http_take_for(NW_HTTP_TAKEN_TUNNEL);
	else if (h->off && !h->old)
		nw_http_take_for(
			h->off == NW_HTTP_OFF_HTTP2 ? NW_HTTP_TAKEN_HTTP2 :
			h->off == NW_HTTP_OFF_TLS   ? NW_HTTP_TAKEN_TLS :
						      NW_HTTP_TAKEN_OTHER);
}

/* An urgent byte is not in what the application reads (tcp(7), SIOCATMARK). */
static __always_inline __u32 nw_http_bytes(const struct nw_headers *h)
{
	return h->payload_bytes - !!h->urgent_last;
}

#define NW_HTTP_WAS_SEEN 1
#define NW_HTTP_WAS_RESYNCS 8 /* where they begin */
#define NW_HTTP_WAS_OUT (1U << 16)
#define NW_HTTP_WAS_FIN (1U << 17)

/*
 * What a segment has changed that seldom changes; `was`: as it was before.
 * Global, so that the verifier looks at it once and not once per path.
 */
NW_HTTP_FN int nw_http_settle(struct __sk_buff *ctx, __u32 was, __u64 now)
{
	struct nw_http_connection *c = nw_http_connection(ctx);
	struct nw_http_totals *totals = nw_http_totals();
	__u32 resyncs;

	if (!c || !totals)
		return 0;
	resyncs = was & NW_HTTP_WAS_OUT ? c->http.dir[NW_HTTP_OUT].resyncs :
					  c->http.dir[NW_HTTP_IN].resyncs;
	resyncs = (__u8)(resyncs - (was >> NW_HTTP_WAS_RESYNCS));
	if (resyncs)
		__sync_fetch_and_add(&totals->resyncs, resyncs);
	nw_http_note_taken(&c->http, was & NW_HTTP_WAS_SEEN);
	if (!(was & NW_HTTP_WAS_FIN))
		return 0;
	if (was & NW_HTTP_WAS_OUT)
		nw_http_close(&c->http, NW_HTTP_OUT, now);
	else
		nw_http_close(&c->http, NW_HTTP_IN, now);
	return 0;
}

/* A packet of a connection that has points. */
static __always_inline void nw_http_explain(struct __sk_buff *ctx,
					    struct nw_http_connection *c,
					    const struct nw_headers *h,
					    __u32 way, __u64 now)
{
	if (!c->points)
		return;
	if (way == NW_HTTP_OUT)
		nw_points_out(ctx, c, h, now);
	else
		nw_points_in(ctx, c, h, now);
}

/* The connection that a packet belongs to, if it may be one of HTTP. */
static __always_inline struct nw_http_connection *
nw_http_of_packet(struct __sk_buff *ctx, struct bpf_sock *sk,
		  const struct nw_headers *h, __u32 way, bool explain)
{
	if (sk->state == TCP_LISTEN)
		return way == NW_HTTP_IN && h->payload_bytes ?
			       nw_http_begin_early(h) :
			       NULL;
	if (h->payload_bytes || (h->flags & NW_TCP_FIN))
		return nw_http_begin_connection(ctx, sk);
	/* an acknowledgement may be the last point of an exchange */
	return explain && way == NW_HTTP_IN ?
		       bpf_sk_storage_get(&http_connections, sk, 0, 0) :
		       NULL;
}

/* Heads that this packet completes. */
static __always_inline __u32 nw_http_packet(struct __sk_buff *ctx,
					    struct bpf_sock *sk,
					    const struct nw_headers *h,
					    __u32 way, __u64 now, bool timed)
{
	bool explain = timed && nw_http_explains;
	struct nw_http_connection *c;
	struct bpf_tcp_sock *tp;
	__u32 heads, was, now_is, seq, known_seq;

	c = nw_http_of_packet(ctx, sk, h, way, explain);
	if (!c)
		return 0;
	if (c->http.off || (!h->payload_bytes && !(h->flags & NW_TCP_FIN))) {
		if (explain)
			nw_http_explain(ctx, c, h, way, now);
		return 0;
	}
	if (explain && !c->points && h->payload_bytes)
		nw_points_begin(ctx, &h->tuple, h->payload_offset,
				h->payload_bytes);
	heads = c->heads[way];
	was = c->http.seen | (__u32)c->http.dir[way].resyncs << 8;
	seq = h->seq + !!(h->flags & NW_TCP_SYN);
	known_seq = seq;
	tp = way == NW_HTTP_IN && sk->state != TCP_LISTEN ? bpf_tcp_sock(sk) :
							    NULL;
	if (tp)
		known_seq = tp->rcv_nxt;
	/* before the response, which is told with it */
	if (!c->server_port && c->role)
		c->server_port = c->role == NW_HTTP_ROLE_SERVER ?
					 h->tuple.local_port :
					 h->tuple.peer_port;
	nw_http_segment(ctx, &c->http, way, c->role, h->payload_offset,
			nw_http_bytes(h), seq, known_seq, now);
	if (h->urgent_last)
		nw_http_urgent(&c->http, way, seq + h->payload_bytes);
	if (!c->server_port && c->http.request)
		c->server_port = c->http.request == 1 + NW_HTTP_IN ?
					 h->tuple.local_port :
					 h->tuple.peer_port;
	now_is = c->http.seen | c->http.off << 1 |
		 (__u32)c->http.dir[way].resyncs << 8;
	if (was != now_is || (h->flags & NW_TCP_FIN))
		nw_http_settle(
			ctx,
			was | (way ? NW_HTTP_WAS_OUT : 0) |
				(h->flags & NW_TCP_FIN ? NW_HTTP_WAS_FIN : 0),
			now);
	if (explain)
		nw_http_explain(ctx, c, h, way, now);
	/* it was not HTTP after all */
	if (explain && c->http.off && !c->http.seen)
		nw_points_release(c);
	return (__u16)(c->heads[way] - heads);
}

#endif /* NW_HTTP_PACKET_BPF_H */
