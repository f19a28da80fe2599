/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Answers of name servers, for `tcpconnect -d`: UDP from port 53, on its way
 * into a socket of a watched network namespace. A source makes a program of it:
 *
 *	NW_RECORD(nw_dns);
 *	SEC("?cgroup_skb/ingress")
 *	int dns_ingress(struct __sk_buff *ctx) { return nw_dns_received(ctx); }
 *
 * A kernel whose cgroup programs may not read kernel memory refuses it. The
 * reader hands decodeDns() of a record of kind NW_KIND_DNS to DnsCache.take()
 * and asks DnsCache.find() for queryText() (src/dns/cache.ts).
 */
#ifndef NW_DNS_BPF_H
#define NW_DNS_BPF_H

#include "ring.bpf.h"
#include "socket.bpf.h"

#define NW_IPPROTO_UDP 17
#define NW_DNS_PORT 53
/* As bcc: what fits into a datagram without EDNS; the rest is cut off. */
#define NW_DNS_BYTES 512
#define NW_DNS_HEADER_BYTES 12
/* The highest bit of the flags: an answer, no question. */
#define NW_DNS_ANSWER 0x80

struct nw_dns {
	struct nw_head head;
	__u32 length; /* of the message: its first bytes are below */
	__u32 pad;
	__u8 message[NW_DNS_BYTES];
};

/* Where the UDP header is; 0: this is not UDP. */
static __always_inline __u32 nw_udp_offset(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if (ctx->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data;

		if ((void *)(ip + 1) > end || ip->protocol != NW_IPPROTO_UDP)
			return 0;
		return (*(__u8 *)data & 15) * 4;
	}
	if (ctx->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data;

		if ((void *)(ip + 1) > end || ip->nexthdr != NW_IPPROTO_UDP)
			return 0;
		return sizeof(*ip);
	}
	return 0;
}

/* The network namespace of the socket that receives; 0: there is none. */
static __always_inline __u32 nw_receiver_netns(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	__u64 address = 0;

	if (!sk)
		return 0;
	/* as a number: behind the pointer, programs see the bpf_sock only */
	bpf_probe_read_kernel(&address, sizeof(address), &sk);
	return BPF_CORE_READ((struct sock *)address, __sk_common.skc_net.net,
			     ns.inum);
}

static __always_inline void nw_tell_dns(struct __sk_buff *ctx, __u32 at,
					__u32 length, __u32 netns)
{
	struct nw_dns *record;
	__u32 bytes = length;
	__u8 flags = 0;

	if (bytes > NW_DNS_BYTES)
		bytes = NW_DNS_BYTES;
	barrier_var(bytes);
	if (bytes < NW_DNS_HEADER_BYTES || bytes > NW_DNS_BYTES)
		return;
	if (bpf_skb_load_bytes(ctx, at + 2, &flags, sizeof(flags)) ||
	    !(flags & NW_DNS_ANSWER))
		return;
	record = nw_reserve(sizeof(*record));
	if (!record)
		return;
	record->head.ts_ns = bpf_ktime_get_ns();
	record->head.sock = 0;
	record->head.kind = NW_KIND_DNS;
	record->head.netns = netns;
	record->length = length;
	record->pad = 0;
	if (bpf_skb_load_bytes(ctx, at, record->message, bytes))
		record->length = 0;
	nw_submit(record);
}

/* The program's verdict: 1, whatever it is. */
static __always_inline int nw_dns_received(struct __sk_buff *ctx)
{
	__u32 offset = nw_udp_offset(ctx), at, netns;
	struct udphdr udp;

	if (!offset || bpf_skb_load_bytes(ctx, offset, &udp, sizeof(udp)) ||
	    udp.source != bpf_htons(NW_DNS_PORT))
		return 1;
	netns = nw_receiver_netns(ctx);
	at = offset + sizeof(udp);
	if (!netns || !nw_netns_allowed(netns) || ctx->len <= at)
		return 1;
	nw_tell_dns(ctx, at, ctx->len - at, netns);
	return 1;
}

#endif /* NW_DNS_BPF_H */
