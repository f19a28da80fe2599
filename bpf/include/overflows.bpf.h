/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How often each listening socket had no room in its accept queue: counted by
 * the source of drops, shown by the one that walks all sockets, which tells the
 * last count when the socket closes and forgets it. By the socket's address, as
 * that one cannot reach socket storage before 5.11.
 */
#ifndef NW_OVERFLOWS_BPF_H
#define NW_OVERFLOWS_BPF_H

#include "storage.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} shared_overflows SEC(".maps");

static __always_inline void nw_count_overflow(struct sock *listener)
{
	__u64 key = (__u64)listener, none = 0, *count;

	count = nw_table_make(&shared_overflows, &key, &none);
	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline __u32 nw_overflows_of(struct sock *listener)
{
	__u64 key = (__u64)listener, *count;

	count = bpf_map_lookup_elem(&shared_overflows, &key);
	return count ? *count : 0;
}

static __always_inline void nw_forget_overflows(struct sock *listener)
{
	__u64 key = (__u64)listener;

	bpf_map_delete_elem(&shared_overflows, &key);
}

#endif /* NW_OVERFLOWS_BPF_H */
