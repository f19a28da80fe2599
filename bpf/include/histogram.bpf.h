/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Latency histograms with bounds of 2^k units: bucket k counts values with
 * 2^(k-1) units < value <= 2^k units, bucket 0 those up to one unit, the last
 * one everything above. Fine ones have eight bounds for each of these.
 */
#ifndef NW_HISTOGRAM_BPF_H
#define NW_HISTOGRAM_BPF_H

#include "compat.bpf.h"

#define NW_HISTOGRAM_BUCKETS 40

struct nw_histogram {
	__u64 buckets[NW_HISTOGRAM_BUCKETS];
	__u64 sum_ns;
};

/* Bit length of v = position of its highest set bit (de Bruijn), by table. */
static const __u8 nw_highest_bit[64] = {
	0,  47, 1,  56, 48, 27, 2,  60, 57, 49, 41, 37, 28, 16, 3,  61,
	54, 58, 35, 52, 50, 42, 21, 44, 38, 32, 29, 23, 17, 11, 4,  62,
	46, 55, 26, 59, 40, 36, 15, 53, 34, 51, 20, 43, 31, 22, 10, 45,
	25, 39, 14, 33, 19, 30, 9,  24, 13, 18, 8,  12, 7,  6,	5,  63,
};

/*
 * Number of bits in v, 0 for 0. Without branches: the verifier walks every
 * path of a branch, and this stands three times in every packet's program.
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
	filled = (filled * 0x03f79d71b4cb0a89ULL) >> 58;
	return nw_highest_bit[filled & 63] + (v != 0);
}

/*
 * The unit of a histogram, as the shift that divides nanoseconds by it:
 * n / 1000 = n * 0x10624dd3 >> 38 for 32 bits, 4 cycles instead of 25.
 */
#define NW_UNIT_MICROSECOND 38
#define NW_UNIT_125_NS 35

/*
 * Exact whoever counts in it at once: another CPU, a program that interrupts
 * this one, a task that goes on later. Who looks at each packet keeps it off
 * the way (layers.bpf.h): the two atomics take about 10 ns.
 */
static __always_inline void nw_histogram_add(struct nw_histogram *h, __u64 ns,
					     __u32 unit)
{
	__u64 units = ns ? ns - 1 : 0;
	__u32 k;

	if (likely(units < (1ULL << 32)))
		units = (units * 0x10624dd3ULL) >> unit;
	else
		units /= unit == NW_UNIT_MICROSECOND ? 1000 : 125;
	k = nw_bit_length(units);
	if (k > NW_HISTOGRAM_BUCKETS - 1)
		k = NW_HISTOGRAM_BUCKETS - 1;
	barrier_var(k);
	if (k < NW_HISTOGRAM_BUCKETS)
		__sync_fetch_and_add(&h->buckets[k], 1);
	__sync_fetch_and_add(&h->sum_ns, ns);
}

/* Bin k of a fine histogram ends at 2^(k/8) units: 9 % above the one before. */
#define NW_FINE_STEPS 8
#define NW_FINE_POWERS 24
#define NW_FINE_BUCKETS (NW_FINE_STEPS * NW_FINE_POWERS + 2)

struct nw_fine_histogram {
	__u64 buckets[NW_FINE_BUCKETS];
	__u64 sum_ns;
};

/* 2^(31 + i/8), for i from 1 to 7. */
static const __u32 nw_fine_steps[NW_FINE_STEPS - 1] = {
	2341847523, 2553802833, 2784941737, 3037000499,
	3311872529, 3611622602, 3938502375,
};

/* Without branches and loads: the compiler makes immediate values of the table. */
static __always_inline __u32 nw_fine_bin(__u32 us)
{
	__u32 power = nw_bit_length(us ? us - 1 : 0), bin;
	/* between 2^31, without it, and 2^32 */
	__u64 scaled = (__u64)us << (32 - power);

	bin = NW_FINE_STEPS * (power - 1) + 1;
	for (int i = 0; i < NW_FINE_STEPS - 1; i++)
		bin += scaled > nw_fine_steps[i];
	if (!power)
		bin = 0;
	return bin < NW_FINE_BUCKETS - 1 ? bin : NW_FINE_BUCKETS - 1;
}

/* As nw_histogram_add(), in microseconds. */
static __always_inline void nw_fine_histogram_add(struct nw_fine_histogram *h,
						  __u32 us)
{
	__u32 k = nw_fine_bin(us);

	barrier_var(k);
	if (k < NW_FINE_BUCKETS)
		__sync_fetch_and_add(&h->buckets[k], 1);
	__sync_fetch_and_add(&h->sum_ns, us * 1000ULL);
}

#endif /* NW_HISTOGRAM_BPF_H */
