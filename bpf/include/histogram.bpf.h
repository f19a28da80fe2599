/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Latency histograms with bounds of 2^k microseconds: bucket k counts values
 * with 2^(k-1) us < value <= 2^k us, bucket 0 those up to one, the last one
 * everything above. Fine ones have eight bounds for each of these: a quantile
 * read from them is true to 10 %.
 */
#ifndef NW_HISTOGRAM_BPF_H
#define NW_HISTOGRAM_BPF_H

#include "choose.bpf.h"

#define NW_HISTOGRAM_BUCKETS 40

struct nw_histogram {
	__u64 buckets[NW_HISTOGRAM_BUCKETS];
	__u64 sum_ns;
};

/* Which power of two v is (de Bruijn), by table. */
static const __u8 nw_power_of[64] = {
	0,  1,	48, 2,	57, 49, 28, 3,	61, 58, 50, 42, 38, 29, 17, 4,
	62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18, 12, 5,
	63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11,
	46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9,	13, 8,	7,  6,
};

/*
 * Number of bits in v < 2^63, 0 for 0. Without branches, here and below: the
 * verifier walks every path of a branch, and this stands three times in every
 * packet's program.
 */
static __always_inline __u32 nw_bit_length(__u64 v)
{
	__u64 filled = v;

	filled |= filled >> 1;
	filled |= filled >> 2;
	filled |= filled >> 4;
	filled |= filled >> 8;
	filled |= filled >> 16;
	filled |= filled >> 32;
	filled = ((filled + 1) * 0x03f79d71b4cb0a89ULL) >> 58;
	return nw_power_of[filled & 63];
}

/* v, or 1 for 0; v < 2^63. */
static __always_inline __u64 nw_at_least_one(__u64 v)
{
	return v - nw_mask_less(v, 1);
}

/*
 * Exact whoever counts in it at once: another CPU, a program that interrupts
 * this one, a task that goes on later. Who looks at each packet keeps it off
 * the way (layers.bpf.h): the two atomics take about 10 ns.
 */
static __always_inline void nw_histogram_add(struct nw_histogram *h, __u64 ns)
{
	__u64 us = nw_at_least_one(ns) - 1;
	__u32 k;

	/* n / 1000 for 32 bits, 4 cycles instead of 25 */
	if (likely(us < (1ULL << 32)))
		us = (us * 0x10624dd3ULL) >> 38;
	else
		us /= 1000;
	k = nw_bit_length(us);
	if (k > NW_HISTOGRAM_BUCKETS - 1)
		k = NW_HISTOGRAM_BUCKETS - 1;
	barrier_var(k);
	if (k < NW_HISTOGRAM_BUCKETS)
		__sync_fetch_and_add(&h->buckets[k], 1);
	__sync_fetch_and_add(&h->sum_ns, ns);
}

/*
 * Bin k of a fine histogram ends at 2^(k/8) units, 9 % above the one before;
 * values are whole units, so that it is the whole number below that counts.
 */
#define NW_FINE_STEPS 8
#define NW_FINE_BINS(powers) (NW_FINE_STEPS * (powers) + 2)

/* Microseconds, up to 17 s. */
struct nw_fine_histogram {
	__u64 buckets[NW_FINE_BINS(24)];
	__u64 sum_ns;
};

/* Nanoseconds, 16 us to 19 hours; what is shorter is not told apart. */
#define NW_LONG_FROM 14
struct nw_long_histogram {
	__u64 buckets[NW_FINE_BINS(46 - NW_LONG_FROM)];
	__u64 sum_ns;
};

/* Nanoseconds, 64 ns to 17 ms. */
#define NW_SHORT_FROM 6
struct nw_short_histogram {
	__u64 buckets[NW_FINE_BINS(24 - NW_SHORT_FROM)];
	__u64 sum_ns;
};

/* 2^(62 + i/8), for i from 1 to 7. */
static const __u64 nw_fine_steps[NW_FINE_STEPS - 1] = {
	0x45cae0f1f545eb73ULL, 0x4c1bf828c6dc54b7ULL, 0x52ff6b54d8a89c75ULL,
	0x5a827999fcef3242ULL, 0x62b39508aa836d6eULL, 0x6ba27e656b4eb57aULL,
	0x75606373ee921c97ULL,
};

/*
 * Without branches and loads: the compiler makes immediate values of the
 * table, of 32 bits where `shift` is 33: exact up to 2^30, and a packet's
 * program has no stack for others. With 0 exact below 2^63.
 */
static __always_inline __u32 nw_fine_bin(__u64 units, __u32 shift)
{
	__u64 some = nw_at_least_one(units), scaled;
	__u32 power = nw_bit_length(some - 1), bin;

	/* between 2^62, without it, and 2^63; of 1, where power is 0, 2^63 too */
	scaled = (some << ((63 - power) & 63)) >> shift;
	bin = NW_FINE_STEPS * (power - 1) + 1;
	for (int i = 0; i < NW_FINE_STEPS - 1; i++) {
		bin -= nw_mask_less(nw_fine_steps[i] >> shift, scaled);
		/* one after the other, or they wait on the stack */
		barrier_var(scaled);
	}
	return bin;
}

#define NW_FINE_SHORT 33
#define NW_FINE_LONG 0

/* As nw_histogram_add(); the first of the bins ends at 2^from units. */
static __always_inline void nw_fine_add(__u64 *buckets, __u32 bins, __u32 from,
					__u32 k)
{
	k = k > NW_FINE_STEPS * from ? k - NW_FINE_STEPS * from : 0;
	if (k > bins - 1)
		k = bins - 1;
	barrier_var(k);
	if (k < bins)
		__sync_fetch_and_add(&buckets[k], 1);
}

static __always_inline void nw_fine_histogram_add(struct nw_fine_histogram *h,
						  __u32 us)
{
	nw_fine_add(h->buckets, NW_FINE_BINS(24), 0,
		    nw_fine_bin(us, NW_FINE_SHORT));
	__sync_fetch_and_add(&h->sum_ns, us * 1000ULL);
}

static __always_inline void nw_long_histogram_add(struct nw_long_histogram *h,
						  __u64 ns)
{
	nw_fine_add(h->buckets, NW_FINE_BINS(46 - NW_LONG_FROM), NW_LONG_FROM,
		    nw_fine_bin(ns, NW_FINE_LONG));
	__sync_fetch_and_add(&h->sum_ns, ns);
}

static __always_inline void nw_short_histogram_add(struct nw_short_histogram *h,
						   __u64 ns)
{
	nw_fine_add(h->buckets, NW_FINE_BINS(24 - NW_SHORT_FROM), NW_SHORT_FROM,
		    nw_fine_bin(ns, NW_FINE_SHORT));
	__sync_fetch_and_add(&h->sum_ns, ns);
}

#endif /* NW_HISTOGRAM_BPF_H */
