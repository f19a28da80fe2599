// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * synbl: how many connections wait for accept() when another one comes.
 *
 * Traces  inet_sock_set_state, a server's new socket becoming established;
 *         cgroup_skb ingress, a last ACK that finds the queue full.
 * Emits   nothing. Counts in `backlogs`, a pair of maps that the reader swaps.
 * Cost    three loads per change of state, two per received packet, one lookup per
 *         accepted handshake.
 *
 * The kernel makes a connection's socket as a copy of the listening one, with
 * the length and the limit of its queue as they were just then, before the new
 * one was put into it; in a connection nothing changes them any more. So they
 * can be read later, when the addresses are there too.
 */
#include "histogram.bpf.h"
#include "overflow.bpf.h"
#include "socket_life.bpf.h"
#include "swapped.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NW_BACKLOG_BUCKETS 34

struct nw_backlog_key {
	__u32 limit;
};

/* Bucket b holds 2^(b-1) to 2^b - 1, bucket 1 also 0; bucket 0 nothing. */
struct nw_backlog {
	__u64 buckets[NW_BACKLOG_BUCKETS];
	__u64 sum;
};

NW_RECORD(nw_backlog_key);
NW_RECORD(nw_backlog);

static const struct nw_backlog nw_no_backlog = {};

NW_SWAPPED_MAP(backlogs, struct nw_backlog_key, struct nw_backlog, 1024);

/*
 * True of a socket that a listening one was copied to, not of a client's whose
 * SYN crossed another: that has been the process's from the start and never had
 * a queue.
 */
static __always_inline bool nw_is_child(struct sock *sk)
{
	return sk->sk_max_ack_backlog || !sk->sk_socket;
}

/* One more that comes to the queue, and found `length` in it. */
static __always_inline void nw_count_backlog(__u32 limit, __u32 length)
{
	struct nw_backlog_key key = {.limit = limit};
	struct nw_backlog *backlog;
	__u32 bucket;

	backlog = nw_counted(&backlogs, &key, &nw_no_backlog);
	if (!backlog)
		return;
	bucket = nw_bit_length(length);
	if (!bucket)
		bucket = 1;
	barrier_var(bucket);
	if (bucket < NW_BACKLOG_BUCKETS)
		__sync_fetch_and_add(&backlog->buckets[bucket], 1);
	__sync_fetch_and_add(&backlog->sum, length);
}

NW_NESTED("inet_sock_set_state", inet_sock_set_state)

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int state)
{
	struct nw_tuple tuple = {};
	struct nw_turn turn;
	struct tcp_sock *tp;

	NW_MAY_NEST(inet_sock_set_state);
	if (nw_owner_filtered())
		nw_socket_turn(&turn, sk, old_state, state);
	if (old_state != TCP_SYN_RECV || state != TCP_ESTABLISHED ||
	    !nw_netns_allowed(nw_sock_netns(sk)))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || !nw_is_child(sk))
		return 0;
	nw_sock_tuple(tp, &tuple);
	if (!nw_flow_allowed(&tuple, sk))
		return 0;
	nw_count_backlog(sk->sk_max_ack_backlog, sk->sk_ack_backlog);
	return 0;
}

/*
 * A handshake that ends at a full queue, as often as it tries to: the kernel
 * makes no socket for it. A frame of its own, as it is rare.
 */
static __noinline int nw_refused(struct __sk_buff *ctx)
{
	struct sock *listener = nw_full_listener(ctx);
	struct nw_headers headers = {};

	if (listener && nw_netns_allowed(nw_sock_netns(listener)) &&
	    nw_parse(ctx, true, &headers) &&
	    nw_flow_allowed(&headers.tuple, listener) &&
	    nw_overflow_of(ctx, listener, &headers) == NW_OVERFLOW_ACK)
		nw_count_backlog(listener->sk_max_ack_backlog,
				 listener->sk_ack_backlog);
	return 0;
}

SEC("?cgroup_skb/ingress")
int listener_ingress(struct __sk_buff *ctx)
{
	if (nw_full_listener(ctx))
		nw_refused(ctx);
	return 1;
}

NW_OWNER_PROGRAMS
