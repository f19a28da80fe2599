/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the hooks between IP and the driver know of a packet before they look
 * anywhere else: most packets of a machine may be no business of theirs.
 */
#ifndef NW_DEVICE_BPF_H
#define NW_DEVICE_BPF_H

#include "layers.bpf.h"

/* Behind IPv6 extension headers there may be TCP all the same. */
#define NW_IPPROTO_UDP 17
#define NW_IPPROTO_ICMPV6 58

/*
 * True if a socket that is not TCP's has sent the packet, or none. Requests and
 * sockets in TIME_WAIT are smaller, and always TCP's.
 */
static __always_inline bool nw_sent_by_other(const struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	__u8 state;

	if (!sk)
		return true;
	state = sk->__sk_common.skc_state;
	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV &&
	       sk->sk_protocol != NW_IPPROTO_TCP;
}

/*
 * True if a received packet, its data at the IP header, is certainly not TCP's.
 * Before 6.2 that is found out later: a probe read costs as much as it saves.
 */
static __always_inline bool nw_is_other(const struct sk_buff *skb)
{
	__u32 linear = skb->len - skb->data_len;
	__u8 next;

	if (!nw_has_kernel_context)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return linear >= sizeof(struct iphdr) &&
		       nw_cast(struct iphdr, skb->data)->protocol !=
			       NW_IPPROTO_TCP;
	if (linear < sizeof(struct ipv6hdr))
		return false;
	next = nw_cast(struct ipv6hdr, skb->data)->nexthdr;
	return next == NW_IPPROTO_UDP || next == NW_IPPROTO_ICMPV6;
}

#endif /* NW_DEVICE_BPF_H */
