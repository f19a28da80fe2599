/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Received packets: from the driver's hands to the stack they wait in an array,
 * found by their skb's address; from TCP to the application in the socket's
 * own queue, popped when copied_seq has passed them. Segments merge in the
 * kernel's receive queue (tcp_try_coalesce), here each keeps its record.
 */
#ifndef NW_RECEIVE_BPF_H
#define NW_RECEIVE_BPF_H

#include "layers.bpf.h"

#define NW_RX_SLOTS 4096

struct nw_rx_slot {
	__u64 skb; /* 0 = free */
	__u64 mac_ns; /* arrival */
	__u64 ip_ns; /* 0 = the stack has not taken it yet */
	__u64 pad;
};

struct nw_rx_set {
	struct nw_rx_slot way[NW_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NW_RX_SLOTS / NW_WAYS);
	__type(key, __u32);
	__type(value, struct nw_rx_set);
} rx_slots SEC(".maps");

static __always_inline struct nw_rx_set *nw_rx_set(__u64 skb)
{
	__u32 index = nw_hash(skb) & (NW_RX_SLOTS / NW_WAYS - 1);

	return bpf_map_lookup_elem(&rx_slots, &index);
}

/* A packet enters from below: remember when. The stalest entry gives way. */
static __always_inline void nw_rx_arrive(__u64 skb, __u64 now)
{
	struct nw_rx_set *set = nw_rx_set(skb);
	__u64 oldest = NW_UNKNOWN;
	__u32 chosen = 0;

	if (!set)
		return;
	for (int i = 0; i < NW_WAYS; i++) {
		__u64 key = set->way[i].skb;
		__u64 age = !key || key == skb ? 0 : set->way[i].mac_ns;

		if (age < oldest) {
			oldest = age;
			chosen = i;
		}
	}
	chosen &= NW_WAYS - 1;
	set->way[chosen].mac_ns = now;
	set->way[chosen].ip_ns = 0;
	set->way[chosen].skb = skb;
}

static __always_inline struct nw_rx_slot *nw_rx_find(__u64 skb)
{
	struct nw_rx_set *set = nw_rx_set(skb);

	if (!set)
		return NULL;
	for (int i = 0; i < NW_WAYS; i++)
		if (set->way[i].skb == skb)
			return &set->way[i];
	return NULL;
}

/*
 * The packet that TCP on this CPU has just been given: told by fentry where
 * the kernel allows that, for the exact moment, and for kernels before 6.2,
 * where cgroup_skb does not know its skb.
 */
struct nw_rx_now {
	__u64 mac_ns; /* arrival; 0 = not seen */
	__u64 ip_ns; /* IP took it; 0 = not seen */
	__u64 tcp_ns; /* TCP took it; 0 = none */
	__be32 ports; /* as in the TCP header */
	__be32 seq;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_rx_now);
} rx_now SEC(".maps");

/* fentry programs tell where IP and TCP begin; set by the reader. */
const volatile bool nw_exact = false;

static __always_inline int nw_reach_tcp(const struct sk_buff *skb)
{
	struct nw_rx_slot *slot;
	struct nw_rx_now *now;
	__u32 zero = 0;

	if (!nw_skb_watched(skb))
		return 0;
	now = bpf_map_lookup_elem(&rx_now, &zero);
	if (!now)
		return 0;
	slot = nw_rx_find(nw_number(skb));
	now->mac_ns = slot && slot->ip_ns ? slot->mac_ns : 0;
	now->ip_ns = slot ? slot->ip_ns : 0;
	bpf_probe_read_kernel(&now->ports,
			      sizeof(now->ports) + sizeof(now->seq),
			      skb->head + skb->transport_header);
	now->tcp_ns = bpf_ktime_get_ns();
	return 0;
}

/* Takes over what fentry has told of this very packet. */
static __always_inline void nw_take_exact(struct nw_packet *p,
					  const struct nw_headers *h)
{
	struct nw_rx_now *now;
	__u32 zero = 0;

	now = bpf_map_lookup_elem(&rx_now, &zero);
	if (!now || !now->tcp_ns || now->ports != h->ports ||
	    now->seq != bpf_htonl(h->seq))
		return;
	if (now->mac_ns) {
		p->mac_ns = now->ip_ns - now->mac_ns;
		p->ip_ns = now->tcp_ns - now->ip_ns;
	}
	p->head.ts_ns = now->tcp_ns;
	now->tcp_ns = 0;
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

static __always_inline void nw_receive(struct __sk_buff *ctx,
				       struct bpf_sock *sk,
				       const struct nw_headers *h,
				       struct nw_packet *p)
{
	struct nw_rx_slot *slot = NULL;

	if (nw_exact)
		nw_take_exact(p, h);
	else if (nw_has_kernel_context)
		slot = nw_rx_find(nw_number(bpf_cast_to_kern_ctx(ctx)));
	if (slot && slot->ip_ns) {
		p->mac_ns = slot->ip_ns - slot->mac_ns;
		p->ip_ns = p->head.ts_ns - slot->ip_ns;
		slot->skb = 0;
	}
	if (!nw_will_be_read(sk, p) || !nw_await_read(sk, p))
		nw_finish_packet(p);
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

#endif /* NW_RECEIVE_BPF_H */
