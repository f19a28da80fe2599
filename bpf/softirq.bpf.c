// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * softirq: how often each kind of software interrupt runs, and for how long.
 *
 * Traces  irq:softirq_entry, irq:softirq_exit.
 * Emits   no records; counters by vector in softirq_totals.
 * Cost    two looks at the clock for each; see `make bench`.
 */
#include "histogram.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* More than there are (NR_SOFTIRQS is 10). */
#define NW_SOFTIRQS 16
#define NW_SOFTIRQ_BUCKETS 48

/* u64 only, so that they can be added up over CPUs. */
struct nw_softirq {
	__u64 count;
	__u64 time_ns; /* of those seen from entry to exit */
	__u64 buckets[NW_SOFTIRQ_BUCKETS]; /* bcc's: b holds 2^(b-1) units on */
};

NW_RECORD(nw_softirq);

/* Set by the reader. */
const volatile __u32 nw_unit_ns = 0; /* of the histogram; 0 = none wanted */
const volatile bool nw_has_cpu = false; /* only this one: */
const volatile __u32 nw_cpu = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NW_SOFTIRQS);
	__type(key, __u32);
	__type(value, struct nw_softirq);
} softirq_totals SEC(".maps");

/* When the one that runs on this CPU was entered; 0 = none, or not seen. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NW_SOFTIRQS);
	__type(key, __u32);
	__type(value, __u64);
} softirq_entries SEC(".maps");

static __always_inline bool nw_on_wanted_cpu(void)
{
	return !nw_has_cpu || bpf_get_smp_processor_id() == nw_cpu;
}

static __always_inline void nw_add_to_histogram(struct nw_softirq *totals,
						__u64 ns)
{
	/* an optimizer that sees a constant 0 must not divide by it */
	__u32 unit = nw_unit_ns ? nw_unit_ns : 1;
	__u32 bucket = nw_bit_length(ns / unit);

	if (!bucket)
		bucket = 1;
	if (bucket > NW_SOFTIRQ_BUCKETS - 1)
		bucket = NW_SOFTIRQ_BUCKETS - 1;
	barrier_var(bucket);
	if (bucket < NW_SOFTIRQ_BUCKETS)
		totals->buckets[bucket]++;
}

SEC("?tp_btf/softirq_entry")
int BPF_PROG(softirq_entry, unsigned int vector)
{
	struct nw_softirq *totals;
	__u64 *entered;
	__u32 key = vector;

	if (!nw_on_wanted_cpu())
		return 0;
	totals = bpf_map_lookup_elem(&softirq_totals, &key);
	entered = bpf_map_lookup_elem(&softirq_entries, &key);
	if (!totals || !entered)
		return 0;
	/* no soft interrupt comes on top of another one: plain counts are exact */
	totals->count++;
	*entered = bpf_ktime_get_ns();
	return 0;
}

SEC("?tp_btf/softirq_exit")
int BPF_PROG(softirq_exit, unsigned int vector)
{
	struct nw_softirq *totals;
	__u64 *entered, ns;
	__u32 key = vector;

	if (!nw_on_wanted_cpu())
		return 0;
	totals = bpf_map_lookup_elem(&softirq_totals, &key);
	entered = bpf_map_lookup_elem(&softirq_entries, &key);
	if (!totals || !entered || !*entered)
		return 0;
	ns = bpf_ktime_get_ns() - *entered;
	*entered = 0;
	totals->time_ns += ns;
	if (nw_unit_ns)
		nw_add_to_histogram(totals, ns);
	return 0;
}
