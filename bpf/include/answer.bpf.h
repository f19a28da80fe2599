/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What TIME_WAIT answers with. From 6.13 on that is sent in the name of its own
 * socket, which is no whole one, so that cgroup_skb does not see it; before, in
 * the name of the kernel's, which is one.
 */
#ifndef NW_ANSWER_BPF_H
#define NW_ANSWER_BPF_H

#include "layers.bpf.h"

/*
 * Segments to and from connections in TIME_WAIT: their whole socket, which
 * counts segments, is gone, but TCP's own counters have them.
 */
struct nw_time_wait_segments {
	__u64 received;
	__u64 sent;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_time_wait_segments);
} time_wait_segments SEC(".maps");

static __always_inline void nw_count_time_wait(bool received)
{
	__u32 zero = 0;
	struct nw_time_wait_segments *count =
		bpf_map_lookup_elem(&time_wait_segments, &zero);

	if (count)
		__sync_fetch_and_add(received ? &count->received : &count->sent,
				     1);
}

/*
 * The last answer of a CPU: where devices lie upon each other (VLAN, bond),
 * each of them queues the packet anew.
 */
struct nw_answer {
	__u64 skb;
	__u64 device;
	__u32 ports;
	__u32 seq;
	__u32 ack;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_answer);
} last_answer SEC(".maps");

static __always_inline bool nw_answer_is_new(const struct sk_buff *skb,
					     const struct nw_headers *h)
{
	__u32 zero = 0;
	struct nw_answer *last = bpf_map_lookup_elem(&last_answer, &zero);
	__u64 device = nw_number(skb->dev);

	if (!last)
		return false;
	if (last->skb == nw_number(skb) && last->device != device &&
	    last->ports == h->ports && last->seq == h->seq &&
	    last->ack == h->ack)
		return false;
	last->skb = nw_number(skb);
	last->device = device;
	last->ports = h->ports;
	last->seq = h->seq;
	last->ack = h->ack;
	return true;
}

/* A packet comes to a device. */
static __always_inline int nw_queue_answer(const struct sk_buff *skb)
{
	struct nw_headers headers = {};
	struct sock *sk = skb->sk;
	struct nw_packet packet;
	__u32 netns;

	if (!sk || sk->__sk_common.skc_state != TCP_TIME_WAIT)
		return 0;
	netns = nw_sock_netns(sk);
	if (!nw_netns_allowed(netns) || nw_task_filtered() ||
	    nw_cgroup_filtered() || !nw_skb_headers(skb, false, &headers) ||
	    !nw_tuple_allowed(&headers.tuple) ||
	    !nw_answer_is_new(skb, &headers))
		return 0;
	nw_count_time_wait(false);
	nw_fill_packet(&packet, &headers, 0, netns, false);
	packet.head.ts_ns = bpf_ktime_get_ns();
	nw_finish_packet(&packet);
	return 0;
}

#endif /* NW_ANSWER_BPF_H */
