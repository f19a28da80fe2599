/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Comparisons and choices that are no branches. BPF has no comparison but a
 * jump, and the verifier walks what follows for both sides of each: two
 * histograms with seven bounds were two thirds of a program's verification.
 */
#ifndef NW_CHOOSE_BPF_H
#define NW_CHOOSE_BPF_H

#include "compat.bpf.h"

/*
 * All bits set if a < b, for times, durations and other numbers below 2^63 (b
 * may be that too); NW_UNKNOWN is less than all.
 */
static __always_inline __u64 nw_mask_less(__u64 a, __u64 b)
{
	__s64 mask = (__s64)(a - b) >> 63;

	/* or the compiler makes it a branch */
	barrier_var(mask);
	return mask;
}

/* `a` where the bits of the mask are set, else `b`. */
static __always_inline __u64 nw_choose(__u64 mask, __u64 a, __u64 b)
{
	return b ^ ((a ^ b) & mask);
}

static __always_inline __u64 nw_earlier(__u64 a, __u64 b)
{
	return nw_choose(nw_mask_less(a, b), a, b);
}

static __always_inline __u64 nw_later(__u64 a, __u64 b)
{
	return nw_choose(nw_mask_less(a, b), b, a);
}

#endif /* NW_CHOOSE_BPF_H */
