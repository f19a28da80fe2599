/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Layer times of a packet: how long the MAC, IP and TCP layers held it.
 *
 * receive   MAC  driver hands it over -> protocol stack takes it
 *                (netif_rx_entry, napi_gro_*_entry -> netif_receive_skb)
 *           IP   -> TCP takes it (cgroup_skb/ingress)
 *           TCP  -> the application has read its last byte
 *                (tcp_rcv_space_adjust, copied_seq)
 * transmit  TCP  application writes its first byte (tcp_sendmsg_locked)
 *                -> TCP hands it to IP (tcp_clock_cache)
 *           IP   -> queueing discipline (net_dev_queue)
 *           MAC  -> driver (net_dev_start_xmit); with what pacing lets it wait
 *                for in fq
 *
 * Where fentry may be used the boundaries are the functions themselves:
 * ip_rcv_core and ip6_rcv_core (MAC to IP), tcp_v4_rcv and tcp_v6_rcv (IP to
 * TCP), tcp_sendmsg_locked (application to TCP).
 *
 * Received packets are found again by their skb's address, transmitted ones by
 * ports, seq and ack (segmentation gives them new addresses), in
 * set-associative arrays: 5 ns where a hash costs 280 ns.
 */
#ifndef NW_LAYERS_BPF_H
#define NW_LAYERS_BPF_H

#include "histogram.bpf.h"
#include "packet.bpf.h"
#include "ring.bpf.h"

/* Measure layer times; set by the reader before loading. */
const volatile bool nw_time = false;
/* enum nw_told; what has no record is only counted */
const volatile __u8 nw_told = NW_TOLD_ALL;

/* Whether a packet with these marks and so many heads has a record. */
static __always_inline bool nw_is_told(__u8 marks, __u32 http_heads)
{
	if (nw_told == NW_TOLD_ALL)
		return true;
	return (nw_told != NW_TOLD_NONE && (marks & NW_MARK_UNJUDGED)) ||
	       (nw_told == NW_TOLD_HTTP && http_heads);
}

enum nw_layer {
	NW_LAYER_MAC = 0,
	NW_LAYER_IP = 1,
	NW_LAYER_TCP = 2,
	/* of a received packet's TCP: an earlier segment was missing */
	NW_LAYER_REORDER = 3,
	NW_LAYERS = 4,
};

/*
 * [receive, transmit][mac, ip, tcp, reorder][ipv4, ipv6]. Only of packets whose
 * records the reader does not get: the times of the others it counts while it
 * reads them (src/sources/layer-counts.ts), which is exact and costs the packet
 * nothing. Of what is sent again none: it was written long before.
 */
struct nw_layer_totals {
	struct nw_short_histogram duration[2][NW_LAYERS][2];
	__u64 not_measured[2][NW_LAYERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_layer_totals);
} layer_totals SEC(".maps");

/*
 * A kernel pointer as a number. The verifier forbids arithmetic on a pointer
 * but allows the difference of two, so this is the distance to a fixed place.
 */
static __always_inline __u64 nw_number(const void *pointer)
{
	return (__u64)pointer - (__u64)&nw_filter;
}

static __always_inline bool nw_skb_watched(const struct sk_buff *skb)
{
	__be16 protocol = skb->protocol;

	if (protocol != bpf_htons(ETH_P_IP) &&
	    protocol != bpf_htons(ETH_P_IPV6))
		return false;
	if (!nw_filter.netns_count)
		return true;
	return nw_netns_allowed(skb->dev->nd_net.net->ns.inum);
}

#define NW_COUNT_TRANSMIT 1
#define NW_COUNT_IPV6 2
#define NW_COUNT_PAYLOAD 4

static __always_inline void nw_count_layer(struct nw_layer_totals *totals,
					   __u32 what, __u32 layer, __u64 ns)
{
	__u32 transmit;

	/* computed anew for each layer: places kept for all need too much stack */
	barrier_var(what);
	transmit = what & NW_COUNT_TRANSMIT;
	if (ns == NW_UNKNOWN)
		__sync_fetch_and_add(&totals->not_measured[transmit][layer], 1);
	else
		nw_short_histogram_add(&totals->duration[transmit][layer][!!(
					       what & NW_COUNT_IPV6)],
				       ns);
}

/* Global, so that the verifier looks at it once and not once per packet. */
__noinline int nw_count_times(__u32 what, __u64 mac_ns, __u64 ip_ns,
			      __u64 tcp_ns, __u64 reorder_ns)
{
	__u32 zero = 0;
	struct nw_layer_totals *totals =
		bpf_map_lookup_elem(&layer_totals, &zero);

	if (!totals)
		return 0;
	nw_count_layer(totals, what, NW_LAYER_MAC, mac_ns);
	nw_count_layer(totals, what, NW_LAYER_IP, ip_ns);
	if (what & NW_COUNT_PAYLOAD)
		nw_count_layer(totals, what, NW_LAYER_TCP, tcp_ns);
	/* of those that had to wait */
	if (reorder_ns && reorder_ns != NW_UNKNOWN)
		nw_count_layer(totals, what, NW_LAYER_REORDER, reorder_ns);
	return 0;
}

static __always_inline void nw_count_layers(const struct nw_packet *p)
{
	if (p->marks & NW_MARK_RETRANSMITTED)
		return;
	nw_count_times((p->rx ? 0 : NW_COUNT_TRANSMIT) |
			       (p->tuple.family == AF_INET6 ? NW_COUNT_IPV6 :
							      0) |
			       (p->payload_bytes ? NW_COUNT_PAYLOAD : 0),
		       p->mac_ns, p->ip_ns, p->tcp_ns, p->reorder_ns);
}

/* False if the reader does not get it. */
static __always_inline bool nw_emit_packet(const struct nw_packet *packet)
{
	struct nw_packet *record = nw_reserve(sizeof(*record));

	if (!record)
		return false;
	*record = *packet;
	nw_submit(record);
	return true;
}

static __always_inline void nw_finish_packet(const struct nw_packet *packet)
{
	if (nw_is_told(packet->marks, packet->http_heads) &&
	    nw_emit_packet(packet))
		return;
	if (nw_time && nw_counts(packet->marks))
		nw_count_layers(packet);
}

#endif /* NW_LAYERS_BPF_H */
