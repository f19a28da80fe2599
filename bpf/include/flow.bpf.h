/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What -t remembers in a socket: when the application wrote which byte, and
 * which received packets it has not read yet. From TCP to the application a
 * packet waits in the socket's own queue, until copied_seq has passed it.
 * Segments merge in the kernel's receive queue (tcp_try_coalesce), here each
 * keeps its record.
 */
#ifndef NW_FLOW_BPF_H
#define NW_FLOW_BPF_H

#include "layers.bpf.h"
#include "pool.bpf.h"
#include "storage.bpf.h"
#include "writes.bpf.h"

/* Where the packets of a walk through an unread queue go. */
struct nw_unread_user {
	struct nw_packet *packet;
	__u32 which; /* enum nw_scratch */
	__u32 out; /* the filter does not let them through after all */
	__u32 gaps; /* as in nw_flow */
	__u32 sock; /* as in gaps.h */
};

#define NW_UNREAD_USER struct nw_unread_user
#define NW_UNREAD_PACKET const struct nw_packet *
#include "unread_socket.h"

#define NW_SHORT_UNKNOWN 0xffffffff

/* A full send buffer is seen: tcp_sendmsg_locked is told where a write goes on. */
const volatile bool nw_http_sees_buffer = false;

/* Packets of several MB at most wait in a socket: see docs/cost.md. */
NW_POOL(unread_small, struct nw_unread_small, 16384);
NW_POOL(unread_large, struct nw_unread_large, 4096);

/* Of the connection that the packets belong to; mapped, so without a family. */
struct nw_ends {
	nw_ip_t local_addr;
	nw_ip_t peer_addr;
	__u32 ports; /* as in nw_tuple; 0 = not known yet */
};

/* 184 bytes, so that all that netwatch has in a socket fits in 1 KB. */
struct nw_flow {
	struct nw_ends ends;
	__u32 many_writes; /* index of a block; 0 = none */
	struct nw_few_writes few_writes;
	__u32 try_seq; /* where a write went on last */
	__u32 try_us; /* clock / 2^10 then */
	__u32 full_us; /* the send buffer was full, in all */
	__u32 gaps; /* see reorder.bpf.h; 0 = none */
	struct nw_unread_socket unread;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_flow);
} flows SEC(".maps");

static __always_inline struct nw_unread *
nw_unread_block(enum nw_unread_size size, __u32 index)
{
	if (size == NW_UNREAD_SIZE_SMALL)
		return bpf_map_lookup_elem(&unread_small, &index);
	return bpf_map_lookup_elem(&unread_large, &index);
}

static __always_inline __u32 nw_unread_acquire(enum nw_unread_size size)
{
	return size == NW_UNREAD_SIZE_SMALL ? nw_acquire_unread_small() :
					      nw_acquire_unread_large();
}

static __always_inline void nw_unread_release(enum nw_unread_size size,
					      __u32 index)
{
	if (size == NW_UNREAD_SIZE_SMALL)
		bpf_map_push_elem(&unread_small_free, &index, 0);
	else
		bpf_map_push_elem(&unread_large_free, &index, 0);
}

/* When the application wrote the byte with this sequence number; 0 = unknown. */
static __always_inline __u64 nw_written_ns(struct bpf_sock *sk, __u64 sock,
					   __u32 seq)
{
	struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);

	if (!flow)
		return 0;
	if (flow->many_writes)
		return nw_written_among_many(flow->many_writes, sock, seq);
	return nw_written_among_few(&flow->few_writes, seq);
}

static __always_inline void nw_forget_writes(struct nw_flow *flow)
{
	struct nw_few_writes none = {};

	flow->few_writes = none;
	if (flow->many_writes)
		nw_writes_release(flow->many_writes);
	flow->many_writes = 0;
}

/*
 * A write that goes on where the last one has: what lies between them had no room
 * in the send buffer.
 */
static __always_inline void nw_note_try(struct nw_flow *flow, __u32 seq,
					__u64 now)
{
	__u32 us = now >> 10;

	if (flow->try_us && flow->try_seq == seq)
		flow->full_us += us - flow->try_us;
	flow->try_seq = seq;
	flow->try_us = us;
}

/* The application writes: its next byte has this sequence number. */
static __always_inline int nw_note_write(struct sock *sk)
{
	struct nw_few_writes *few;
	struct nw_many_writes *many;
	struct nw_flow *flow;
	struct tcp_sock *tp;
	__u64 now = 0;

	tp = nw_watched(sk);
	if (!tp)
		return 0;
	flow = nw_storage_make(&flows, sk);
	if (!flow)
		return 0;
	if (nw_http_sees_buffer) {
		now = bpf_ktime_get_ns();
		nw_note_try(flow, tp->write_seq, now);
	}
	/* all that was written has arrived: two are enough again */
	if (flow->many_writes && tp->snd_una == tp->write_seq)
		nw_forget_writes(flow);
	few = &flow->few_writes;
	/* the older one is still asked for if the newer has not been reached */
	if (!flow->many_writes && few->ns[0] &&
	    (__s32)(few->seq[1] - tp->snd_una) > 0 &&
	    few->seq[1] != tp->write_seq)
		flow->many_writes = nw_writes_grow(few, (__u64)sk);
	many = nw_many_writes(flow->many_writes);
	if (many) {
		nw_note_among_many(many, tp, now);
		return 0;
	}
	if (few->ns[1] && few->seq[1] == tp->write_seq)
		return 0;
	/* no block, and not sent yet: as when many are full */
	if (few->ns[0] && (__s32)(few->seq[1] - tp->snd_nxt) > 0)
		return 0;
	nw_few_note(few, tp->write_seq, now ? now : bpf_ktime_get_ns());
	return 0;
}

#endif /* NW_FLOW_BPF_H */
