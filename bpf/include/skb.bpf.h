/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TCP packet as a tracing program sees it: headers read out of the kernel's
 * own struct sk_buff.
 */
#ifndef NW_SKB_BPF_H
#define NW_SKB_BPF_H

#include "socket.bpf.h"

#define NW_TCP_FIN 0x01
#define NW_TCP_SYN 0x02

struct nw_headers {
	struct nw_tuple tuple; /* local and peer as the socket sees them */
	__u32 ports; /* as on the wire */
	__u32 seq;
	__u32 ack;
	__u32 header_bytes; /* of the TCP header, as it says itself */
	__u32 payload_offset; /* from the IP header */
	__u32 payload_bytes;
	__u32 skb_bytes;
	__u8 flags;
};

/* Addresses, ports, seq, ack of a TCP packet; false if it is not one. */
static __always_inline bool nw_skb_headers(const struct sk_buff *skb, bool rx,
					   struct nw_headers *h)
{
	unsigned char *ip = skb->head + skb->network_header;
	__u8 *source = rx ? h->tuple.peer_addr : h->tuple.local_addr;
	__u8 *destination = rx ? h->tuple.local_addr : h->tuple.peer_addr;
	__u32 offset, bytes;
	struct tcphdr tcp;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr v4;

		if (bpf_probe_read_kernel(&v4, sizeof(v4), ip) ||
		    v4.protocol != NW_IPPROTO_TCP)
			return false;
		h->tuple.family = AF_INET;
		nw_map_ipv4(source, v4.saddr);
		nw_map_ipv4(destination, v4.daddr);
		offset = (*(__u8 *)&v4 & 15) * 4;
		bytes = bpf_ntohs(v4.tot_len);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr v6;

		if (bpf_probe_read_kernel(&v6, sizeof(v6), ip) ||
		    v6.nexthdr != NW_IPPROTO_TCP)
			return false;
		h->tuple.family = AF_INET6;
		*(struct in6_addr *)source = v6.saddr;
		*(struct in6_addr *)destination = v6.daddr;
		offset = sizeof(v6);
		bytes = offset + bpf_ntohs(v6.payload_len);
	} else {
		return false;
	}
	if (bpf_probe_read_kernel(&tcp, sizeof(tcp), ip + offset))
		return false;
	h->ports = *(__u32 *)&tcp;
	h->tuple.local_port = bpf_ntohs(rx ? tcp.dest : tcp.source);
	h->tuple.peer_port = bpf_ntohs(rx ? tcp.source : tcp.dest);
	h->seq = bpf_ntohl(tcp.seq);
	h->ack = bpf_ntohl(tcp.ack_seq);
	h->flags = ((__u8 *)&tcp)[13];
	h->header_bytes = (((__u8 *)&tcp)[12] >> 4) * 4;
	h->payload_offset = offset + h->header_bytes;
	h->skb_bytes = bytes;
	h->payload_bytes =
		bytes > h->payload_offset ? bytes - h->payload_offset : 0;
	return true;
}

static __always_inline __u32 nw_skb_netns(const struct sk_buff *skb)
{
	__u32 netns = BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);

	return netns ? netns :
		       BPF_CORE_READ(skb, sk, __sk_common.skc_net.net, ns.inum);
}

#endif /* NW_SKB_BPF_H */
