/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who has a work: the scratch memory in which a segment is read. A CPU has
 * NW_HTTP_SLOTS of them, for the programs that may be under way on it at once:
 * that of a task, the soft interrupt on top of it, and on preemptible kernels
 * that of the next task. Any of them may be stopped between two instructions.
 *
 * busy counts those who have the work and those who just try to get it:
 *
 *   busy   means                            moved on by, with
 *   0      free                             who tries: atomic + 1
 *   1      one has it, or tries and is      the same one: atomic - 1, when done;
 *          about to see that it is alone    another one who tries: atomic + 1
 *   n > 1  at most one has it, the others   each of the others: atomic - 1, and
 *          have tried and will see n        on to the next work
 *
 * Who tries adds 1 and then looks. To see 1 is to be alone: whoever has the
 * work is counted until it is done, so nobody has it, and who comes later sees
 * more than 1. Two that try at once may both see 2 and both go on to the next
 * work; two that both see 1 there cannot be.
 *
 * Additions without the old value are all it takes: kernels before 5.12 have
 * no other atomics. The order of the accesses within the work needs no fence,
 * as a program stays on its CPU; the harness (test/http-works) tries it across
 * two, where the atomics of the machine are fences.
 *
 * Parses alone, as http.h: whoever includes it has defined the __u types.
 */
#ifndef NW_HTTP_WORK_H
#define NW_HTTP_WORK_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* The compiler moves no access of the work past this. */
#define nw_http_work_barrier() asm volatile("" ::: "memory")

/* Takes back what it added: the end of a work, and of a try. */
static __always_inline void nw_http_work_give(__u32 *busy)
{
	nw_http_work_barrier();
	__sync_fetch_and_add(busy, -1);
}

/* True: the caller has the work, alone, until nw_http_work_give(). */
static __always_inline int nw_http_work_take(__u32 *busy)
{
	__sync_fetch_and_add(busy, 1);
	if (*(volatile __u32 *)busy == 1) {
		nw_http_work_barrier();
		return 1;
	}
	nw_http_work_give(busy);
	return 0;
}

#endif /* NW_HTTP_WORK_H */
