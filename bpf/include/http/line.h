/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds, judges and reports the first lines of messages. Part of http.h. */
#ifndef NW_HTTP_LINE_H
#define NW_HTTP_LINE_H

/* The methods that have a name of their own are shorter than eight bytes. */
static __always_inline __u32 nw_http_known_method(__u64 word, __u32 bytes)
{
	/* a NUL behind it would not be told from none */
	if (!(word >> ((bytes - 1) * 8 & 63) & 255))
		return NW_HTTP_OTHER;
	switch (nw_http_low(word, bytes)) {
	case NW_HTTP_TEXT('G', 'E', 'T', 0, 0, 0, 0, 0):
		return NW_HTTP_GET;
	case NW_HTTP_TEXT('P', 'U', 'T', 0, 0, 0, 0, 0):
		return NW_HTTP_PUT;
	case NW_HTTP_TEXT('P', 'O', 'S', 'T', 0, 0, 0, 0):
		return NW_HTTP_POST;
	case NW_HTTP_TEXT('H', 'E', 'A', 'D', 0, 0, 0, 0):
		return NW_HTTP_HEAD;
	case NW_HTTP_TEXT('P', 'A', 'T', 'C', 'H', 0, 0, 0):
		return NW_HTTP_PATCH;
	case NW_HTTP_TEXT('T', 'R', 'A', 'C', 'E', 0, 0, 0):
		return NW_HTTP_TRACE;
	case NW_HTTP_TEXT('Q', 'U', 'E', 'R', 'Y', 0, 0, 0):
		return NW_HTTP_QUERY;
	case NW_HTTP_TEXT('D', 'E', 'L', 'E', 'T', 'E', 0, 0):
		return NW_HTTP_DELETE;
	case NW_HTTP_TEXT('O', 'P', 'T', 'I', 'O', 'N', 'S', 0):
		return NW_HTTP_OPTIONS;
	case NW_HTTP_TEXT('C', 'O', 'N', 'N', 'E', 'C', 'T', 0):
		return NW_HTTP_CONNECT;
	}
	return NW_HTTP_OTHER;
}

/*
 * The length of the method at the start of w->line; 0 if there is none, or
 * NW_HTTP_METHOD_MAX if it is not complete in the bytes there are.
 */
NW_HTTP_FN __u32 nw_http_method_bytes(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u64 space;
	__u32 have;

	if (!w)
		return 0;
	have = w->line_have;
	w->first.method = NW_HTTP_OTHER;
	space = nw_http_find(nw_http_u64(w->line), ' ');
	if (space && nw_http_index(space) < have) {
		__u32 bytes = nw_http_index(space);

		w->first.method =
			nw_http_known_method(nw_http_u64(w->line), bytes);
		if (w->first.method != NW_HTTP_OTHER)
			return bytes;
	}
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_METHOD_MAX; i++) {
		__u64 bits;
		__u32 c;

		if (i >= have)
			return NW_HTTP_METHOD_MAX;
		c = w->line[i];
		if (c == ' ')
			return i;
		bits = (c & 64) ? NW_HTTP_TOKEN_HIGH : NW_HTTP_TOKEN_LOW;
		if (c > 127 || !(bits >> (c & 63) & 1))
			return 0;
	}
	return 0;
}

static __always_inline int nw_http_may_request(const struct nw_http_work *w)
{
	return !w->request || w->request == 1 + w->way;
}

static __always_inline int nw_http_may_respond(const struct nw_http_work *w)
{
	return w->request != 1 + w->way;
}

/* Whether the part of a first line that is there can become one. */
static __always_inline int nw_http_may_be_http(struct nw_http_work *w,
					       __u32 slot)
{
	__u64 word = nw_http_u64(w->line);
	__u32 have = w->line_have < 7 ? w->line_have : 7;
	__u32 method;

	if (nw_http_may_respond(w) &&
	    nw_http_low(word, have) == nw_http_low(NW_HTTP_VERSION, have))
		return 1;
	if (!nw_http_may_request(w))
		return 0;
	method = nw_http_method_bytes(slot);
	if (!method)
		return 0;
	return method >= NW_HTTP_METHOD_MAX || method + 1 >= w->line_have ||
	       w->line[method + 1] >= ' ';
}

