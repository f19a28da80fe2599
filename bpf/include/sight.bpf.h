/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From what cgroup_skb sees of a packet to its record. */
#ifndef NW_SIGHT_BPF_H
#define NW_SIGHT_BPF_H

#include "early.bpf.h"
#include "transmit.bpf.h"

/* What is known of a packet when its record is made. */
struct nw_sight {
	struct nw_headers headers;
	__u64 sock;
	__u64 ts_ns;
	__u32 netns;
	__u16 http_heads;
	__u8 marks; /* enum nw_mark */
};

static __always_inline int nw_record(struct __sk_buff *ctx, struct bpf_sock *sk,
				     const struct nw_sight *seen, bool rx,
				     bool timed)
{
	struct nw_packet packet;

	nw_fill_packet(&packet, &seen->headers, seen->sock, seen->netns, rx);
	packet.head.ts_ns = seen->ts_ns;
	packet.http_heads = seen->http_heads;
	if (seen->headers.flags & NW_TCP_SYN)
		packet.pid = nw_owner_pid(sk);
	packet.marks = seen->marks;
	if (!rx && nw_sent_before(sk, &seen->headers))
		packet.marks |= NW_MARK_RETRANSMITTED;
	if (!timed)
		nw_finish_packet(&packet);
	else if (rx)
		nw_receive(ctx, sk, &seen->headers, &packet);
	else
		nw_transmit(ctx, sk, &seen->headers, &packet);
	return 0;
}

/*
 * In frames of their own, so that the record does not lie below the calls of
 * the HTTP parser: older kernels count at least 32 bytes for each of a
 * chain of calls, and allow 512 in all.
 */
static __noinline int nw_record_plain(struct __sk_buff *ctx,
				      struct bpf_sock *sk,
				      const struct nw_sight *seen, bool rx)
{
	return nw_record(ctx, sk, seen, rx, false);
}

static __noinline int nw_record_received(struct __sk_buff *ctx,
					 struct bpf_sock *sk,
					 const struct nw_sight *seen)
{
	return nw_record(ctx, sk, seen, true, true);
}

static __noinline int nw_record_sent(struct __sk_buff *ctx, struct bpf_sock *sk,
				     const struct nw_sight *seen)
{
	return nw_record(ctx, sk, seen, false, true);
}

/* See early.bpf.h. */
static __noinline int nw_record_early(struct __sk_buff *ctx,
				      struct bpf_sock *sk,
				      const struct nw_sight *seen)
{
	struct nw_early *early = nw_early();

	if (!early)
		return 0;
	nw_fill_packet(&early->packet, &seen->headers, seen->sock, seen->netns,
		       true);
	early->packet.head.ts_ns = seen->ts_ns;
	early->packet.http_heads = seen->http_heads;
	early->packet.marks = seen->marks;
	if (!nw_http_on)
		early->heads = 0;
	if (nw_time)
		nw_receive_times(ctx, &seen->headers, &early->packet);
	early->skb = nw_has_kernel_context ?
			     nw_number(bpf_cast_to_kern_ctx(ctx)) :
			     1;
	return 0;
}

#endif /* NW_SIGHT_BPF_H */
