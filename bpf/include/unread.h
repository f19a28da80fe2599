/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A queue of received packets that wait to be read. Soft interrupts of several
 * CPUs push at once, also while one of them interrupts who takes packets out;
 * nobody waits. Who takes holds the socket's lock: a read, the connection's
 * end, and the flush at the end of watching.
 *
 * Each push draws a ticket; ticket k has the place k % places. A place's state
 * says for which ticket it stands, so that "not filled yet" and "taken out
 * already" are never confused. With base = k - k % places (times 2 if there are
 * only 2 places, so that 4 states fit in) and lap = the next base - base:
 *
 *   state             means                   moved on by, with
 *   base              free for ticket k;      the one who drew k (compare-and-
 *                     if tail > k: k is drawn swap of tail, k -> k + 1), once it
 *                     and not filled yet      is filled: compare-and-swap, FILLED
 *   base + FILLED     a packet waits          who wants it: compare-and-swap,
 *                                             TAKEN
 *   base + TAKEN      whoever took it copies  the same one: exchange, FILLED if
 *                     it out, alone           it must wait after all, else the
 *                                             base of ticket k + places
 *   base + ABANDONED  the connection's end    the one who drew k, who keeps its
 *                     met k drawn and not     packet: exchange, the base of
 *                     filled: compare-and-    ticket k + places
 *                     swap from base
 *   base + lap        k is done               (free for k + places)
 *
 * The upper half of `tail` is the queue's generation. It changes when what the
 * queue belongs to ends; who read it before that draws no ticket afterwards. So
 * the walk at the end, which comes after the change, meets every ticket that
 * was drawn: it takes the packet, or the pusher keeps it. Tickets go on from
 * generation to generation: a place that a late pusher still holds is full.
 *
 * These atomics are full barriers, as BPF's are on each architecture: what was
 * written into a place is seen by who takes it, what was read from it was read
 * before it is free. The fields of a place that is only looked at may be of an
 * older ticket; hence they are read again once it is taken.
 *
 * A packet is pushed before TCP gets it and read after that: a place that a
 * read finds unfilled holds nothing that was read, and stays. `head` is where
 * a walk begins: it moves over a place only when its ticket is done, which
 * never changes again. So a stale value costs steps and loses nothing.
 *
 * Parses alone, as http.h: whoever includes it has defined the __u types and
 * NW_UNREAD_USER, the type of what a walk hands to nw_unread_taken(). Places of
 * a queue are constants, so that the compiler knows them everywhere.
 */
#ifndef NW_UNREAD_H
#define NW_UNREAD_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* Segments that arrived out of order wait at most this far from the head. */
#define NW_UNREAD_LOOKAHEAD 3

/* As often others may be quicker before the queue counts as full. */
#define NW_UNREAD_TRIES 8

#define NW_UNREAD_SYN 2 /* in tcp_flags */

enum nw_pending_state {
	NW_PENDING_FILLED = 1,
	NW_PENDING_TAKEN = 2,
	NW_PENDING_ABANDONED = 3,
	NW_PENDING_STATES = 4,
};

/* A received packet the application has not read; packed: a socket holds some. */
struct nw_pending {
	__u64 ns; /* when TCP got it */
	__u32 mac_ns; /* NW_SHORT_UNKNOWN: not known, or more than 4 s */
	__u32 ip_ns;
	__u32 seq;
	__u32 ack;
	__u32 payload_bytes;
	__u32 state; /* base + enum nw_pending_state */
	__u16 header_bytes; /* of IP and TCP */
	__u8 tcp_flags;
	__u8 http_heads;
} __attribute__((packed, aligned(4)));

/* Its places follow it. Zeroed memory is an empty queue of generation 0. */
struct nw_unread {
	__u64 tail; /* generation, next ticket to draw */
	__u32 head; /* no older ticket waits */
	__u32 pad;
};

/* One way through the packets of a queue. */
struct nw_unread_walk {
	struct nw_unread *queue;
	NW_UNREAD_USER user;
	__u32 head;
	__u32 tail;
	__u32 copied_seq; /* the application has read what lies before it */
	__u32 all; /* also what has not been read: the generation has ended */
};

/*
 * Defined by whoever includes this: a packet leaves the queue, and whether it
 * was read. Its place is free when this returns.
 */
static __always_inline void nw_unread_taken(const struct nw_unread_walk *walk,
					    const struct nw_pending *packet,
					    _Bool read);

/* How far the bases of a place's tickets are apart. */
static __always_inline __u32 nw_unread_lap(__u32 places)
{
	return places < NW_PENDING_STATES ? NW_PENDING_STATES : places;
}

/* Multiplied, not divided: it goes round where tickets do. */
static __always_inline __u32 nw_unread_base(__u32 ticket, __u32 places)
{
	return (ticket & ~(places - 1)) * (nw_unread_lap(places) / places);
}

static __always_inline struct nw_pending *
nw_unread_place(struct nw_unread *queue, __u32 ticket, __u32 places)
{
	return (struct nw_pending *)(queue + 1) + (ticket & (places - 1));
}

/* As it is now, never a value that the compiler has kept. */
static __always_inline __u32 nw_unread_look(const __u32 *word)
{
	return *(const volatile __u32 *)word;
}

static __always_inline __u64 nw_unread_tail(const struct nw_unread *queue)
{
	return *(const volatile __u64 *)&queue->tail;
}

static __always_inline __u32 nw_unread_generation(const struct nw_unread *queue)
{
	return nw_unread_tail(queue) >> 32;
}

