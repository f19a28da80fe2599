/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The filter common to all sources. It lives in .rodata, so the verifier
 * removes every test that the user did not ask for. The reader writes it with
 * writeFilter() in src/sources/filter.ts.
 */
#ifndef NW_FILTER_BPF_H
#define NW_FILTER_BPF_H

#include "compat.bpf.h"

#define NW_FILTER_MAX 16
/* In comm_length: comm may stand anywhere in the name, not only at its start. */
#define NW_COMM_ANYWHERE 0x100

struct nw_prefix {
	__u8 addr[16];
	__u8 mask[16];
};

struct nw_filter {
	__u64 cgroup; /* 0 = any; else this cgroup or below it */
	__u32 netns_count, netns[NW_FILTER_MAX];
	__u32 pid_count, pid[NW_FILTER_MAX];
	/* of ports: one, or the first and << 16 the last */
	__u32 local_port_count, local_port[NW_FILTER_MAX];
	__u32 peer_port_count, peer_port[NW_FILTER_MAX];
	__u32 local_addr_count, peer_addr_count;
	struct nw_prefix local_addr[NW_FILTER_MAX];
	struct nw_prefix peer_addr[NW_FILTER_MAX];
	__u32 family; /* 0 = both */
	__u32 comm_length; /* 0 = any; else comm has these bytes */
	__u8 comm[NW_COMM_LEN];
	__u32 port_count, port[NW_FILTER_MAX]; /* of either end */
	__u32 cgroup_level; /* its depth in the hierarchy; 0 = not known */
	__u32 named; /* only cgroups of the units and containers asked for */
	__u32 pad;
};

const volatile struct nw_filter nw_filter = {};

/*
 * Ids of the cgroups of the units and containers that the filter asks for. Kept
 * by the source cgroup as they come and go.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u8);
} shared_named SEC(".maps");

/*
 * Lists are searched without a branch per entry: the verifier walks a program once
 * per way that leads through it, and each of these would be one. What has its
 * highest bit set in `outside` of all entries is in none of them.
 */
#define NW_IN_NONE(outside) ((outside) >> 63)

/* The highest bit is set if two values differ; hidden, or it becomes a branch. */
static __always_inline __u64 nw_differs(__u64 difference)
{
	__u64 negative = -difference;

	barrier_var(negative);
	return difference | negative;
}

static __always_inline bool nw_any_u32(const volatile __u32 *list, __u32 count,
				       __u32 value)
{
	__u64 outside = ~0ULL;

	if (!count)
		return true;
	for (int i = 0; i < NW_FILTER_MAX; i++) {
		if (i >= count)
			break;
		outside &= nw_differs(list[i] ^ value);
	}
	return !NW_IN_NONE(outside);
}

static __always_inline bool nw_netns_allowed(__u32 netns)
{
	return nw_any_u32(nw_filter.netns, nw_filter.netns_count, netns);
}

static __always_inline bool nw_any_port(const volatile __u32 *list, __u32 count,
					__u32 port)
{
	__u64 outside = ~0ULL;

	if (!count)
		return true;
	for (int i = 0; i < NW_FILTER_MAX; i++) {
		__u32 entry, first;
		__u64 above, most;

		if (i >= count)
			break;
		entry = list[i];
		first = entry & 0xffff;
		most = entry >> 16 > first ? (entry >> 16) - first : 0;
		/* far above all ports if it is below the first */
		above = (__u32)(port - first);
		barrier_var(above);
		outside &= most - above;
	}
	return !NW_IN_NONE(outside);
}

static __always_inline bool nw_any_prefix(const volatile struct nw_prefix *list,
					  __u32 count, const __u8 *addr)
{
	const __u64 *a = (const __u64 *)addr;
	__u64 outside = ~0ULL;

	if (!count)
		return true;
	for (int i = 0; i < NW_FILTER_MAX; i++) {
		const volatile __u64 *want, *mask;

		if (i >= count)
			break;
		want = (const volatile __u64 *)list[i].addr;
		mask = (const volatile __u64 *)list[i].mask;
		outside &= nw_differs(((a[0] & mask[0]) ^ want[0]) |
				      ((a[1] & mask[1]) ^ want[1]));
	}
	return !NW_IN_NONE(outside);
}

static __always_inline bool nw_tuple_allowed(const struct nw_tuple *t)
{
	if (nw_filter.family && nw_filter.family != t->family)
		return false;
	if (nw_filter.port_count &&
	    !nw_any_port(nw_filter.port, nw_filter.port_count, t->local_port) &&
	    !nw_any_port(nw_filter.port, nw_filter.port_count, t->peer_port))
		return false;
	return nw_any_port(nw_filter.local_port, nw_filter.local_port_count,
			   t->local_port) &&
	       nw_any_port(nw_filter.peer_port, nw_filter.peer_port_count,
			   t->peer_port) &&
	       nw_any_prefix(nw_filter.local_addr, nw_filter.local_addr_count,
			     t->local_addr) &&
	       nw_any_prefix(nw_filter.peer_addr, nw_filter.peer_addr_count,
			     t->peer_addr);
}

