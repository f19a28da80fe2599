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

static __always_inline void nw_count_record(bool is_lost)
{
	struct nw_ring_counts *counts;
	__u32 zero = 0;

	counts = bpf_map_lookup_elem(&ring_counts, &zero);
	if (counts) {
		counts->accepted++;
		if (is_lost)
			counts->lost++;
	}
}

/* Something to be told has happened that was not seen in time. */
static __always_inline void nw_lose_record(void)
{
	nw_count_record(true);
}

static __always_inline void *nw_reserve(__u64 size)
{
	void *record = bpf_ringbuf_reserve(&events, size, 0);

	nw_count_record(!record);
	return record;
}

static __always_inline void nw_submit(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

#endif /* NW_RING_BPF_H */
