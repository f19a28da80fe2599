// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * pktlat: how long received data waits for the process that reads it.
 *
 * Traces  tcp_probe, which stands at the head of tcp_rcv_established();
 *         tcp_rcv_space_adjust, where a process has copied data out of the
 *         socket; tcp_destroy_sock where sockets have no storage (before 5.11).
 * Emits   nw_packet_latency per read that takes packets.
 * Cost    one lookup per segment with data, and one per read.
 */
#include "ring.bpf.h"
#include "sequence.bpf.h"
#include "socket.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct nw_packet_latency {
	struct nw_head head; /* ts_ns: of the read */
	nw_duration_t latency_ns; /* of the oldest packet that it took */
	struct nw_task task;
	struct nw_tuple tuple;
	__u32 tid;
	__u32 pad;
};

NW_RECORD(nw_packet_latency);

/* Set by the reader; none = any. */
const volatile __u64 nw_min_latency_ns = 0;
const volatile __u32 nw_tid_count = 0;
const volatile __u32 nw_tids[NW_FILTER_MAX] = {};

#define NW_ARRIVALS 8

/*
 * When data has arrived that nobody has read yet, in order. What comes when all
 * places are taken belongs to the last of them: the oldest stays exact.
 */
struct nw_arrivals {
	__u64 arrival_ns[NW_ARRIVALS];
	__u32 end_seq[NW_ARRIVALS];
	__u32 count;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_arrivals);
} arrivals_of SEC(".maps");

/* Before 5.11, as shared_socket_table. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct nw_arrivals);
} arrivals_table SEC(".maps");

/* NULL if there is nothing, or no memory for it. */
static __always_inline struct nw_arrivals *nw_arrivals_of(void *sk, bool make)
{
	struct nw_arrivals none = {};
	__u64 key = (__u64)sk;

	if (nw_has_socket_storage())
		return make ? nw_storage_make(&arrivals_of, sk) :
			      bpf_sk_storage_get(&arrivals_of, sk, 0, 0);
	return make ? nw_table_make(&arrivals_table, &key, &none) :
		      bpf_map_lookup_elem(&arrivals_table, &key);
}

/* Where the data of a segment ends; 0 if it has none that is new. */
static __always_inline bool nw_new_data(struct sk_buff *skb,
					struct tcp_sock *tp, __u32 *end_seq)
{
	__u32 header, bytes = skb->len;
	struct tcphdr tcp;

	if (bpf_probe_read_kernel(&tcp, sizeof(tcp), skb->data))
		return false;
	header = (((__u8 *)&tcp)[12] >> 4) * 4;
	*end_seq = bpf_ntohl(tcp.seq) + bytes - header;
	return bytes > header && nw_seq_before(tp->rcv_nxt, *end_seq);
}

static __always_inline void nw_note_arrival(struct nw_arrivals *arrivals,
					    __u32 end_seq)
{
	__u32 last = arrivals->count;

	if (last < NW_ARRIVALS) {
		arrivals->arrival_ns[last] = bpf_ktime_get_ns();
		arrivals->count = last + 1;
	} else {
		last = NW_ARRIVALS - 1;
	}
	barrier_var(last);
	if (last < NW_ARRIVALS)
		arrivals->end_seq[last] = end_seq;
}

/* Takes out what was read; since when the oldest of it waited, 0 if nothing. */
static __always_inline __u64 nw_take_read(struct nw_arrivals *arrivals,
					  __u32 copied_seq)
{
	__u64 oldest = arrivals->arrival_ns[0];
	__u32 taken = 0, kept = 0;

	for (__u32 i = 0; i < NW_ARRIVALS; i++) {
		if (i >= arrivals->count)
			break;
		if (!kept && !nw_seq_before(copied_seq, arrivals->end_seq[i])) {
			taken++;
			continue;
		}
		if (taken && kept < NW_ARRIVALS) {
			arrivals->arrival_ns[kept] = arrivals->arrival_ns[i];
			arrivals->end_seq[kept] = arrivals->end_seq[i];
		}
		kept++;
	}
	arrivals->count = kept;
	return taken ? oldest : 0;
}

static __always_inline bool nw_tid_allowed(__u32 tid)
{
	return nw_any_u32(nw_tids, nw_tid_count, tid);
}

NW_NESTED("tcp_probe", tcp_probe)

SEC("?tp_btf/tcp_probe")
int BPF_PROG(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	struct nw_tuple tuple = {};
	struct nw_arrivals *arrivals;
	struct tcp_sock *tp;
	__u32 end_seq;

	NW_MAY_NEST(tcp_probe);
	tp = nw_watched(sk);
	if (!tp || !nw_new_data(skb, tp, &end_seq))
		return 0;
	nw_sock_tuple(tp, &tuple);
	/* whose it is shows when it is read */
	if (!nw_tuple_allowed(&tuple))
		return 0;
	arrivals = nw_arrivals_of(sk, true);
	if (arrivals)
		nw_note_arrival(arrivals, end_seq);
	return 0;
}

SEC("?tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	struct nw_packet_latency *record;
	struct nw_arrivals *arrivals;
	struct nw_owner owner = {};
	struct tcp_sock *tp;
	__u64 now, since;
	__u32 tid;

	tp = nw_watched(sk);
	if (!tp)
		return 0;
	arrivals = nw_arrivals_of(sk, false);
	if (!arrivals)
		return 0;
	since = nw_take_read(arrivals, tp->copied_seq);
	now = bpf_ktime_get_ns();
	tid = (__u32)bpf_get_current_pid_tgid();
	if (!since || now - since < nw_min_latency_ns || !nw_tid_allowed(tid))
		return 0;
	nw_current_owner(&owner);
	if (!nw_owner_allowed(&owner, sk))
		return 0;
	record = nw_reserve(sizeof(*record));
	if (!record)
		return 0;
	__builtin_memset(record, 0, sizeof(*record));
	record->head.ts_ns = now;
	record->head.sock = (__u64)sk;
	record->head.kind = NW_KIND_PACKET_LATENCY;
	record->head.netns = nw_sock_netns(sk);
	record->latency_ns = now - since;
	record->task = owner.task;
	record->tid = tid;
	nw_sock_tuple(tp, &record->tuple);
	nw_submit(record);
	return 0;
}

SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(forget_socket, struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&arrivals_table, &key);
	return 0;
}
