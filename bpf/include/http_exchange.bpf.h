/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP exchanges as they end: a record of each, the totals, and what of a
 * connection's framing lies outside of its socket. Of exchanges whose record is
 * lost the durations count nevertheless, in the buckets that OpenTelemetry
 * prescribes.
 */
#ifndef NW_HTTP_EXCHANGE_BPF_H
#define NW_HTTP_EXCHANGE_BPF_H

#include "choose.bpf.h"
#include "http_points.bpf.h"

#define NW_HTTP_BUCKETS 15

/* Upper bounds of http.server.request.duration in nanoseconds; +Inf is last. */
static const __u64 nw_http_bounds[NW_HTTP_BUCKETS - 1] = {
	5000000,    10000000,	25000000,   50000000,	 75000000,
	100000000,  250000000,	500000000,  750000000,	 1000000000,
	2500000000, 5000000000, 7500000000, 10000000000,
};

/* What a connection was taken for, by its first bytes. */
enum nw_http_taken {
	NW_HTTP_TAKEN_HTTP = 0,
	NW_HTTP_TAKEN_HTTP2 = 1,
	NW_HTTP_TAKEN_TLS = 2,
	NW_HTTP_TAKEN_OTHER = 3,
	NW_HTTP_TAKEN_MIDSTREAM = 4, /* they were not seen */
	NW_HTTP_TAKEN_TUNNEL = 5, /* what one of these became */
	NW_HTTP_TAKENS = 6,
};

struct nw_http_key {
	__u16 status;
	__u16 server_port;
	__u8 role; /* enum nw_http_role */
	__u8 method; /* enum nw_http_method */
	__u8 version; /* minor */
	__u8 outcome; /* enum nw_http_outcome */
};

struct nw_http_durations {
	__u64 buckets[NW_HTTP_BUCKETS];
	__u64 sum_ns;
};

/* Of exchanges whose record found no room in the ring. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct nw_http_key);
	__type(value, struct nw_http_durations);
} http_durations SEC(".maps");

struct nw_http_totals {
	__u64 resyncs;
	__u64 map_full; /* exchanges that found no room in http_durations */
	__u64 unmatched[2][NW_HTTP_CAUSES]; /* responses: [server, client] */
	__u64 waiting[2]; /* requests without a response; wraps around */
	__u64 taken[NW_HTTP_TAKENS]; /* connections */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_http_totals);
} http_totals SEC(".maps");

/*
 * Requests that wait and do not fit into their socket, by its address; of data
 * that came to a listener (early.bpf.h), by 1 + its CPU, which is no address.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct nw_http_deep);
} http_deep SEC(".maps");

/* What new ones are copied from. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_http_deep);
} http_deep_zero SEC(".maps");

/* Never used whole on the stack: 128 bytes are a quarter of it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_http_durations);
} http_zero SEC(".maps");

static __always_inline struct nw_http_totals *nw_http_totals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&http_totals, &zero);
}

static __always_inline struct nw_http_durations *
nw_http_durations_of(const struct nw_http_key *key)
{
	struct nw_http_durations *d = bpf_map_lookup_elem(&http_durations, key);
	struct nw_http_durations *empty;
	__u32 zero = 0;

	if (d)
		return d;
	empty = bpf_map_lookup_elem(&http_zero, &zero);
	if (!empty)
		return NULL;
	bpf_map_update_elem(&http_durations, key, empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&http_durations, key);
}

/* Its record has found no room: the duration counts nevertheless. */
static __noinline int nw_http_count(const struct nw_http_key *key, __u64 ns)
{
	struct nw_http_durations *d = nw_http_durations_of(key);
	struct nw_http_totals *totals;
	__u32 bucket = 0;

	if (!d) {
		totals = nw_http_totals();
		if (totals)
			__sync_fetch_and_add(&totals->map_full, 1);
		return 0;
	}
	for (int i = 0; i < NW_HTTP_BUCKETS - 1; i++)
		bucket -= nw_mask_less(nw_http_bounds[i], ns);
	barrier_var(bucket);
	if (bucket < NW_HTTP_BUCKETS)
		__sync_fetch_and_add(&d->buckets[bucket], 1);
	__sync_fetch_and_add(&d->sum_ns, ns);
	return 0;
}

static __always_inline void nw_http_unmatched(struct nw_http *h, __u32 cause,
					      __u32 responses)
{
	struct nw_http_totals *totals = nw_http_totals();
	__u32 side = nw_http_role(h) == NW_HTTP_ROLE_CLIENT;

	barrier_var(cause);
	if (totals && cause < NW_HTTP_CAUSES)
		__sync_fetch_and_add(&totals->unmatched[side][cause],
				     responses);
}

static __always_inline void nw_http_on_lost(struct nw_http *h, __u32 requests)
{
	nw_http_unmatched(h, NW_HTTP_LOST, requests);
}

/* Why nothing is known of where its time went. */
static __always_inline __u32 nw_http_unexplained(const struct nw_http *h,
						 const struct nw_http_end *end)
{
	if (!nw_http_explains)
		return NW_UNEXPLAINED_KERNEL;
	if (end->outcome != NW_HTTP_ANSWERED)
		return NW_UNEXPLAINED_UNFINISHED;
	return h->old ? NW_UNEXPLAINED_OLD : NW_UNEXPLAINED_NO_ROOM;
}

