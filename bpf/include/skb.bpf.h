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
#define NW_TCP_RST 0x04
#define NW_TCP_ACK 0x10
#define NW_TCP_URG 0x20

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
	__u8 urgent_last; /* the last byte of the payload is urgent */
};

/* IPv4: true of a fragment that begins behind the first, with no TCP header. */
static __always_inline bool nw_is_behind_first(__be16 frag_off)
{
	return frag_off & bpf_htons(0x1fff);
}

/* IPv6: what may stand in front of a TCP header. */
#define NW_IPV6_EXTENSIONS 4
#define NW_IPV6_HOP_BY_HOP 0
#define NW_IPV6_ROUTING 43
#define NW_IPV6_FRAGMENT 44
#define NW_IPV6_DESTINATION 60

struct nw_ipv6_extension {
	__u8 next;
	__u8 length; /* in 8 bytes, without the first 8; 0 of a fragment */
	__be16 place; /* of a fragment: in 8 bytes, above three other bits */
};

/*
 * Offset of the TCP header behind IPv6 extension headers; 0 if there is none.
 * `packet` is the context of cgroup_skb, or the address of an IP header.
 */
static __always_inline __u32 nw_ipv6_transport(const void *packet,
					       bool is_context, __u8 next)
{
	__u32 offset = sizeof(struct ipv6hdr);

	for (int i = 0; i <= NW_IPV6_EXTENSIONS; i++) {
		struct nw_ipv6_extension e;

		if (next == NW_IPPROTO_TCP)
			return offset;
		if (i == NW_IPV6_EXTENSIONS ||
		    (next != NW_IPV6_HOP_BY_HOP && next != NW_IPV6_ROUTING &&
		     next != NW_IPV6_FRAGMENT && next != NW_IPV6_DESTINATION))
			return 0;
		if (is_context ?
			    bpf_skb_load_bytes(packet, offset, &e, sizeof(e)) :
			    bpf_probe_read_kernel(&e, sizeof(e),
						  packet + offset))
			return 0;
		if (next == NW_IPV6_FRAGMENT) {
			if (e.place & bpf_htons(~7))
				return 0;
			e.length = 0;
		}
		next = e.next;
		offset += (e.length + 1) * 8;
	}
	return 0;
}

/*
 * Addresses, ports, seq, ack of a TCP packet; false if it is not one, or if its
 * TCP header is in another fragment.
 */
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
		    v4.protocol != NW_IPPROTO_TCP ||
		    nw_is_behind_first(v4.frag_off))
			return false;
		h->tuple.family = AF_INET;
		nw_map_ipv4(source, v4.saddr);
		nw_map_ipv4(destination, v4.daddr);
		offset = (*(__u8 *)&v4 & 15) * 4;
		bytes = bpf_ntohs(v4.tot_len);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr v6;

		if (bpf_probe_read_kernel(&v6, sizeof(v6), ip))
			return false;
		offset = nw_ipv6_transport(ip, false, v6.nexthdr);
		if (!offset)
			return false;
		h->tuple.family = AF_INET6;
		*(struct in6_addr *)source = v6.saddr;
		*(struct in6_addr *)destination = v6.daddr;
		bytes = sizeof(v6) + bpf_ntohs(v6.payload_len);
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
