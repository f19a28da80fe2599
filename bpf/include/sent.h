/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a sent packet waits between IP and the driver: in a slot of its own.
 * Tasks and soft interrupts of all CPUs fill slots, any CPU's device code
 * looks for its packet in them, nobody waits.
 *
 *   state    means                        moved on by, with
 *   FREE     nothing is there             who has a packet: take, BUSY
 *   BUSY     one program has it, alone:   the same one: release, WAITING or
 *            fills, stamps or empties it  FREE
 *   WAITING  a whole packet is there      the device hook that has found its
 *                                         packet, or who needs the room and
 *                                         finds it stale: take, BUSY
 *
 * take is a compare-and-swap, release an exchange: full barriers, as BPF's
 * atomics are on each architecture. So what was written into a slot is seen by
 * who takes it, and is no longer touched once it is released.
 *
 * Whoever looks for a packet compares before it takes a slot, which may be
 * another's by then, and again when it has it. Then the slot is its own, or it
 * puts it back as it was. Whoever meets BUSY goes on: to another slot, or on
 * without. A packet that finds no slot, whose slot is not found or is needed
 * for another one gets its record without the times that nobody knows.
 *
 * "Last sent" is one more slot for each CPU, warm in its cache. Only programs
 * of that CPU use it, but each may interrupt another at any instruction, or
 * (where the kernel preempts) alternate with it. The same states and the same
 * take; its release needs no barrier between CPUs: nw_sent_release_here().
 *
 * Two transmissions of the same segment differ in TCP's stamp, but for empty
 * ones that pacing gives the same: they differ in the address of their skb,
 * which segmentation changes and they are too short for. A packet whose stamp
 * traffic control has changed is not found.
 *
 * Parses alone, as http.h: whoever includes it has defined the __u types.
 */
#ifndef NW_SENT_H
#define NW_SENT_H

#include "duration.h"

#define NW_SENT_WAYS 4 /* slots of a set, in which a packet may be */

/* A packet that the device never sent (dropped in a queue) gives way. */
#define NW_SENT_STALE_NS 4000000000ULL

enum nw_sent_state {
	NW_SENT_FREE = 0,
	NW_SENT_BUSY = 1,
	NW_SENT_WAITING = 2,
};

/* Which transmission of which segment. */
struct nw_sent_id {
	__u64 skb; /* its address, 0 = not known */
	__u64 stamp; /* of TCP: when it may leave, perhaps later than now */
	__u32 ports; /* as on the wire */
	__u32 seq;
	__u32 ack;
	__u32 payload; /* 1 = there is some */
};

struct nw_sent_slot {
	struct nw_sent_id id;
	__u64 queue_ns; /* 0 = the queueing discipline has not got it yet */
	__u32 state; /* enum nw_sent_state */
	__u32 pad;
	struct nw_packet packet;
};

struct nw_sent_set {
	struct nw_sent_slot way[NW_SENT_WAYS];
};

/* Defined by whoever includes this: the record of a stale packet goes out. */
static __always_inline void nw_sent_evict(const struct nw_sent_slot *slot);

/* And: the set of a packet. */
static __always_inline struct nw_sent_set *
nw_sent_set_of(const struct nw_sent_id *id);

/* And: nw_sent_store() into the set of `id`; without room, out it goes. */
static __always_inline void nw_sent_put_away(const struct nw_packet *packet,
					     const struct nw_sent_id *id,
					     __u64 queue_ns);

/*
 * Which set. Not by socket: a SYN-ACK belongs to the listener when IP sees it
 * and to the request later.
 */
static __always_inline __u32 nw_sent_index(const struct nw_sent_id *id,
					   __u32 sets)
{
	__u64 key = ((__u64)id->ports << 32 | id->seq) ^
		    (__u64)id->ack * 0x85ebca6b ^ (__u64)id->payload << 2;

	/* Fibonacci hashing: the high bits of the product are well mixed */
	return (key * 0x9e3779b97f4a7c15ULL >> 40) & (sets - 1);
}

