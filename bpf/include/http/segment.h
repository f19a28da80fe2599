/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One TCP segment: what has to be read of it, step by step. Part of http.h. */
#ifndef NW_HTTP_SEGMENT_H
#define NW_HTTP_SEGMENT_H

/* What is done with the part of a segment that is next. */
static __always_inline int nw_http_part(NW_HTTP_CTX *ctx, __u32 slot,
					struct nw_http_work *w, __u32 phase)
{
	switch (phase) {
	case NW_HTTP_START:
	case NW_HTTP_LINE:
		return nw_http_line(ctx, slot);
	case NW_HTTP_LONG:
		return nw_http_long(ctx, slot);
	case NW_HTTP_NAME:
	case NW_HTTP_SKIP:
		return nw_http_headers(ctx, slot);
	case NW_HTTP_LENGTH:
		return nw_http_length(slot);
	case NW_HTTP_CODING:
		return nw_http_coding(slot);
	case NW_HTTP_CHUNK:
		return nw_http_chunk(ctx, slot);
	case NW_HTTP_CLOSE:
	case NW_HTTP_PENDING:
		return nw_http_consume_all(w);
	case NW_HTTP_PROXY:
		if (nw_http_consume(w))
			w->d.phase = NW_HTTP_START;
		return 1;
	}
	nw_http_discard(w);
	return 0;
}

/* One step through a segment; 0 = nothing is left of it. */
NW_HTTP_FN int nw_http_step(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 phase;
	int more;

	if (!w)
		return 0;
	phase = w->d.phase;
	if ((phase == NW_HTTP_BODY || phase == NW_HTTP_DATA) &&
	    (w->pos < w->end || w->next < w->bytes || !w->d.left))
		more = nw_http_body(slot);
	else if (w->pos >= w->end && !nw_http_fill(ctx, slot))
		return 0;
	else
		more = nw_http_part(ctx, slot, w, phase);
	if (more == NW_HTTP_IS_READ)
		return nw_http_found(ctx, slot);
	if (more != NW_HTTP_IS_WHOLE)
		return more;
	nw_http_conclude(ctx, slot);
	return nw_http_complete(ctx, slot);
}

NW_HTTP_FN int nw_http_burst(NW_HTTP_CTX *ctx, __u32 slot)
{
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_BURST; i++)
		if (!nw_http_step(ctx, slot))
			return 0;
	return 1;
}

/* Segments */

/* Takes a work of this CPU that nobody has; NULL: all are taken. */
static __always_inline struct nw_http_work *nw_http_acquire(__u32 *slot)
{
	for (__u32 i = 0; i < NW_HTTP_SLOTS; i++) {
		struct nw_http_work *w = nw_http_work(i);

		if (!w || !nw_http_work_take(&w->busy))
			continue;
		*slot = i;
		return w;
	}
	return 0;
}

/* Reads the heads, and whatever else is not plain body, of a segment. */
static __always_inline void nw_http_read(NW_HTTP_CTX *ctx, struct nw_http *h,
					 struct nw_http_dir *d,
					 struct nw_http_work *w, __u32 slot)
{
	__u32 i;

	w->d = *d;
	w->request = h->request;
	w->seen = h->seen;
	w->off = NW_HTTP_ON;
	w->line_have = 0;
	w->behind = NW_HTTP_BEHIND_MESSAGE;
	w->first.offset = 0;
	w->pos = 0;
	w->end = 0;
	w->next = 0;
	if (d->saved && d->phase != NW_HTTP_LONG)
		nw_http_begin(ctx, slot);
	NW_HTTP_LOOP
	for (i = 0; i < NW_HTTP_BURSTS; i++)
		if (!nw_http_burst(ctx, slot))
			break;
	if (i == NW_HTTP_BURSTS)
		nw_http_lose(h, &w->d, w->way);
	*d = w->d;
	h->request = w->request;
	if (w->seen)
		h->seen = 1;
	if (w->off)
		h->off = w->off;
}

/* A gap before a segment; false = the direction is out of step. */
static __always_inline int nw_http_gap(struct nw_http_dir *d, __u32 gap)
{
	switch (d->phase) {
	case NW_HTTP_BODY:
	case NW_HTTP_DATA:
		if (d->left < gap)
			return 0;
		d->left -= gap;
		break;
	case NW_HTTP_CLOSE:
	case NW_HTTP_PENDING:
	case NW_HTTP_RESYNC:
		break;
	default:
		return 0;
	}
	d->body += gap;
	return 1;
}

