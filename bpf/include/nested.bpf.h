/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events in the middle of an event. While a program runs for a process, a
 * network card's interrupt may come on the same CPU, and what then arrives
 * reaches the same hook: the kernel (6.1 and newer) leaves the program out and
 * counts recursion_misses. Where interrupts are many, one end of a connection
 * in forty is not seen.
 *
 * So a second program, NAME_nested, comes after NAME on the same hook and looks
 * whether NAME is marked as being at work on this CPU (bpf_prog.active, which
 * is what the kernel looked at itself), and whether it is an interrupt that
 * came in between. If so, NAME was left out just now: an interrupt has ended
 * before what it interrupted goes on, so that the mark is the same for NAME and
 * for NAME_nested. Then NAME is run by a tail call, for which nobody looks.
 *
 *   mark  interrupt  NAME         NAME_nested
 *   0     any        was run      does nothing
 *   1     yes        was left out runs it
 *   1     no         either       does nothing: 7.0 and newer (and real-time
 *                                 kernels) let another process in between; what
 *                                 is left out then is lost, and counted
 *
 * A kernel that does not leave it out does not mark it either. What interrupts
 * NAME_nested alone finds NAME ready. Cost per event: the call of a program, and
 * 2 ns.
 */
#ifndef NW_NESTED_BPF_H
#define NW_NESTED_BPF_H

#include "compat.bpf.h"

/* Of this CPU. What is read of it is at the front (src/kernel/nested.ts). */
struct nw_nested {
	/* events for which the program was run all the same */
	__u64 rescued;
	/* where the kernel marks the program; 0: not looked for yet */
	__u64 mark;
	__u64 scratch;
	/* true for the run that is about to begin */
	__u64 begins;
};

/* A pointer becomes a number on its way through a map's value. */
static __always_inline __u64 nw_number_of(struct nw_nested *n,
					  const void *pointer)
{
	*(const void *volatile *)&n->scratch = pointer;
	return *(volatile __u64 *)&n->scratch;
}

/* What the first place of an array map has in the kernel, a pointer. */
static __always_inline __u64 nw_first_of(struct nw_nested *n, const void *map)
{
	__u64 first = 0;

	bpf_probe_read_kernel(
		&first, sizeof(first),
		(void *)(nw_number_of(n, map) +
			 bpf_core_field_offset(struct bpf_array, pptrs)));
	return first;
}

/*
 * Each CPU's part of what all have is as far from what the pointer says as its
 * part of a map: that is how it is found without a symbol of the kernel.
 */
static __always_inline __u64 nw_mark_of(struct nw_nested *n,
					const void *all_cpus, const void *again)
{
	struct bpf_prog *program = (struct bpf_prog *)nw_first_of(n, again);
	__u64 apart = nw_number_of(n, n) - nw_first_of(n, all_cpus);
	__u64 active = 0;

	if (program)
		bpf_core_read(&active, sizeof(active), &program->active);
	return active ? active + apart : 0;
}

/* An interrupt has a stack of its own: the hook's arguments are not on the process's. */
static __always_inline bool nw_in_interrupt(struct nw_nested *n,
					    const void *ctx)
{
	struct task_struct *task;
	__u64 here, bottom, top;

	if (!bpf_core_enum_value_exists(enum bpf_func_id,
					BPF_FUNC_task_pt_regs))
		return false;
	task = bpf_get_current_task_btf();
	here = nw_number_of(n, ctx);
	bottom = (__u64)task->stack;
	top = nw_number_of(n, (void *)bpf_task_pt_regs(task));
	return here < bottom || here >= top;
}

/* Whether the kernel marks the program as being at work on this CPU. */
static __always_inline bool nw_at_work(struct nw_nested *n,
				       const void *all_cpus, const void *again)
{
	int active = 0;

	if (!bpf_core_field_exists(struct bpf_prog, active))
		return false;
	if (!n->mark)
		n->mark = nw_mark_of(n, all_cpus, again);
	if (!n->mark)
		return false;
	/* an int, or (7.0) a byte for each kind of interrupt: any struct with one */
	if (nw_has_kernel_context)
		return nw_cast(struct refcount_struct, (void *)n->mark)
			->refs.counter;
	bpf_probe_read_kernel(&active, sizeof(active), (void *)n->mark);
	return active;
}

/* Never: see NW_MAY_NEST. */
const volatile bool nw_never = false;

/*
 * First in such a program: the kernel (6.13 and newer) gives a program whose
 * frames are large a stack of its own on each CPU, since no run is in the
 * middle of another, but not if it has a tail call.
 */
#define NW_MAY_NEST(name)                                     \
	do {                                                  \
		if (nw_never) {                               \
			bpf_tail_call(ctx, &name##_again, 0); \
			return 0;                             \
		}                                             \
	} while (0)

/*
 * Whether this run is in the middle of another, for a program that has memory
 * of each CPU's to itself; asked once, as the run begins.
 */
#define NW_IS_NESTED(name) nw_is_nested(&name##_rescued)

static __always_inline bool nw_is_nested(void *all_cpus)
{
	__u32 zero = 0;
	struct nw_nested *n = bpf_map_lookup_elem(all_cpus, &zero);

	if (!n || !n->begins)
		return false;
	n->begins = 0;
	return true;
}

/* Before each program on a hook that processes and interrupts reach. */
#define NW_NESTED(hook, name)                                               \
	struct {                                                            \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                    \
		__uint(max_entries, 1);                                     \
		__type(key, __u32);                                         \
		__type(value, struct nw_nested);                            \
	} name##_rescued SEC(".maps");                                      \
	/* the program itself, put there as it is loaded */                 \
	struct {                                                            \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                      \
		__uint(max_entries, 1);                                     \
		__type(key, __u32);                                         \
		__type(value, __u32);                                       \
	} name##_again SEC(".maps");                                        \
	SEC("?tp_btf/" hook)                                                \
	int name##_nested(__u64 *ctx)                                       \
	{                                                                   \
		__u32 zero = 0;                                             \
		struct nw_nested *n =                                       \
			bpf_map_lookup_elem(&name##_rescued, &zero);        \
                                                                            \
		if (!n || !nw_at_work(n, &name##_rescued, &name##_again) || \
		    !nw_in_interrupt(n, ctx))                               \
			return 0;                                           \
		n->rescued++;                                               \
		n->begins = 1;                                              \
		bpf_tail_call(ctx, &name##_again, 0);                       \
		n->rescued--;                                               \
		n->begins = 0;                                              \
		return 0;                                                   \
	}

#endif /* NW_NESTED_BPF_H */