/* As it is now, never a value that the compiler has kept. */
static __always_inline __u32 nw_sent_look(const struct nw_sent_slot *slot)
{
	return *(const volatile __u32 *)&slot->state;
}

/* True if the slot was in this state and is the caller's now. */
static __always_inline _Bool nw_sent_take(struct nw_sent_slot *slot,
					  __u32 state)
{
	return __sync_val_compare_and_swap(&slot->state, state, NW_SENT_BUSY) ==
	       state;
}

static __always_inline void nw_sent_release(struct nw_sent_slot *slot,
					    __u32 state)
{
	__atomic_exchange_n(&slot->state, state, __ATOMIC_SEQ_CST);
}

/* Of this CPU's own slot: only the order of instructions counts. */
static __always_inline void nw_sent_release_here(struct nw_sent_slot *slot,
						 __u32 state)
{
	asm volatile("" ::: "memory");
	*(volatile __u32 *)&slot->state = state;
}

/* This very skb: no header need be read. */
static __always_inline _Bool nw_sent_is_skb(const struct nw_sent_slot *slot,
					    __u64 skb, __u64 stamp, __u64 sock)
{
	return slot->id.skb == skb && slot->id.stamp == stamp &&
	       slot->packet.head.sock == sock;
}

/* The same transmission, whole or the first segment of it. */
static __always_inline _Bool nw_sent_is(const struct nw_sent_slot *slot,
					const struct nw_sent_id *id)
{
	const struct nw_sent_id *own = &slot->id;

	return own->stamp == id->stamp && own->seq == id->seq &&
	       own->ack == id->ack && own->ports == id->ports &&
	       own->payload == id->payload &&
	       (own->payload || own->skb == id->skb);
}

/* True if it waits here and the slot is the caller's now. */
static __always_inline _Bool nw_sent_find(struct nw_sent_slot *slot,
					  const struct nw_sent_id *id)
{
	if (nw_sent_look(slot) != NW_SENT_WAITING || !nw_sent_is(slot, id) ||
	    !nw_sent_take(slot, NW_SENT_WAITING))
		return 0;
	if (nw_sent_is(slot, id))
		return 1;
	nw_sent_release(slot, NW_SENT_WAITING);
	return 0;
}

/* The same in this CPU's own slot, for this very skb. */
static __always_inline _Bool nw_sent_find_here(struct nw_sent_slot *last,
					       __u64 skb, __u64 stamp,
					       __u64 sock)
{
	if (nw_sent_look(last) != NW_SENT_WAITING ||
	    !nw_sent_is_skb(last, skb, stamp, sock) ||
	    !nw_sent_take(last, NW_SENT_WAITING))
		return 0;
	if (nw_sent_is_skb(last, skb, stamp, sock))
		return 1;
	nw_sent_release_here(last, NW_SENT_WAITING);
	return 0;
}

static __always_inline _Bool nw_sent_is_stale(const struct nw_sent_slot *slot,
					      __u64 now)
{
	__u64 age = nw_between(slot->packet.head.ts_ns, now);

	return age != NW_UNKNOWN && age >= NW_SENT_STALE_NS;
}

/* True if there is room in this slot: it is the caller's now. */
static __always_inline _Bool nw_sent_make_room(struct nw_sent_slot *slot,
					       __u64 now)
{
	__u32 state = nw_sent_look(slot);

	if (state == NW_SENT_BUSY ||
	    (state == NW_SENT_WAITING && !nw_sent_is_stale(slot, now)) ||
	    !nw_sent_take(slot, state))
		return 0;
	/* at worst a younger one by now, whose record then has no times */
	if (state == NW_SENT_WAITING)
		nw_sent_evict(slot);
	return 1;
}

/* A slot of a set, the caller's to fill; NULL if there is no room. */
static __always_inline struct nw_sent_slot *
nw_sent_room(struct nw_sent_set *set, __u64 now)
{
	for (int i = 0; i < NW_SENT_WAYS; i++)
		if (nw_sent_make_room(&set->way[i], now))
			return &set->way[i];
	return 0;
}

