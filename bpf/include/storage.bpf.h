/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where netwatch remembers sockets, and what it could not. Storage in a socket
 * is taken from the memory that its application may use for filters and
 * zero-copy sends (net.core.optmem_max): it may be used up. Tables of sockets
 * and their owners hold so many: an entry leaves when its socket ends, never
 * for another one. What found no room is lost, and counted.
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

/* Entries that a table of sockets or owners had no room for, of this source. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} table_failures SEC(".maps");

static __always_inline void nw_count_failure(void *map)
{
	__u32 zero = 0;
	__u64 *failures = bpf_map_lookup_elem(map, &zero);

	if (failures)
		__sync_fetch_and_add(failures, 1);
}

/* Notes `value` in a table; true if it is there now, else that is counted. */
#define nw_table_set(map, key, value)                                        \
	({                                                                   \
		long _error =                                                \
			bpf_map_update_elem((map), (key), (value), BPF_ANY); \
		if (_error)                                                  \
			nw_count_failure(&table_failures);                   \
		_error == 0;                                                 \
	})

#define NW_EEXIST 17

/*
 * The same if nothing is noted there yet. Before 6.4 the helper is an int's, and
 * what stands above its 32 bits is no sign.
 */
#define nw_table_add(map, key, value)                                   \
	({                                                              \
		int _error = bpf_map_update_elem((map), (key), (value), \
						 BPF_NOEXIST);          \
		if (_error && _error != -NW_EEXIST)                     \
			nw_count_failure(&table_failures);              \
		_error == 0;                                            \
	})

/* What a table has for this key, made of `none` if it is new; NULL is counted. */
static __always_inline void *nw_table_make(void *table, const void *key,
					   const void *none)
{
	void *value = bpf_map_lookup_elem(table, key);

	if (value)
		return value;
	/* another program may be quicker: then it is there all the same */
	nw_table_add(table, key, none);
	return bpf_map_lookup_elem(table, key);
}

/* What `map` has for this socket, made if it is not there; NULL is counted. */
#define nw_storage_make(map, sk)                                      \
	({                                                            \
		void *_value = bpf_sk_storage_get(                    \
			(map), (sk), 0, BPF_SK_STORAGE_GET_F_CREATE); \
		if (!_value)                                          \
			nw_count_failure(&storage_failures);          \
		_value;                                               \
	})

#endif /* NW_STORAGE_BPF_H */
