/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The part of a segment that is being read, and what is kept. Part of http.h. */
#ifndef NW_HTTP_WINDOW_H
#define NW_HTTP_WINDOW_H

/* How much of the segment has been used up. */
static __always_inline __u32 nw_http_passed(const struct nw_http_work *w)
{
	return w->skipped + w->next - (w->end - w->pos);
}

/* At most limit, a power of two, and never 0: as 5.10's verifier sees it. */
static __always_inline __u32 nw_http_size(__u32 bytes, __u32 limit)
{
	if (bytes > limit)
		bytes = limit;
	bytes--;
	asm volatile("" : "+r"(bytes));
	return (bytes & (limit - 1)) + 1;
}

/* Moves the window on, so that it begins at pos; 0 = nothing more to read. */
NW_HTTP_FN int nw_http_fill(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 at, bytes;

	if (!w || w->next >= w->bytes)
		return 0;
	at = w->next - (w->end - w->pos);
	bytes = nw_http_size(w->bytes - at, NW_HTTP_WINDOW);
	if (nw_http_load(ctx, w->offset + at, nw_http_at(w, 0), bytes)) {
		nw_http_discard(w);
		return 0;
	}
	w->pos = 0;
	w->end = bytes;
	w->next = at + bytes;
	return 1;
}

/* The first window of a segment, behind what is saved of an unfinished line. */
NW_HTTP_FN int nw_http_begin(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 saved, bytes;

	if (!w)
		return 0;
	saved = w->d.saved & 63;
	bytes = nw_http_size(w->bytes, NW_HTTP_WINDOW / 2);
	for (__u32 i = 0; i < NW_HTTP_SAVE; i += 8)
		*(__u64 *)(nw_http_at(w, i)) = *(__u64 *)(w->d.save + i);
	if (nw_http_load(ctx, w->offset, nw_http_at(w, saved), bytes)) {
		nw_http_discard(w);
		return 0;
	}
	w->d.saved = 0;
	w->pos = 0;
	w->end = saved + bytes;
	w->next = bytes;
	return 1;
}

/* A line ends with the window: read on, or save it for the next segment. */
static __always_inline int nw_http_more(NW_HTTP_CTX *ctx, __u32 slot,
					struct nw_http_work *w)
{
	__u32 have = w->end - w->pos;

	if (w->next < w->bytes)
		return nw_http_fill(ctx, slot);
	for (__u32 i = 0; i < NW_HTTP_SAVE; i += 8)
		*(__u64 *)(w->d.save + i) =
			nw_http_u64(nw_http_at(w, w->pos) + i);
	w->d.saved = have < NW_HTTP_SAVE ? have : NW_HTTP_SAVE;
	w->pos = w->end;
	return 0;
}

/* Where the line that begins at pos ends; the window's end if it does not. */
NW_HTTP_FN __u32 nw_http_line_end(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 pos, end;

	if (!w)
		return 0;
	pos = w->pos & 1023;
	end = w->end;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_WINDOW / 8; i++) {
		__u64 found;

		if (pos >= end)
			break;
		found = nw_http_find(nw_http_u64(nw_http_at(w, pos)), '\n');
		if (found) {
			pos += nw_http_index(found);
			break;
		}
		pos = (pos + 8) & 1023;
	}
	return pos < end ? pos : end;
}

/* Uses up body bytes; true at the end of the body or chunk. */
static __always_inline int nw_http_consume(struct nw_http_work *w)
{
	__u32 window = w->end - w->pos;
	__u32 take = w->bytes - w->next + window;

	if (take > w->d.left)
		take = w->d.left;
	w->d.left -= take;
	w->d.body += take;
	if (take <= window) {
		w->pos += take;
	} else {
		w->next += take - window;
		w->pos = 0;
		w->end = 0;
	}
	return !w->d.left;
}

static __always_inline int nw_http_consume_all(struct nw_http_work *w)
{
	w->d.body += w->bytes - w->next + (w->end - w->pos);
	nw_http_discard(w);
	return 0;
}

#endif /* NW_HTTP_WINDOW_H */