/* Copies the start of the line at pos and notes where it may need hiding. */
static __always_inline void nw_http_copy_line(struct nw_http_work *w,
					      __u32 bytes)
{
	__u64 query = 0;

	w->line_have = bytes < NW_HTTP_LINE_MAX ? bytes : NW_HTTP_LINE_MAX;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_LINE_MAX; i += 8) {
		__u64 word;

		if (i >= bytes)
			break;
		word = nw_http_u64(nw_http_at(w, w->pos + i));
		*(__u64 *)(w->line + i) = word;
		query |= nw_http_find(word, '?') | nw_http_find(word, '#');
	}
	w->hides = !!query;
}

/* What a step that has read a first line comes to; else 0 or 1. */
#define NW_HTTP_IS_READ 2
/* What a line is that stands in front of the first request. */
#define NW_HTTP_IS_HEADER 2

/* The first line is read: queue the request, tell the includer. */
NW_HTTP_FN int nw_http_found(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	struct nw_http_dir *d;
	__u32 request;

	if (!w)
		return 0;
	d = &w->d;
	request = w->first.kind == NW_HTTP_REQUEST;
	if (request)
		nw_http_push(ctx, slot);
	else if (d->flags & NW_HTTP_F_PROBE)
		nw_http_pop_to_newest(ctx);
	w->request = request ? 1 + w->way : 2 - w->way;
	w->seen = 1;
	d->flags &= NW_HTTP_F_KEEP;
	d->left = 0;
	d->body = 0;
	d->header = NW_HTTP_SKIP;
	d->phase = NW_HTTP_NAME;
	if (request && w->hides)
		nw_http_hide(slot);
	nw_http_on_head(ctx, w);
	return 1;
}

static __always_inline int nw_http_read_response(struct nw_http_work *w,
						 __u32 bytes)
{
	__u64 rest = nw_http_u64(w->line + 8);
	__u32 a = (rest >> 8 & 255) - '0', b = (rest >> 16 & 255) - '0',
	      c = (rest >> 24 & 255) - '0';

	if (bytes < 12 || (rest & 255) != ' ' || a > 9 || b > 9 || c > 9 || !a)
		return 0;
	if (bytes > 12 && (rest >> 32 & 255) != ' ')
		return 0;
	w->first.kind = NW_HTTP_RESPONSE;
	w->first.method = NW_HTTP_NONE;
	w->first.version = w->line[7] - '0';
	w->first.status = a * 100 + b * 10 + c;
	return 1;
}

static __always_inline int nw_http_read_request(struct nw_http_work *w,
						__u32 slot, __u32 bytes)
{
	__u64 last = w->tail[1], before = w->tail[0];
	__u32 method;

	if (last >> 56 == '\r') {
		last = last << 8 | before >> 56;
		before <<= 8;
	}
	method = nw_http_method_bytes(slot);
	if (!method || method >= NW_HTTP_METHOD_MAX || bytes < method + 11 ||
	    w->line[method + 1] < ' ')
		return 0;
	if (!nw_http_is_version(last) || before >> 56 != ' ') {
		if (nw_http_u64(w->line) == NW_HTTP_PREFACE && !w->seen)
			w->off = NW_HTTP_OFF_HTTP2;
		return 0;
	}
	/* an origin-form target has nothing to hide in front of a query */
	w->path = w->line[method + 1] == '/' ? method + 1 : 0;
	if (!w->path)
		w->hides = 1;
	w->first.kind = NW_HTTP_REQUEST;
	w->first.version = (last >> 56) - '0';
	w->first.status = 0;
	return 1;
}

/*
 * Judges the first line in w->line, w->line_bytes, w->tail. If it is one the
 * rest, nw_http_found(), is left to nw_http_step(): a chain of calls has 512
 * bytes of stack in all.
 */
NW_HTTP_FN int nw_http_first(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 bytes, good = 0;

	if (!w)
		return 0;
	bytes = w->line_bytes;
	if (bytes && w->tail[1] >> 56 == '\r')
		bytes--;
	if (nw_http_may_respond(w) && nw_http_is_version(nw_http_u64(w->line)))
		good = nw_http_read_response(w, bytes);
	else if (nw_http_may_request(w) && nw_http_is_proxy(w, bytes))
		good = NW_HTTP_IS_HEADER;
	else if (nw_http_may_request(w))
		good = nw_http_read_request(w, slot, bytes);
	if (!good) {
		__u8 off = w->off;

		nw_http_fail(ctx, slot);
		if (off)
			w->off = off;
		return 0;
	}
	w->first.truncated = bytes > w->line_have;
	w->first.bytes = bytes < w->line_have ? bytes : w->line_have;
	if (good == NW_HTTP_IS_HEADER) {
		nw_http_proxied(ctx, slot);
		w->d.phase = NW_HTTP_START;
		return 1;
	}
	w->d.method = w->first.method;
	w->d.version = w->first.version;
	w->d.status = w->first.status;
	return NW_HTTP_IS_READ;
}

