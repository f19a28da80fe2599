/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text compared and searched eight bytes at a time. Part of http.h. */
#ifndef NW_HTTP_WORD_H
#define NW_HTTP_WORD_H

#define NW_HTTP_ONES 0x0101010101010101ULL
#define NW_HTTP_HIGHS 0x8080808080808080ULL
#define NW_HTTP_LOWER 0x2020202020202020ULL
#define NW_HTTP_BYTES7 0x00ffffffffffffffULL

#define NW_HTTP_TEXT(a, b, c, d, e, f, g, h)                                  \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | \
	 (__u64)(e) << 32 | (__u64)(f) << 40 | (__u64)(g) << 48 |             \
	 (__u64)(h) << 56)

#define NW_HTTP_VERSION NW_HTTP_TEXT('H', 'T', 'T', 'P', '/', '1', '.', 0)
#define NW_HTTP_PREFACE NW_HTTP_TEXT('P', 'R', 'I', ' ', '*', ' ', 'H', 'T')
#define NW_HTTP_CONTENT NW_HTTP_TEXT('c', 'o', 'n', 't', 'e', 'n', 't', '-')
#define NW_HTTP_LENGTH_ NW_HTTP_TEXT('l', 'e', 'n', 'g', 't', 'h', ':', 0)
#define NW_HTTP_TRANSFER NW_HTTP_TEXT('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')
#define NW_HTTP_ENCODIN NW_HTTP_TEXT('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n')
#define NW_HTTP_G NW_HTTP_TEXT('g', ':', 0, 0, 0, 0, 0, 0)
#define NW_HTTP_CHUNKED NW_HTTP_TEXT('c', 'h', 'u', 'n', 'k', 'e', 'd', 0)

/* Bytes that may stand in a method (RFC 9110, "token"), as bits. */
#define NW_HTTP_TOKEN_LOW 0x03ff6cfa00000000ULL
#define NW_HTTP_TOKEN_HIGH 0x57ffffffc7fffffeULL

#define nw_http_barrier() asm volatile("" ::: "memory")

/* Not aligned: maps and both kinds of machine allow it. */
static __always_inline __u64 nw_http_u64(const __u8 *at)
{
#ifdef __bpf__
	return *(const __u64 *)at;
#else
	__u64 value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
#endif
}

/* The high bit of the lowest byte that equals c; higher ones are not exact. */
static __always_inline __u64 nw_http_find(__u64 word, __u8 c)
{
	word ^= NW_HTTP_ONES * c;
	return (word - NW_HTTP_ONES) & ~word & NW_HTTP_HIGHS;
}

/* Which byte nw_http_find() found. */
static __always_inline __u32 nw_http_index(__u64 found)
{
	found = (found - 1) & ~found & NW_HTTP_ONES;
	return (found * NW_HTTP_ONES >> 56) - 1;
}

static __always_inline __u64 nw_http_low(__u64 word, __u32 bytes)
{
	return bytes < 8 ? word & ((1ULL << (bytes * 8 & 63)) - 1) : word;
}

static __always_inline __u8 *nw_http_at(struct nw_http_work *w, __u32 pos)
{
	return w->window + NW_HTTP_HEADROOM + (pos & (NW_HTTP_WINDOW - 1));
}

static __always_inline int nw_http_is_version(__u64 word)
{
	return (word & NW_HTTP_BYTES7) == NW_HTTP_VERSION &&
	       (word >> 56) - '0' < 10;
}

#endif /* NW_HTTP_WORD_H */