/* A gap before or within a head: true if its bytes are still to come. */
static __always_inline int nw_http_wait(struct nw_http_dir *d, __u32 end_seq,
					__u32 known_seq)
{
	if (d->phase > NW_HTTP_CODING || (__s32)(known_seq - d->next_seq) > 0)
		return 0;
	if (!(d->flags & NW_HTTP_F_AHEAD) ||
	    (__s32)(end_seq - d->ahead_seq) > 0)
		d->ahead_seq = end_seq;
	d->flags |= NW_HTTP_F_AHEAD;
	return 1;
}

/* The body that was waited for is whole. Rare, and so a function that is verified once. */
NW_HTTP_FN int nw_http_caught_up(NW_HTTP_CTX *ctx, __u32 way, __u64 now)
{
	struct nw_http *h = nw_http_state(ctx);
	struct nw_http_dir *d;

	if (!h)
		return 0;
	d = way ? &h->dir[1] : &h->dir[0];
	if (d->status)
		nw_http_end_exchange(h, d, d->next_seq, now, NW_HTTP_ANSWERED);
#ifdef NW_HTTP_ON_WHOLE
	else
		nw_http_on_whole(h, d, d->next_seq, now);
#endif
	nw_http_restart(d);
	return 0;
}

/* The missing bytes have come: what passed before them follows now, unseen. */
static __always_inline void nw_http_catch_up(NW_HTTP_CTX *ctx,
					     struct nw_http *h,
					     struct nw_http_dir *d, __u32 way,
					     __u64 now)
{
	__s32 gap = d->ahead_seq - d->next_seq;

	if (!(d->flags & NW_HTTP_F_AHEAD))
		return;
	d->flags &= ~NW_HTTP_F_AHEAD;
	if (gap <= 0)
		return;
	d->next_seq = d->ahead_seq;
	if (!nw_http_gap(d, gap)) {
		nw_http_lose(h, d, way);
		return;
	}
	if (d->phase == NW_HTTP_BODY && !d->left)
		nw_http_caught_up(ctx, way, now);
}

/* A method as they are registered: upper case letters, perhaps a hyphen. */
static __always_inline int nw_http_is_name(__u64 word, __u32 bytes)
{
	for (__u32 i = 0; i < 8; i++) {
		__u8 c = word >> (i * 8);

		if (i < bytes && (__u8)(c - 'A') >= 26 && c != '-')
			return 0;
	}
	return bytes > 0;
}

/* RESYNC: does the segment begin like a message that may come now? */
static __always_inline int nw_http_plausible(NW_HTTP_CTX *ctx,
					     const struct nw_http *h, __u32 way,
					     __u32 offset, __u32 bytes)
{
	__u32 request = h->request;
	__u64 word, space;

	/* where it is another one's turn no look at the text says more */
	if ((h->dir[way].flags & NW_HTTP_F_OLD) && request == 1 + way)
		return h->turn == 2 - way;
	if (bytes < NW_HTTP_PLAUSIBLE_MIN ||
	    nw_http_load(ctx, offset, &word, sizeof(word)))
		return 0;
	/* of a request that is older than the state, after which it is its turn */
	if (nw_http_is_version(word))
		return request == 2 - way &&
		       (nw_http_outstanding(h) ||
			((h->dir[way].flags & NW_HTTP_F_OLD) &&
			 h->turn == 2 - way));
	if (request == 2 - way)
		return 0;
	space = nw_http_find(word, ' ');
	return nw_http_is_name(word, space ? nw_http_index(space) : 8);
}

/* True if the segment lies within a body or cannot be read: nothing to do. */
static __always_inline int nw_http_skip(NW_HTTP_CTX *ctx, struct nw_http *h,
					struct nw_http_dir *d, __u32 way,
					__u32 offset, __u32 bytes, __u32 skip)
{
	switch (d->phase) {
	case NW_HTTP_BODY:
	case NW_HTTP_DATA:
		if (d->left <= bytes)
			return 0;
		d->left -= bytes;
		d->body += bytes;
		return 1;
	case NW_HTTP_PENDING:
		if (d->refused != h->refused) {
			if (!d->body) {
				d->phase = NW_HTTP_START;
				return 0;
			}
			nw_http_lose(h, d, way);
			return 1;
		}
		d->body += bytes;
		return 1;
	case NW_HTTP_CLOSE:
		d->body += bytes;
		return 1;
	case NW_HTTP_RESYNC:
		if (skip || !nw_http_plausible(ctx, h, way, offset, bytes))
			return 1;
		d->flags |= NW_HTTP_F_PROBE;
		d->phase = NW_HTTP_START;
	}
	return 0;
}

