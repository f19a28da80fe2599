/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * --cgroupmap and --mntnsmap: sets of cgroups and mount namespaces that
 * somebody else has made and pinned, as bcc's tools take them. Only for hooks
 * that run in the process they are about. The reader puts the pinned map in the
 * place of the one here.
 */
#ifndef NW_PINNED_BPF_H
#define NW_PINNED_BPF_H

#include "compat.bpf.h"

const volatile bool nw_by_cgroup_map = false;
const volatile bool nw_by_mntns_map = false;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64); /* id of a cgroup */
	__type(value, __u64);
} cgroup_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64); /* inode number of a mount namespace */
	__type(value, __u32);
} mntns_map SEC(".maps");

/* True if the current process is in the sets that the user named. */
static __always_inline bool nw_current_in_pinned_maps(void)
{
	__u64 key;

	if (nw_by_cgroup_map) {
		key = bpf_get_current_cgroup_id();
		if (!bpf_map_lookup_elem(&cgroup_map, &key))
			return false;
	}
	if (nw_by_mntns_map) {
		struct task_struct *task =
			(struct task_struct *)bpf_get_current_task();

		key = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
		if (!bpf_map_lookup_elem(&mntns_map, &key))
			return false;
	}
	return true;
}

#endif /* NW_PINNED_BPF_H */
