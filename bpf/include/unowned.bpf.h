/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that TCP answers or ignores without a whole socket: for a connection
 * in TIME_WAIT, or for none at all. cgroup_skb does not see them, but TCP
 * discards them all.
 */
#ifndef NW_UNOWNED_BPF_H
#define NW_UNOWNED_BPF_H

#include "answer.bpf.h"
#include "early.bpf.h"
#include "receive.bpf.h"

/* Set by the reader before loading. */
const volatile bool nw_has_drop_socket = false;
const volatile __u32 nw_no_socket_reason = 0;

/* A packet is discarded; `args` are the tracepoint's. */
static __always_inline int nw_discarded(struct sk_buff *skb, const __u64 *args)
{
	struct nw_headers headers = {};
	struct nw_packet packet;
	struct sock *sk;
	__u32 netns;

	if (!nw_has_drop_socket || !skb->skb_iif)
		return 0;
	sk = (struct sock *)args[3];
	if (sk && sk->__sk_common.skc_state == TCP_LISTEN)
		nw_early_discard(skb);
	if (sk ? sk->__sk_common.skc_state != TCP_TIME_WAIT :
		 (__u32)args[2] != nw_no_socket_reason)
		return 0;
	netns = sk ? nw_sock_netns(sk) : nw_skb_netns(skb);
	if (!nw_netns_allowed(netns) || nw_task_filtered() ||
	    nw_cgroup_filtered() || !nw_skb_headers(skb, true, &headers) ||
	    !nw_tuple_allowed(&headers.tuple))
		return 0;
	if (sk)
		nw_count_time_wait(true);
	nw_fill_packet(&packet, &headers, 0, netns, true);
	packet.head.ts_ns = bpf_ktime_get_ns();
	if (nw_time)
		nw_set_times(&packet, nw_times_of(skb, true));
	nw_finish_packet(&packet);
	return 0;
}

#endif /* NW_UNOWNED_BPF_H */