/* One segment without a gap before it and without bytes seen before. */
static __always_inline void nw_http_take(NW_HTTP_CTX *ctx, struct nw_http *h,
					 struct nw_http_dir *d, __u32 way,
					 __u32 offset, __u32 bytes, __u32 seq,
					 __u32 skip, __u64 now)
{
	struct nw_http_work *w;
	__u32 slot = 0;

	if (nw_http_skip(ctx, h, d, way, offset, bytes, skip))
		return;
	w = nw_http_acquire(&slot);
	if (!w) {
		nw_http_lose(h, d, way);
		return;
	}
	w->now = now;
	w->offset = offset;
	w->bytes = bytes;
	w->skipped = skip;
	w->seq = seq;
	w->way = way;
	nw_http_read(ctx, h, d, w, slot);
	nw_http_work_give(&w->busy);
}

/*
 * One segment: where its payload is in the packet, how long it is, the
 * sequence number of its first byte; TCP has all bytes before known_seq. way
 * must be a constant.
 */
static __always_inline void nw_http_segment(NW_HTTP_CTX *ctx, struct nw_http *h,
					    __u32 way, __u32 role, __u32 offset,
					    __u32 bytes, __u32 seq,
					    __u32 known_seq, __u64 now)
{
	struct nw_http_dir *d = &h->dir[way];
	__u32 skip = 0;
	__s32 gap;

	if (h->off || !bytes)
		return;
	if (!h->request && role)
		h->request = role == NW_HTTP_ROLE_SERVER ? 1 : 2;
	gap = d->flags & NW_HTTP_F_SEQ ? seq - d->next_seq : 0;
	if (gap < 0) {
		skip = -gap;
		if (skip >= bytes)
			return;
	}
	if (gap > 0 && nw_http_wait(d, seq + bytes, known_seq))
		return;
	d->flags |= NW_HTTP_F_SEQ;
	d->next_seq = seq + bytes;
	if (gap > 0 && !nw_http_gap(d, gap))
		nw_http_lose(h, d, way);
	nw_http_take(ctx, h, d, way, offset + skip, bytes - skip, seq, skip,
		     now);
	nw_http_catch_up(ctx, h, d, way, now);
	if (h->old)
		h->turn = 1 + way;
}

/* An urgent byte has passed, right before next_seq. */
static __always_inline void nw_http_urgent(struct nw_http *h, __u32 way,
					   __u32 next_seq)
{
	struct nw_http_dir *d = &h->dir[way];

	if (!(d->flags & NW_HTTP_F_SEQ) || d->next_seq + 1 == next_seq) {
		d->next_seq = next_seq;
		d->flags |= NW_HTTP_F_SEQ;
	}
}

/* The sender of this direction has ended it: a body may end with it. */
static __always_inline void nw_http_close(struct nw_http *h, __u32 way,
					  __u64 now)
{
	struct nw_http_dir *d = &h->dir[way];

	if (h->off || d->phase != NW_HTTP_CLOSE)
		return;
	nw_http_finish(h, d, d->next_seq, now, NW_HTTP_ANSWERED);
	nw_http_restart(d);
}

/*
 * For a connection that was there before its state: look for a start line.
 * `turn`: 1 + the way that has sent last, so that the other one may begin a
 * message; 0 = not known.
 */
static __always_inline void nw_http_midstream(struct nw_http *h, __u32 turn)
{
	h->dir[0].phase = NW_HTTP_RESYNC;
	h->dir[1].phase = NW_HTTP_RESYNC;
	h->dir[0].flags = NW_HTTP_F_OLD;
	h->dir[1].flags = NW_HTTP_F_OLD;
	h->old = 1;
	h->turn = turn;
}

/* Where a fresh direction begins, so that a gap before it is noticed. */
static __always_inline void nw_http_expect(struct nw_http *h, __u32 way,
					   __u32 seq)
{
	h->dir[way].next_seq = seq;
	h->dir[way].flags |= NW_HTTP_F_SEQ;
}

#endif /* NW_HTTP_SEGMENT_H */
