/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Blocks of memory outside of sockets, for what few of them need: named by an
 * index from 1, made when all others are in use, used again when one comes
 * back, never freed. So a pool takes no more than was ever in use at once, and
 * whoever still has an old block touches a block.
 */
#ifndef NW_POOL_BPF_H
#define NW_POOL_BPF_H

#include "compat.bpf.h"

/*
 * The reader makes pools small that are not used. NAME_zero is what a new block
 * is copied from.
 */
#define NW_POOL(name, block, most)                                        \
	struct {                                                          \
		__uint(type, BPF_MAP_TYPE_HASH);                          \
		__uint(map_flags, BPF_F_NO_PREALLOC);                     \
		__uint(max_entries, most);                                \
		__type(key, __u32);                                       \
		__type(value, block);                                     \
	} name SEC(".maps");                                              \
	struct {                                                          \
		__uint(type, BPF_MAP_TYPE_STACK);                         \
		__uint(max_entries, most);                                \
		__uint(value_size, sizeof(__u32));                        \
	} name##_free SEC(".maps");                                       \
	struct {                                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY);                         \
		__uint(max_entries, 1);                                   \
		__type(key, __u32);                                       \
		__type(value, block);                                     \
	} name##_zero SEC(".maps");                                       \
	static __u32 name##_made;                                         \
	static __always_inline __u32 nw_acquire_##name(void)              \
	{                                                                 \
		return nw_pool_acquire(&name, &name##_free, &name##_zero, \
				       &name##_made, most);               \
	}

/* One that nobody has; 0: all are in use. */
static __always_inline __u32 nw_pool_index(void *free, __u32 *made, __u32 most)
{
	__u32 index = 0;

	if (!bpf_map_pop_elem(free, &index))
		return index;
	if (*(volatile __u32 *)made >= most)
		return 0;
	index = __sync_fetch_and_add(made, 1) + 1;
	return index > most ? 0 : index;
}

/* 0: all are in use, or there is no memory for another one. */
static __always_inline __u32 nw_pool_acquire(void *pool, void *free, void *zero,
					     __u32 *made, __u32 most)
{
	__u32 index = nw_pool_index(free, made, most), first = 0;
	void *none;

	if (!index)
		return 0;
	if (bpf_map_lookup_elem(pool, &index))
		return index;
	none = bpf_map_lookup_elem(zero, &first);
	if (none && !bpf_map_update_elem(pool, &index, none, BPF_NOEXIST))
		return index;
	bpf_map_push_elem(free, &index, 0);
	return 0;
}

#endif /* NW_POOL_BPF_H */
