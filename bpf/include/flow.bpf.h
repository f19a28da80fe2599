/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What -t remembers in a socket: when the application wrote which byte, and
 * which received packets it has not read yet. From TCP to the application a
 * packet waits in the socket's own queue, until copied_seq has passed it.
 * Segments merge in the kernel's receive queue (tcp_try_coalesce), here each
 * keeps its record.
 */
#ifndef NW_FLOW_BPF_H
#define NW_FLOW_BPF_H

#include "layers.bpf.h"

/* Where the packets of a walk through an unread queue go. */
struct nw_unread_user {
	struct nw_packet *packet;
	__u32 which; /* enum nw_scratch */
};

#define NW_UNREAD_USER struct nw_unread_user
#include "unread.h"

/* Data written by the application and not yet handed to IP, per socket. */
#define NW_WRITES 128

struct nw_write {
	__u32 seq; /* of the first byte */
	__u32 pad;
	__u64 ns;
};

#define NW_SHORT_UNKNOWN 0xffffffff

/* The three heads share a cache line. */
struct nw_flow {
	__u32 write_count; /* entries ever written; newest at count - 1 */
	__u32 overflowed; /* there is a second queue, in `overflows` */
	struct nw_unread unread;
	struct nw_write writes[NW_WRITES];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_unread);
} overflows SEC(".maps");

/* All bits set if a < b, for numbers less than 2^31 apart: no branch. */
static __always_inline __u32 nw_less(__u32 a, __u32 b)
{
	return (__s32)(a - b) >> 31;
}

/*
 * When the application wrote the byte with this sequence number; 0 = unknown.
 * A binary search: a bulk sender is dozens of writes ahead of what is sent.
 * Without branches, as the verifier would walk both sides of each.
 */
static __always_inline __u64 nw_written_ns(struct nw_flow *flow, __u32 seq)
{
	__u32 count = flow->write_count;
	__u32 place = count > NW_WRITES ? count - NW_WRITES : 0;
	struct nw_write *w;

	if (!count)
		return 0;
	for (__u32 step = NW_WRITES / 2; step; step /= 2) {
		w = &flow->writes[(place + step) & (NW_WRITES - 1)];
		place += step & nw_less(place + step, count) &
			 ~nw_less(seq, w->seq);
	}
	w = &flow->writes[place & (NW_WRITES - 1)];
	return nw_less(seq, w->seq) ? 0 : w->ns;
}

/* The application writes: its next byte has this sequence number. */
static __always_inline int nw_note_write(struct sock *sk)
{
	struct nw_flow *flow;
	struct nw_write *w;
	struct tcp_sock *tp;
	__u32 last;

	tp = nw_watched(sk);
	if (!tp)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow)
		return 0;
	last = flow->write_count - 1;
	w = &flow->writes[last & (NW_WRITES - 1)];
	if (flow->write_count && w->seq == tp->write_seq)
		return 0;
	/* full of bytes that have not been sent: they count from its last write */
	w = &flow->writes[(flow->write_count + 1) & (NW_WRITES - 1)];
	if (flow->write_count >= NW_WRITES && (__s32)(w->seq - tp->snd_nxt) > 0)
		return 0;
	w = &flow->writes[flow->write_count & (NW_WRITES - 1)];
	w->seq = tp->write_seq;
	w->ns = bpf_ktime_get_ns();
	flow->write_count++;
	return 0;
}

static __always_inline __u32 nw_short_ns(__u64 ns)
{
	return ns < NW_SHORT_UNKNOWN ? ns : NW_SHORT_UNKNOWN;
}

static __always_inline __u64 nw_long_ns(__u32 ns)
{
	return ns == NW_SHORT_UNKNOWN ? NW_UNKNOWN : ns;
}

/* True if the packet will never be read: TCP discards it. */
static __always_inline bool nw_is_closed(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return !tp ||
	       tp->inet_conn.icsk_inet.sk.__sk_common.skc_state == TCP_CLOSE;
}

/* False if the queue has no room, or is no longer looked at. */
static __always_inline bool
nw_push(struct bpf_sock *sk, struct nw_unread *queue, const struct nw_packet *p)
{
	__u32 ticket = 0;
	struct nw_pending *place = nw_unread_draw(queue, &ticket);

	if (!place)
		return false;
	place->ns = p->head.ts_ns;
	place->mac_ns = nw_short_ns(p->mac_ns);
	place->ip_ns = nw_short_ns(p->ip_ns);
	place->seq = p->seq;
	place->ack = p->ack;
	place->payload_bytes = p->payload_bytes;
	place->skb_bytes = p->skb_bytes;
	place->tcp_flags = p->tcp_flags;
	place->http_heads = p->http_heads;
	nw_unread_publish(place, ticket);
	if (!nw_is_closed(sk) || !nw_unread_take(place, ticket))
		return true;
	nw_unread_free(place, ticket);
	return false;
}

