/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SACK blocks of a segment that TCP is about to look at: read out of its
 * options, as TCP itself will do a moment later.
 */
#ifndef NW_INSIGHT_SACK_BPF_H
#define NW_INSIGHT_SACK_BPF_H

#include "sequence.bpf.h"
#include "insight/record.h"

#define NW_TCP_HEADER_BYTES 20
#define NW_TCP_OPTION_END 0
#define NW_TCP_OPTION_NOP 1
#define NW_TCP_OPTION_SACK 5
/* NOP, NOP, timestamps: what every other segment carries */
#define NW_TCP_TIMESTAMPS_ONLY 0x0101080a
#define NW_TCP_TIMESTAMPS_BYTES 12
/* 40 bytes of options: NOPs before and between the few that have a meaning */
#define NW_TCP_OPTIONS 12
#define NW_SACK_BLOCKS 4

struct nw_sack_block {
	__be32 start;
	__be32 end;
};

/* Where the SACK option is, and its length; 0 if there is none. */
static __always_inline __u32 nw_sack_option(const unsigned char *header,
					    __u32 options, __u32 *at)
{
	__u32 offset = NW_TCP_HEADER_BYTES;

	for (int i = 0; i < NW_TCP_OPTIONS; i++) {
		__u8 option[2] = {}; /* kind, length */

		if (offset + 1 >= NW_TCP_HEADER_BYTES + options)
			return 0;
		bpf_probe_read_kernel(option, sizeof(option), header + offset);
		if (option[0] == NW_TCP_OPTION_END)
			return 0;
		if (option[0] == NW_TCP_OPTION_NOP) {
			offset++;
			continue;
		}
		if (option[0] == NW_TCP_OPTION_SACK) {
			*at = offset;
			return option[1];
		}
		if (option[1] < 2)
			return 0;
		offset += option[1];
	}
	return 0;
}

/*
 * Adds up the blocks. A first block below what is acknowledged, or inside the
 * second one, tells of a duplicate that has arrived (RFC 2883).
 */
static __always_inline void nw_add_blocks(struct nw_insight *e,
					  const unsigned char *blocks,
					  __u32 count, __u32 ack)
{
	__u32 start = 0, end = 0;

	for (__u32 i = 0; i < NW_SACK_BLOCKS; i++) {
		struct nw_sack_block block = {};
		__u32 from, to;

		if (i >= count)
			break;
		bpf_probe_read_kernel(&block, sizeof(block),
				      blocks + i * sizeof(block));
		from = bpf_ntohl(block.start);
		to = bpf_ntohl(block.end);
		if (i == 0) {
			start = from;
			end = to;
			e->dsack = nw_seq_before(from, ack);
		} else if (i == 1 && !nw_seq_before(start, from) &&
			   !nw_seq_before(to, end)) {
			e->dsack = 1;
		}
		e->bytes += to - from;
		e->segments++;
	}
	/* what arrived twice is not sacked anew */
	if (e->dsack)
		e->bytes -= end - start;
}

/* True if the segment carries SACK blocks; they are then in the record. */
static __always_inline bool nw_read_sack(struct nw_insight *e,
					 const struct sk_buff *skb)
{
	const unsigned char *header = skb->data;
	__u32 options, length, at = 0, fixed[5] = {};
	__be32 first = 0;

	bpf_probe_read_kernel(fixed, sizeof(fixed), header);
	options = ((bpf_ntohl(fixed[3]) >> 28) & 15) * 4;
	if (options < NW_TCP_HEADER_BYTES + NW_TCP_TIMESTAMPS_BYTES)
		return false;
	options -= NW_TCP_HEADER_BYTES;
	bpf_probe_read_kernel(&first, sizeof(first),
			      header + NW_TCP_HEADER_BYTES);
	if (options == NW_TCP_TIMESTAMPS_BYTES &&
	    first == bpf_htonl(NW_TCP_TIMESTAMPS_ONLY))
		return false;
	length = nw_sack_option(header, options, &at);
	if (length < 2 + sizeof(struct nw_sack_block))
		return false;
	nw_add_blocks(e, header + at + 2,
		      (length - 2) / sizeof(struct nw_sack_block),
		      bpf_ntohl(fixed[2]));
	return true;
}

#endif /* NW_INSIGHT_SACK_BPF_H */
