/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The two headers that decide about a body. Part of http.h. */
#ifndef NW_HTTP_HEADER_H
#define NW_HTTP_HEADER_H

/* How many of the name's bytes are at pos; 0 = it is another name. */
static __always_inline __u32 nw_http_match(struct nw_http_work *w, __u32 have,
					   __u64 a, __u64 b, __u64 c,
					   __u32 bytes)
{
	const __u8 *at = nw_http_at(w, w->pos);
	__u32 n = have < bytes ? have : bytes;
	__u64 differ;

	differ = nw_http_low((nw_http_u64(at) | NW_HTTP_LOWER) ^ a, n);
	if (n > 8)
		differ |= nw_http_low((nw_http_u64(at + 8) | NW_HTTP_LOWER) ^ b,
				      n - 8);
	if (n > 16)
		differ |= nw_http_low(
			(nw_http_u64(at + 16) | NW_HTTP_LOWER) ^ c, n - 16);
	return differ ? 0 : n;
}

static __always_inline int nw_http_value(struct nw_http_dir *d, __u32 phase)
{
	d->header = phase;
	d->phase = phase;
	d->match = 0;
	if (phase == NW_HTTP_LENGTH) {
		d->flags |= NW_HTTP_F_LENGTH_OPEN;
		d->body = 0;
	}
	return 1;
}

/* NAME: what kind of line begins at pos? */
NW_HTTP_FN int nw_http_name(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 have, got, c;

	if (!w)
		return 0;
	have = w->end - w->pos;
	c = *nw_http_at(w, w->pos);
	if (c == '\n') {
		w->pos++;
		return nw_http_blank(ctx, slot);
	}
	if (c == '\r') {
		if (have < 2)
			return nw_http_more(ctx, slot, w);
		if (nw_http_at(w, w->pos)[1] != '\n')
			return nw_http_fail(ctx, slot);
		w->pos += 2;
		return nw_http_blank(ctx, slot);
	}
	if (c == ' ' || c == '\t') { /* a folded line */
		w->d.phase = w->d.header;
		return 1;
	}
	w->d.header = NW_HTTP_SKIP;
	w->d.phase = NW_HTTP_SKIP;
	if (w->d.flags & NW_HTTP_F_TRAILER)
		return 1;
	got = nw_http_match(w, have, NW_HTTP_CONTENT, NW_HTTP_LENGTH_, 0, 15);
	if (got == 15) {
		w->pos += 15;
		return nw_http_value(&w->d, NW_HTTP_LENGTH);
	}
	if (!got) {
		got = nw_http_match(w, have, NW_HTTP_TRANSFER, NW_HTTP_ENCODIN,
				    NW_HTTP_G, 18);
		if (got == 18) {
			w->pos += 18;
			return nw_http_value(&w->d, NW_HTTP_CODING);
		}
	}
	if (!got)
		return 1;
	w->d.phase = NW_HTTP_NAME;
	return nw_http_more(ctx, slot, w);
}

/* Whether the line at pos needs nw_http_name(). */
static __always_inline int nw_http_notable(struct nw_http_work *w, __u32 pos,
					   __u64 word)
{
	if ((word & 255) <= ' ')
		return 1;
	word |= NW_HTTP_LOWER;
	if (word == NW_HTTP_TRANSFER)
		return 1;
	if (word != NW_HTTP_CONTENT)
		return 0;
	word = nw_http_u64(nw_http_at(w, pos) + 8) | NW_HTTP_LOWER;
	return (word & NW_HTTP_BYTES7) == NW_HTTP_LENGTH_;
}

