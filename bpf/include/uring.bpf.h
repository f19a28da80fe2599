/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * accept() through io_uring, for which no system call returns: the completion
 * carries the descriptor. One request may accept many times (multishot); those
 * completions name only the ring and the number that the process gave the
 * request, which its submission has noted: since 6.10 only of such a request,
 * before of each that accepts. A socket that gets no descriptor, only a place in
 * the ring's own table, is known when it is used (user.bpf.h).
 */
#ifndef NW_URING_BPF_H
#define NW_URING_BPF_H

#include "storage.bpf.h"

#define NW_CQE_F_MORE 2
#define NW_ACCEPT_MULTISHOT 1

struct nw_ring_request {
	__u64 ring;
	__u64 number;
};

/* Requests to accept again and again that have not ended. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct nw_ring_request);
	__type(value, __u8);
} accepting SEC(".maps");

/* The tracepoint of a submission until 6.3. */
struct trace_event_raw_io_uring_submit_sqe___until_6_3 {
	void *ctx;
	void *req;
	unsigned long long user_data;
	__u8 opcode;
} __attribute__((preserve_access_index));

/* False of a request that ends with its first completion, where that is known. */
static __always_inline bool nw_ring_repeats(void *req)
{
	struct io_accept *accept = req;

	return !bpf_core_field_exists(accept->iou_flags) ||
	       (BPF_CORE_READ(accept, iou_flags) & NW_ACCEPT_MULTISHOT);
}

static __always_inline int nw_note_accepting(void *ring, __u64 number)
{
	struct nw_ring_request request = {
		.ring = (__u64)ring,
		.number = number,
	};
	__u8 one = 1;

	nw_table_set(&accepting, &request, &one);
	return 0;
}

/* `ctx` is of the tracepoint before 6.4 or since. */
#define nw_ring_submitted(ctx)                                               \
	((ctx)->opcode != IORING_OP_ACCEPT || !nw_ring_repeats((ctx)->req) ? \
		 0 :                                                         \
		 nw_note_accepting((ctx)->ctx, (ctx)->user_data))

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
