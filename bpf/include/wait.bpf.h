/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Received packets that wait to be read: in, out, and whose they are. */
#ifndef NW_WAIT_BPF_H
#define NW_WAIT_BPF_H

#include "reorder.bpf.h"

static __always_inline __u32 nw_short_ns(__u64 ns)
{
	return ns < NW_SHORT_UNKNOWN ? ns : NW_SHORT_UNKNOWN;
}

static __always_inline __u64 nw_long_ns(__u32 ns)
{
	return ns == NW_SHORT_UNKNOWN ? NW_UNKNOWN : ns;
}

static __always_inline void nw_unread_fill(struct nw_pending *place,
					   const struct nw_packet *p)
{
	place->ns = p->head.ts_ns;
	place->mac_ns = nw_short_ns(p->mac_ns);
	place->ip_ns = nw_short_ns(p->ip_ns);
	place->seq = p->seq;
	place->ack = p->ack;
	place->payload_bytes = p->payload_bytes;
	place->header_bytes = p->skb_bytes - p->payload_bytes;
	place->tcp_flags = p->tcp_flags;
	place->http_heads = p->http_heads;
}

static __always_inline __u8 nw_state_of(struct tcp_sock *tp)
{
	return tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;
}

static __always_inline __u32 nw_ports(const struct nw_tuple *tuple)
{
	return *(const __u32 *)&tuple->local_port;
}

static __always_inline bool nw_has_ends(const struct nw_ends *ends,
					const struct nw_tuple *tuple)
{
	const __u64 *a = (const __u64 *)ends;
	const __u64 *b = (const __u64 *)tuple;

	return ends->ports == nw_ports(tuple) &&
	       !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]));
}

/*
 * Once in a connection, at its first packet that waits. The ends are the
 * socket's: a packet of the connection before may be late. Meanwhile they are
 * ports that no connection has, of this generation: if nw_flow_restart() comes
 * in between, they stay forgotten.
 */
static __noinline bool nw_begin_waiting(struct nw_flow *flow,
					struct tcp_sock *tp, __u32 generation)
{
	struct nw_ends *ends = &flow->ends;
	struct nw_tuple own = {};
	__u32 busy = generation << 16;

	if (nw_state_of(tp) == TCP_SYN_SENT ||
	    __sync_val_compare_and_swap(&ends->ports, 0, busy))
		return false;
	nw_sock_tuple(tp, &own);
	__builtin_memcpy(ends->local_addr, own.local_addr, sizeof(nw_ip_t));
	__builtin_memcpy(ends->peer_addr, own.peer_addr, sizeof(nw_ip_t));
	return __sync_val_compare_and_swap(&ends->ports, busy,
					   nw_ports(&own)) == busy;
}

/*
 * The socket's first generation. Whoever closes a socket changes its state, then
 * looks for this storage: either it is found and ended, or the state is seen.
 */
static __noinline __u32 nw_open_waiting(struct nw_flow *flow,
					struct tcp_sock *tp)
{
	__sync_val_compare_and_swap(&flow->unread.queue.tail, 1, 1);
	if (nw_state_of(tp) == TCP_CLOSE)
		return 0;
	return nw_unread_open(&flow->unread);
}

/* When the socket's own places are full; a frame of its own, as it is rare. */
static __noinline bool nw_push_outside(struct nw_flow *flow, __u32 generation,
				       const struct nw_packet *p)
{
	return nw_unread_push_block(&flow->unread, generation,
				    NW_UNREAD_SIZE_SMALL, p) ||
	       nw_unread_push_block(&flow->unread, generation,
				    NW_UNREAD_SIZE_LARGE, p);
}

/* Into the socket's own places, else outside. */
static __always_inline bool nw_push_waiting(struct nw_flow *flow,
					    __u32 generation,
					    const struct nw_packet *p)
{
	return nw_unread_push(&flow->unread.queue, NW_UNREAD_INLINE, generation,
			      p) ||
	       nw_push_outside(flow, generation, p);
}

