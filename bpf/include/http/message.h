/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What follows a head, and the end of a message. Part of http.h. */
#ifndef NW_HTTP_MESSAGE_H
#define NW_HTTP_MESSAGE_H

/* Why it is not known which request a response answers. */
static __always_inline __u32 nw_http_why(const struct nw_http *h)
{
	if (h->over_in != h->over_out)
		return NW_HTTP_TOO_DEEP;
	if ((h->dir[0].flags | h->dir[1].flags) & NW_HTTP_F_LOST)
		return NW_HTTP_LOST;
	return h->old ? NW_HTTP_MIDSTREAM : NW_HTTP_UNASKED;
}

/* The oldest request's exchange ends with what has passed in `d`. */
static __always_inline void nw_http_end_exchange(struct nw_http *h,
						 const struct nw_http_dir *d,
						 __u32 end_seq, __u64 now,
						 __u32 outcome)
{
	struct nw_http_request *entry = nw_http_oldest(h);
	struct nw_http_end end = {
		.first_ns = d->status ? d->first_ns : 0,
		.end_ns = now,
		.request_bytes = NW_HTTP_NO_SIZE,
		.body_bytes = d->body,
		.first_seq = d->first_seq,
		.end_seq = end_seq,
		.status = d->status,
		.version = d->version == 1,
		.outcome = outcome,
	};

	if (entry) {
		end.start_ns = entry->start >> 5;
		end.request_bytes = entry->body_bytes;
		end.method = entry->start & 15;
		end.version = entry->start >> 4 & 1;
	}
	if (!end.start_ns)
		end.cause = nw_http_why(h);
	nw_http_pop(h);
	nw_http_on_end(h, &end);
}

/* The same in a frame of its own, as it is large. */
static __attribute__((noinline)) void
nw_http_finish(struct nw_http *h, const struct nw_http_dir *d, __u32 end_seq,
	       __u64 now, __u32 outcome)
{
	nw_http_end_exchange(h, d, end_seq, now, outcome);
}

/* The next message begins. */
static __always_inline void nw_http_restart(struct nw_http_dir *d)
{
	d->phase = NW_HTTP_START;
	d->flags &= NW_HTTP_F_KEEP;
	d->body = 0;
	d->status = 0;
}

/*
 * What a step comes to that has read a whole message; else 0, 1 or
 * NW_HTTP_IS_READ. nw_http_conclude() and nw_http_complete() are left to
 * nw_http_step(), as is nw_http_found().
 */
#define NW_HTTP_IS_WHOLE 3

/* A message is complete: its exchange ends, or waits for the response. */
NW_HTTP_FN int nw_http_conclude(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	struct nw_http *h = nw_http_state(ctx);
	__u32 end_seq;

	if (!w || !h)
		return 0;
	end_seq = w->seq + nw_http_passed(w);
	if (w->d.status) {
		nw_http_end_exchange(h, &w->d, end_seq, w->now,
				     NW_HTTP_ANSWERED);
		return 0;
	}
	nw_http_sized(ctx, slot);
#ifdef NW_HTTP_ON_WHOLE
	nw_http_on_whole(h, &w->d, end_seq, w->now);
#endif
#ifdef NW_HTTP_ON_REQUEST_END
	nw_http_on_request_end(ctx, w);
#endif
	return 0;
}

/* What comes behind a message that is complete: w->behind. */
NW_HTTP_FN int nw_http_complete(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	struct nw_http *h = nw_http_state(ctx);
	__u32 behind;

	if (!w || !h)
		return 0;
	nw_http_restart(&w->d);
	behind = w->behind;
	w->behind = NW_HTTP_BEHIND_MESSAGE;
	if (behind == NW_HTTP_BEHIND_CONNECT) {
		w->d.refused = h->refused;
		w->d.phase = NW_HTTP_PENDING;
	} else if (behind == NW_HTTP_BEHIND_TUNNEL) {
		w->off = NW_HTTP_OFF_TUNNEL;
		nw_http_forget(h);
		nw_http_discard(w);
		return 0;
	}
	return 1;
}

