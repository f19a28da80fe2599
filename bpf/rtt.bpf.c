// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * rtt: the smoothed round-trip time of a connection, at every segment that
 * arrives on it.
 *
 * Traces  tcp_probe, which stands at the head of tcp_rcv_established().
 * Emits   nothing. Counts in `rtts`, a pair of maps that the reader swaps, and
 *         for metrics in `rtt_totals`.
 * Cost    one lookup per segment of an established connection.
 */
#include "histogram.bpf.h"
#include "socket_life.bpf.h"
#include "swapped.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NW_RTT_BUCKETS 32

/*
 * Whose round-trip times: an end of connections, or nobody's in particular. Then
 * its first word is the CPU, so that not all of them write into one place; the
 * reader adds them up.
 */
struct nw_rtt_key {
	nw_ip_t addr;
};

/* Bucket b holds 2^(b-1) to 2^b - 1 units, bucket 1 also 0; bucket 0 nothing. */
struct nw_rtt {
	__u64 buckets[NW_RTT_BUCKETS];
	__u64 sum_us;
};

NW_RECORD(nw_rtt_key);
NW_RECORD(nw_rtt);
NW_RECORD(nw_histogram);

enum nw_rtt_by {
	NW_RTT_BY_NOTHING = 0,
	NW_RTT_BY_LOCAL = 1,
	NW_RTT_BY_PEER = 2,
};

NW_ENUM(nw_rtt_by);

const volatile __u32 nw_rtt_by = NW_RTT_BY_NOTHING;
const volatile __u32 nw_us_per_unit = 1;
static const struct nw_rtt nw_no_rtt = {};

NW_SWAPPED_MAP(rtts, struct nw_rtt_key, struct nw_rtt, 10240);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_histogram);
} rtt_totals SEC(".maps");

static __always_inline void nw_add_rtt(struct nw_rtt *rtt, __u32 srtt_us)
{
	__u32 bucket = nw_bit_length(srtt_us / nw_us_per_unit);

	if (!bucket)
		bucket = 1;
	barrier_var(bucket);
	if (bucket < NW_RTT_BUCKETS)
		__sync_fetch_and_add(&rtt->buckets[bucket], 1);
	__sync_fetch_and_add(&rtt->sum_us, srtt_us);
}

static __always_inline void nw_add_total(__u32 srtt_us)
{
	struct nw_histogram *totals;
	__u32 zero = 0;

	totals = bpf_map_lookup_elem(&rtt_totals, &zero);
	if (totals)
		nw_histogram_add(totals, (__u64)srtt_us * 1000);
}

NW_NESTED("tcp_probe", tcp_probe)

SEC("?tp_btf/tcp_probe")
int BPF_PROG(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	struct nw_tuple tuple = {};
	struct nw_rtt_key key = {};
	struct tcp_sock *tp;
	struct nw_rtt *rtt;
	__u32 srtt_us, cpu = bpf_get_smp_processor_id();

	NW_MAY_NEST(tcp_probe);
	tp = nw_watched(sk);
	/* 0: none measured yet */
	if (!tp || !tp->srtt_us)
		return 0;
	nw_sock_tuple(tp, &tuple);
	if (!nw_flow_allowed(&tuple, sk))
		return 0;
	if (nw_rtt_by == NW_RTT_BY_LOCAL)
		__builtin_memcpy(key.addr, tuple.local_addr, sizeof(key.addr));
	else if (nw_rtt_by == NW_RTT_BY_PEER)
		__builtin_memcpy(key.addr, tuple.peer_addr, sizeof(key.addr));
	else
		__builtin_memcpy(key.addr, &cpu, sizeof(cpu));
	srtt_us = tp->srtt_us >> 3;
	nw_add_total(srtt_us);
	rtt = nw_counted(&rtts, &key, &nw_no_rtt);
	if (rtt)
		nw_add_rtt(rtt, srtt_us);
	return 0;
}

NW_NESTED("inet_sock_set_state", inet_sock_set_state)

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int state)
{
	struct nw_turn turn;

	NW_MAY_NEST(inet_sock_set_state);
	nw_socket_turn(&turn, sk, old_state, state);
	return 0;
}

NW_OWNER_PROGRAMS
