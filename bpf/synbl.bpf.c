// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * synbl: how many connections wait for accept() when another one comes.
 *
 * Traces  inet_sock_set_state, a server's new socket becoming established.
 * Emits   nothing. Counts in `backlogs`, a pair of maps that the reader swaps.
 * Cost    three loads per change of state, one lookup per accepted handshake.
 *
 * The kernel makes a connection's socket as a copy of the listening one, with
 * the length and the limit of its queue as they were just then, before the new
 * one was put into it; in a connection nothing changes them any more. So they
 * can be read later, when the addresses are there too.
 */
#include "histogram.bpf.h"
#include "socket_life.bpf.h"
#include "swapped.bpf.h"

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

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int state)
{
	struct nw_backlog_key key = {};
	struct nw_backlog *backlog;
	struct nw_tuple tuple = {};
	struct nw_turn turn;
	struct tcp_sock *tp;
	__u32 bucket;

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
	key.limit = sk->sk_max_ack_backlog;
	backlog = nw_counted(&backlogs, &key, &nw_no_backlog);
	if (!backlog)
		return 0;
	bucket = nw_bit_length(sk->sk_ack_backlog);
	if (!bucket)
		bucket = 1;
	barrier_var(bucket);
	if (bucket < NW_BACKLOG_BUCKETS)
		__sync_fetch_and_add(&backlog->buckets[bucket], 1);
	__sync_fetch_and_add(&backlog->sum, sk->sk_ack_backlog);
	return 0;
}

NW_OWNER_PROGRAMS
