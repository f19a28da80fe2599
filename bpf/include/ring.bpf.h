/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring buffer of a source and the count of what it could not take. The
 * reader polls on a timer, so records are submitted without a wake-up.
 */
#ifndef NW_RING_BPF_H
#define NW_RING_BPF_H

#include "compat.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* set by the reader before loading */
} events SEC(".maps");

/* accepted = records the filter let through = in the ring + lost */
struct nw_ring_counts {
	__u64 accepted;
	__u64 lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_ring_counts);
} ring_counts SEC(".maps");

/*
 * To see what a loss leads to: of so many records of a CPU one is lost; 0 =
 * none. Set by the reader before loading.
 */
const volatile __u32 nw_lose_every = 0;

static __always_inline struct nw_ring_counts *nw_ring_counts(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ring_counts, &zero);
}

/* Something to be told has happened that was not seen in time. */
static __always_inline void nw_lose_record(void)
{
	struct nw_ring_counts *counts = nw_ring_counts();

	if (counts) {
		counts->accepted++;
		counts->lost++;
	}
}

static __always_inline void *nw_reserve(__u64 size)
{
	struct nw_ring_counts *counts = nw_ring_counts();
	void *record = NULL;

	if (counts)
		counts->accepted++;
	if (!nw_lose_every || !counts || counts->accepted % nw_lose_every)
		record = bpf_ringbuf_reserve(&events, size, 0);
	if (counts && !record)
		counts->lost++;
	return record;
}

static __always_inline void nw_submit(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

#endif /* NW_RING_BPF_H */
