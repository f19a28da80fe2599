/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which packets filled a gap in what a connection has received, so that of a
 * received packet's time in TCP the wait for earlier segments is told from the
 * wait for the application (RFC 9293, section 3.10.7.4: what comes too early is
 * held). A packet fills if it is new, lies before data that is here already,
 * and arrives while such data waits.
 *
 * What a packet waited for is the latest fill that lies before it: each fill
 * later than that lies behind it, and each earlier one left another gap.
 *
 * Soft interrupts of any CPU write fills, one at a time and in the order of
 * their times; who holds the socket's lock reads them meanwhile.
 *
 *   busy                means                   moved on by, with
 *   0                   nobody writes           who has a fill: compare-and-swap, 1
 *   1                   tickets and places are  the same one: exchange, 0
 *                       the writer's
 *
 * Ticket k has the place k % NW_GAPS, and is drawn before that is written:
 *
 *   a place holds       means
 *   ticket k's pair     (ns, check): check is (seq << 32 | mark), mixed with ns
 *                       so that words of two pairs are none; the mark is made
 *                       of the socket and of k
 *   anything else       nothing: k is not written yet, or is being replaced, or
 *                       whoever wrote had another socket
 *
 * A fill that meets another one being written, or an older time than the last
 * one's, is left out: `missing_ns` is the latest time of those, and only grows.
 * What a packet waited for was written or left out before TCP got it, so before
 * that packet could be read. A packet that may have waited for one that is left
 * out, or that has made way for the NW_GAPS that came next, has an unknown wait.
 *
 * Parses alone, as http.h: whoever includes it has defined the __u types.
 */
#ifndef NW_GAPS_H
#define NW_GAPS_H

#include "duration.h"

#define NW_GAPS 16

struct nw_fill {
	__u64 ns;
	__u64 check;
};

/* Of one connection; zeroed memory has none. */
struct nw_gaps {
	__u64 drawn; /* tickets: the next one */
	__u64 last_ns; /* time of the one before */
	__u64 missing_ns;
	__u32 busy;
	__u32 pad;
	struct nw_fill fill[NW_GAPS];
};

static __always_inline __u64 nw_gaps_look(const __u64 *word)
{
	return *(const volatile __u64 *)word;
}

/* `sock`: a number that only this socket has. */
static __always_inline __u32 nw_gaps_mark(__u32 sock, __u32 ticket)
{
	/* sockets lie at least 64 bytes apart */
	return (sock >> 6) << 16 | (__u16)(ticket + 1);
}

/* Spreads a time over all bits: times that are close differ in many. */
static __always_inline __u64 nw_gaps_mix(__u64 ns)
{
	return ns * 0x9e3779b97f4a7c15ULL;
}

static __always_inline void nw_gaps_leave_out(struct nw_gaps *gaps, __u64 now)
{
	__u64 seen, missing = nw_gaps_look(&gaps->missing_ns);

	for (int i = 0; i < 4; i++) {
		if (missing >= now)
			return;
		seen = __sync_val_compare_and_swap(&gaps->missing_ns, missing,
						   now);
		if (seen == missing)
			return;
		missing = seen;
	}
	/* so many at once: none is known any more */
	__atomic_exchange_n(&gaps->missing_ns, NW_UNKNOWN, __ATOMIC_SEQ_CST);
}

/* A packet that begins at `seq` fills a gap of the socket now. */
static __always_inline void nw_gaps_fill(struct nw_gaps *gaps, __u32 sock,
					 __u32 seq, __u64 now)
{
	struct nw_fill *fill;
	__u64 ticket;

	if (__sync_val_compare_and_swap(&gaps->busy, 0, 1)) {
		nw_gaps_leave_out(gaps, now);
		return;
	}
	if (now < gaps->last_ns) {
		nw_gaps_leave_out(gaps, now);
	} else {
		ticket = __sync_fetch_and_add(&gaps->drawn, 1);
		fill = &gaps->fill[ticket & (NW_GAPS - 1)];
		gaps->last_ns = now;
		*(volatile __u64 *)&fill->ns = now;
		*(volatile __u64 *)&fill->check =
			nw_gaps_mix(now) ^
			((__u64)seq << 32 | nw_gaps_mark(sock, ticket));
	}
	__atomic_exchange_n(&gaps->busy, 0, __ATOMIC_SEQ_CST);
}

/*
 * How long a packet that came at `ns`, begins at `seq` and is read at `now` had
 * to wait for earlier segments; NW_UNKNOWN: what it waited for may be gone.
 */
static __always_inline __u64 nw_gaps_wait(const struct nw_gaps *gaps,
					  __u32 sock, __u32 seq, __u64 ns,
					  __u64 now)
{
	__u64 drawn = nw_gaps_look(&gaps->drawn), filled = 0;
	__u32 found = 0;

	/* the latest one that came before the packet, or that it waited for */
	for (__u32 i = 0; i < NW_GAPS; i++) {
		/* the last one that was drawn for this place, if any was */
		__u32 ticket =
			drawn - 1 - (((__u32)drawn - 1 - i) & (NW_GAPS - 1));
		__u64 at = nw_gaps_look(&gaps->fill[i].ns);
		__u64 pair =
			nw_gaps_mix(at) ^ nw_gaps_look(&gaps->fill[i].check);

		if ((__u32)pair != nw_gaps_mark(sock, ticket) || at > now ||
		    at < filled)
			continue;
		if (at <= ns || (__s32)((__u32)(pair >> 32) - seq) < 0) {
			filled = at;
			found = ticket;
		}
	}
	drawn = nw_gaps_look(&gaps->drawn);
	/* those that have made way came before it */
	if (drawn > NW_GAPS && (!filled || (__u32)drawn - found > NW_GAPS))
		return NW_UNKNOWN;
	if (filled < ns)
		filled = ns;
	return filled < nw_gaps_look(&gaps->missing_ns) ? NW_UNKNOWN :
							  filled - ns;
}

#endif /* NW_GAPS_H */