/* Draws a ticket; NULL if there is no room, or the generation has ended. */
static __always_inline struct nw_pending *
nw_unread_draw(struct nw_unread *queue, __u32 places, __u32 generation,
	       __u32 *ticket)
{
	__u64 upper = (__u64)generation << 32;
	__u64 tail = nw_unread_tail(queue), seen;

	for (int i = 0; i < NW_UNREAD_TRIES; i++) {
		__u32 drawn = tail;
		struct nw_pending *place =
			nw_unread_place(queue, drawn, places);

		if (tail >> 32 != generation)
			return 0;
		if (nw_unread_look(&place->state) ==
		    nw_unread_base(drawn, places)) {
			seen = __sync_val_compare_and_swap(
				&queue->tail, tail, upper | (__u32)(drawn + 1));
			if (seen == tail) {
				*ticket = drawn;
				return place;
			}
		} else {
			/* full, unless another has drawn this ticket */
			seen = nw_unread_tail(queue);
			if (seen == tail)
				return 0;
		}
		tail = seen;
	}
	return 0;
}

static __always_inline void nw_unread_set(struct nw_pending *place, __u32 state)
{
	__atomic_exchange_n(&place->state, state, __ATOMIC_SEQ_CST);
}

/* True if the state was `from`. */
static __always_inline _Bool nw_unread_move(struct nw_pending *place,
					    __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap(&place->state, from, to) == from;
}

static __always_inline void nw_unread_free(struct nw_pending *place, __u32 base,
					   __u32 places)
{
	nw_unread_set(place, base + nw_unread_lap(places));
}

/* False if the end has come meanwhile: the packet stays with its pusher. */
static __always_inline _Bool nw_unread_publish(struct nw_pending *place,
					       __u32 ticket, __u32 places)
{
	__u32 base = nw_unread_base(ticket, places);

	if (nw_unread_move(place, base, base + NW_PENDING_FILLED))
		return 1;
	nw_unread_free(place, base, places);
	return 0;
}

/* A SYN may bring data (fast open), and has a number of its own. */
static __always_inline _Bool nw_unread_was_read(const struct nw_pending *packet,
						__u32 copied_seq)
{
	__u32 end = packet->seq + packet->payload_bytes +
		    !!(packet->tcp_flags & NW_UNREAD_SYN);

	return (__s32)(copied_seq - end) >= 0;
}

/* False if the packet must wait after all. */
static __always_inline _Bool nw_unread_pop(struct nw_unread_walk *walk,
					   struct nw_pending *place, __u32 base,
					   __u32 places)
{
	_Bool read;

	if (!nw_unread_move(place, base + NW_PENDING_FILLED,
			    base + NW_PENDING_TAKEN))
		return 1;
	read = nw_unread_was_read(place, walk->copied_seq);
	if (!read && !walk->all) {
		nw_unread_set(place, base + NW_PENDING_FILLED);
		return 0;
	}
	nw_unread_taken(walk, place, read);
	nw_unread_free(place, base, places);
	return 1;
}

/* Where the walk goes: from `head` to `tail`, nw_unread_step() for each. */
static __always_inline void nw_unread_begin(struct nw_unread_walk *walk,
					    __u32 places)
{
	struct nw_unread *queue = walk->queue;

	walk->tail = nw_unread_tail(queue);
	walk->head = nw_unread_look(&queue->head);
	/* the place of ticket k is drawn again when k is done */
	if (walk->tail - walk->head > places) {
		walk->head = walk->tail - places;
		queue->head = walk->head;
	}
}

/* One place of the walk; 1 ends it. */
static __always_inline long nw_unread_step(__u32 i, struct nw_unread_walk *walk,
					   __u32 places)
{
	struct nw_unread *queue = walk->queue;
	__u32 ticket = walk->head + i, base = nw_unread_base(ticket, places);
	struct nw_pending *place = nw_unread_place(queue, ticket, places);

	if (ticket == walk->tail)
		return 1;
	if (walk->all)
		nw_unread_move(place, base, base + NW_PENDING_ABANDONED);
	if (nw_unread_look(&place->state) == base + NW_PENDING_FILLED) {
		if ((!walk->all &&
		     !nw_unread_was_read(place, walk->copied_seq)) ||
		    !nw_unread_pop(walk, place, base, places)) {
			if (walk->tail - ticket > NW_UNREAD_LOOKAHEAD + 1)
				walk->tail = ticket + NW_UNREAD_LOOKAHEAD + 1;
		}
	}
	/* done, this ticket or a later one of its place */
	if ((__s32)(nw_unread_look(&place->state) - base) >=
		    (__s32)nw_unread_lap(places) &&
	    queue->head == ticket)
		queue->head = ticket + 1;
	return 0;
}

static __always_inline _Bool nw_unread_is_empty(const struct nw_unread *queue)
{
	return nw_unread_look(&queue->head) == (__u32)nw_unread_tail(queue);
}

/* No ticket of the present generation is drawn after this. */
static __always_inline void nw_unread_end(struct nw_unread *queue)
{
	__sync_fetch_and_add(&queue->tail, 1ULL << 32);
}

/* The same, if nothing waits and nothing is about to: true if so. */
static __always_inline _Bool nw_unread_end_empty(struct nw_unread *queue)
{
	__u64 tail = nw_unread_tail(queue);

	return nw_unread_look(&queue->head) == (__u32)tail &&
	       __sync_val_compare_and_swap(&queue->tail, tail,
					   tail + (1ULL << 32)) == tail;
}

#endif /* NW_UNREAD_H */
