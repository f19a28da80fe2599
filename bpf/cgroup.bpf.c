// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * cgroup: which cgroups come and go, so that a process can be named by its unit
 * or container though both are gone when its record is read.
 *
 * Traces  cgroup:cgroup_mkdir, before any process can be in the new one;
 *         cgroup:cgroup_release, when not even a socket is left of one.
 * Emits   nw_cgroup_made per cgroup of version 2, also one that the filter does
 *         not ask for. With --unit and --container it keeps shared_named.
 * Cost    none but when a cgroup is made: about 1 us.
 */
#include "filter.bpf.h"
#include "ring.bpf.h"
#include "storage.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NW_CGROUP_NAME 256
#define NW_PATTERNS 32 /* of both options */
#define NW_PATTERN_BYTES 128

/* A new cgroup; its path is that of its parent and the name. */
struct nw_cgroup_made {
	struct nw_head head;
	__u64 id;
	__u64 parent;
	__u8 name[NW_CGROUP_NAME]; /* up to the first NUL */
};

NW_RECORD(nw_cgroup_made);

/* A name with `*` for any characters and `?` for any one; ends with a NUL. */
struct nw_pattern {
	__u8 text[NW_PATTERN_BYTES];
};

/* What --unit and --container ask for, as names of cgroups may have it. */
const volatile __u32 nw_pattern_count = 0;
const volatile struct nw_pattern nw_patterns[NW_PATTERNS] = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_cgroup_made);
} scratch SEC(".maps");

/* Steps enough for a name of NW_CGROUP_NAME bytes without much going back. */
#define NW_STEPS 512

/*
 * True if the name in scratch is what a pattern asks for. What is still open
 * after all steps counts as wanted: the reader, who knows the path as well,
 * looks at each name again.
 */
__noinline int nw_name_matches(__u32 number)
{
	__u32 zero = 0, at = 0, in = 0, star = NW_PATTERN_BYTES, back = 0;
	struct nw_cgroup_made *made = bpf_map_lookup_elem(&scratch, &zero);

	if (!made)
		return 0;
	number &= NW_PATTERNS - 1;
	for (int i = 0; i < NW_STEPS; i++) {
		__u8 wanted, has;

		if (at >= NW_CGROUP_NAME || in >= NW_PATTERN_BYTES)
			return 1;
		has = made->name[at];
		wanted = nw_patterns[number].text[in];
		if (wanted == '*') {
			star = in++;
			back = at;
		} else if (!has) {
			return !wanted;
		} else if (wanted == '?' || wanted == has) {
			at++;
			in++;
		} else if (star < NW_PATTERN_BYTES) {
			at = ++back;
			in = star + 1;
		} else {
			return 0;
		}
	}
	return 1;
}

static __always_inline bool nw_name_wanted(void)
{
	for (__u32 i = 0; i < NW_PATTERNS; i++) {
		if (i >= nw_pattern_count)
			break;
		if (nw_name_matches(i))
			return true;
	}
	return false;
}

/* Version 1 has hierarchies of its own, with numbers from 1 on. */
static __always_inline bool nw_is_version_2(struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, root, hierarchy_id) == 0;
}

SEC("?tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	struct nw_cgroup_made *made, *record;
	struct cgroup *parent;
	__u32 zero = 0;
	__u8 yes = 1;

	if (!nw_is_version_2(cgroup))
		return 0;
	made = bpf_map_lookup_elem(&scratch, &zero);
	if (!made)
		return 0;
	/* self.parent is the parent's css, the cgroup's first member */
	parent = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	made->head.ts_ns = bpf_ktime_get_ns();
	made->head.kind = NW_KIND_CGROUP;
	made->id = BPF_CORE_READ(cgroup, kn, id);
	made->parent = BPF_CORE_READ(parent, kn, id);
	__builtin_memset(made->name, 0, sizeof(made->name));
	bpf_probe_read_kernel_str(made->name, sizeof(made->name),
				  BPF_CORE_READ(cgroup, kn, name));
	if (nw_filter.named &&
	    (bpf_map_lookup_elem(&shared_named, &made->parent) ||
	     nw_name_wanted()))
		nw_table_set(&shared_named, &made->id, &yes);
	record = nw_reserve(sizeof(*record));
	if (!record)
		return 0;
	*record = *made;
	nw_submit(record);
	return 0;
}

SEC("?tp_btf/cgroup_release")
int BPF_PROG(cgroup_release, struct cgroup *cgroup, const char *path)
{
	__u64 id = BPF_CORE_READ(cgroup, kn, id);

	if (nw_is_version_2(cgroup))
		bpf_map_delete_elem(&shared_named, &id);
	return 0;
}
