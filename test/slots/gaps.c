// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/gaps.h as a program of its own: what two CPUs and their interrupts
 * fill while packets that waited are read, first step by step, then all at once.
 *
 *   gaps PACKETS
 *
 * Fill n comes at AT(n) and lies at SEQ(n), and a packet right behind it came
 * some fills before: it waited for fill n and for no other. It must find that
 * one's time, or be unknown if the fill may be gone. Another socket that had the
 * block before goes on writing now and then.
 *
 * Prints "packets N timed N unknown N interrupts N wrong N".
 * Build: cc -O2 -pthread -I bpf/include -o gaps gaps.c
 */
#define _GNU_SOURCE
#include "race.h"
#include "gaps.h"

#define SOCK 0x12345640U
#define OTHER 0x12345680U
#define AT(n) ((n)*16ULL + 1000)
#define SEQ(n) ((__u32)(0xfffff000U + (n)*100))
#define DONE 64

static struct nw_gaps gaps;
static __u32 packets, next, done[DONE];
static long timed, unknown;

/* A packet behind fill n that came `before` fills earlier. */
static __u64 waited(__u32 n, __u32 before)
{
	return nw_gaps_wait(&gaps, SOCK, SEQ(n) + 50, AT(n) - before * 16ULL,
			    AT(n + 1000));
}

static int step(unsigned int random)
{
	__u32 before = (random >> 12) % 24 + 1, n;
	__u64 found;

	if (random >> 24 == 7)
		nw_gaps_fill(&gaps, OTHER, SEQ(next) - 10, AT(next));
	n = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);
	if (n >= packets)
		return 0;
	nw_gaps_fill(&gaps, SOCK, SEQ(n), AT(n));
	__atomic_store_n(&done[n % DONE], n, __ATOMIC_SEQ_CST);
	/* one that is not new is read */
	n -= (random >> 8) % 24;
	if ((__s32)n <= 24 ||
	    __atomic_load_n(&done[n % DONE], __ATOMIC_SEQ_CST) != n)
		return 1;
	found = waited(n, before);
	expect(found == NW_UNKNOWN || found == before * 16ULL, "another wait",
	       n);
	__atomic_add_fetch(found == NW_UNKNOWN ? &unknown : &timed, 1,
			   __ATOMIC_SEQ_CST);
	return 1;
}

/* One after the other: no gap, one, several, one that is gone, another socket. */
static void check_steps(void)
{
	expect(waited(5, 1) == 0, "waited without a gap", 5);
	nw_gaps_fill(&gaps, SOCK, SEQ(5), AT(5));
	expect(waited(5, 1) == 16, "not the gap before it", 5);
	expect(waited(4, 1) == 0, "a gap behind it", 5);
	expect(waited(6, 1) == 0, "a gap before it came", 6);
	nw_gaps_fill(&gaps, SOCK, SEQ(6), AT(6));
	expect(waited(5, 2) == 32, "a later gap that lies behind", 6);
	expect(waited(6, 3) == 48, "an earlier one of two gaps", 6);
	nw_gaps_fill(&gaps, OTHER, SEQ(1), AT(7));
	expect(waited(6, 3) == 48, "another socket's", 7);
	/* read before the latest one came */
	expect(nw_gaps_wait(&gaps, SOCK, SEQ(6) + 50, AT(4), AT(5)) == 16,
	       "a fill of the future", 6);
	for (__u32 n = 7; n < 5 + NW_GAPS; n++)
		nw_gaps_fill(&gaps, SOCK, SEQ(n), AT(n));
	expect(waited(5, 1) == NW_UNKNOWN, "one that is gone", 5);
	expect(waited(5 + NW_GAPS, 1) == 0, "came after all", 5);
	expect(waited(20, 30) == 480, "the newest", 20);
	memset(&gaps, 0, sizeof(gaps));
}

int main(int argc, char **argv)
{
	packets = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	if (!packets)
		return 2;
	check_steps();
	race();
	printf("packets %u timed %ld unknown %ld interrupts %ld wrong %ld\n",
	       packets, timed, unknown, interrupts[0] + interrupts[1], wrong);
	return wrong != 0;
}
