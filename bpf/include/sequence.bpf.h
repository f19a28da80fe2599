/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sequence numbers, which begin again behind 2^32 (RFC 9293, 3.4). */
#ifndef NW_SEQUENCE_BPF_H
#define NW_SEQUENCE_BPF_H

#include "compat.bpf.h"

static __always_inline bool nw_seq_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

/* How far one is behind another; 0 if it is not. */
static __always_inline __u32 nw_seq_distance(__u32 later, __u32 earlier)
{
	return nw_seq_before(earlier, later) ? later - earlier : 0;
}

#endif /* NW_SEQUENCE_BPF_H */
