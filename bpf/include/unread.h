/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The queue of a socket's received packets that wait to be read. Many push,
 * many take, nobody waits: soft interrupts of several CPUs push; a read, the
 * socket's end and the flush at the end of watching take, each of which a soft
 * interrupt may interrupt at any instruction, to push into the same queue.
 *
 * Each push draws a ticket; ticket k has the place k % NW_PENDING. A place's
 * state says for which ticket it stands, so that "not filled yet" and "taken
 * out already" are never confused. With base = k - k % NW_PENDING:
 *
 *   state           means                    moved on by, with
 *   base            free for ticket k;       the one who drew k (compare-and-
 *                   if tail > k: k is drawn  swap of tail, k -> k + 1), once it
 *                   and not filled yet       is filled: exchange, FILLED
 *   base + FILLED   a packet waits           who wants it: compare-and-swap,
 *                                            TAKEN
 *   base + TAKEN    whoever took it copies   the same one: exchange, FILLED if
 *                   it out, alone            it must wait after all, else the
 *                                            base of ticket k + NW_PENDING
 *   next base       k is done                (free for k + NW_PENDING)
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
 * A socket's last walk comes after its state is closed. Who has pushed looks
 * at the state afterwards and takes its packet back if the socket is closed:
 * either the walk sees the packet, or the pusher sees the end.
 *
 * Parses alone, as http.h: whoever includes it has defined the __u types and
 * NW_UNREAD_USER, the type of what a walk hands to nw_unread_taken().
 */
#ifndef NW_UNREAD_H
#define NW_UNREAD_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/*
 * Linux 7.x lets a map have 8 KB in a socket, so two queues hold them: the
 * second is made when the first is full, which few sockets ever see.
 */
#define NW_PENDING 128 /* places; a power of two, over NW_PENDING_TAKEN */

/* Segments that arrived out of order wait at most this far from the head. */
#define NW_UNREAD_LOOKAHEAD 3

/* As often others may be quicker before the queue counts as full. */
#define NW_UNREAD_TRIES 8

enum nw_pending_state {
	NW_PENDING_FILLED = 1,
	NW_PENDING_TAKEN = 2,
};

/* A received packet the application has not read. */
struct nw_pending {
	__u64 ns; /* when TCP got it */
	__u32 mac_ns; /* NW_SHORT_UNKNOWN: not known, or more than 4 s */
	__u32 ip_ns;
	__u32 seq;
	__u32 ack;
	__u32 payload_bytes;
	__u32 skb_bytes;
	__u32 state; /* base + enum nw_pending_state */
	__u8 tcp_flags;
	__u8 http_heads;
	__u8 pad[2];
};

/* Zeroed memory is an empty queue. */
struct nw_unread {
	__u32 head; /* no older ticket waits */
	__u32 tail; /* the next ticket to draw */
	/* of a walk; here, as the verifier follows every value on the stack */
	__u32 passed;
	__u32 pad;
	struct nw_pending pending[NW_PENDING];
};

/* One way through the packets of a queue. */
struct nw_unread_walk {
	struct nw_unread *queue;
	NW_UNREAD_USER user;
	__u32 head;
	__u32 tail;
	__u32 copied_seq; /* the application has read what lies before it */
	__u32 all; /* also what has not been read */
};

/*
 * Defined by whoever includes this: a packet leaves the queue, and whether it
 * was read. Its place is free when this returns.
 */
static __always_inline void nw_unread_taken(const struct nw_unread_walk *walk,
					    const struct nw_pending *packet,
					    _Bool read);

static __always_inline __u32 nw_unread_base(__u32 ticket)
{
	return ticket & ~(__u32)(NW_PENDING - 1);
}

static __always_inline struct nw_pending *
nw_unread_place(struct nw_unread *queue, __u32 ticket)
{
	return &queue->pending[ticket & (NW_PENDING - 1)];
}

/* As it is now, never a value that the compiler has kept. */
static __always_inline __u32 nw_unread_look(const __u32 *word)
{
	return *(const volatile __u32 *)word;
}

