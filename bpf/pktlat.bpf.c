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
#include "socket.bpf.h"

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

#define NW_UNREAD 8

/*
 * When data has arrived that nobody has read yet, in order. What comes when all
 * places are taken belongs to the last of them: the oldest stays exact.
 */
struct nw_unread {
	__u64 arrival_ns[NW_UNREAD];
	__u32 end_seq[NW_UNREAD];
	__u32 count;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_unread);
} unread_of SEC(".maps");

/* Before 5.11, as shared_socket_table. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct nw_unread);
} unread_table SEC(".maps");

/* NULL if there is nothing, or no memory for it. */
static __always_inline struct nw_unread *nw_unread_of(void *sk, bool make)
{
	struct nw_unread *unread;
	__u64 key = (__u64)sk;

	if (nw_has_socket_storage())
		return make ? nw_storage_make(&unread_of, sk) :
			      bpf_sk_storage_get(&unread_of, sk, 0, 0);
	unread = bpf_map_lookup_elem(&unread_table, &key);
	if (!unread && make) {
		struct nw_unread none = {};

		bpf_map_update_elem(&unread_table, &key, &none, BPF_NOEXIST);
		unread = bpf_map_lookup_elem(&unread_table, &key);
	}
	return unread;
}

static __always_inline bool nw_is_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
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
	return bytes > header && nw_is_before(tp->rcv_nxt, *end_seq);
}

static __always_inline void nw_wait(struct nw_unread *unread, __u32 end_seq)
{
	__u32 last = unread->count;

	if (last < NW_UNREAD) {
		unread->arrival_ns[last] = bpf_ktime_get_ns();
		unread->count = last + 1;
	} else {
		last = NW_UNREAD - 1;
	}
	barrier_var(last);
	if (last < NW_UNREAD)
		unread->end_seq[last] = end_seq;
}

/* Takes out what was read; since when the oldest of it waited, 0 if nothing. */
static __always_inline __u64 nw_take_read(struct nw_unread *unread,
					  __u32 copied_seq)
{
	__u64 oldest = unread->arrival_ns[0];
	__u32 taken = 0, kept = 0;

	for (__u32 i = 0; i < NW_UNREAD; i++) {
		if (i >= unread->count)
			break;
		if (!kept && !nw_is_before(copied_seq, unread->end_seq[i])) {
			taken++;
			continue;
		}
		if (taken && kept < NW_UNREAD) {
			unread->arrival_ns[kept] = unread->arrival_ns[i];
			unread->end_seq[kept] = unread->end_seq[i];
		}
		kept++;
	}
	unread->count = kept;
	return taken ? oldest : 0;
}

static __always_inline bool nw_tid_allowed(__u32 tid)
{
	return nw_any_u32(nw_tids, nw_tid_count, tid);
}

SEC("?tp_btf/tcp_probe")
int BPF_PROG(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	struct nw_tuple tuple = {};
	struct nw_unread *unread;
	struct tcp_sock *tp;
	__u32 end_seq;

	tp = nw_watched(sk);
	if (!tp || !nw_new_data(skb, tp, &end_seq))
		return 0;
	nw_sock_tuple(tp, &tuple);
	if (!nw_tuple_allowed(&tuple) || !nw_cgroup_allowed(sk))
		return 0;
	unread = nw_unread_of(sk, true);
	if (unread)
		nw_wait(unread, end_seq);
	return 0;
}

SEC("?tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	struct nw_packet_latency *record;
	struct nw_unread *unread;
	struct nw_task task = {};
	struct tcp_sock *tp;
	__u64 now, since;
	__u32 tid;

	tp = nw_watched(sk);
	if (!tp)
		return 0;
	unread = nw_unread_of(sk, false);
	if (!unread)
		return 0;
	since = nw_take_read(unread, tp->copied_seq);
	now = bpf_ktime_get_ns();
	tid = (__u32)bpf_get_current_pid_tgid();
	if (!since || now - since < nw_min_latency_ns || !nw_tid_allowed(tid))
		return 0;
	nw_current_task(&task);
	if (nw_task_filtered() && !nw_task_allowed(&task))
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
	record->task = task;
	record->tid = tid;
	nw_sock_tuple(tp, &record->tuple);
	nw_submit(record);
	return 0;
}

SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(forget_socket, struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&unread_table, &key);
	return 0;
}
