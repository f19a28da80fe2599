/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counts of an interval, exactly: two hash maps, of which programs see the one
 * in the slot. The reader puts the other one there; the kernel lets it go on
 * when no program uses the first one any more (synchronize_rcu, for maps of
 * maps), so it can be read and emptied in peace. Reader: swapped-map.ts.
 */
#ifndef NW_SWAPPED_BPF_H
#define NW_SWAPPED_BPF_H

#include "compat.bpf.h"

/* NAME is the slot, NAME_a and NAME_b the maps. Names have 15 characters. */
#define NW_SWAPPED_MAP_WITH(flags, name, key_type, value_type, entries) \
	struct nw_swapped_##name {                                      \
		__uint(type, BPF_MAP_TYPE_HASH);                        \
		__uint(map_flags, flags);                               \
		__uint(max_entries, entries);                           \
		__type(key, key_type);                                  \
		__type(value, value_type);                              \
	};                                                              \
	struct nw_swapped_##name name##_a SEC(".maps");                 \
	struct nw_swapped_##name name##_b SEC(".maps");                 \
	struct {                                                        \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);               \
		__uint(max_entries, 1);                                 \
		__type(key, __u32);                                     \
		__array(values, struct nw_swapped_##name);              \
	} name SEC(".maps") = {.values = {&name##_a}}

/* Takes memory as it is needed. */
#define NW_SWAPPED_MAP(name, key_type, value_type, entries)                \
	NW_SWAPPED_MAP_WITH(BPF_F_NO_PREALLOC, name, key_type, value_type, \
			    entries)

/*
 * Takes all its memory at once: for programs of which some hang at a
 * tracepoint/ hook, where older kernels warn of anything else.
 */
#define NW_SWAPPED_MAP_AT_ONCE(name, key_type, value_type, entries) \
	NW_SWAPPED_MAP_WITH(0, name, key_type, value_type, entries)

/* What found no room in a map. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counts_lost SEC(".maps");

static __always_inline void nw_lose_count(void)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&counts_lost, &zero);

	if (lost)
		__sync_fetch_and_add(lost, 1);
}

/* The value of a key in the map that counts now, made of `none` if it is new. */
static __always_inline void *nw_counted(void *slot, const void *key,
					const void *none)
{
	__u32 zero = 0;
	void *map = bpf_map_lookup_elem(slot, &zero);
	void *value;

	if (!map)
		return NULL;
	value = bpf_map_lookup_elem(map, key);
	if (value)
		return value;
	bpf_map_update_elem(map, key, none, BPF_NOEXIST);
	value = bpf_map_lookup_elem(map, key);
	if (!value)
		nw_lose_count();
	return value;
}

#endif /* NW_SWAPPED_BPF_H */
