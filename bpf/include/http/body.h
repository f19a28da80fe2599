/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bodies: of known length, and in chunks. Part of http.h. */
#ifndef NW_HTTP_BODY_H
#define NW_HTTP_BODY_H

static __always_inline __u32 nw_http_hex(__u32 c)
{
	if (c - '0' < 10)
		return c - '0';
	c = (c | 32) - 'a';
	return c < 6 ? c + 10 : 16;
}

/* A chunk's size is read. */
static __always_inline void nw_http_chunk_sized(struct nw_http_dir *d)
{
	if (d->left) {
		d->phase = NW_HTTP_DATA;
		return;
	}
	d->flags |= NW_HTTP_F_TRAILER;
	d->header = NW_HTTP_SKIP;
	d->phase = NW_HTTP_NAME;
}

/* One byte of a chunk's line; false = broken. */
static __always_inline int nw_http_chunk_byte(struct nw_http_dir *d, __u32 c)
{
	__u32 digit;

	if (d->match >= NW_HTTP_AFTER_DATA) {
		if (c == '\r' && d->match == NW_HTTP_AFTER_DATA)
			d->match = NW_HTTP_AFTER_DATA_CR;
		else if (c == '\n')
			d->match = NW_HTTP_AT_SIZE;
		else
			return 0;
		return 1;
	}
	if (c == '\n') {
		if (d->match == NW_HTTP_AT_SIZE)
			return 0;
		nw_http_chunk_sized(d);
		return 1;
	}
	if (d->match == NW_HTTP_IN_EXTENSION)
		return 1;
	digit = nw_http_hex(c);
	if (digit < 16) {
		if (d->match > NW_HTTP_IN_SIZE || d->left >> 55)
			return 0;
		d->left = d->left << 4 | digit;
		d->match = NW_HTTP_IN_SIZE;
		return 1;
	}
	if (d->match == NW_HTTP_AT_SIZE)
		return 0;
	d->match = c == ';' ? NW_HTTP_IN_EXTENSION : NW_HTTP_AFTER_SIZE;
	return c == ';' || c == ' ' || c == '\t' || c == '\r';
}

/* A chunk's size is read: its data, too, if the window holds all of it. */
static __always_inline void nw_http_chunk_data(struct nw_http_work *w)
{
	__u32 have = w->end - w->pos;

	if (w->d.left > have)
		return;
	have = w->d.left;
	w->pos += have;
	w->d.body += have;
	w->d.left = 0;
	w->d.phase = NW_HTTP_CHUNK;
	w->d.match = NW_HTTP_AFTER_DATA;
}

/* CHUNK: the lines around chunks, and small chunks as a whole */
NW_HTTP_FN int nw_http_chunk(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);

	if (!w)
		return 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < 32; i++) {
		if (w->pos >= w->end)
			break;
		if (!nw_http_chunk_byte(&w->d, *nw_http_at(w, w->pos)))
			return nw_http_fail(ctx, slot);
		w->pos++;
		if (w->d.phase == NW_HTTP_DATA)
			nw_http_chunk_data(w);
		if (w->d.phase != NW_HTTP_CHUNK)
			break;
	}
	return 1;
}

/* BODY and DATA */
NW_HTTP_FN int nw_http_body(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);

	if (!w)
		return 0;
	if (!nw_http_consume(w))
		return 1;
	if (w->d.phase == NW_HTTP_BODY)
		return NW_HTTP_IS_WHOLE;
	w->d.phase = NW_HTTP_CHUNK;
	w->d.match = NW_HTTP_AFTER_DATA;
	return 1;
}

#endif /* NW_HTTP_BODY_H */