/* Skips empty lines before a message; true if one begins at pos. */
static __always_inline int nw_http_start(struct nw_http_work *w)
{
	__u8 c = '\n';

	NW_HTTP_LOOP
	for (__u32 i = 0; i < 8; i++) {
		if (w->pos >= w->end)
			return 0;
		c = *nw_http_at(w, w->pos);
		if (c != '\r' && c != '\n')
			break;
		w->pos++;
	}
	if (c == '\r' || c == '\n')
		return 0;
	w->d.phase = NW_HTTP_LINE;
	w->d.first_ns = w->now;
	w->d.status = 0;
	w->first.offset = nw_http_passed(w);
	w->d.first_seq = w->seq + w->first.offset;
	return 1;
}

/* A first line that does not end here: keep what later judgement needs. */
NW_HTTP_FN int nw_http_unfinished(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 have;

	if (!w)
		return 0;
	have = w->end - w->pos;
	nw_http_copy_line(w, have);
	if (!nw_http_may_be_http(w, slot))
		return nw_http_fail(ctx, slot);
	if (have <= NW_HTTP_SAVE || (w->next < w->bytes && w->pos))
		return nw_http_more(ctx, slot, w);
	for (__u32 i = 0; i < NW_HTTP_SAVE; i += 8)
		*(__u64 *)(w->d.save + i) = *(__u64 *)(w->line + i);
	w->d.tail[0] = nw_http_u64(nw_http_at(w, w->end - 8) - 8);
	w->d.tail[1] = nw_http_u64(nw_http_at(w, w->end - 8));
	w->d.line_bytes = have;
	w->d.phase = NW_HTTP_LONG;
	w->pos = w->end;
	return 1;
}

/* START and LINE */
NW_HTTP_FN int nw_http_line(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 end;

	if (!w)
		return 0;
	if (w->d.phase == NW_HTTP_START) {
		if (nw_http_may_request(w) && nw_http_is_proxy2(w))
			return nw_http_proxy2(ctx, slot);
		if (!nw_http_start(w))
			return 1;
	}
	end = nw_http_line_end(slot);
	if (end >= w->end)
		return nw_http_unfinished(ctx, slot);
	w->line_bytes = end - w->pos;
	nw_http_copy_line(w, w->line_bytes);
	w->tail[0] = nw_http_u64(nw_http_at(w, end) - 16);
	w->tail[1] = nw_http_u64(nw_http_at(w, end) - 8);
	w->pos += w->line_bytes + 1;
	return nw_http_first(ctx, slot);
}

/* Shifts a piece of a long line through its last 16 bytes. */
static __always_inline void nw_http_shift(struct nw_http_work *w, __u32 end)
{
	__u32 bytes = end - w->pos;
	__u32 from = bytes > 16 ? end - 16 : w->pos;

	w->d.line_bytes += bytes;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < 16; i++) {
		if (from + i >= end)
			break;
		w->d.tail[0] = w->d.tail[0] >> 8 | w->d.tail[1] << 56;
		w->d.tail[1] = w->d.tail[1] >> 8 |
			       (__u64)*nw_http_at(w, from + i) << 56;
	}
}

/* LONG */
NW_HTTP_FN int nw_http_long(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 end, found;

	if (!w)
		return 0;
	if (!w->line_have) { /* the first window of a later segment */
		for (__u32 i = 0; i < NW_HTTP_SAVE; i += 8)
			*(__u64 *)(w->line + i) = *(__u64 *)(w->d.save + i);
		w->line_have = NW_HTTP_SAVE;
		w->hides = 1;
	}
	end = nw_http_line_end(slot);
	found = end < w->end;
	nw_http_shift(w, end);
	w->pos = end + found;
	if (w->d.line_bytes > NW_HTTP_LINE_LIMIT)
		return nw_http_fail(ctx, slot);
	if (!found)
		return 1;
	w->tail[0] = w->d.tail[0];
	w->tail[1] = w->d.tail[1];
	w->line_bytes = w->d.line_bytes;
	return nw_http_first(ctx, slot);
}

#endif /* NW_HTTP_LINE_H */
