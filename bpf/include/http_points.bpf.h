/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP connections, and the points in time of their exchanges: a block outside
 * of the socket per connection that speaks HTTP. An exchange is told of when its
 * last point is known:
 *
 *   state[i]           means                       moved on by, with
 *   NW_ENDED_FREE      nothing                     the direction of the responses
 *                                                  (one CPU at a time): a store
 *   NW_ENDED_NEW       the response is complete    the same, once its packet is
 *                                                  parsed: a store
 *   NW_ENDED_TO_READ   a client has not read its   who reads behind its end, or
 *                      last byte                   the connection's end: compare-
 *                                                  and-swap
 *   NW_ENDED_TO_ACK    of a server's not all is    a packet that acknowledges it,
 *                      acknowledged                or the connection's end: the
 *                                                  same
 *   NW_ENDED_BUSY      its record is being made    who made it busy: a store
 *
 * A packet's hook runs before TCP has the packet, so nobody reads or acknowledges
 * what is not in here yet.
 */
#ifndef NW_HTTP_POINTS_BPF_H
#define NW_HTTP_POINTS_BPF_H

#include "chrono.bpf.h"
#include "packet.bpf.h"
#include "pool.bpf.h"
#include "ring.bpf.h"
/* needs the types of the others */
#include "duration.h"

#define NW_HTTP_CTX struct __sk_buff
#define NW_HTTP_ON_WHOLE
#include "http.h"

/* Look for HTTP; set by the reader before loading. */
const volatile bool nw_http_on = false;
/* Exchanges wait for their last point: the hooks are there that end that. */
const volatile bool nw_http_explains = false;

struct nw_http_connection {
	struct nw_http http; /* first: the hooks are given this one */
	__u64 sock;
	__u16 heads[2]; /* seen so far; each written by its direction only */
	__u32 points; /* index of a block; 0 = none */
	__u16 server_port;
	__u8 role; /* enum nw_http_role */
	__u8 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_http_connection);
} http_connections SEC(".maps");

/* The framing of data that came to a listener: see early.bpf.h. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_http_connection);
} early_http SEC(".maps");

static __always_inline struct nw_http_connection *nw_early_http(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&early_http, &zero);
}

static __always_inline struct nw_http_connection *
nw_http_connection(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk)
		return NULL;
	if (sk->state != TCP_LISTEN)
		return bpf_sk_storage_get(&http_connections, sk, 0, 0);
	return nw_early_http();
}

#define NW_REQUESTS 16 /* with points, of those that wait for a response */
#define NW_ENDED 8
#define NW_SENT_LOG 16
#define NW_HTTP_POINTS 7

/* Of a server's request. */
enum nw_received_point {
	NW_POINT_WHOLE = 0, /* its last byte received, all before it too */
	NW_POINT_READ = 1,
};

/* Of a client's request. */
enum nw_sent_point {
	NW_POINT_WRITTEN = 0, /* its first byte */
	NW_POINT_WRITTEN_ALL = 1,
	NW_POINT_HANDED = 2, /* its last byte to IP */
};

struct nw_request_points {
	__u64 at[3]; /* 0 = not known (yet) */
	/* a server's: reordering; a client's: the send buffer was full */
	__u64 inner_ns;
	/* a server's: run_delay_ns when it was whole; a client's: sent again */
	__u64 other_ns;
	/* a client's, behind its end: sent again, and until when that counts */
	__u64 resent_ns;
	__u64 resent_until_ns;
	__u32 number;
	__u32 first_seq;
	__u32 end_seq;
	__u32 retransmits;
	__u32 window_jiffies; /* a client's: the peer's window was full */
	__u32 pad;
};

enum nw_ended_state {
	NW_ENDED_FREE = 0,
	NW_ENDED_NEW = 1,
	NW_ENDED_TO_READ = 2,
	NW_ENDED_TO_ACK = 3,
	NW_ENDED_BUSY = 4,
};

struct nw_ended {
	struct nw_http_exchange record;
	/* in order of time: request_transfer's begin, its end, ... */
	__u64 at[NW_HTTP_POINTS];
	__u64 start_ns; /* as the framing has it */
	__u64 resent_until_ns; /* what was sent again counts from then */
	__u32 first_seq; /* of the response */
	__u32 pad;
};

/* When which data was handed to IP for the first time. */
struct nw_sent_at {
	__u32 seq;
	__u32 us; /* clock / 2^10 */
};

struct nw_points {
	__u64 owner; /* the socket's address; 0 = nobody's */
	/* of ended[]; by themselves, as each packet and each read looks at them */
	__u32 state[NW_ENDED]; /* enum nw_ended_state */
	__u32 end_seq[NW_ENDED];
	struct nw_request_points request[NW_REQUESTS];
	struct nw_ended ended[NW_ENDED];
	struct nw_sent_at sent[NW_SENT_LOG];
	/* of the message that goes out */
	__u64 began_ns; /* its first byte was written; 0 = not known */
	__u64 resent_ns; /* time until lost data was sent again, and until when */
	__u64 resent_until_ns;
	__u64 written_ns; /* the last byte of the response before */
	/* of what comes in: later data waits for earlier */
	__u64 gap_ns; /* since; 0 = nothing does */
	__u64 filled_ns; /* what came last while something did */
	__u32 came_seq; /* behind all that came; 0 = not known */
	__u32 used; /* of ended[]: only the first so many ever were */
	__u64 reordering_ns; /* in all, without the gap there is */
	__u64 began_reordering_ns; /* the same, when the message began */
	__u64 run_delay_ns; /* of the task that used it last, and since when it */
	__u64 task_ns;
	__u64 cgroup; /* of who has read it last */
	__u32 task; /* its number; 0 = not known */
	__u32 began_seq;
	/* how long the send buffer, and the peer's window, had been full then */
	__u32 began_full_us;
	__u32 began_window_jiffies;
	__u32 resent; /* segments of the message that goes out */
	__u32 sent_count;
	__u32 whole; /* requests that are complete: number of the next */
	__u32 settled; /* of them, those whose packet is parsed */
	__u32 unread; /* the oldest that has not been read (server) */
	__u32 fresh; /* some of ended are new */
	__u32 place; /* see nw_ended_place() */
	__u32 closing; /* nothing waits any more */
	__u32 pid; /* of who has read it last; 0 = nobody yet */
	nw_comm_t comm;
	struct nw_tuple tuple;
};

