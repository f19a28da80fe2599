/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* PROXY protocol headers in front of the first request. Part of http.h. */
#ifndef NW_HTTP_PROXY_H
#define NW_HTTP_PROXY_H

#define NW_HTTP_PROXY_LINE NW_HTTP_TEXT('P', 'R', 'O', 'X', 'Y', ' ', 0, 0)
#define NW_HTTP_PROXY_LINE_MAX 107 /* bytes; PROXY protocol, section 2.1 */
/* Its binary form: 12 bytes, two, and the length of what follows (2.2). */
#define NW_HTTP_PROXY_SIGN \
	NW_HTTP_TEXT('\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q')
#define NW_HTTP_PROXY_SIGN_END NW_HTTP_TEXT('U', 'I', 'T', '\n', 0, 0, 0, 0)
#define NW_HTTP_PROXY_BYTES 16
#define NW_HTTP_PROXY_SHOWN 52 /* with two IPv6 addresses and ports */

/* A header in front of all requests is shown once. */
NW_HTTP_FN int nw_http_proxied(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	struct nw_http *h = nw_http_state(ctx);

	if (!w || !h || h->proxied)
		return 0;
	h->proxied = 1;
	nw_http_on_proxy(ctx, w);
	return 0;
}

/* True if w->line is a PROXY protocol header, v1. */
static __always_inline int nw_http_is_proxy(const struct nw_http_work *w,
					    __u32 bytes)
{
	return !w->seen && bytes <= NW_HTTP_PROXY_LINE_MAX &&
	       nw_http_low(nw_http_u64(w->line), 6) == NW_HTTP_PROXY_LINE;
}

/* True if one of v2 begins at pos: its length is in w->d.left. */
static __always_inline int nw_http_is_proxy2(struct nw_http_work *w)
{
	const __u8 *at = nw_http_at(w, w->pos);
	__u64 end = nw_http_u64(at + 8);

	if (w->seen || w->end - w->pos < NW_HTTP_PROXY_BYTES ||
	    nw_http_u64(at) != NW_HTTP_PROXY_SIGN ||
	    (__u32)end != (__u32)NW_HTTP_PROXY_SIGN_END)
		return 0;
	w->d.left = NW_HTTP_PROXY_BYTES + (end >> 48 & 255) * 256 + (end >> 56);
	return 1;
}

NW_HTTP_FN int nw_http_proxy2(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 bytes;

	if (!w)
		return 0;
	bytes = w->d.left < NW_HTTP_PROXY_SHOWN ? w->d.left :
						  NW_HTTP_PROXY_SHOWN;
	if (bytes > w->end - w->pos)
		bytes = w->end - w->pos;
	for (__u32 i = 0; i < NW_HTTP_PROXY_SHOWN; i += 8)
		*(__u64 *)(w->line + i) =
			nw_http_u64(nw_http_at(w, w->pos) + i);
	w->first.bytes = bytes;
	w->d.phase = NW_HTTP_PROXY;
	nw_http_proxied(ctx, slot);
	return 1;
}

#endif /* NW_HTTP_PROXY_H */