/* Lets a packet wait in a set; false if there is no room for it. */
static __always_inline _Bool nw_sent_store(struct nw_sent_set *set,
					   const struct nw_packet *packet,
					   const struct nw_sent_id *id,
					   __u64 queue_ns)
{
	struct nw_sent_slot *slot = nw_sent_room(set, packet->head.ts_ns);

	if (!slot)
		return 0;
	slot->id = *id;
	slot->queue_ns = queue_ns;
	slot->packet = *packet;
	nw_sent_release(slot, NW_SENT_WAITING);
	return 1;
}

/*
 * A slot whose packet the caller fills, then nw_sent_publish(): this CPU's own
 * if no program that was interrupted has that, else one of a set; NULL if there
 * is no room. What waited in the CPU's own and has not left yet goes to a set.
 */
static __always_inline struct nw_sent_slot *
nw_sent_reserve(struct nw_sent_slot *last, const struct nw_sent_id *id,
		__u64 now)
{
	__u32 state = last ? nw_sent_look(last) : NW_SENT_BUSY;
	struct nw_sent_slot *slot = last;
	struct nw_sent_set *set;

	if (state == NW_SENT_BUSY || !nw_sent_take(last, state)) {
		set = nw_sent_set_of(id);
		slot = set ? nw_sent_room(set, now) : 0;
	} else if (state == NW_SENT_WAITING) {
		nw_sent_put_away(&last->packet, &last->id, last->queue_ns);
	}
	if (!slot)
		return 0;
	slot->id = *id;
	slot->queue_ns = 0;
	return slot;
}

static __always_inline void nw_sent_publish(struct nw_sent_slot *slot,
					    struct nw_sent_slot *last)
{
	if (slot == last)
		nw_sent_release_here(slot, NW_SENT_WAITING);
	else
		nw_sent_release(slot, NW_SENT_WAITING);
}

/* Takes the slot of a packet, wherever it waits; NULL if it does not. */
static __always_inline struct nw_sent_slot *
nw_sent_search(struct nw_sent_slot *last, struct nw_sent_set *set,
	       const struct nw_sent_id *id)
{
	/* a segment of it has an address of its own */
	if (nw_sent_find(last, id))
		return last;
	for (int i = 0; i < NW_SENT_WAYS; i++)
		if (nw_sent_find(&set->way[i], id))
			return &set->way[i];
	return 0;
}

/*
 * The queueing discipline gets the packet of a slot that is the caller's. If it
 * lets packets wait, it may be another CPU that sends it.
 */
static __always_inline void nw_sent_enter_queue(struct nw_sent_slot *slot,
						struct nw_sent_slot *last,
						__u64 now, _Bool waits)
{
	/* the first of the devices on top of each other */
	if (!slot->queue_ns)
		slot->queue_ns = now;
	if (slot == last && waits) {
		nw_sent_put_away(&last->packet, &last->id, last->queue_ns);
		nw_sent_release_here(last, NW_SENT_FREE);
	} else {
		nw_sent_publish(slot, last);
	}
}

/* The driver gets the packet of a slot that is the caller's: all is known. */
static __always_inline void nw_sent_leave(struct nw_sent_slot *slot, __u64 now)
{
	struct nw_packet *p = &slot->packet;

	p->ip_ns = nw_between(p->head.ts_ns, slot->queue_ns);
	p->mac_ns = nw_between(slot->queue_ns, now);
	p->head.ts_ns = now;
}

/* A slot whose record has gone out. */
static __always_inline void nw_sent_free(struct nw_sent_slot *slot,
					 struct nw_sent_slot *last)
{
	if (slot == last)
		nw_sent_release_here(slot, NW_SENT_FREE);
	else
		nw_sent_release(slot, NW_SENT_FREE);
}

#endif /* NW_SENT_H */
