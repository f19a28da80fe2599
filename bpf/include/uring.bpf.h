/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * accept() through io_uring, for which no system call returns: the completion
 * carries the descriptor. One request may accept many times (multishot); those
 * completions name only the ring and the number that the process gave the
 * request, which its submission has noted. A socket that gets no descriptor, only
 * a place in the ring's own table, is known when it is used (user.bpf.h).
 */
#ifndef NW_URING_BPF_H
#define NW_URING_BPF_H

#include "compat.bpf.h"

#define NW_CQE_F_MORE 2

struct nw_ring_request {
	__u64 ring;
	__u64 number;
};

/* Requests to accept that have not ended. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct nw_ring_request);
	__type(value, __u8);
} accepting SEC(".maps");

/* The tracepoint of a submission until 6.3. */
struct trace_event_raw_io_uring_submit_sqe___until_6_3 {
	void *ctx;
	unsigned long long user_data;
	__u8 opcode;
} __attribute__((preserve_access_index));

/* `ctx` is of the tracepoint before 6.4 or since. */
#define nw_ring_submitted(ctx_)                                         \
	({                                                              \
		struct nw_ring_request request = {};                    \
		__u8 one = 1;                                           \
                                                                        \
		if ((ctx_)->opcode == IORING_OP_ACCEPT) {               \
			request.ring = (__u64)(ctx_)->ctx;              \
			request.number = (ctx_)->user_data;             \
			bpf_map_update_elem(&accepting, &request, &one, \
					    BPF_ANY);                   \
		}                                                       \
		0;                                                      \
	})

static __always_inline bool nw_ring_accepts(struct io_kiocb *req)
{
	struct io_accept *accept = (struct io_accept *)req;

	if (BPF_CORE_READ(req, opcode) != IORING_OP_ACCEPT)
		return false;
	return !bpf_core_type_exists(struct io_accept) ||
	       !BPF_CORE_READ(accept, file_slot);
}

/* The descriptor that a completion gives the process; -1 if it gives none. */
static __always_inline long
nw_ring_completed(struct trace_event_raw_io_uring_complete *ctx)
{
	struct nw_ring_request request = {};
	struct io_kiocb *req;

	if (!bpf_core_field_exists(ctx->req))
		return -1;
	req = ctx->req;
	if (req && !nw_ring_accepts(req))
		return -1;
	request.ring = (__u64)ctx->ctx;
	request.number = ctx->user_data;
	if (!req && !bpf_map_lookup_elem(&accepting, &request))
		return -1;
	if (!(ctx->cflags & NW_CQE_F_MORE))
		bpf_map_delete_elem(&accepting, &request);
	return ctx->res;
}

#define NW_RING_PROGRAMS(body)                                               \
	SEC("?tracepoint/io_uring/io_uring_submit_req")                      \
	int ring_submitted(struct trace_event_raw_io_uring_submit_req *ctx)  \
	{                                                                    \
		return nw_ring_submitted(ctx);                               \
	}                                                                    \
	SEC("?tracepoint/io_uring/io_uring_submit_sqe")                      \
	int ring_submitted_sqe(                                              \
		struct trace_event_raw_io_uring_submit_sqe___until_6_3 *ctx) \
	{                                                                    \
		return nw_ring_submitted(ctx);                               \
	}                                                                    \
	SEC("?tracepoint/io_uring/io_uring_complete")                        \
	int ring_completed(struct trace_event_raw_io_uring_complete *ctx)    \
	{                                                                    \
		long fd = nw_ring_completed(ctx);                            \
		return fd < 0 ? 0 : body(fd);                                \
	}

#endif /* NW_URING_BPF_H */