/* Lets a packet wait to be read; false if there is no room for it. */
static __always_inline bool nw_await_read(struct bpf_sock *sk,
					  struct tcp_sock *tp,
					  const struct nw_packet *p)
{
	struct nw_flow *flow = nw_storage_make(&flows, sk);
	__u32 generation;

	if (!flow)
		return false;
	generation = nw_unread_generation(&flow->unread.queue);
	if (!generation)
		generation = nw_open_waiting(flow, tp);
	if (!nw_unread_is_open(generation) ||
	    (!flow->ends.ports && !nw_begin_waiting(flow, tp, generation)) ||
	    !nw_has_ends(&flow->ends, &p->tuple))
		return false;
	if (tp->out_of_order_queue.rb_node)
		nw_note_gap(flow, tp, p);
	return nw_push_waiting(flow, generation, p);
}

/*
 * The same for the packet that a listener's child has just been made of: nobody
 * else knows the socket yet, which does not even know its own ends.
 */
static __always_inline bool nw_await_child(struct sock *sk,
					   const struct nw_packet *p)
{
	struct nw_flow *flow = nw_storage_make(&flows, sk);
	__u32 generation;

	if (!flow)
		return false;
	generation = nw_unread_open(&flow->unread);
	if (!nw_unread_is_open(generation))
		return false;
	__builtin_memcpy(flow->ends.local_addr, p->tuple.local_addr,
			 sizeof(nw_ip_t));
	__builtin_memcpy(flow->ends.peer_addr, p->tuple.peer_addr,
			 sizeof(nw_ip_t));
	flow->ends.ports = nw_ports(&p->tuple);
	return nw_push_waiting(flow, generation, p);
}

/*
 * True if the application will read this packet's data some day: the packet
 * waits then.
 */
static __always_inline bool nw_wait(struct bpf_sock *sk,
				    const struct nw_packet *p)
{
	__u32 end = p->seq + p->payload_bytes + !!(p->tcp_flags & NW_TCP_SYN);
	struct tcp_sock *tp;

	if (!p->payload_bytes)
		return false;
	tp = nw_tcp_of_packet(sk, p->head.sock);
	if (!tp || nw_state_of(tp) == TCP_LISTEN)
		return false;
	return (__s32)(end - tp->copied_seq) > 0 &&
	       (__s32)(end - (tp->rcv_nxt + tp->rcv_wnd)) <= 0 &&
	       nw_await_read(sk, tp, p);
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
	NW_SCRATCH_RESTART = 3,
	NW_SCRATCH_NESTED = 4,
	NW_SCRATCHES = 5,
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
	/* by then copied_seq may be the next connection's */
	bool timed = read && walk->user.which != NW_SCRATCH_RESTART;

	if (walk->user.out)
		return;
	p->mac_ns = nw_long_ns(packet->mac_ns);
	p->ip_ns = nw_long_ns(packet->ip_ns);
	p->tcp_ns = timed ? p->head.ts_ns - packet->ns : NW_UNKNOWN;
	p->reorder_ns =
		!timed ? NW_UNKNOWN :
		!walk->user.gaps ?
			 0 :
			 nw_reorder_ns(walk->user.gaps, walk->user.sock,
				       packet->seq, packet->ns, p->head.ts_ns);
	p->seq = packet->seq;
	p->ack = packet->ack;
	p->payload_bytes = packet->payload_bytes;
	p->skb_bytes = packet->payload_bytes + packet->header_bytes;
	p->tcp_flags = packet->tcp_flags;
	p->http_heads = packet->http_heads;
	nw_finish_scratch(walk->user.which);
}

static long nw_unread_step_inline(__u32 i, struct nw_unread_walk *walk)
{
	return nw_unread_step(i, walk, NW_UNREAD_INLINE);
}

static long nw_unread_step_small(__u32 i, struct nw_unread_walk *walk)
{
	return nw_unread_step(i, walk, NW_UNREAD_SMALL);
}

static long nw_unread_step_large(__u32 i, struct nw_unread_walk *walk)
{
	return nw_unread_step(i, walk, NW_UNREAD_LARGE);
}

