/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What follows a head, and the end of a message. Part of http.h. */
#ifndef NW_HTTP_MESSAGE_H
#define NW_HTTP_MESSAGE_H

static __always_inline void nw_http_finish(void *ctx, struct nw_http *h,
					   const struct nw_http_dir *d,
					   __u64 now)
{
	__u64 entry = nw_http_oldest(h);
	struct nw_http_end end = {
		.start_ns = entry >> 4,
		.end_ns = now,
		.body_bytes = d->body,
		.status = d->status,
		.method = entry & 15,
		.version = d->version,
	};

	nw_http_pop(h);
	nw_http_on_end(ctx, &end);
}

/* The next message begins. */
static __always_inline void nw_http_restart(struct nw_http_dir *d)
{
	d->phase = NW_HTTP_START;
	d->flags &= NW_HTTP_F_KEEP;
	d->body = 0;
	d->status = 0;
}

NW_HTTP_FN int nw_http_complete(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);

	if (!w)
		return 0;
	if (w->d.status) {
		struct nw_http *h = nw_http_state(ctx);

		if (h)
			nw_http_finish(ctx, h, &w->d, w->now);
	} else {
#ifdef NW_HTTP_ON_REQUEST_END
		nw_http_on_request_end(ctx, w);
#endif
	}
	nw_http_restart(&w->d);
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
		return nw_http_complete(ctx, slot);
	d->phase = d->flags & NW_HTTP_F_LENGTH ? NW_HTTP_BODY : NW_HTTP_CLOSE;
	return 1;
}

static __always_inline int nw_http_frame_response(NW_HTTP_CTX *ctx, __u32 slot,
						  struct nw_http_work *w,
						  struct nw_http *h)
{
	__u32 method = nw_http_oldest(h) & 15;
	__u32 status = w->d.status;

	if (status < 200 && status != 101) {
		w->d.phase = NW_HTTP_START;
		return 1;
	}
	if (status == 101 || (method == NW_HTTP_CONNECT && status < 300)) {
		nw_http_complete(ctx, slot);
		w->off = NW_HTTP_OFF_TUNNEL;
		nw_http_discard(w);
		return 0;
	}
	if (method == NW_HTTP_CONNECT)
		h->refused++;
	if (method == NW_HTTP_HEAD || status == 204 || status == 304)
		return nw_http_complete(ctx, slot);
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
		return nw_http_complete(ctx, slot);
	w->d.body = 0;
	if (!w->d.status && w->d.method != NW_HTTP_CONNECT)
		return nw_http_frame(ctx, slot, &w->d);
	h = nw_http_state(ctx);
	if (!h)
		return 0;
	if (w->d.status)
		return nw_http_frame_response(ctx, slot, w, h);
	nw_http_complete(ctx, slot);
	w->d.refused = h->refused;
	w->d.phase = NW_HTTP_PENDING;
	return 1;
}

#endif /* NW_HTTP_MESSAGE_H */