/* Draws a ticket; NULL if the queue has no room. Fill, then publish. */
static __always_inline struct nw_pending *
nw_unread_draw(struct nw_unread *queue, __u32 *ticket)
{
	__u32 tail = nw_unread_look(&queue->tail), seen;

	for (int i = 0; i < NW_UNREAD_TRIES; i++) {
		struct nw_pending *place = nw_unread_place(queue, tail);

		if (nw_unread_look(&place->state) == nw_unread_base(tail)) {
			seen = __sync_val_compare_and_swap(&queue->tail, tail,
							   tail + 1);
			if (seen == tail) {
				*ticket = tail;
				return place;
			}
		} else {
			/* full, unless another has drawn this ticket */
			seen = nw_unread_look(&queue->tail);
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

static __always_inline void nw_unread_publish(struct nw_pending *place,
					      __u32 ticket)
{
	nw_unread_set(place, nw_unread_base(ticket) + NW_PENDING_FILLED);
}

/* True if the packet is the caller's now, who frees the place. */
static __always_inline _Bool nw_unread_take(struct nw_pending *place,
					    __u32 ticket)
{
	__u32 filled = nw_unread_base(ticket) + NW_PENDING_FILLED;

	return __sync_val_compare_and_swap(&place->state, filled,
					   nw_unread_base(ticket) +
						   NW_PENDING_TAKEN) == filled;
}

static __always_inline void nw_unread_free(struct nw_pending *place,
					   __u32 ticket)
{
	nw_unread_set(place, nw_unread_base(ticket) + NW_PENDING);
}

static __always_inline _Bool nw_unread_was_read(const struct nw_pending *packet,
						__u32 copied_seq)
{
	return (__s32)(copied_seq - packet->seq - packet->payload_bytes) >= 0;
}

/* False if the packet must wait after all. */
static __always_inline _Bool nw_unread_pop(struct nw_unread_walk *walk,
					   struct nw_pending *place,
					   __u32 ticket)
{
	_Bool read;

	if (!nw_unread_take(place, ticket))
		return 1;
	read = nw_unread_was_read(place, walk->copied_seq);
	if (!read && !walk->all) {
		nw_unread_publish(place, ticket);
		return 0;
	}
	nw_unread_taken(walk, place, read);
	nw_unread_free(place, ticket);
	return 1;
}

/* Where the walk goes: from `head` to `tail`, nw_unread_step() for each. */
static __always_inline void nw_unread_begin(struct nw_unread_walk *walk)
{
	struct nw_unread *queue = walk->queue;

	walk->tail = nw_unread_look(&queue->tail);
	walk->head = nw_unread_look(&queue->head);
	/* the place of ticket k is drawn again when k is done */
	if (walk->tail - walk->head > NW_PENDING) {
		walk->head = walk->tail - NW_PENDING;
		queue->head = walk->head;
	}
	queue->passed = 0;
}

/* One place of the walk; 1 ends it. */
static long nw_unread_step(__u32 i, struct nw_unread_walk *walk)
{
	struct nw_unread *queue = walk->queue;
	__u32 ticket = walk->head + i;
	struct nw_pending *place = nw_unread_place(queue, ticket);

	if (ticket == walk->tail)
		return 1;
	if (nw_unread_look(&place->state) ==
	    nw_unread_base(ticket) + NW_PENDING_FILLED) {
		if ((!walk->all &&
		     !nw_unread_was_read(place, walk->copied_seq)) ||
		    !nw_unread_pop(walk, place, ticket)) {
			if (++queue->passed > NW_UNREAD_LOOKAHEAD)
				return 1;
		}
	}
	/* done, this ticket or a later one of its place */
	if ((__s32)(nw_unread_look(&place->state) - nw_unread_base(ticket)) >=
		    NW_PENDING &&
	    queue->head == ticket)
		queue->head = ticket + 1;
	return 0;
}

static __always_inline _Bool nw_unread_is_empty(const struct nw_unread *queue)
{
	return nw_unread_look(&queue->head) == nw_unread_look(&queue->tail);
}

/* What the caller has written before is seen by who publishes after this. */
static __always_inline void nw_unread_fence(struct nw_unread *queue)
{
	__sync_val_compare_and_swap(&queue->pad, 0, 0);
}

#endif /* NW_UNREAD_H */