static __always_inline void nw_unread_loop(struct nw_unread_walk *walk,
					   __u32 places)
{
	if (places == NW_UNREAD_INLINE)
		nw_unread_step_inline(0, walk);
	else if (places == NW_UNREAD_SMALL)
		nw_loop(NW_UNREAD_SMALL, nw_unread_step_small, walk);
	else
		nw_loop(NW_UNREAD_LARGE, nw_unread_step_large, walk);
}

/* The ends of the waiting packets, which need not be the socket's any more. */
static __always_inline void nw_put_ends(struct nw_tuple *tuple,
					const struct nw_ends *ends)
{
	__builtin_memcpy(tuple->local_addr, ends->local_addr, sizeof(nw_ip_t));
	__builtin_memcpy(tuple->peer_addr, ends->peer_addr, sizeof(nw_ip_t));
	*(__u32 *)&tuple->local_port = ends->ports;
	tuple->family = nw_is_mapped(tuple->local_addr) ? AF_INET : AF_INET6;
}

/* Whose they are may have shown since they came: see nw_judge(). */
static __always_inline int nw_judge_again(struct sock *sk,
					  const struct nw_tuple *tuple)
{
	struct nw_socket *s;

	if (!nw_owner_filtered())
		return NW_MARK_NONE;
	s = nw_socket_find(sk);
	if (s)
		nw_adopt_owner(s, sk);
	return nw_judge(sk, s, tuple);
}

/* The clock's reading for what leaves; 0 if it was not read. */
static __always_inline __u64 nw_leave(struct sock *sk, struct nw_flow *flow,
				      __u32 which)
{
	__u64 now;
	int marks;
	struct nw_packet *p = bpf_map_lookup_elem(&scratch, &which);
	struct tcp_sock *tp = nw_tcp_sock(sk);
	struct nw_unread_walk walk = {
		.user = {.packet = p,
			 .which = which,
			 .gaps = flow->gaps,
			 .sock = nw_gaps_number(sk)},
		.all = which != NW_SCRATCH_READ,
	};

	if (!p || !tp)
		return 0;
	walk.copied_seq = tp->copied_seq;
	now = bpf_ktime_get_ns();
	p->head.ts_ns = now;
	p->head.sock = (__u64)sk;
	p->head.kind = NW_KIND_PACKET;
	p->head.netns = nw_sock_netns(sk);
	p->rx = 1;
	nw_put_ends(&p->tuple, &flow->ends);
	marks = nw_judge_again(sk, &p->tuple);
	p->marks = marks;
	walk.user.out = marks == NW_OUT;
	nw_unread_leave(&flow->unread, &walk);
	return now;
}

/* The application reads: what it has read leaves. Gives what nw_leave() does. */
static __always_inline __u64 nw_flow_read(struct sock *sk)
{
	struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);

	if (!flow || nw_unread_socket_is_empty(&flow->unread))
		return 0;
	return nw_leave(sk, flow, NW_SCRATCH_READ);
}

/* The socket ends, or the watching: everything leaves, nothing comes any more. */
static __always_inline void nw_flow_close(struct sock *sk, __u32 which)
{
	struct nw_flow *flow;
	__u32 busy = which;
	struct nw_packet *p = bpf_map_lookup_elem(&scratch, &busy);

	/* a full barrier between the socket's state and the look: see open */
	if (p)
		__sync_val_compare_and_swap(&p->pid, 1, 1);
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	if (!flow)
		return;
	nw_unread_close(&flow->unread);
	nw_leave(sk, flow, which);
	nw_forget_writes(flow);
	nw_forget_gaps(flow);
}

/*
 * The socket begins another connection (connect after AF_UNSPEC): what waits
 * leaves with the ends of the one before. Called under the socket's lock.
 */
static __always_inline void nw_flow_restart(struct sock *sk)
{
	struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);

	if (!flow)
		return;
	nw_forget_writes(flow);
	if (!nw_unread_pause(&flow->unread))
		return;
	nw_leave(sk, flow, NW_SCRATCH_RESTART);
	nw_forget_gaps(flow);
	__atomic_exchange_n(&flow->ends.ports, 0, __ATOMIC_SEQ_CST);
	nw_unread_resume(&flow->unread);
}

#endif /* NW_WAIT_BPF_H */
