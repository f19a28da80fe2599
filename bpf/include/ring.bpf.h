/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring buffer of a source and the count of what it could not take. The
 * reader comes by itself while there are records, so that they are submitted
 * without a wake-up; when none has come for a while it sleeps, and the first one
 * wakes it:
 *
 *   awake  → asleep  the reader sets nw_reader_sleeps, then looks at the ring
 *                    (poll does) and waits
 *   asleep → awake   a program has submitted a record, then reads
 *                    nw_reader_sleeps, clears it and wakes the reader
 *
 * Each side writes before it reads, with a full barrier in between (that of the
 * ring's commit and that of the system call), so that one of them sees what the
 * other has written. Two programs at once may both wake it, which costs a look.
 */
#ifndef NW_RING_BPF_H
#define NW_RING_BPF_H

#include "compat.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* set by the reader before loading */
} events SEC(".maps");

/*
 * What the reader cannot know by itself: how many records it gets it counts
 * while it reads. Added to atomically: a program that runs for a task is
 * interrupted by others of the same CPU, at any instruction.
 */
struct nw_ring_counts {
	__u64 lost; /* records the filter let through and the reader never gets */
	__u64 asked; /* only with nw_lose_every */
	__u64 lost_http; /* of those in the ring of the packets, not in `lost` */
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

static __always_inline void nw_count_lost(bool http)
{
	__u32 zero = 0;
	struct nw_ring_counts *counts =
		bpf_map_lookup_elem(&ring_counts, &zero);

	if (counts)
		__sync_fetch_and_add(http ? &counts->lost_http : &counts->lost,
				     1);
}

/* Something to be told has happened that was not seen in time. */
static __always_inline void nw_lose_record(void)
{
	nw_count_lost(false);
}

/*
 * Whether a record is one that is lost on purpose. Two that are asked for at
 * once may be taken for the same one: which record is lost is not exact, how
 * many were is.
 */
static __always_inline bool nw_lose_this(void)
{
	__u32 zero = 0;
	struct nw_ring_counts *counts;

	if (!nw_lose_every)
		return false;
	counts = bpf_map_lookup_elem(&ring_counts, &zero);
	if (!counts)
		return false;
	__sync_fetch_and_add(&counts->asked, 1);
	return counts->asked % nw_lose_every == 0;
}

static __always_inline void *nw_reserve_counted(__u64 size, bool http)
{
	void *record = NULL;

	if (!nw_lose_this())
		record = bpf_ringbuf_reserve(&events, size, 0);
	if (!record)
		nw_count_lost(http);
	return record;
}

/* Room for a record; NULL: there is none, and the loss is counted. */
static __always_inline void *nw_reserve(__u64 size)
{
	return nw_reserve_counted(size, false);
}

/* The same for what HTTP tells: packets and heads have counts of their own. */
static __always_inline void *nw_reserve_http(__u64 size)
{
	return nw_reserve_counted(size, true);
}

/* Set by the reader, ring-sleep.ts. */
volatile __u32 nw_reader_sleeps SEC(".data.reader") = 0;

static __always_inline void nw_submit(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	if (!nw_reader_sleeps)
		return;
	nw_reader_sleeps = 0;
	record = bpf_ringbuf_reserve(&events, sizeof(__u64), 0);
	if (record)
		bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
}

#endif /* NW_RING_BPF_H */
