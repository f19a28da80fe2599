/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Received packets between the driver and TCP: the slots of received.h as a
 * map, and what fentry tells of the packet that TCP is just being given.
 */
#ifndef NW_RECEIVE_BPF_H
#define NW_RECEIVE_BPF_H

#include "device.bpf.h"
#include "wait.bpf.h"
#include "received.h"

#define NW_RECEIVED_SLOTS 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NW_RECEIVED_SLOTS / NW_RECEIVED_WAYS);
	__type(key, __u32);
	__type(value, struct nw_received_set);
} received_sets SEC(".maps");

static __always_inline struct nw_received_set *nw_received_set_of(__u64 mark)
{
	__u32 index =
		nw_received_index(mark, NW_RECEIVED_SLOTS / NW_RECEIVED_WAYS);

	return bpf_map_lookup_elem(&received_sets, &index);
}

/* The driver hands a packet over. */
static __always_inline int nw_arrive(const struct sk_buff *skb)
{
	struct nw_received_set *set;
	__u64 mark;

	if (!nw_skb_watched(skb) || nw_is_other(skb))
		return 0;
	mark = nw_received_mark(nw_number(skb));
	set = nw_received_set_of(mark);
	if (set)
		nw_received_arrive(set, mark, bpf_ktime_get_ns());
	return 0;
}

/* IP takes a packet. */
static __always_inline int nw_reach_ip(const struct sk_buff *skb)
{
	struct nw_received_slot *slot;
	struct nw_received_set *set;
	__u64 mark;

	if (!nw_skb_watched(skb))
		return 0;
	mark = nw_received_mark(nw_number(skb));
	set = nw_received_set_of(mark);
	slot = set ? nw_received_find(set, mark) : NULL;
	if (slot)
		nw_received_ip(slot, mark, bpf_ktime_get_ns());
	return 0;
}

/* The times of a packet, which leave their slot if `is_last`; 0 if unknown. */
static __always_inline struct nw_received_times
nw_times_of(const struct sk_buff *skb, bool is_last)
{
	__u64 mark = nw_received_mark(nw_number(skb));
	struct nw_received_set *set = nw_received_set_of(mark);
	struct nw_received_slot *slot;
	struct nw_received_times times = {};

	slot = set ? nw_received_find(set, mark) : NULL;
	if (!slot)
		return times;
	times = nw_received_times(slot, mark);
	if (is_last)
		nw_received_free(slot);
	return times;
}

/* TCP has had the packet since p->head.ts_ns. */
static __always_inline void nw_set_times(struct nw_packet *p,
					 struct nw_received_times times)
{
	p->mac_ns = nw_between(times.mac_ns, times.ip_ns);
	p->ip_ns = nw_between(times.ip_ns, p->head.ts_ns);
}

/*
 * The packet that TCP on this CPU has just been given: told by fentry where
 * the kernel allows that, for the exact moment, and for kernels before 6.2,
 * where cgroup_skb does not know its skb. From there to cgroup_skb it is the
 * same soft interrupt, which nothing else that receives comes in between.
 */
struct nw_reached {
	struct nw_received_times times;
	__u64 tcp_ns; /* TCP took it; 0 = none */
	__be32 ports; /* as in the TCP header */
	__be32 seq;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_reached);
} reached_tcp SEC(".maps");

/* fentry programs tell where IP and TCP begin; set by the reader. */
const volatile bool nw_exact = false;

static __always_inline struct nw_reached *nw_reached_tcp(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&reached_tcp, &zero);
}

static __always_inline int nw_reach_tcp(const struct sk_buff *skb)
{
	struct nw_reached *now = nw_reached_tcp();

	if (!now || !nw_skb_watched(skb))
		return 0;
	now->times = nw_times_of(skb, false);
	bpf_probe_read_kernel(&now->ports,
			      sizeof(now->ports) + sizeof(now->seq),
			      skb->head + skb->transport_header);
	now->tcp_ns = bpf_ktime_get_ns();
	return 0;
}

/* What fentry has told of this very packet; NULL if nothing. */
static __always_inline struct nw_reached *
nw_reached_by(const struct nw_headers *h)
{
	struct nw_reached *now = nw_exact ? nw_reached_tcp() : NULL;

	return now && now->tcp_ns && now->ports == h->ports &&
			       now->seq == bpf_htonl(h->seq) ?
		       now :
		       NULL;
}

/* When TCP took a packet. */
static __always_inline __u64 nw_received_ns(const struct nw_headers *h)
{
	struct nw_reached *now = nw_reached_by(h);

	return now ? now->tcp_ns : bpf_ktime_get_ns();
}

/* How long the layers below TCP had the packet. */
static __always_inline void nw_receive_times(struct __sk_buff *ctx,
					     const struct nw_headers *h,
					     struct nw_packet *p)
{
	struct nw_reached *now = nw_reached_by(h);

	if (now) {
		nw_set_times(p, now->times);
		now->tcp_ns = 0;
	} else if (!nw_exact && nw_has_kernel_context) {
		nw_set_times(p, nw_times_of(bpf_cast_to_kern_ctx(ctx), true));
	}
}

static __always_inline void nw_receive(struct __sk_buff *ctx,
				       struct bpf_sock *sk,
				       const struct nw_headers *h,
				       struct nw_packet *p)
{
	nw_receive_times(ctx, h, p);
	if (!nw_wait(sk, p))
		nw_finish_packet(p);
}

#endif /* NW_RECEIVE_BPF_H */