/*
 * Blocks by their index, used again when they come back: the first ones in an
 * array, where finding one costs 3 ns and not 45.
 */
#define NW_BLOCKS_AT_HAND 1024

#define NW_REQUEST_BLOCKS 16384

NW_POOL(request_blocks, struct nw_points, NW_REQUEST_BLOCKS);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NW_BLOCKS_AT_HAND);
	__type(key, __u32);
	__type(value, struct nw_points);
} request_blocks_at_hand SEC(".maps");

static __always_inline struct nw_http_connection *
nw_http_whole(struct nw_http *h)
{
	return (struct nw_http_connection *)h;
}

static __always_inline __u32 nw_http_role(const struct nw_http *h)
{
	return h->request == 1 + NW_HTTP_IN ? NW_HTTP_ROLE_SERVER :
					      NW_HTTP_ROLE_CLIENT;
}

static __always_inline struct nw_points *nw_points_at(__u32 block)
{
	if (block < NW_BLOCKS_AT_HAND)
		return bpf_map_lookup_elem(&request_blocks_at_hand, &block);
	return bpf_map_lookup_elem(&request_blocks, &block);
}

/* Of a connection; NULL if it has none. */
static __always_inline struct nw_points *
nw_points_of(const struct nw_http_connection *c)
{
	struct nw_points *p = c->points ? nw_points_at(c->points) : NULL;

	return p && p->owner == c->sock ? p : NULL;
}

/* An index that the verifier of 6.1 believes. */
#define nw_masked(value, mask)                   \
	({                                       \
		__u32 _index = (value);          \
		asm volatile("" : "+r"(_index)); \
		_index &(mask);                  \
	})

static __always_inline struct nw_request_points *
nw_request_points(struct nw_points *p, __u32 number)
{
	return &p->request[nw_masked(number, NW_REQUESTS - 1)];
}

/* How long later data has waited for earlier data, in all. */
static __always_inline __u64 nw_reordering(const struct nw_points *p, __u64 now)
{
	return p->reordering_ns +
	       (p->gap_ns && p->gap_ns < now ? now - p->gap_ns : 0);
}

/* The request pushed last is complete; what is known at once of its points. */
static __always_inline void nw_http_on_whole(struct nw_http *h,
					     const struct nw_http_dir *d,
					     __u32 end_seq, __u64 now)
{
	struct nw_points *p = nw_points_of(nw_http_whole(h));
	struct nw_request_points *r;

	/* also of one that is answered already: the next one's are behind it */
	if (!p || h->over_in != h->over_out)
		return;
	r = nw_request_points(p, h->in - 1);
	r->number = h->in - 1;
	r->first_seq = d->first_seq;
	r->end_seq = end_seq;
	r->at[0] = now;
	r->at[1] = 0;
	r->at[2] = 0;
	/* of one that begins here: when it is known what this packet fills, nw_points_in() */
	r->inner_ns = d->first_ns == now ? NW_UNKNOWN : -p->began_reordering_ns;
	r->other_ns = p->run_delay_ns;
	r->resent_ns = 0;
	r->resent_until_ns = 0;
	r->retransmits = 0;
	r->window_jiffies = 0;
	nw_http_barrier();
	p->whole = h->in;
}

static __always_inline void nw_ended_set(struct nw_points *p, __u32 place,
					 __u32 state)
{
	nw_http_barrier();
	*(volatile __u32 *)&p->state[nw_masked(place, NW_ENDED - 1)] = state;
}

static __always_inline bool nw_ended_is(const struct nw_points *p, __u32 place,
					__u32 state)
{
	return *(const volatile __u32 *)&p
			->state[nw_masked(place, NW_ENDED - 1)] == state;
}

static __always_inline __u32 nw_ended_seq(const struct nw_points *p,
					  __u32 place)
{
	return p->end_seq[nw_masked(place, NW_ENDED - 1)];
}

static __always_inline struct nw_ended *nw_ended_at(struct nw_points *p,
						    __u32 place)
{
	return &p->ended[nw_masked(place, NW_ENDED - 1)];
}

/*
 * A place for an exchange that has ended; NW_ENDED: all are taken. By way of the
 * block: what the verifier does not know it need not walk once per value.
 */
static __always_inline __u32 nw_ended_place(struct nw_points *p)
{
	__u32 place;

	NW_HTTP_LOOP
	for (place = 0; place < NW_ENDED; place++)
		if (nw_ended_is(p, place, NW_ENDED_FREE))
			break;
	*(volatile __u32 *)&p->place = place;
	if (place >= p->used && place < NW_ENDED)
		p->used = place + 1;
	return *(volatile __u32 *)&p->place;
}

/* The block goes back; nothing of it is waited for any more. */
static __always_inline void nw_points_release(struct nw_http_connection *c)
{
	__u32 block = c->points;
	struct nw_points *p = nw_points_of(c);

	c->points = 0;
	if (!p)
		return;
	p->owner = 0;
	bpf_map_push_elem(&request_blocks_free, &block, 0);
}

#endif /* NW_HTTP_POINTS_BPF_H */