/* The body of a message that has one (RFC 9112, section 6.3). */
static __always_inline int nw_http_frame(NW_HTTP_CTX *ctx, __u32 slot,
					 struct nw_http_dir *d)
{
	if (d->flags & NW_HTTP_F_CHUNKED) {
		d->phase = NW_HTTP_CHUNK;
		d->match = NW_HTTP_AT_SIZE;
		d->left = 0;
		return 1;
	}
	if (d->flags & NW_HTTP_F_CODING) {
		if (!d->status)
			return nw_http_fail(ctx, slot);
		d->phase = NW_HTTP_CLOSE;
		return 1;
	}
	if (d->flags & (NW_HTTP_F_LENGTH_BAD | NW_HTTP_F_LENGTH_OPEN))
		return nw_http_fail(ctx, slot);
	if ((d->flags & NW_HTTP_F_LENGTH) ? !d->left : !d->status)
		return NW_HTTP_IS_WHOLE;
	d->phase = d->flags & NW_HTTP_F_LENGTH ? NW_HTTP_BODY : NW_HTTP_CLOSE;
	return 1;
}

static __always_inline int nw_http_frame_response(NW_HTTP_CTX *ctx, __u32 slot,
						  struct nw_http_work *w,
						  struct nw_http *h)
{
	__u32 method = nw_http_oldest_method(ctx);
	__u32 status = w->d.status;

	if (status < 200 && status != 101) {
		w->d.phase = NW_HTTP_START;
		return 1;
	}
	if (status == 101 || (method == NW_HTTP_CONNECT && status < 300)) {
		w->behind = NW_HTTP_BEHIND_TUNNEL;
		return NW_HTTP_IS_WHOLE;
	}
	if (method == NW_HTTP_CONNECT)
		h->refused++;
	if (method == NW_HTTP_HEAD || status == 204 || status == 304)
		return NW_HTTP_IS_WHOLE;
	return nw_http_frame(ctx, slot, &w->d);
}

/* An empty line: the end of a head, or of the trailer of a chunked body. */
NW_HTTP_FN int nw_http_blank(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	struct nw_http *h;

	if (!w)
		return 0;
	if (w->d.flags & NW_HTTP_F_TRAILER)
		return NW_HTTP_IS_WHOLE;
	w->d.body = 0;
	if (!w->d.status && w->d.method != NW_HTTP_CONNECT)
		return nw_http_frame(ctx, slot, &w->d);
	h = nw_http_state(ctx);
	if (!h)
		return 0;
	if (w->d.status)
		return nw_http_frame_response(ctx, slot, w, h);
	w->behind = NW_HTTP_BEHIND_CONNECT;
	return NW_HTTP_IS_WHOLE;
}

/*
 * The connection has ended: its oldest exchange ends with it. A body until close
 * that was cut by a reset is whole if the other end has all of it (`acked`); to
 * who receives it TCP has given all of it, or the reset would not have counted.
 * Where the response direction is out of step a response may have passed.
 * False: none is left, and nothing is looked at any more.
 */
static __always_inline int nw_http_end_next(struct nw_http *h, __u64 now,
					    __u32 outcome, int acked)
{
	struct nw_http_dir *d = &h->dir[(h->request & 1) ? 1 : 0];
	struct nw_http_dir none = {};

	if (h->off || !h->request)
		return 0;
	if (d->phase > NW_HTTP_LONG && d->phase < NW_HTTP_PENDING &&
	    d->status >= 200) {
		if (d->phase == NW_HTTP_CLOSE && outcome != NW_HTTP_TIMEOUT &&
		    (outcome != NW_HTTP_RESET || acked))
			outcome = NW_HTTP_ANSWERED;
		else if (outcome == NW_HTTP_CLOSED)
			outcome = NW_HTTP_TRUNCATED;
		nw_http_finish(h, d, d->next_seq, now, outcome);
		nw_http_restart(d);
		return 1;
	}
	if (h->in == h->out) {
		h->off = NW_HTTP_OFF_ENDED;
		nw_http_deep_free(h);
		return 0;
	}
	if (d->phase == NW_HTTP_RESYNC && (d->flags & NW_HTTP_F_LOST)) {
		nw_http_pop(h);
		nw_http_on_lost(h, 1);
		return 1;
	}
	nw_http_finish(h, &none, 0, now, outcome);
	return 1;
}

#endif /* NW_HTTP_MESSAGE_H */
