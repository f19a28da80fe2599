/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When the application wrote which byte: the two newest writes in the socket,
 * 128 in a block outside while more of them have not been acknowledged (a
 * retransmission asks for an old one). All under the socket's lock; only a
 * packet that netfilter has queued looks without it, which the owner tells.
 */
#ifndef NW_WRITES_BPF_H
#define NW_WRITES_BPF_H

#include "pool.bpf.h"
#include "socket.bpf.h"

#define NW_FEW_WRITES 2
#define NW_WRITES 128

/* The newest is last; ns 0 = none. */
struct nw_few_writes {
	__u64 ns[NW_FEW_WRITES];
	__u32 seq[NW_FEW_WRITES]; /* of the first byte */
};

struct nw_many_writes {
	__u64 owner; /* the socket's address */
	__u32 count; /* ever written; newest at count - 1 */
	__u32 pad;
	__u64 ns[NW_WRITES];
	__u32 seq[NW_WRITES];
};

NW_POOL(write_blocks, struct nw_many_writes, 16384);

/* All bits set if a < b, for numbers less than 2^31 apart: no branch. */
static __always_inline __u32 nw_less(__u32 a, __u32 b)
{
	__s32 all = (__s32)(a - b) >> 31;

	/* or the compiler makes it one */
	barrier_var(all);
	return all;
}

static __always_inline struct nw_many_writes *nw_many_writes(__u32 index)
{
	return index ? bpf_map_lookup_elem(&write_blocks, &index) : NULL;
}

/*
 * A binary search: a bulk sender is dozens of writes ahead of what is sent.
 * Without branches, as the verifier would walk both sides of each, and global,
 * so that it does so once.
 */
__noinline __u64 nw_written_in_block(__u32 index, __u32 seq)
{
	struct nw_many_writes *many = nw_many_writes(index);
	__u32 count, place;
	__s64 oldest;

	if (!many || !many->count)
		return 0;
	count = many->count;
	oldest = (__s64)count - NW_WRITES;
	barrier_var(oldest);
	place = oldest & ~(oldest >> 63);
	for (__u32 step = NW_WRITES / 2; step; step /= 2)
		place += step & nw_less(place + step, count) &
			 ~nw_less(seq,
				  many->seq[(place + step) & (NW_WRITES - 1)]);
	place &= NW_WRITES - 1;
	return nw_less(seq, many->seq[place]) ? 0 : many->ns[place];
}

/* 0 of a block that has become another socket's by now, too. */
static __always_inline __u64 nw_written_among_many(__u32 index, __u64 sock,
						   __u32 seq)
{
	__u64 ns = nw_written_in_block(index, seq);
	const struct nw_many_writes *many = nw_many_writes(index);

	return many && many->owner == sock ? ns : 0;
}

static __always_inline __u64
nw_written_among_few(const struct nw_few_writes *few, __u32 seq)
{
	if (!nw_less(seq, few->seq[1]))
		return few->ns[1];
	return nw_less(seq, few->seq[0]) ? 0 : few->ns[0];
}

static __always_inline void nw_few_note(struct nw_few_writes *few, __u32 seq,
					__u64 ns)
{
	few->ns[0] = few->ns[1];
	few->seq[0] = few->seq[1];
	few->ns[1] = ns;
	few->seq[1] = seq;
}

static __always_inline void nw_many_note(struct nw_many_writes *many, __u32 seq,
					 __u64 ns)
{
	__u32 place = many->count & (NW_WRITES - 1);

	many->ns[place] = ns;
	many->seq[place] = seq;
	many->count++;
}

/* The writes move to a block; 0 if there is none for them. */
static __always_inline __u32 nw_writes_grow(const struct nw_few_writes *few,
					    __u64 sock)
{
	__u32 index = nw_acquire_write_blocks();
	struct nw_many_writes *many = nw_many_writes(index);

	if (!many)
		return 0;
	many->count = 0;
	many->owner = sock;
	nw_many_note(many, few->seq[0], few->ns[0]);
	nw_many_note(many, few->seq[1], few->ns[1]);
	return index;
}

static __always_inline void nw_writes_release(__u32 index)
{
	struct nw_many_writes *many = nw_many_writes(index);

	if (!many)
		return;
	many->owner = 0;
	bpf_map_push_elem(&write_blocks_free, &index, 0);
}

/*
 * One more write, among many: the oldest gives way unless it is not sent yet.
 * `now`: 0 = the clock has not been read.
 */
static __always_inline void nw_note_among_many(struct nw_many_writes *many,
					       struct tcp_sock *tp, __u64 now)
{
	__u32 last = many->seq[(many->count - 1) & (NW_WRITES - 1)];
	__u32 second = many->seq[(many->count + 1) & (NW_WRITES - 1)];

	if (last == tp->write_seq)
		return;
	/* full of bytes that have not been sent: they count from its last write */
	if (many->count >= NW_WRITES && (__s32)(second - tp->snd_nxt) > 0)
		return;
	nw_many_note(many, tp->write_seq, now ? now : bpf_ktime_get_ns());
}

#endif /* NW_WRITES_BPF_H */
