/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The received packets of one socket that wait to be read: two places in the
 * socket's own storage, which few connections ever fill, and when they are full
 * a block of 32 and then one of 256 from outside. What lies in a socket is
 * taken from the memory that its application may use for filters and for
 * zero-copy sends (net.core.optmem_max); what lies outside is not.
 *
 *   tail's generation   the socket's                    moved on by, with
 *   0                   nobody has pushed               the first packet, if the
 *                                                       socket is not closed:
 *                                                       compare-and-swap, 1
 *   odd                 packets of one connection may   the next connection: add,
 *                       be pushed                       even
 *   even                the connection has ended; its   the same one, once all
 *                       packets leave                   have left: add, odd
 *   NW_UNREAD_CLOSED    nothing is pushed any more      (the socket's end: or)
 *   or above
 *
 *   blocks[i]           means                           moved on by, with
 *   generation, 0       no block                        who pushes and has taken
 *                                                       one: compare-and-swap
 *   generation, index   a block, and its generation     who takes packets, when it
 *                                                       is empty: compare-and-
 *                                                       swap; the end: exchange
 *
 * A block goes back when its generation has ended: after that no ticket of it
 * is drawn by who found it here. Who pushes reads the socket's generation
 * first, and the block afterwards; a block that is put in by a later connection
 * has another generation in front of it. Blocks are never freed, only used
 * again, so that whoever still has an old one touches a block.
 */
#ifndef NW_UNREAD_SOCKET_H
#define NW_UNREAD_SOCKET_H

#include "unread.h"

#define NW_UNREAD_INLINE 2
#define NW_UNREAD_SMALL 32
#define NW_UNREAD_LARGE 256
#define NW_UNREAD_CLOSED 0x80000000U

enum nw_unread_size {
	NW_UNREAD_SIZE_SMALL = 0,
	NW_UNREAD_SIZE_LARGE = 1,
	NW_UNREAD_SIZES = 2,
};

struct nw_unread_small {
	struct nw_unread queue;
	struct nw_pending places[NW_UNREAD_SMALL];
};

struct nw_unread_large {
	struct nw_unread queue;
	struct nw_pending places[NW_UNREAD_LARGE];
};

/* Zeroed memory is one whose connection has not pushed yet. */
struct nw_unread_socket {
	struct nw_unread queue;
	struct nw_pending places[NW_UNREAD_INLINE];
	__u64 blocks[NW_UNREAD_SIZES]; /* generation, index; 0 = none */
};

/* Defined by whoever includes this: the blocks. 0 and NULL: there is none. */
static __always_inline struct nw_unread *
nw_unread_block(enum nw_unread_size size, __u32 index);
static __always_inline __u32 nw_unread_acquire(enum nw_unread_size size);
static __always_inline void nw_unread_release(enum nw_unread_size size,
					      __u32 index);
/* Writes a packet into a place that is the caller's. */
static __always_inline void nw_unread_fill(struct nw_pending *place,
					   NW_UNREAD_PACKET packet);
/* Calls nw_unread_step() from i = 0 until it returns 1; at most `places` times. */
static __always_inline void nw_unread_loop(struct nw_unread_walk *walk,
					   __u32 places);

static __always_inline __u32 nw_unread_places(enum nw_unread_size size)
{
	return size == NW_UNREAD_SIZE_SMALL ? NW_UNREAD_SMALL : NW_UNREAD_LARGE;
}

static __always_inline _Bool nw_unread_push(struct nw_unread *queue,
					    __u32 places, __u32 generation,
					    NW_UNREAD_PACKET packet)
{
	__u32 ticket = 0;
	struct nw_pending *place =
		nw_unread_draw(queue, places, generation, &ticket);

	if (!place)
		return 0;
	nw_unread_fill(place, packet);
	return nw_unread_publish(place, ticket, places);
}

static __always_inline _Bool nw_unread_is_open(__u32 generation)
{
	return (generation & (NW_UNREAD_CLOSED | 1)) == 1;
}

/* The first generation begins; returns which there is. */
static __always_inline __u32 nw_unread_open(struct nw_unread_socket *socket)
{
	__sync_val_compare_and_swap(&socket->queue.tail, 0, 1ULL << 32);
	return nw_unread_generation(&socket->queue);
}

/* False if there is no room: the packet does not wait. */
static __always_inline _Bool
nw_unread_push_block(struct nw_unread_socket *socket, __u32 generation,
		     enum nw_unread_size size, NW_UNREAD_PACKET packet)
{
	/* before the generation is looked at: a full barrier */
	__u64 seen = __sync_val_compare_and_swap(&socket->blocks[size], 0, 0);
	__u32 places = nw_unread_places(size), index = seen;
	struct nw_unread *block;

	if (nw_unread_generation(&socket->queue) != generation)
		return 0;
	block = index ? nw_unread_block(size, index) : 0;
	if (block) {
		if (nw_unread_push(block, places, seen >> 32, packet))
			return 1;
		if (nw_unread_generation(block) == seen >> 32)
			return 0;
	}
	/* none, or it is just going back */
	index = nw_unread_acquire(size);
	block = index ? nw_unread_block(size, index) : 0;
	if (!block)
		return 0;
	generation = nw_unread_generation(block);
	if (__sync_val_compare_and_swap(&socket->blocks[size], seen,
					(__u64)generation << 32 | index) !=
	    seen) {
		nw_unread_release(size, index);
		return 0;
	}
	return nw_unread_push(block, places, generation, packet);
}

static __always_inline _Bool
nw_unread_socket_is_empty(const struct nw_unread_socket *socket)
{
	return nw_unread_is_empty(&socket->queue) &&
	       !(__u32)socket->blocks[NW_UNREAD_SIZE_SMALL] &&
	       !(__u32)socket->blocks[NW_UNREAD_SIZE_LARGE];
}

static __always_inline void nw_unread_walk_queue(struct nw_unread_walk *walk,
						 struct nw_unread *queue,
						 __u32 places)
{
	walk->queue = queue;
	nw_unread_begin(walk, places);
	/* nearly always there is just one */
	if (nw_unread_step(0, walk, places) || walk->head + 1 == walk->tail)
		return;
	walk->head++;
	nw_unread_loop(walk, places);
}

/* Takes out what was read; an empty block goes back. */
static __always_inline void
nw_unread_read_block(struct nw_unread_socket *socket,
		     struct nw_unread_walk *walk, enum nw_unread_size size)
{
	__u64 *slot = &socket->blocks[size];
	__u64 seen = *(volatile __u64 *)slot;
	struct nw_unread *block = 0;

	if ((__u32)seen)
		block = nw_unread_block(size, seen);
	if (!block)
		return;
	nw_unread_walk_queue(walk, block, nw_unread_places(size));
	if (!nw_unread_end_empty(block))
		return;
	__sync_val_compare_and_swap(
		slot, seen, (__u64)nw_unread_generation(&socket->queue) << 32);
	nw_unread_release(size, seen);
}

/* Takes out everything; the block goes back. */
static __always_inline void nw_unread_end_block(struct nw_unread_socket *socket,
						struct nw_unread_walk *walk,
						enum nw_unread_size size)
{
	__u64 none = (__u64)nw_unread_generation(&socket->queue) << 32;
	__u64 seen = __atomic_exchange_n(&socket->blocks[size], none,
					 __ATOMIC_SEQ_CST);
	struct nw_unread *block = 0;

	if ((__u32)seen)
		block = nw_unread_block(size, seen);
	if (!block)
		return;
	nw_unread_end(block);
	nw_unread_walk_queue(walk, block, nw_unread_places(size));
	nw_unread_release(size, seen);
}

/* The packets that were read leave; with walk->all every one. */
static __always_inline void nw_unread_leave(struct nw_unread_socket *socket,
					    struct nw_unread_walk *walk)
{
	nw_unread_walk_queue(walk, &socket->queue, NW_UNREAD_INLINE);
	if (walk->all) {
		nw_unread_end_block(socket, walk, NW_UNREAD_SIZE_SMALL);
		nw_unread_end_block(socket, walk, NW_UNREAD_SIZE_LARGE);
	} else {
		nw_unread_read_block(socket, walk, NW_UNREAD_SIZE_SMALL);
		nw_unread_read_block(socket, walk, NW_UNREAD_SIZE_LARGE);
	}
}

/*
 * The connection has ended: nw_unread_leave() follows, whatever tells one
 * connection's packets from another's, then nw_unread_resume(). False if there
 * is nothing to do: no packet has come, or the socket has ended.
 */
static __always_inline _Bool nw_unread_pause(struct nw_unread_socket *socket)
{
	if (!nw_unread_is_open(nw_unread_generation(&socket->queue)))
		return 0;
	nw_unread_end(&socket->queue);
	return 1;
}

static __always_inline void nw_unread_resume(struct nw_unread_socket *socket)
{
	nw_unread_end(&socket->queue);
}

/* The socket ends: nw_unread_leave() follows. */
static __always_inline void nw_unread_close(struct nw_unread_socket *socket)
{
	__sync_fetch_and_or(&socket->queue.tail, (__u64)NW_UNREAD_CLOSED << 32);
}

#endif /* NW_UNREAD_SOCKET_H */
