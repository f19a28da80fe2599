/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the time of HTTP exchanges goes: a connection's points begin and end.
 */
#ifndef NW_HTTP_EXPLAIN_BPF_H
#define NW_HTTP_EXPLAIN_BPF_H

#include "http_in.bpf.h"
#include "http_out.bpf.h"
#include "http_read.bpf.h"

/* Whether payload looks like HTTP, so that a block is worth it. */
static __always_inline bool nw_points_wanted(struct __sk_buff *ctx,
					     __u32 offset, __u32 bytes)
{
	__u64 word, space;

	if (bytes < sizeof(word) ||
	    bpf_skb_load_bytes(ctx, offset, &word, sizeof(word)))
		return true;
	if (nw_http_is_version(word))
		return true;
	space = nw_http_find(word, ' ');
	return nw_http_is_name(word, space ? nw_http_index(space) : 8);
}

/* Before payload is parsed that may be the first; global, to be verified once. */
NW_HTTP_FN int nw_points_begin(struct __sk_buff *ctx,
			       const struct nw_tuple *tuple, __u32 offset,
			       __u32 bytes)
{
	struct nw_http_connection *c = nw_http_connection(ctx);
	struct nw_points *p, *none;
	__u32 zero = 0, block;
	long failed;

	if (!c || !tuple || !nw_points_wanted(ctx, offset, bytes))
		return 0;
	block = nw_pool_index(&request_blocks_free, &request_blocks_made,
			      NW_REQUEST_BLOCKS);
	none = bpf_map_lookup_elem(&request_blocks_zero, &zero);
	if (!block || !none)
		return 0;
	if (block < NW_BLOCKS_AT_HAND)
		failed = bpf_map_update_elem(&request_blocks_at_hand, &block,
					     none, BPF_ANY);
	else
		failed = bpf_map_update_elem(&request_blocks, &block, none,
					     BPF_ANY);
	p = failed ? NULL : nw_points_at(block);
	if (!p) {
		bpf_map_push_elem(&request_blocks_free, &block, 0);
		return 0;
	}
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

/*
 * The connection has ended: what waits for its last point gets none. Global, as
 * nw_points_begin().
 */
NW_HTTP_FN int nw_points_end(__u32 block)
{
	struct nw_points *p = nw_points_at(block);

	if (!p)
		return 0;
	p->closing = 1;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_ENDED; i++) {
		struct nw_ended *e = nw_ended_at(p, i);

		if (nw_ended_take(p, i, NW_ENDED_TO_READ)) {
			/* nobody was seen reading its end */
			nw_client_ends(e, 0);
			e->at[5] = 0;
			e->record.unexplained = NW_UNEXPLAINED_NO_READ;
		} else if (!nw_ended_take(p, i, NW_ENDED_TO_ACK)) {
			continue;
		}
		nw_ended_emit(block, i);
	}
	return 0;
}

/* The socket begins another connection. */
static __always_inline void nw_http_forget_points(struct sock *sk)
{
	struct nw_http_connection *c =
		bpf_sk_storage_get(&http_connections, sk, 0, 0);

	if (!c || !c->points)
		return;
	nw_points_end(c->points);
	nw_points_release(c);
}

#endif /* NW_HTTP_EXPLAIN_BPF_H */
