// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * congestion: how long connections are in each state of congestion control.
 *
 * Traces  tcp_cong_state_set, inet_sock_set_state; where the former is missing
 *         (before 5.19) tcp_probe, at which a change is seen with the next
 *         segment that arrives.
 * Emits   nothing. Counts by connection in `flows`, a pair of maps that the
 *         reader swaps, and by state in congest_totals.
 * Cost    nothing while states stay as they are; without tcp_cong_state_set one
 *         lookup per segment.
 */
#include "histogram.bpf.h"
#include "socket_life.bpf.h"
#include "swapped.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NW_CA_STATES 5
#define NW_CA_BUCKETS 40

struct nw_congestion_flow {
	nw_ip_t local_addr;
	nw_ip_t peer_addr;
	__u16 local_port;
	__u16 peer_port;
};

/* What became known in the interval: visits of states that have ended. */
struct nw_congestion_times {
	__u64 time_ns[NW_CA_STATES];
	__u64 changes;
};

/* Of one state, all connections together; u64 only, to be added up. */
struct nw_ca_totals {
	__u64 time_ns;
	/* all visits that have ended; b holds 2^(b-1) to 2^b - 1 units */
	__u64 buckets[NW_CA_BUCKETS];
};

NW_RECORD(nw_congestion_flow);
NW_RECORD(nw_congestion_times);
NW_RECORD(nw_ca_totals);

/* Set by the reader. */
const volatile __u32 nw_unit_ns = 1000; /* of the histograms */

static const struct nw_congestion_times nw_no_states = {};

NW_SWAPPED_MAP(flows, struct nw_congestion_flow, struct nw_congestion_times,
	       10240);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NW_CA_STATES);
	__type(key, __u32);
	__type(value, struct nw_ca_totals);
} congest_totals SEC(".maps");

/* What is remembered of a connection. */
struct nw_ca {
	__u64 since_ns; /* when it entered its state; 0 = not seen */
	__u32 changes;
	__u8 state; /* at the last look; only where that is how one knows */
	__u8 looked_at;
	__u8 pad[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_ca);
} congestion_of SEC(".maps");

/* Before 5.11, as shared_socket_table. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct nw_ca);
} congestion_table SEC(".maps");

static __always_inline struct nw_ca *nw_ca_of(void *sk)
{
	struct nw_ca none = {};
	__u64 key = (__u64)sk;

	return nw_has_socket_storage() ?
		       nw_storage_make(&congestion_of, sk) :
		       nw_table_make(&congestion_table, &key, &none);
}

/* The socket's addresses; false if it is not watched. */
static __always_inline bool nw_watched_flow(struct sock *sk,
					    struct tcp_sock *tp,
					    struct nw_congestion_flow *flow)
{
	struct nw_tuple tuple = {};

	nw_sock_tuple(tp, &tuple);
	if (!nw_flow_allowed(&tuple, sk))
		return false;
	__builtin_memcpy(flow->local_addr, tuple.local_addr,
			 sizeof(flow->local_addr));
	__builtin_memcpy(flow->peer_addr, tuple.peer_addr,
			 sizeof(flow->peer_addr));
	flow->local_port = tuple.local_port;
	flow->peer_port = tuple.peer_port;
	return true;
}

static __always_inline void nw_add_visit(__u32 state, __u64 ns)
{
	__u32 bucket = nw_bit_length(ns / nw_unit_ns);
	struct nw_ca_totals *totals;

	totals = bpf_map_lookup_elem(&congest_totals, &state);
	if (!totals)
		return;
	__sync_fetch_and_add(&totals->time_ns, ns);
	if (!bucket)
		bucket = 1;
	if (bucket > NW_CA_BUCKETS - 1)
		bucket = NW_CA_BUCKETS - 1;
	barrier_var(bucket);
	if (bucket < NW_CA_BUCKETS)
		__sync_fetch_and_add(&totals->buckets[bucket], 1);
}

/* A connection has left a state, by a change or because it is closed. */
static __always_inline void nw_left(const struct nw_congestion_flow *flow,
				    struct nw_ca *ca, __u32 state,
				    __u32 changes)
{
	__u64 now = bpf_ktime_get_ns(), ns;
	struct nw_congestion_times *states;

	states = nw_counted(&flows, flow, &nw_no_states);
	/* to add a known 0 would become an instruction of 5.12 */
	if (states && changes)
		__sync_fetch_and_add(&states->changes, changes);
	if (ca->since_ns) {
		ns = now - ca->since_ns;
		nw_add_visit(state, ns);
		barrier_var(state);
		if (states && state < NW_CA_STATES)
			__sync_fetch_and_add(&states->time_ns[state], ns);
	}
	ca->since_ns = now;
	ca->changes += changes;
}

NW_NESTED("tcp_cong_state_set", tcp_cong_state_set)

/* The state before is still in the socket. */
SEC("?tp_btf/tcp_cong_state_set")
int BPF_PROG(tcp_cong_state_set, struct sock *sk, __u8 state)
{
	struct nw_congestion_flow flow = {};
	struct tcp_sock *tp;
	struct nw_ca *ca;
	__u8 before;

	NW_MAY_NEST(tcp_cong_state_set);
	tp = nw_watched(sk);
	if (!tp)
		return 0;
	before = nw_congestion_state(tp);
	if (before == state || !nw_watched_flow(sk, tp, &flow))
		return 0;
	ca = nw_ca_of(sk);
	if (ca)
		nw_left(&flow, ca, before, 1);
	return 0;
}

NW_NESTED("tcp_probe", tcp_probe)

/* Where the kernel does not tell: what is different from the last look. */
SEC("?tp_btf/tcp_probe")
int BPF_PROG(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	struct nw_congestion_flow flow = {};
	struct tcp_sock *tp;
	struct nw_ca *ca;
	__u8 state;

	NW_MAY_NEST(tcp_probe);
	tp = nw_watched(sk);
	if (!tp || !nw_watched_flow(sk, tp, &flow))
		return 0;
	ca = nw_ca_of(sk);
	if (!ca)
		return 0;
	state = nw_congestion_state(tp);
	if (ca->looked_at && ca->state != state)
		nw_left(&flow, ca, ca->state, 1);
	ca->looked_at = 1;
	ca->state = state;
	return 0;
}

NW_NESTED("inet_sock_set_state", inet_sock_set_state)

/* From here on its first state is known; at the end, how long it had its last. */
SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int state)
{
	struct nw_congestion_flow flow = {};
	struct nw_turn turn;
	struct tcp_sock *tp;
	struct nw_ca *ca;
	__u64 key = (__u64)sk;

	NW_MAY_NEST(inet_sock_set_state);
	if (nw_owner_filtered())
		nw_socket_turn(&turn, sk, old_state, state);
	if ((state != TCP_ESTABLISHED && state != TCP_CLOSE) ||
	    !nw_netns_allowed(nw_sock_netns(sk)))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || !nw_watched_flow(sk, tp, &flow))
		return 0;
	ca = nw_ca_of(sk);
	if (!ca)
		return 0;
	if (state == TCP_ESTABLISHED) {
		/* a SYN may have been lost before */
		if (!ca->since_ns)
			ca->since_ns = bpf_ktime_get_ns();
		return 0;
	}
	if (ca->changes)
		nw_left(&flow, ca, nw_congestion_state(tp), 0);
	/* the socket may be used again */
	__builtin_memset(ca, 0, sizeof(*ca));
	if (!nw_has_socket_storage())
		bpf_map_delete_elem(&congestion_table, &key);
	return 0;
}

NW_OWNER_PROGRAMS