static __always_inline void nw_http_fill_exchange(struct nw_http_exchange *r,
						  struct nw_http *h,
						  const struct nw_http_end *end)
{
	struct nw_http_connection *c = nw_http_whole(h);

	/* what lies in the parts: all unknown */
	__builtin_memset(&r->reordering_ns, 0xff,
			 __builtin_offsetof(struct nw_http_exchange, cgroup) -
				 __builtin_offsetof(struct nw_http_exchange,
						    reordering_ns));
	r->head.ts_ns = end->end_ns;
	r->head.sock = c->sock;
	r->head.kind = NW_KIND_HTTP_EXCHANGE;
	r->head.netns = 0;
	r->duration_ns = nw_between(end->start_ns, end->end_ns);
	r->first_byte_ns = end->first_ns ?
				   nw_between(end->start_ns, end->first_ns) :
				   NW_UNKNOWN;
	r->request_bytes = end->request_bytes;
	r->response_bytes = end->body_bytes;
	r->number = h->out - 1;
	r->retransmits = 0;
	r->status = end->status;
	r->server_port = c->server_port;
	r->role = nw_http_role(h);
	r->method = end->method;
	r->version = end->version;
	r->outcome = end->outcome;
	r->early = 0;
	r->unexplained = nw_http_unexplained(h, end);
	r->pad[0] = 0;
	r->pad[1] = 0;
}

/* Who the ends of a connection are, as far as it is known. */
static __always_inline void nw_http_fill_ends(struct nw_http_exchange *r,
					      const struct nw_points *p)
{
	if (p) {
		r->tuple = p->tuple;
		r->cgroup = p->cgroup;
		r->pid = p->pid;
		__builtin_memcpy(r->comm, p->comm, sizeof(r->comm));
	} else {
		r->cgroup = 0;
		r->pid = 0;
		__builtin_memset(&r->tuple, 0, sizeof(r->tuple));
		__builtin_memset(&r->comm, 0, sizeof(r->comm));
	}
}

static __always_inline void nw_http_on_end(struct nw_http *h,
					   const struct nw_http_end *end)
{
	struct nw_http_exchange *r;
	struct nw_ended *e = NULL;
	struct nw_http_key key;
	struct nw_points *p;
	__u32 place = NW_ENDED;

	if (!end->start_ns || end->start_ns > end->end_ns) {
		if (end->status || end->start_ns)
			nw_http_unmatched(
				h, end->start_ns ? NW_HTTP_LOST : end->cause,
				1);
		return;
	}
	p = nw_points_of(nw_http_whole(h));
	if (p && !p->closing && end->outcome == NW_HTTP_ANSWERED)
		place = nw_ended_place(p);
	if (p && place < NW_ENDED) {
		e = nw_ended_at(p, place);
		p->end_seq[nw_masked(place, NW_ENDED - 1)] = end->end_seq;
		e->start_ns = end->start_ns;
		e->at[0] = end->first_ns;
		e->first_seq = end->first_seq;
		p->fresh = 1;
	}
	r = e ? &e->record : nw_reserve_http(sizeof(*r));
	if (!r) {
		key.status = end->status;
		key.server_port = nw_http_whole(h)->server_port;
		key.role = nw_http_role(h);
		key.method = end->method;
		key.version = end->version;
		key.outcome = end->outcome;
		nw_http_count(&key, end->end_ns - end->start_ns);
		return;
	}
	nw_http_fill_exchange(r, h, end);
	if (p && place < NW_ENDED) {
		nw_ended_set(p, place, NW_ENDED_NEW);
	} else {
		__builtin_memset(&r->part_ns, 0xff, sizeof(r->part_ns));
		nw_http_fill_ends(r, p);
		nw_submit(r);
	}
}

static __always_inline void nw_http_on_waiting(struct nw_http *h, __s32 more)
{
	struct nw_http_totals *totals = nw_http_totals();
	__u32 side = nw_http_role(h) == NW_HTTP_ROLE_CLIENT;

	if (totals)
		__sync_fetch_and_add(&totals->waiting[side], (__s64)more);
}

static __always_inline __u64 nw_http_deep_key(struct nw_http *h)
{
	__u64 sock = nw_http_whole(h)->sock;

	return sock ? sock : 1 + bpf_get_smp_processor_id();
}

static __always_inline struct nw_http_deep *nw_http_deep(struct nw_http *h,
							 int make)
{
	__u64 key = nw_http_deep_key(h);
	struct nw_http_deep *deep = bpf_map_lookup_elem(&http_deep, &key);
	__u32 zero = 0;
	void *empty;

	if (deep || !make)
		return deep;
	empty = bpf_map_lookup_elem(&http_deep_zero, &zero);
	if (!empty)
		return NULL;
	bpf_map_update_elem(&http_deep, &key, empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&http_deep, &key);
}

static __always_inline void nw_http_deep_free(struct nw_http *h)
{
	__u64 key = nw_http_deep_key(h);

	bpf_map_delete_elem(&http_deep, &key);
}

/* What a listener's data has left outside is this connection's. */
static __always_inline void nw_http_deep_adopt(struct nw_http_connection *c)
{
	__u64 key = 1 + bpf_get_smp_processor_id();
	struct nw_http_deep *deep = bpf_map_lookup_elem(&http_deep, &key);

	if (!deep)
		return;
	bpf_map_update_elem(&http_deep, &c->sock, deep, BPF_ANY);
	bpf_map_delete_elem(&http_deep, &key);
}

static __always_inline void nw_http_take_for(__u32 what)
{
	struct nw_http_totals *totals = nw_http_totals();

	barrier_var(what);
	if (totals && what < NW_HTTP_TAKENS)
		__sync_fetch_and_add(&totals->taken[what], 1);
}

#endif /* NW_HTTP_EXCHANGE_BPF_H */
