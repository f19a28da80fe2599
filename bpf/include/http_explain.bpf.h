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