/* When the first queue is full; a frame of its own, as it is rare. */
static __noinline bool nw_push_overflow(struct bpf_sock *sk,
					struct nw_flow *flow,
					const struct nw_packet *p)
{
	struct nw_unread *queue;

	if (nw_is_closed(sk))
		return false;
	queue = bpf_sk_storage_get(&overflows, sk, 0,
				   BPF_SK_STORAGE_GET_F_CREATE);
	if (!queue)
		return false;
	flow->overflowed = 1;
	return nw_push(sk, queue, p);
}

/* Lets a packet wait to be read; false if there is no room for it. */
static __always_inline bool nw_await_read(struct bpf_sock *sk,
					  const struct nw_packet *p)
{
	struct nw_flow *flow =
		bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	return flow &&
	       (nw_push(sk, &flow->unread, p) || nw_push_overflow(sk, flow, p));
}

/* True if the application will read this packet's data some day. */
static __always_inline bool nw_will_be_read(struct bpf_sock *sk,
					    const struct nw_packet *p)
{
	__u32 end = p->seq + p->payload_bytes;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!p->payload_bytes || !tp)
		return false;
	if (tp->inet_conn.icsk_inet.sk.__sk_common.skc_state == TCP_LISTEN)
		return false;
	return (__s32)(end - tp->copied_seq) > 0 &&
	       (__s32)(end - (tp->rcv_nxt + tp->rcv_wnd)) <= 0;
}

/*
 * Where records are put together that several packets leave in one run. A soft
 * interrupt may destroy a socket while a task reads from another one, or the
 * queues are flushed, on the same CPU: each has its own.
 */
enum nw_scratch {
	NW_SCRATCH_READ = 0,
	NW_SCRATCH_DESTROY = 1,
	NW_SCRATCH_FLUSH = 2,
	NW_SCRATCHES = 3,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NW_SCRATCHES);
	__type(key, __u32);
	__type(value, struct nw_packet);
} scratch SEC(".maps");

/* Global, so that the verifier looks at it once and not once per packet. */
__noinline int nw_finish_scratch(__u32 which)
{
	struct nw_packet *p = bpf_map_lookup_elem(&scratch, &which);

	if (p)
		nw_finish_packet(p);
	return 0;
}

static __always_inline void nw_unread_taken(const struct nw_unread_walk *walk,
					    const struct nw_pending *packet,
					    bool read)
{
	struct nw_packet *p = walk->user.packet;

	p->mac_ns = nw_long_ns(packet->mac_ns);
	p->ip_ns = nw_long_ns(packet->ip_ns);
	p->tcp_ns = read ? p->head.ts_ns - packet->ns : NW_UNKNOWN;
	p->seq = packet->seq;
	p->ack = packet->ack;
	p->payload_bytes = packet->payload_bytes;
	p->skb_bytes = packet->skb_bytes;
	p->tcp_flags = packet->tcp_flags;
	p->http_heads = packet->http_heads;
	nw_finish_scratch(walk->user.which);
}

static __always_inline void nw_pop_queue(struct nw_unread *queue,
					 struct nw_packet *p, __u32 which,
					 __u32 copied_seq)
{
	struct nw_unread_walk walk = {
		.queue = queue,
		.user = {.packet = p, .which = which},
		.copied_seq = copied_seq,
		.all = which != NW_SCRATCH_READ,
	};

	nw_unread_begin(&walk);
	/* nearly always there is just one */
	if (nw_unread_step(0, &walk) || walk.head + 1 == walk.tail)
		return;
	walk.head++;
	nw_loop(NW_PENDING - 1, nw_unread_step, &walk);
}

static __always_inline void nw_pop_read(struct sock *sk, __u32 which)
{
	struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	struct nw_unread *more = NULL;
	struct nw_packet *p;
	struct tcp_sock *tp;

	if (flow && flow->overflowed)
		more = bpf_sk_storage_get(&overflows, sk, 0, 0);
	if (!flow)
		return;
	if (which != NW_SCRATCH_READ)
		nw_unread_fence(&flow->unread);
	if (nw_unread_is_empty(&flow->unread) &&
	    (!more || nw_unread_is_empty(more)))
		return;
	p = bpf_map_lookup_elem(&scratch, &which);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!p || !tp)
		return;
	p->head.ts_ns = bpf_ktime_get_ns();
	p->head.sock = (__u64)sk;
	p->head.kind = NW_KIND_PACKET;
	p->head.netns = nw_sock_netns(sk);
	p->rx = 1;
	nw_sock_tuple(tp, &p->tuple);
	nw_pop_queue(&flow->unread, p, which, tp->copied_seq);
	if (more)
		nw_pop_queue(more, p, which, tp->copied_seq);
}

#endif /* NW_FLOW_BPF_H */
