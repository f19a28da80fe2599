/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Storage in sockets. It is taken from the memory that the socket's application
 * may use for filters and zero-copy sends (net.core.optmem_max): where that is
 * used up, what netwatch wanted to remember is lost, and counted.
 */
#ifndef NW_STORAGE_BPF_H
#define NW_STORAGE_BPF_H

#include "compat.bpf.h"

/* Storage that could not be made, of this source. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} storage_failures SEC(".maps");

static __always_inline void nw_storage_failed(void)
{
	__u32 zero = 0;
	__u64 *failures = bpf_map_lookup_elem(&storage_failures, &zero);

	if (failures)
		__sync_fetch_and_add(failures, 1);
}

/* What `map` has for this socket, made if it is not there; NULL is counted. */
#define nw_storage_make(map, sk)                                      \
	({                                                            \
		void *_value = bpf_sk_storage_get(                    \
			(map), (sk), 0, BPF_SK_STORAGE_GET_F_CREATE); \
		if (!_value)                                          \
			nw_storage_failed();                          \
		_value;                                               \
	})

#endif /* NW_STORAGE_BPF_H */
