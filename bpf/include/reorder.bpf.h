/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Received data that has to wait for earlier segments: gaps.h as blocks outside
 * of sockets, as few connections ever need one. A connection has its block from
 * the first gap that is filled to its end.
 */
#ifndef NW_REORDER_BPF_H
#define NW_REORDER_BPF_H

#include "flow.bpf.h"
#include "gaps.h"

NW_POOL(gap_blocks, struct nw_gaps, 4096);

/* In nw_flow instead of a block's index: there was none left. */
#define NW_GAPS_UNKNOWN 0xffffffff

/* Of a socket, as gaps.h wants it; truncated only when it is a number. */
static __always_inline __u32 nw_gaps_number(const void *sk)
{
	__u64 number = nw_number(sk);

	barrier_var(number);
	return number;
}

/* How far the data reaches that waits for earlier segments. */
static __always_inline bool nw_held_until(const struct tcp_sock *tp, __u32 *end)
{
	const struct tcp_skb_cb *cb = (const void *)&tp->ooo_last_skb->cb;

	return !bpf_probe_read_kernel(end, sizeof(*end), &cb->end_seq);
}

/* Makes a block one that has no fills; 0: there is none. */
static __always_inline __u32 nw_clean_gaps(__u32 block)
{
	struct nw_gaps *gaps = bpf_map_lookup_elem(&gap_blocks, &block);

	if (!gaps)
		return 0;
	__builtin_memset(gaps, 0, sizeof(*gaps));
	return block;
}

/*
 * Data waits for earlier segments while this packet comes. A frame of its own,
 * as it is rare. Segments that are in the socket's backlog are not yet taken
 * for waiting: what they wait for is the application, which has the socket.
 */
static __noinline int nw_note_gap(struct nw_flow *flow, struct tcp_sock *tp,
				  const struct nw_packet *p)
{
	__u32 held = 0, block = flow->gaps, made;
	struct nw_gaps *gaps;

	/* all of it is here already, or it is the last one so far */
	if ((__s32)(p->seq + p->payload_bytes - tp->rcv_nxt) <= 0 ||
	    !nw_held_until(tp, &held) || (__s32)(p->seq - held) >= 0)
		return 0;
	if (!block) {
		made = nw_clean_gaps(nw_acquire_gap_blocks());
		block = __sync_val_compare_and_swap(
			&flow->gaps, 0, made ? made : NW_GAPS_UNKNOWN);
		if (block && made)
			bpf_map_push_elem(&gap_blocks_free, &made, 0);
		if (!block)
			block = made;
	}
	gaps = bpf_map_lookup_elem(&gap_blocks, &block);
	if (gaps)
		nw_gaps_fill(gaps, nw_gaps_number(tp), p->seq, p->head.ts_ns);
	return 0;
}

/* The connection ends: its block goes back. */
static __always_inline void nw_forget_gaps(struct nw_flow *flow)
{
	__u32 block = flow->gaps;

	flow->gaps = 0;
	if (block && block != NW_GAPS_UNKNOWN)
		bpf_map_push_elem(&gap_blocks_free, &block, 0);
}

/* Global, so that the verifier looks at its loop once. */
__noinline __u64 nw_reorder_ns(__u32 block, __u32 sock, __u32 seq, __u64 ns,
			       __u64 now)
{
	struct nw_gaps *gaps;

	if (!block)
		return 0;
	gaps = bpf_map_lookup_elem(&gap_blocks, &block);
	return gaps ? nw_gaps_wait(gaps, sock, seq, ns, now) : NW_UNKNOWN;
}

#endif /* NW_REORDER_BPF_H */
