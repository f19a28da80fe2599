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
#define NW_PATTERNS 64 /* of both options */
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

/* What --unit and then --container ask for, as names of cgroups may have it. */
const volatile __u32 nw_unit_count = 0;
const volatile __u32 nw_pattern_count = 0;
const volatile struct nw_pattern nw_patterns[NW_PATTERNS] = {};

struct nw_scratch {
	struct nw_cgroup_made made;
	__u64 zero; /* always */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nw_scratch);
} scratch SEC(".maps");

/* Steps enough for a name of NW_CGROUP_NAME bytes without much going back. */
#define NW_STEPS 512
#define NW_NO_STAR 255

/*
 * True if the name in scratch is what a pattern asks for. What is still open
 * after all steps counts as wanted: the reader, who knows the path as well,
 * looks at each name again.
 *
 * The verifier walks each step once, as long as what it knows of the places is
 * the same after each way through a step: nothing but their masks, from a
 * beginning that it does not know.
 */
__noinline int nw_name_matches(__u32 number)
{
	__u32 zero = 0, at, in, star, back;
	struct nw_scratch *buffer = bpf_map_lookup_elem(&scratch, &zero);

	if (!buffer)
		return 0;
	number &= NW_PATTERNS - 1;
	at = buffer->zero;
	in = at;
	back = at;
	star = at + NW_NO_STAR;
	for (int i = 0; i < NW_STEPS; i++) {
		__u8 wanted, has;

		at &= NW_CGROUP_NAME - 1;
		in &= NW_PATTERN_BYTES - 1;
		star &= 0xff;
		back &= 0xff;
		barrier_var(at);
		barrier_var(in);
		barrier_var(star);
		barrier_var(back);
		has = buffer->made.name[at & (NW_CGROUP_NAME - 1)];
		wanted = nw_patterns[number].text[in & (NW_PATTERN_BYTES - 1)];
		if (wanted == '*') {
			star = in++;
			back = at;
		} else if (!has) {
			return !wanted;
		} else if (wanted == '?' || wanted == has) {
			at++;
			in++;
		} else if (star != NW_NO_STAR) {
			at = ++back;
			in = star + 1;
		} else {
			return 0;
		}
	}
	return 1;
}

/* Texts as numbers, their first byte lowest. */
#define NW_USER_MANAGER 0x4072657375ULL /* user@ */
#define NW_USER_MANAGER_MASK 0xffffffffffULL
#define NW_SERVICE 0x656369767265732eULL /* .service */
#define NW_SOCKET 0x74656b636f732eULL /* .socket */
#define NW_SCOPE 0x65706f63732eULL /* .scope */
#define NW_MOUNT 0x746e756f6d2eULL /* .mount */
#define NW_SWAP 0x706177732eULL /* .swap */

/* True of a unit: what has the name of one below it does not count. */
static __always_inline bool nw_is_unit(struct nw_cgroup_made *buffer,
				       const char *name)
{
	__u64 end = 0;
	long bytes = bpf_probe_read_kernel_str(buffer->name,
					       sizeof(buffer->name), name);

	/* with its NUL; the shortest is x.swap */
	if (bytes < 7)
		return false;
	bpf_probe_read_kernel(&end, sizeof(end),
			      name + bytes - 1 - sizeof(end));
	if ((*(__u64 *)buffer->name & NW_USER_MANAGER_MASK) == NW_USER_MANAGER)
		return false;
	return end == NW_SERVICE || end >> 8 == NW_SOCKET ||
	       end >> 16 == NW_SCOPE || end >> 16 == NW_MOUNT ||
	       end >> 24 == NW_SWAP;
}

/* As unitOf() of src/sources/cgroup-names.ts has it: the outermost one counts. */
static __always_inline bool nw_below_unit(struct nw_cgroup_made *buffer,
					  struct cgroup *cgroup)
{
	for (int i = 0; i < NW_CGROUP_DEPTH && cgroup; i++) {
		if (nw_is_unit(buffer, BPF_CORE_READ(cgroup, kn, name)))
			return true;
		cgroup = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	}
	return false;
}

/* By the patterns from `first` on. */
static __always_inline bool nw_name_wanted(__u32 first)
{
	for (__u32 i = 0; i < NW_PATTERNS; i++) {
		if (i >= nw_pattern_count)
			break;
		if (i >= first && nw_name_matches(i))
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
	struct nw_scratch *buffer;
	struct cgroup *parent;
	__u32 zero = 0, first = 0;
	__u8 yes = 1;

	if (!nw_is_version_2(cgroup))
		return 0;
	buffer = bpf_map_lookup_elem(&scratch, &zero);
	if (!buffer)
		return 0;
	made = &buffer->made;
	/* self.parent is the parent's css, the cgroup's first member */
	parent = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	if (nw_filter.named && nw_below_unit(made, parent))
		first = nw_unit_count;
	made->head.ts_ns = bpf_ktime_get_ns();
	made->head.kind = NW_KIND_CGROUP;
	made->id = BPF_CORE_READ(cgroup, kn, id);
	made->parent = BPF_CORE_READ(parent, kn, id);
	__builtin_memset(made->name, 0, sizeof(made->name));
	bpf_probe_read_kernel_str(made->name, sizeof(made->name),
				  BPF_CORE_READ(cgroup, kn, name));
	if (nw_filter.named &&
	    (bpf_map_lookup_elem(&shared_named, &made->parent) ||
	     nw_name_wanted(first)))
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