static __always_inline bool nw_task_filtered(void)
{
	return nw_filter.pid_count || nw_filter.comm_length;
}

/* The first bytes of eight, as all programs read them: little-endian. */
static __always_inline __u64 nw_first_bytes(__u32 count)
{
	return count < 8 ? (1ULL << (count * 8)) - 1 : ~0ULL;
}

/*
 * A name that is wanted whole has its NUL in comm, so it fits at the start or
 * not at all; a part of one is looked for by moving the name past it.
 */
static __always_inline bool nw_comm_allowed(const __u8 *comm)
{
	const volatile __u64 *want = (const volatile __u64 *)nw_filter.comm;
	__u32 length = nw_filter.comm_length & (NW_COMM_ANYWHERE - 1);
	bool anywhere = nw_filter.comm_length & NW_COMM_ANYWHERE;
	__u32 last_place = anywhere ? NW_COMM_LEN - length : 0;
	__u64 low_mask = nw_first_bytes(length);
	__u64 high_mask = length > 8 ? nw_first_bytes(length - 8) : 0;
	__u64 low = ((const __u64 *)comm)[0], high = ((const __u64 *)comm)[1];
	__u64 outside = ~0ULL;

	for (int i = 0; i < NW_COMM_LEN; i++) {
		if (i > last_place)
			break;
		outside &= nw_differs(((low ^ want[0]) & low_mask) |
				      ((high ^ want[1]) & high_mask));
		low = low >> 8 | high << 56;
		high >>= 8;
	}
	return !NW_IN_NONE(outside);
}

static __always_inline bool nw_task_allowed(const struct nw_task *task)
{
	return nw_any_u32(nw_filter.pid, nw_filter.pid_count, task->pid) &&
	       nw_comm_allowed(task->comm);
}

/* True if the filter asks for a cgroup, by its place or by what runs in it. */
static __always_inline bool nw_cgroup_filtered(void)
{
	return nw_filter.cgroup || nw_filter.named;
}

/* True if the filter asks for a process, by whatever it asks. */
static __always_inline bool nw_owner_filtered(void)
{
	return nw_task_filtered() || nw_cgroup_filtered();
}

#define NW_CGROUP_DEPTH 16

/* Since 6.1 a cgroup has pointers to those above it, before only their ids. */
struct cgroup___ancestor_ids {
	int level;
	__u64 ancestor_ids[NW_CGROUP_DEPTH];
} __attribute__((preserve_access_index));

static __always_inline __u64 nw_cgroup_at(struct cgroup *cgroup, __u32 level)
{
	struct cgroup___ancestor_ids *old = (void *)cgroup;
	struct cgroup *ancestor = NULL;
	__u64 id = 0;

	if (bpf_core_field_exists(cgroup->ancestors)) {
		bpf_probe_read_kernel(
			&ancestor, sizeof(ancestor),
			(void *)cgroup +
				bpf_core_field_offset(cgroup->ancestors) +
				level * sizeof(ancestor));
		return BPF_CORE_READ(ancestor, kn, id);
	}
	bpf_probe_read_kernel(&id, sizeof(id),
			      (void *)cgroup +
				      bpf_core_field_offset(old->ancestor_ids) +
				      level * sizeof(id));
	return id;
}

/* True for the cgroup of --cgroup and for what is below it. */
static __always_inline bool nw_cgroup_below(struct cgroup *cgroup)
{
	__u32 level = nw_filter.cgroup_level;

	if (level)
		return BPF_CORE_READ(cgroup, level) >= level &&
		       nw_cgroup_at(cgroup, level) == nw_filter.cgroup;
	for (int i = 0; i < NW_CGROUP_DEPTH && cgroup; i++) {
		if (BPF_CORE_READ(cgroup, kn, id) == nw_filter.cgroup)
			return true;
		/* self.parent is the parent's css, the cgroup's first member */
		cgroup = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	}
	return false;
}

/* True for a cgroup that the filter asks for, if it asks for any. */
static __always_inline bool nw_cgroup_inside(struct cgroup *cgroup)
{
	__u64 id;

	if (nw_filter.cgroup && !nw_cgroup_below(cgroup))
		return false;
	if (!nw_filter.named)
		return true;
	id = BPF_CORE_READ(cgroup, kn, id);
	return bpf_map_lookup_elem(&shared_named, &id) != NULL;
}

/* The cgroup in which the socket was made. */
static __always_inline bool nw_cgroup_allowed(struct sock *sk)
{
	return !nw_cgroup_filtered() ||
	       nw_cgroup_inside(BPF_CORE_READ(sk, sk_cgrp_data.cgroup));
}

#endif /* NW_FILTER_BPF_H */
