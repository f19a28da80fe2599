// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * nic: packets and bytes of each queue of one network device.
 *
 * Traces  net:net_dev_start_xmit, net:netif_receive_skb.
 * Emits   no records; counters by queue and direction in nic_queues.
 * Cost    two comparisons for a packet of any other device; see `make bench`.
 */
#include "compat.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* By size: below 64, 512, 2K, 16K bytes, and larger. */
#define NW_SIZE_CLASSES 5

enum nw_direction {
	NW_DIRECTION_TRANSMIT = 0,
	NW_DIRECTION_RECEIVE = 1,
	NW_DIRECTIONS = 2,
};

/* u64 only, so that they can be added up over CPUs; the sizes are all packets. */
struct nw_queue {
	__u64 bytes;
	__u64 sizes[NW_SIZE_CLASSES];
};

NW_RECORD(nw_queue);
NW_ENUM(nw_direction);

/* Set by the reader: which device, and how many queues are told apart. */
const volatile __u32 nw_ifindex = 0;
const volatile __u32 nw_device_netns = 0;
const volatile __u32 nw_queues = 1;

/*
 * For each direction its queues, then one entry for packets of no queue that is
 * told apart. The reader makes room for them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct nw_queue);
} nic_queues SEC(".maps");

static __always_inline bool nw_is_watched(struct net_device *dev)
{
	return dev->ifindex == nw_ifindex &&
	       dev->nd_net.net->ns.inum == nw_device_netns;
}

static __always_inline __u32 nw_size_class(__u32 bytes)
{
	if (bytes < 64)
		return 0;
	if (bytes < 512)
		return 1;
	if (bytes < 2048)
		return 2;
	return bytes < 16384 ? 3 : 4;
}

/* One packet, or what segmentation offload makes of several. */
static __always_inline int nw_count(__u32 direction, __u32 queue, __u32 bytes)
{
	struct nw_queue *counts;
	__u32 key, size;

	if (queue > nw_queues)
		queue = nw_queues;
	key = direction * (nw_queues + 1) + queue;
	counts = bpf_map_lookup_elem(&nic_queues, &key);
	if (!counts)
		return 0;
	size = nw_size_class(bytes);
	/* netconsole sends from any interrupt */
	__sync_fetch_and_add(&counts->bytes, bytes);
	barrier_var(size);
	if (size < NW_SIZE_CLASSES)
		__sync_fetch_and_add(&counts->sizes[size], 1);
	return 0;
}

SEC("?tp_btf/net_dev_start_xmit")
int BPF_PROG(net_dev_start_xmit, struct sk_buff *skb, struct net_device *dev)
{
	if (!nw_is_watched(dev))
		return 0;
	return nw_count(NW_DIRECTION_TRANSMIT, skb->queue_mapping, skb->len);
}

/*
 * Bytes of the link layer's header: already taken off, but of the packet, and in
 * the counters of the device.
 */
static __always_inline __u32 nw_link_header(struct sk_buff *skb)
{
	__u32 before = skb->data - skb->head;

	if (skb->mac_header == (__u16)~0U || skb->mac_header > before)
		return 0;
	return before - skb->mac_header;
}

SEC("?tp_btf/netif_receive_skb")
int BPF_PROG(netif_receive_skb, struct sk_buff *skb)
{
	/* 0: the driver did not say; else one more than the queue */
	__u32 recorded = skb->queue_mapping;

	if (!nw_is_watched(skb->dev))
		return 0;
	return nw_count(NW_DIRECTION_RECEIVE, recorded ? recorded - 1 : 0,
			skb->len + nw_link_header(skb));
}