/* NAME and SKIP: runs over lines that do not matter, eight bytes at a time. */
NW_HTTP_FN int nw_http_headers(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 pos, end = 0, skip;

	if (!w)
		return 0;
	pos = w->pos & 1023;
	skip = w->d.phase == NW_HTTP_SKIP;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_WINDOW / 8 + 32; i++) {
		__u64 word, found;

		nw_http_barrier();
		end = w->end;
		if (pos >= end)
			break;
		word = nw_http_u64(nw_http_at(w, pos));
		if (!skip) {
			if (pos + 16 > end || nw_http_notable(w, pos, word))
				break;
			w->d.header = NW_HTTP_SKIP;
		}
		found = nw_http_find(word, '\n');
		skip = !found;
		pos += found ? nw_http_index(found) + 1 : 8;
		pos &= 1023;
	}
	/* a line feed behind the end was never there */
	w->d.phase = skip || pos > end ? NW_HTTP_SKIP : NW_HTTP_NAME;
	w->pos = pos < end ? pos : end;
	if (w->d.phase == NW_HTTP_NAME && pos < end)
		return nw_http_name(ctx, slot);
	return 1;
}

static __always_inline void nw_http_length_done(struct nw_http_dir *d)
{
	if ((d->flags & NW_HTTP_F_LENGTH) && d->left != d->body)
		d->flags |= NW_HTTP_F_LENGTH_BAD;
	d->flags |= NW_HTTP_F_LENGTH;
	d->flags &= ~NW_HTTP_F_LENGTH_OPEN;
	d->left = d->body;
	d->body = 0;
}

/* One byte of Content-Length; false = the value is broken. */
static __always_inline int nw_http_length_byte(struct nw_http_dir *d, __u32 c)
{
	if (c - '0' < 10) {
		if (d->match > 1 || d->body >= NW_HTTP_SIZE_LIMIT)
			return 0;
		d->body = d->body * 10 + (c - '0');
		d->match = 1;
		return 1;
	}
	if (c == ' ' || c == '\t' || c == '\r') {
		if (d->match)
			d->match = 2;
		return 1;
	}
	if (c != ',' && c != '\n')
		return 0;
	if (d->match)
		nw_http_length_done(d);
	d->match = 0;
	if (c == '\n')
		d->phase = NW_HTTP_NAME;
	return 1;
}

/* LENGTH: digits, or a list of equal ones */
NW_HTTP_FN int nw_http_length(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);

	if (!w)
		return 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < 32; i++) {
		if (w->pos >= w->end)
			break;
		if (!nw_http_length_byte(&w->d, *nw_http_at(w, w->pos))) {
			w->d.flags |= NW_HTTP_F_LENGTH_BAD;
			w->d.phase = NW_HTTP_SKIP;
			break;
		}
		w->pos++;
		if (w->d.phase != NW_HTTP_LENGTH)
			break;
	}
	return 1;
}

/* One byte of Transfer-Encoding; only the last coding of all decides. */
static __always_inline void nw_http_coding_byte(struct nw_http_dir *d, __u32 c)
{
	__u32 match = d->match;

	if (c == ',' || c == '\n') {
		if (match == NW_HTTP_CODING_LENGTH ||
		    match == NW_HTTP_CODING_ENDED)
			d->flags |= NW_HTTP_F_CHUNKED;
		else if (match)
			d->flags &= ~NW_HTTP_F_CHUNKED;
		d->match = 0;
		if (c == '\n')
			d->phase = NW_HTTP_NAME;
		return;
	}
	if (c == ' ' || c == '\t' || c == '\r') {
		if (match == NW_HTTP_CODING_LENGTH)
			d->match = NW_HTTP_CODING_ENDED;
		else if (match && match < NW_HTTP_CODING_LENGTH)
			d->match = NW_HTTP_CODING_OTHER;
		return;
	}
	d->flags |= NW_HTTP_F_CODING;
	if (match < NW_HTTP_CODING_LENGTH &&
	    (c | 32) == (NW_HTTP_CHUNKED >> (match * 8 & 63) & 255))
		d->match = match + 1;
	else
		d->match = NW_HTTP_CODING_OTHER;
}

/* CODING */
NW_HTTP_FN int nw_http_coding(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);

	if (!w)
		return 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < 32; i++) {
		if (w->pos >= w->end || w->d.phase != NW_HTTP_CODING)
			break;
		nw_http_coding_byte(&w->d, *nw_http_at(w, w->pos));
		w->pos++;
	}
	return 1;
}

#endif /* NW_HTTP_HEADER_H */
