/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the points of an exchange to its record: parts that add up.
 *
 * Points never run backwards: where the response begins before the request is
 * whole, or read, each later point is at least the earlier one, and none is
 * behind the end.
 */
#ifndef NW_HTTP_PARTS_BPF_H
#define NW_HTTP_PARTS_BPF_H

#include "choose.bpf.h"
#include "device.bpf.h"
#include "http_exchange.bpf.h"

/*
 * The packet's socket as the kernel has it; where it can be, without a helper.
 * `sk`: ctx->sk, which is known not to be NULL: 6.1 does not know that of a field
 * that is read once more.
 */
static __always_inline struct tcp_sock *nw_points_socket(struct __sk_buff *ctx,
							 struct bpf_sock *sk)
{
	struct sk_buff *skb;

	if (nw_has_kernel_context) {
		skb = bpf_cast_to_kern_ctx(ctx);
		return nw_cast(struct tcp_sock, skb->sk);
	}
	return bpf_skc_to_tcp_sock(sk);
}

/* A point that had not come by the end: later than every other one. */
#define NW_LATER (1ULL << 62)

/* Parts from points in order of time; the last one limits them all. */
static __always_inline void nw_divide(struct nw_http_exchange *r,
				      const __u64 *at, __u32 count)
{
	__u64 last = at[0], known = nw_mask_less(0, last);
	__u64 ended = nw_mask_less(0, at[count - 1]);
	__u64 end = nw_choose(ended, at[count - 1], NW_LATER);

	for (__u32 i = 1; i < count; i++) {
		__u64 point = nw_later(nw_earlier(at[i], end), last);
		__u64 is = nw_mask_less(0, at[i]) &
			   (ended | nw_mask_less(at[i], NW_LATER));

		r->part_ns[i - 1] =
			nw_choose(is & known, point - last, NW_UNKNOWN);
		last = nw_choose(is, point, last);
		known = is;
	}
}

/*
 * What lies in a part is not longer than it; not known unless both are. `inner`
 * may be a difference, which is negative where its end was never seen.
 */
static __always_inline __u64 nw_within(__u64 inner, __u64 part)
{
	return nw_earlier(inner, part) | nw_mask_less(inner, 0) |
	       nw_mask_less(part, 0);
}

static __always_inline void nw_divide_server(struct nw_http_exchange *r,
					     const struct nw_ended *e)
{
	nw_divide(r, e->at, 7);
	r->reordering_ns = nw_within(r->reordering_ns,
				     r->part_ns[NW_SERVER_REQUEST_TRANSFER]);
	r->run_queue_ns =
		nw_within(r->run_queue_ns, r->part_ns[NW_SERVER_RECEIVE_QUEUE]);
	r->send_buffer_ns = nw_within(r->send_buffer_ns,
				      r->part_ns[NW_SERVER_RESPONSE_WRITE]);
	r->send_retransmit_ns = nw_within(r->send_retransmit_ns,
					  r->part_ns[NW_SERVER_SEND_WAIT]);
	r->receive_window_ns = nw_within(r->receive_window_ns,
					 r->part_ns[NW_SERVER_SEND_WAIT]);
	r->wait_retransmit_ns =
		nw_within(r->wait_retransmit_ns, r->delivery_ns);
}

static __always_inline void nw_divide_client(struct nw_http_exchange *r,
					     const struct nw_ended *e)
{
	nw_divide(r, e->at, 6);
	r->part_ns[5] = NW_UNKNOWN;
	r->send_buffer_ns = nw_within(r->send_buffer_ns,
				      r->part_ns[NW_CLIENT_REQUEST_WRITE]);
	r->send_retransmit_ns = nw_within(r->send_retransmit_ns,
					  r->part_ns[NW_CLIENT_SEND_WAIT]);
	r->receive_window_ns = nw_within(r->receive_window_ns,
					 r->part_ns[NW_CLIENT_SEND_WAIT]);
	r->wait_retransmit_ns =
		nw_within(r->wait_retransmit_ns, r->part_ns[NW_CLIENT_REMOTE]);
	r->network_ns = nw_within(r->network_ns, r->part_ns[NW_CLIENT_REMOTE]);
	r->reordering_ns = nw_within(r->reordering_ns,
				     r->part_ns[NW_CLIENT_RESPONSE_TRANSFER]);
	r->run_queue_ns =
		nw_within(r->run_queue_ns, r->part_ns[NW_CLIENT_RECEIVE_QUEUE]);
}

/* The caller makes it busy, unless somebody else has. */
#define nw_ended_take(p, place, from)                               \
	(nw_ended_is(p, place, from) &&                             \
	 __sync_val_compare_and_swap(                               \
		 &(p)->state[nw_masked(place, NW_ENDED - 1)], from, \
		 NW_ENDED_BUSY) == (from))

/* Copies the fields of a record from one up to another one, which it leaves out. */
#define nw_copy_fields(to, from, first, behind)                                \
	__builtin_memcpy(&(to)->first, &(from)->first,                         \
			 __builtin_offsetof(struct nw_http_exchange, behind) - \
				 __builtin_offsetof(struct nw_http_exchange,   \
						    first))

/* The record where it is read: what has been known before is copied, not the rest. */
static __always_inline void nw_ended_fill(struct nw_http_exchange *record,
					  const struct nw_ended *e,
					  const struct nw_points *p)
{
	nw_copy_fields(record, &e->record, head, part_ns);
	nw_copy_fields(record, &e->record, reordering_ns, cgroup);
	__builtin_memcpy(&record->number, &e->record.number,
			 sizeof(*record) -
				 __builtin_offsetof(struct nw_http_exchange,
						    number));
	nw_http_fill_ends(record, p);
	if (record->role == NW_HTTP_ROLE_SERVER)
		nw_divide_server(record, e);
	else
		nw_divide_client(record, e);
}

/* Global, so that the verifier looks at it once. The exchange is the caller's. */
NW_HTTP_FN int nw_ended_emit(__u32 block, __u32 place)
{
	struct nw_points *p = nw_points_at(block);
	struct nw_http_exchange *record;
	struct nw_http_key key;
	struct nw_ended *e;

	if (!p)
		return 0;
	e = nw_ended_at(p, place);
	record = nw_reserve_http(sizeof(*record));
	if (record) {
		nw_ended_fill(record, e, p);
		nw_submit(record);
	} else {
		key.status = e->record.status;
		key.server_port = e->record.server_port;
		key.role = e->record.role;
		key.method = e->record.method;
		key.version = e->record.version;
		key.outcome = e->record.outcome;
		nw_http_count(&key, e->record.duration_ns);
	}
	nw_ended_set(p, place, NW_ENDED_FREE);
	return 0;
}

/*
 * A client's exchange ends where the last byte of its response is read, and
 * begins where the first one of its request is written.
 */
static __always_inline void nw_client_ends(struct nw_ended *e, __u64 now)
{
	struct nw_http_exchange *r = &e->record;
	__u64 from = e->at[0] ? e->at[0] : e->start_ns;

	e->at[5] = now > r->head.ts_ns ? now : r->head.ts_ns;
	r->head.ts_ns = e->at[5];
	r->duration_ns = nw_between(from, e->at[5]);
	r->first_byte_ns = nw_between(from, e->at[3]);
}

#endif /* NW_HTTP_PARTS_BPF_H */
