/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One TCP packet as a cgroup_skb program sees it: addresses and TCP header,
 * read straight from the packet's linear part.
 */
#ifndef NW_PACKET_BPF_H
#define NW_PACKET_BPF_H

#include "skb.bpf.h"

static __always_inline __u32 nw_parse_ip(struct __sk_buff *ctx, bool rx,
					 struct nw_tuple *t)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u8 *source = rx ? t->peer_addr : t->local_addr;
	__u8 *destination = rx ? t->local_addr : t->peer_addr;

	if (ctx->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data;

		if ((void *)(ip + 1) > end || ip->protocol != NW_IPPROTO_TCP ||
		    nw_is_behind_first(ip->frag_off))
			return 0;
		t->family = AF_INET;
		nw_map_ipv4(source, ip->saddr);
		nw_map_ipv4(destination, ip->daddr);
		return (*(__u8 *)data & 15) * 4;
	}
	if (ctx->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data;

		if ((void *)(ip + 1) > end)
			return 0;
		t->family = AF_INET6;
		*(struct in6_addr *)source = ip->saddr;
		*(struct in6_addr *)destination = ip->daddr;
		return nw_ipv6_transport(ctx, true, ip->nexthdr);
	}
	return 0;
}

/* Nearly always the header is in the linear part: no call is needed then. */
static __always_inline bool nw_load_tcp(struct __sk_buff *ctx, __u32 offset,
					struct tcphdr *tcp)
{
	struct tcphdr *there = (void *)(long)ctx->data + (offset & 0xff);

	if (offset <= 0xff &&
	    (void *)(there + 1) <= (void *)(long)ctx->data_end) {
		*tcp = *there;
		return true;
	}
	return !bpf_skb_load_bytes(ctx, offset, tcp, sizeof(*tcp));
}

/* False if this is not a whole TCP header. */
static __always_inline bool nw_parse(struct __sk_buff *ctx, bool rx,
				     struct nw_headers *h)
{
	__u32 offset = nw_parse_ip(ctx, rx, &h->tuple);
	struct tcphdr tcp;
	__u32 header;

	if (!offset || !nw_load_tcp(ctx, offset, &tcp))
		return false;
	h->tuple.local_port = bpf_ntohs(rx ? tcp.dest : tcp.source);
	h->tuple.peer_port = bpf_ntohs(rx ? tcp.source : tcp.dest);
	h->ports = *(__u32 *)&tcp;
	h->seq = bpf_ntohl(tcp.seq);
	h->ack = bpf_ntohl(tcp.ack_seq);
	h->flags = ((__u8 *)&tcp)[13];
	header = (((__u8 *)&tcp)[12] >> 4) * 4;
	h->skb_bytes = ctx->len;
	h->payload_offset = offset + header;
	h->payload_bytes =
		ctx->len > h->payload_offset ? ctx->len - h->payload_offset : 0;
	/* the pointer is that of the byte behind (RFC 6093, section 2.1) */
	h->urgent_last = (h->flags & NW_TCP_URG) && h->payload_bytes &&
			 bpf_ntohs(tcp.urg_ptr) == h->payload_bytes;
	return true;
}

static __always_inline void nw_fill_packet(struct nw_packet *p,
					   const struct nw_headers *h,
					   __u64 sock, __u32 netns, bool rx)
{
	p->head.sock = sock;
	p->head.kind = NW_KIND_PACKET;
	p->head.netns = netns;
	p->tuple = h->tuple;
	p->mac_ns = NW_UNKNOWN;
	p->ip_ns = NW_UNKNOWN;
	p->tcp_ns = NW_UNKNOWN;
	p->reorder_ns = NW_UNKNOWN;
	p->seq = h->seq;
	p->ack = h->ack;
	p->payload_bytes = h->payload_bytes;
	p->skb_bytes = h->skb_bytes;
	p->pid = 0;
	p->rx = rx;
	p->tcp_flags = h->flags;
	p->http_heads = 0;
	p->marks = NW_MARK_NONE;
}

/*
 * A packet's socket, to be read, of which the record has the address `sock`; NULL
 * if it has none.
 */
static __always_inline struct tcp_sock *nw_tcp_of_packet(struct bpf_sock *sk,
							 __u64 sock)
{
	if (!sock)
		return NULL;
	return nw_has_kernel_context ? nw_cast(struct tcp_sock, (void *)sock) :
				       bpf_skc_to_tcp_sock(sk);
}

/*
 * Whether TCP hands over what it has sent before, as it judges itself
 * (TcpOutSegs): snd_nxt moves on only after new data has been handed over. A
 * listener's own numbers say nothing of its SYN-ACKs.
 */
static __always_inline bool nw_sent_before(struct bpf_sock *sk, __u64 sock,
					   const struct nw_headers *h)
{
	__u32 end = h->seq + h->payload_bytes + !!(h->flags & NW_TCP_SYN) +
		    !!(h->flags & NW_TCP_FIN);
	struct tcp_sock *tp;

	if (end == h->seq || sk->state == TCP_LISTEN)
		return false;
	tp = nw_tcp_of_packet(sk, sock);
	return tp && (__s32)(end - tp->snd_nxt) <= 0;
}

/*
 * Of whom nothing else tells yet: a connection is told of when its handshake
 * is over.
 */
static __always_inline __u32 nw_owner_pid(struct bpf_sock *sk)
{
	struct nw_socket *s = nw_socket_find(sk);

	return s && s->owner_source != NW_OWNER_NONE ? s->owner.task.pid : 0;
}

#endif /* NW_PACKET_BPF_H */
