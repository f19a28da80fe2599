/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the times of a received packet wait from the driver to TCP: in a slot
 * of the set that its skb's address chooses. Any CPU's driver fills slots, and
 * another CPU may take the packet from there (RPS); nobody waits, and no
 * atomic is needed: it is the value itself that says whose it is.
 *
 * A slot holds two pairs of words, (mac_ns, mac_check) and (ip_ns, ip_check).
 * A pair is valid for one skb: check = ns ^ mark of the skb.
 *
 *   the slot is       when                       written by
 *   free              both words are 0           who has taken its times
 *   skb's, arrived    the mac pair is valid      who sees it arrive
 *   skb's, with IP    the ip pair is valid too   who sees IP take it
 *   nobody's          words of two that wrote    gives way as any other: the
 *                     at once                    slot that is oldest
 *
 * Words of two writers, however they meet and in whichever order another CPU
 * sees them, are valid for neither (the mark spreads an address over all 64
 * bits, so that no two marks differ by what two times differ by). So a packet
 * gets its own times or none: who needs a slot takes the oldest, and the packet
 * that was there finds nothing. 64 bits are always written and read at once.
 *
 * An skb is in one place at a time, and what hands it on (a queue's lock, the
 * allocator) orders what was written here for it: the pairs of an earlier life
 * of the address are found when it arrives again, and replaced.
 *
 * Parses alone, as http.h: whoever includes it has defined the __u types.
 */
#ifndef NW_RECEIVED_H
#define NW_RECEIVED_H

#include "duration.h"

#define NW_RECEIVED_WAYS 4 /* slots of a set, in which a packet may be */

struct nw_received_slot {
	__u64 mac_ns; /* arrival */
	__u64 mac_check;
	__u64 ip_ns; /* the stack took it */
	__u64 ip_check;
};

struct nw_received_set {
	struct nw_received_slot way[NW_RECEIVED_WAYS];
};

/* When a packet arrived and when IP took it; 0 = not seen. */
struct nw_received_times {
	__u64 mac_ns;
	__u64 ip_ns;
};

/* Of an skb's address: never 0. Fibonacci hashing: one to one for odd ones. */
static __always_inline __u64 nw_received_mark(__u64 skb)
{
	return (skb | 1) * 0x9e3779b97f4a7c15ULL;
}

/* The high bits are well mixed. */
static __always_inline __u32 nw_received_index(__u64 mark, __u32 sets)
{
	return (mark >> 40) & (sets - 1);
}

/* As it is now, and once: what was compared is what is used. */
static __always_inline __u64 nw_received_look(const __u64 *word)
{
	return *(const volatile __u64 *)word;
}

static __always_inline void nw_received_put(__u64 *ns, __u64 *check,
					    __u64 ns_now, __u64 check_now)
{
	*(volatile __u64 *)ns = ns_now;
	*(volatile __u64 *)check = check_now;
}

/* The time of a pair, if it is this skb's; else 0. */
static __always_inline __u64 nw_received_get(const __u64 *ns,
					     const __u64 *check, __u64 mark)
{
	__u64 time = nw_received_look(ns);

	return (time ^ nw_received_look(check)) == mark ? time : 0;
}

/* A packet enters from below: into its own old slot, a free or the oldest one. */
static __always_inline void nw_received_arrive(struct nw_received_set *set,
					       __u64 mark, __u64 now)
{
	struct nw_received_slot *slot;
	__u64 oldest = NW_UNKNOWN;
	__u32 chosen = 0;

	for (int i = 0; i < NW_RECEIVED_WAYS; i++) {
		__u64 ns = nw_received_look(&set->way[i].mac_ns);
		__u64 check = nw_received_look(&set->way[i].mac_check);
		/* its own first: never two of one skb */
		__u64 age = (ns ^ check) == mark ? 0 : ns + 1;

		if (age < oldest) {
			oldest = age;
			chosen = i;
		}
	}
	slot = &set->way[chosen & (NW_RECEIVED_WAYS - 1)];
	nw_received_put(&slot->ip_ns, &slot->ip_check, 0, 0);
	nw_received_put(&slot->mac_ns, &slot->mac_check, now, now ^ mark);
}

/* The slot of a packet that has been seen to arrive; NULL if it was not. */
static __always_inline struct nw_received_slot *
nw_received_find(struct nw_received_set *set, __u64 mark)
{
	for (int i = 0; i < NW_RECEIVED_WAYS; i++) {
		struct nw_received_slot *slot = &set->way[i];

		if (nw_received_get(&slot->mac_ns, &slot->mac_check, mark))
			return slot;
	}
	return 0;
}

/* IP takes the packet of a slot that was found for it. */
static __always_inline void nw_received_ip(struct nw_received_slot *slot,
					   __u64 mark, __u64 now)
{
	nw_received_put(&slot->ip_ns, &slot->ip_check, now, now ^ mark);
}

/* The times of a packet in a slot that was found for it. */
static __always_inline struct nw_received_times
nw_received_times(const struct nw_received_slot *slot, __u64 mark)
{
	return (struct nw_received_times){
		nw_received_get(&slot->mac_ns, &slot->mac_check, mark),
		nw_received_get(&slot->ip_ns, &slot->ip_check, mark),
	};
}

/* Its packet has them. */
static __always_inline void nw_received_free(struct nw_received_slot *slot)
{
	nw_received_put(&slot->mac_ns, &slot->mac_check, 0, 0);
}

#endif /* NW_RECEIVED_H */
