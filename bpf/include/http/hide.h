/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hides in a request line what it may tell about people. Part of http.h. */
#ifndef NW_HTTP_HIDE_H
#define NW_HTTP_HIDE_H

enum nw_http_hide_place {
	NW_HTTP_HIDE_METHOD = 0,
	NW_HTTP_HIDE_TARGET = 1, /* before its first byte */
	NW_HTTP_HIDE_AUTHORITY = 2, /* scheme, user, host, port */
	NW_HTTP_HIDE_COLON = 3, /* behind a colon there */
	NW_HTTP_HIDE_SLASH = 4, /* and a slash behind it */
	NW_HTTP_HIDE_HOST = 5, /* and another one: the slash itself */
	NW_HTTP_HIDE_PATH = 6,
	NW_HTTP_HIDE_KEY = 7,
	NW_HTTP_HIDE_EQUALS = 8, /* before a value's first byte */
	NW_HTTP_HIDE_VALUE = 9, /* at the first byte */
	NW_HTTP_HIDE_MORE = 10, /* behind it */
};

static __always_inline __u32 nw_http_hide_authority(__u32 at, __u32 c)
{
	if (c == '?' || c == '#')
		return NW_HTTP_HIDE_KEY;
	if (c == ':')
		return NW_HTTP_HIDE_COLON;
	if (c != '/')
		return NW_HTTP_HIDE_AUTHORITY;
	if (at == NW_HTTP_HIDE_COLON)
		return NW_HTTP_HIDE_SLASH;
	return at == NW_HTTP_HIDE_SLASH ? NW_HTTP_HIDE_HOST : NW_HTTP_HIDE_PATH;
}

static __always_inline __u32 nw_http_hide_next(__u32 at, __u32 c)
{
	if (at >= NW_HTTP_HIDE_EQUALS) {
		if (c == '&' || c == '#')
			return NW_HTTP_HIDE_KEY;
		return at == NW_HTTP_HIDE_EQUALS ? NW_HTTP_HIDE_VALUE :
						   NW_HTTP_HIDE_MORE;
	}
	if (at == NW_HTTP_HIDE_KEY)
		return c == '=' ? NW_HTTP_HIDE_EQUALS : at;
	if (at == NW_HTTP_HIDE_PATH)
		return c == '?' || c == '#' ? NW_HTTP_HIDE_KEY : at;
	if (at == NW_HTTP_HIDE_METHOD)
		return c == ' ' ? NW_HTTP_HIDE_TARGET : at;
	if (at == NW_HTTP_HIDE_TARGET) {
		if (c == ' ')
			return at;
		if (c == '/' || c == '*')
			return NW_HTTP_HIDE_PATH;
	}
	return nw_http_hide_authority(at, c);
}

/* Behind these another name of a query begins. */
static __always_inline int nw_http_hide_is_end(__u32 c)
{
	return c == '&' || c == '#' || c == '?' || c == ';';
}

/*
 * What was written since the mark is more than nothing and a star instead: the
 * new end.
 */
static __always_inline __u32 nw_http_hide_since(struct nw_http_work *w,
						__u32 mark, __u32 to)
{
	if (to == mark)
		return to;
	w->line[mark & (NW_HTTP_LINE_MAX - 1)] = '*';
	return (mark + 1) & 511;
}

/* One byte of what nw_http_hide() does. */
static __always_inline void nw_http_hide_byte(struct nw_http_work *w, __u32 c)
{
	__u32 before = w->hide.at, at = nw_http_hide_next(before, c);
	__u32 to = w->hide.to & 511, mark = w->hide.mark & 511;

	w->hide.at = at;
	if (at == NW_HTTP_HIDE_MORE)
		return;
	if (at == NW_HTTP_HIDE_AUTHORITY && c == '@') {
		w->hide.to = mark;
		return;
	}
	if (at == NW_HTTP_HIDE_VALUE)
		c = '*';
	if (before == NW_HTTP_HIDE_KEY && nw_http_hide_is_end(c))
		to = nw_http_hide_since(w, mark, to);
	w->line[to & (NW_HTTP_LINE_MAX - 1)] = c;
	to = (to + 1) & 511;
	w->hide.to = to;
	if (at == NW_HTTP_HIDE_TARGET || at == NW_HTTP_HIDE_HOST ||
	    (at == NW_HTTP_HIDE_KEY &&
	     (before != at || nw_http_hide_is_end(c))))
		w->hide.mark = to;
}

/*
 * Some bytes; 0 = that was all. What a byte leaves to the next one lies in
 * memory: the verifier forgets it there, and the paths of a byte join.
 */
NW_HTTP_FN int nw_http_hide_some(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);

	if (!w)
		return 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_HIDE_BYTES; i++) {
		__u32 from;

		nw_http_barrier();
		from = w->hide.from & 511;
		if (from >= w->hide.end)
			return 0;
		w->hide.from = from + 1;
		nw_http_hide_byte(w, w->line[from & (NW_HTTP_LINE_MAX - 1)]);
	}
	return w->hide.from < w->hide.end;
}

/* Nothing of the line has to be hidden before this. */
static __always_inline __u32 nw_http_hide_from(struct nw_http_work *w)
{
	__u32 from = 0;

	if (!w->path)
		return 0;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_LINE_MAX; i += 8) {
		__u64 word = nw_http_u64(w->line + i);

		if (nw_http_find(word, '?') | nw_http_find(word, '#'))
			break;
		from = i + 8;
	}
	return from > w->path && from < w->hide.end ? from : 0;
}

/*
 * Whether what follows the mark may be a secret that has not ended: a name
 * without a value, or the part of an authority whose '@' may have been cut off.
 */
static __always_inline int nw_http_hide_is_open(const struct nw_http_work *w)
{
	return w->hide.at == NW_HTTP_HIDE_KEY ||
	       (w->first.truncated && w->hide.at >= NW_HTTP_HIDE_AUTHORITY &&
		w->hide.at <= NW_HTTP_HIDE_SLASH);
}

/*
 * Hides what a request line may tell about people, in place: "?a=b&c=d"
 * becomes "?a=*&c=*", "?a" becomes "?*", "//user:password@host" "//host". Of a
 * line that was cut within the authority nothing but a star stays of that.
 */
NW_HTTP_FN int nw_http_hide(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 to, rest = 0;

	if (!w)
		return 0;
	if (!w->first.truncated)
		rest = NW_HTTP_VERSION_BYTES;
	w->hide.end = w->first.bytes - rest;
	w->hide.from = nw_http_hide_from(w);
	w->hide.to = w->hide.from;
	w->hide.mark = 0;
	w->hide.at = w->hide.from ? NW_HTTP_HIDE_PATH : NW_HTTP_HIDE_METHOD;
	for (__u32 i = 0; i < NW_HTTP_LINE_MAX / NW_HTTP_HIDE_BYTES; i++)
		if (!nw_http_hide_some(slot))
			break;
	to = w->hide.to;
	if (nw_http_hide_is_open(w))
		to = nw_http_hide_since(w, w->hide.mark & 511, to & 511);
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_VERSION_BYTES; i++) {
		if (i >= rest)
			break;
		w->line[(to + i) & (NW_HTTP_LINE_MAX - 1)] =
			w->line[(w->hide.end + i) & (NW_HTTP_LINE_MAX - 1)];
	}
	w->first.bytes = to + rest;
	return 0;
}

#endif /* NW_HTTP_HIDE_H */
