/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP/1.0 and 1.1 framing (RFC 9112), fed with TCP segments as they pass.
 *
 * Says where each message head begins and when each response is complete, and
 * never takes body bytes for a head: while a connection is in step, framing
 * decides, not looks. Portable C: a cgroup_skb program and a native test
 * harness compile the same text. Parses alone: whoever includes it has defined
 * the __u types and NW_HTTP_CTX (the type of the context, struct __sk_buff)
 * and defines the five functions declared under "supplied by the includer".
 *
 *   nw_http_segment()      one segment with payload, from either side
 *   nw_http_close()        a FIN has passed, or the socket is gone
 *   nw_http_midstream()    the connection is older than its state
 *   nw_http_expect()       the sequence number the next payload begins with
 *   nw_http_outstanding()  requests without a complete response
 *   nw_http_resyncs()      times the framing was lost
 *
 * A request lasts from the first byte of its head to the last byte of its
 * response. A 1xx response is interim; 101, and 2xx to CONNECT, end the
 * exchange and turn the connection into a tunnel that is not looked at again.
 * Values in a query and credentials before a host never reach a hook.
 *
 * Segments seen before are skipped. A gap is harmless within a body whose end
 * is known; anywhere else the direction waits (RESYNC, counted) for a segment
 * that begins with a plausible start line: method, target and version, or a
 * status line while a request is outstanding. Two CPUs that handle segments of
 * the same direction at once look like a gap.
 *
 * Made for the verifiers of 5.10 and newer: every step is a global function
 * with scalar arguments (verified once), indices come from memory and are
 * masked (so that paths join), no helper newer than bpf_sk_storage_get is
 * needed. At most NW_HTTP_BURSTS * NW_HTTP_BURST = 16,384 steps are spent on a
 * segment, two per chunk or head at most; what is left then is given up
 * (RESYNC), so even 64 KiB of 1-byte chunks pass. Little-endian only.
 */
#ifndef NW_HTTP_H
#define NW_HTTP_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#ifdef __bpf__
#define NW_HTTP_FN __attribute__((noinline))
#else
#define NW_HTTP_FN static __attribute__((noinline, unused))
#endif

#ifdef __clang__
#define NW_HTTP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define NW_HTTP_LOOP
#endif

#define NW_HTTP_LINE_MAX 256 /* bytes of a first line shown to a hook */
#define NW_HTTP_SAVE 48 /* bytes of an unfinished line kept between segments */
#define NW_HTTP_WINDOW 512 /* bytes looked at at once; a power of two */
#define NW_HTTP_HEADROOM 16 /* before it: the tail of a short line */
#define NW_HTTP_QUEUE 16 /* outstanding requests with a known start */
#define NW_HTTP_SLOTS 4 /* nested or preempted programs on one CPU */
#define NW_HTTP_BURSTS 128
#define NW_HTTP_BURST 128
#define NW_HTTP_METHOD_MAX 32
#define NW_HTTP_HIDE_BYTES 16 /* of a line, read at once */
#define NW_HTTP_VERSION_BYTES 9 /* of " HTTP/1.1" */
#define NW_HTTP_LINE_LIMIT 65536 /* longer first lines are not HTTP */
#define NW_HTTP_PLAUSIBLE_MIN 16 /* bytes, of a segment to resynchronize at */
#define NW_HTTP_SIZE_LIMIT (1ULL << 59)

enum nw_http_method {
	NW_HTTP_NONE = 0, /* not known, or not a request */
	NW_HTTP_CONNECT = 1,
	NW_HTTP_DELETE = 2,
	NW_HTTP_GET = 3,
	NW_HTTP_HEAD = 4,
	NW_HTTP_OPTIONS = 5,
	NW_HTTP_PATCH = 6,
	NW_HTTP_POST = 7,
	NW_HTTP_PUT = 8,
	NW_HTTP_TRACE = 9,
	NW_HTTP_QUERY = 10,
	NW_HTTP_OTHER = 11,
};

enum nw_http_kind {
	NW_HTTP_REQUEST = 1,
	NW_HTTP_RESPONSE = 2,
};

/* Which way a segment goes, as the watched host sees it. */
enum nw_http_way {
	NW_HTTP_IN = 0,
	NW_HTTP_OUT = 1,
};

/* What the watched host is; if unknown, the first start line decides. */
enum nw_http_role {
	NW_HTTP_ROLE_UNKNOWN = 0,
	NW_HTTP_ROLE_CLIENT = 1,
	NW_HTTP_ROLE_SERVER = 2,
};

/* Why a connection is not looked at any more. */
enum nw_http_off {
	NW_HTTP_ON = 0,
	NW_HTTP_OFF_OTHER = 1, /* its first bytes are not HTTP */
	NW_HTTP_OFF_HTTP2 = 2, /* the HTTP/2 preface */
	NW_HTTP_OFF_TUNNEL = 3, /* 101, or 2xx to CONNECT */
};

enum nw_http_phase {
	NW_HTTP_START = 0, /* between messages */
	NW_HTTP_LINE = 1, /* in a first line, saved as far as it goes */
	NW_HTTP_LONG = 2, /* in a first line that did not fit */
	NW_HTTP_NAME = 3, /* at the start of a header or trailer line */
	NW_HTTP_SKIP = 4, /* in a line that does not matter */
	NW_HTTP_LENGTH = 5, /* in the value of Content-Length */
	NW_HTTP_CODING = 6, /* in the value of Transfer-Encoding */
	NW_HTTP_CHUNK = 7, /* in or around a chunk's size */
	NW_HTTP_BODY = 8, /* in a body of known length */
	NW_HTTP_DATA = 9, /* in a chunk's data */
	NW_HTTP_CLOSE = 10, /* in a body that ends with the connection */
	NW_HTTP_PENDING = 11, /* behind CONNECT, until the response */
	NW_HTTP_RESYNC = 12, /* out of step */
};

enum nw_http_flag {
	NW_HTTP_F_SEQ = 1, /* next_seq is valid */
	NW_HTTP_F_PROBE = 2, /* this first line is a guess */
	NW_HTTP_F_LOST = 4, /* requests may have passed unseen */
	NW_HTTP_F_TRAILER = 8,
	NW_HTTP_F_LENGTH = 16, /* a Content-Length was read */
	NW_HTTP_F_LENGTH_OPEN = 32, /* one has begun and has no value yet */
	NW_HTTP_F_LENGTH_BAD = 64,
	NW_HTTP_F_CODING = 128, /* Transfer-Encoding is there */
	NW_HTTP_F_CHUNKED = 256, /* and its last coding is "chunked" */
};

#define NW_HTTP_F_KEEP (NW_HTTP_F_SEQ | NW_HTTP_F_LOST)

/* Places in "[CR] LF size [;extension] LF", the values of match in CHUNK. */
enum nw_http_chunk_place {
	NW_HTTP_AT_SIZE = 0, /* before the first digit */
	NW_HTTP_IN_SIZE = 1,
	NW_HTTP_AFTER_SIZE = 2,
	NW_HTTP_IN_EXTENSION = 3,
	NW_HTTP_AFTER_DATA = 4, /* before [CR] LF */
	NW_HTTP_AFTER_DATA_CR = 5,
};

#define NW_HTTP_CODING_LENGTH 7 /* of "chunked" */
#define NW_HTTP_CODING_ENDED 8 /* "chunked", then space */
#define NW_HTTP_CODING_OTHER 255

/* One direction of a connection. Written by that direction only. */
struct nw_http_dir {
	union {
		struct {
			__u64 left; /* of the body or chunk; Content-Length */
			__u64 body; /* seen so far; a number being read */
		};
		__u64 tail[2]; /* LONG: the line's last 16 bytes */
	};
	__u64 first_ns; /* first byte of the message */
	__u32 next_seq;
	__u32 line_bytes; /* LONG: of the line so far */
	__u32 resyncs;
	__u16 status; /* 0 until the first line is read, and in requests */
	__u16 flags; /* enum nw_http_flag */
	__u8 phase; /* enum nw_http_phase */
	__u8 method; /* enum nw_http_method */
	__u8 version; /* minor */
	__u8 header; /* phase of the value above, for folded lines */
	__u8 match; /* how much of a coding or chunk line was read */
	__u8 saved; /* bytes in save */
	__u8 refused; /* PENDING: nw_http.refused when it began */
	__u8 pad;
	__u8 save[NW_HTTP_SAVE];
};

/*
 * A connection; all zero = none of its payload has been seen. in and over_in
 * belong to the request direction, out, over_out and refused to the other:
 * each direction may be on its own CPU.
 */
struct nw_http {
	struct nw_http_dir dir[2];
	__u64 queue[NW_HTTP_QUEUE]; /* first_ns << 4 | method; 0 ns = unknown */
	__u64 over_heads; /* bit n: overflowed request n % 64 was HEAD */
	__u32 over_in; /* requests that found the queue full */
	__u32 over_out;
	__u8 in;
	__u8 out;
	__u8 request; /* 1 + way of the requests; 0 = not known */
	__u8 off; /* enum nw_http_off */
	__u8 seen; /* a first line was read */
	__u8 refused; /* CONNECTs answered with something else than 2xx */
	__u8 pad[2];
};

/* A first line; its text is nw_http_work.line. */
struct nw_http_first {
	__u32 offset; /* in the payload; 0 if it began in an earlier segment */
	__u16 bytes; /* of text, at most NW_HTTP_LINE_MAX */
	__u16 status; /* 0 in a request */
	__u8 kind; /* enum nw_http_kind */
	__u8 method; /* enum nw_http_method; NONE in a response */
	__u8 version; /* minor */
	__u8 truncated;
};

/* A response that has been seen to its end. */
struct nw_http_end {
	__u64 start_ns; /* of the request; 0 = not known */
	__u64 end_ns;
	__u64 body_bytes;
	__u16 status;
	__u8 method; /* of the request; NONE = not known */
	__u8 version; /* minor, of the response */
};

/* Where nw_http_hide() is in a line. */
struct nw_http_hide {
	__u32 from;
	__u32 to;
	__u32 mark; /* where the target or its host begins */
	__u32 at; /* enum nw_http_hide_place */
	__u32 end; /* of the method and target */
};

/* Per-CPU scratch: a direction's state and a window into the segment. */
struct nw_http_work {
	struct nw_http_dir d;
	__u64 now;
	__u64 tail[2];
	__u32 offset; /* of the payload in the packet */
	__u32 bytes; /* of payload */
	__u32 skipped; /* of the segment, before offset */
	__u32 next; /* payload offset behind the window */
	__u32 pos; /* first byte in the window not used up */
	__u32 end; /* bytes in the window */
	__u32 seq; /* of the segment */
	__u32 way;
	__u32 line_bytes; /* of the first line, all of it */
	__u32 line_have; /* bytes of it in line */
	__u32 busy;
	__u8 request; /* as in struct nw_http */
	__u8 off;
	__u8 seen;
	__u8 hides; /* something in the line may have to be hidden */
	__u32 path; /* where an origin-form target begins; 0 = another form */
	struct nw_http_hide hide;
	struct nw_http_first first;
	__u8 line[NW_HTTP_LINE_MAX + 16];
	__u8 window[NW_HTTP_HEADROOM + NW_HTTP_WINDOW + 64];
#ifdef NW_HTTP_USER
	NW_HTTP_USER user; /* whatever the includer's hooks need */
#endif
};

/*
 * Supplied by the includer. NW_HTTP_SLOTS works per CPU: a program that runs
 * in process context can be interrupted, or preempted, by the next one.
 */
static __always_inline struct nw_http_work *nw_http_work(__u32 slot);

/* The state of the context's socket, or NULL. */
static __always_inline struct nw_http *nw_http_state(NW_HTTP_CTX *ctx);

/* Copies from the packet; 0 = done. */
static __always_inline long nw_http_load(NW_HTTP_CTX *ctx, __u32 offset,
					 void *to, __u32 bytes);

/* A first line is complete: w->first, w->line, w->seq, w->way, w->now. */
static __always_inline void nw_http_on_head(NW_HTTP_CTX *ctx,
					    const struct nw_http_work *w);

/* A response is complete. */
static __always_inline void nw_http_on_end(void *ctx,
					   const struct nw_http_end *end);

/* Optional, with NW_HTTP_ON_REQUEST_END: a request is complete. */
#ifdef NW_HTTP_ON_REQUEST_END
static __always_inline void
nw_http_on_request_end(NW_HTTP_CTX *ctx, const struct nw_http_work *w);
#endif

/* Eight bytes at once */

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

/* The queue of outstanding requests */

static __always_inline __u32 nw_http_outstanding(const struct nw_http *h)
{
	return (__u8)(h->in - h->out) + (h->over_in - h->over_out);
}

static __always_inline void nw_http_push(struct nw_http *h,
					 struct nw_http_dir *d, __u32 way)
{
	__u64 entry = d->first_ns << 4 | d->method;
	__u64 bit = 1ULL << (h->over_in & 63);

	/* in step again once nothing else can be on its way */
	if (d->flags & NW_HTTP_F_LOST) {
		if (nw_http_outstanding(h) ||
		    h->dir[!way].phase != NW_HTTP_START)
			entry = d->method;
		else
			d->flags &= ~NW_HTTP_F_LOST;
	}
	if (h->over_in == h->over_out &&
	    (__u8)(h->in - h->out) < NW_HTTP_QUEUE) {
		h->queue[h->in & (NW_HTTP_QUEUE - 1)] = entry;
		nw_http_barrier();
		h->in++;
		return;
	}
	if (d->method == NW_HTTP_HEAD)
		h->over_heads |= bit;
	else
		h->over_heads &= ~bit;
	nw_http_barrier();
	h->over_in++;
}

static __always_inline __u64 nw_http_oldest(const struct nw_http *h)
{
	if (h->in != h->out)
		return h->queue[h->out & (NW_HTTP_QUEUE - 1)];
	if (h->over_in != h->over_out &&
	    (h->over_heads >> (h->over_out & 63) & 1))
		return NW_HTTP_HEAD;
	return NW_HTTP_NONE;
}

static __always_inline void nw_http_pop(struct nw_http *h)
{
	if (h->in != h->out)
		h->out++;
	else if (h->over_in != h->over_out)
		h->over_out++;
}

/* After a gap it is not known which request is answered: take the last. */
static __always_inline void nw_http_pop_to_newest(struct nw_http *h)
{
	if (nw_http_outstanding(h) < 2)
		return;
	if (h->over_in != h->over_out) {
		h->out = h->in;
		h->over_out = h->over_in - 1;
		return;
	}
	h->out = h->in - 1;
	h->queue[h->out & (NW_HTTP_QUEUE - 1)] &= 15;
}

static __always_inline __u32 nw_http_resyncs(const struct nw_http *h)
{
	return h->dir[0].resyncs + h->dir[1].resyncs;
}

/* Losing step */

static __always_inline void nw_http_lose(struct nw_http *h,
					 struct nw_http_dir *d, __u32 way)
{
	if (h && h->request == 2 - way && d->phase > NW_HTTP_LONG &&
	    d->status >= 200)
		nw_http_pop(h);
	d->flags = NW_HTTP_F_SEQ | NW_HTTP_F_LOST;
	d->phase = NW_HTTP_RESYNC;
	d->saved = 0;
	d->resyncs++;
}

static __always_inline void nw_http_discard(struct nw_http_work *w)
{
	w->next = w->bytes;
	w->pos = 0;
	w->end = 0;
}

/* What was read is not HTTP, or broken: give up, or wait for a fresh start. */
NW_HTTP_FN int nw_http_fail(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);

	if (!w)
		return 0;
	if (w->d.flags & NW_HTTP_F_PROBE) {
		w->d.flags &= NW_HTTP_F_KEEP;
		w->d.phase = NW_HTTP_RESYNC;
		w->d.saved = 0;
	} else if (w->seen) {
		nw_http_lose(nw_http_state(ctx), &w->d, w->way);
	} else {
		w->off = NW_HTTP_OFF_OTHER;
	}
	nw_http_discard(w);
	return 0;
}

/* The window */

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

/* First lines */

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

/* Some bytes of what nw_http_hide() does. */
NW_HTTP_FN int nw_http_hide_some(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 from, to, mark, at;

	if (!w)
		return 0;
	from = w->hide.from;
	to = w->hide.to & 511;
	mark = w->hide.mark & 511;
	at = w->hide.at;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_HIDE_BYTES && from < w->hide.end; i++) {
		__u32 c = w->line[from & (NW_HTTP_LINE_MAX - 1)];

		from = (from + 1) & 511;
		at = nw_http_hide_next(at, c);
		if (at == NW_HTTP_HIDE_MORE)
			continue;
		if (at == NW_HTTP_HIDE_AUTHORITY && c == '@') {
			to = mark & 511;
			continue;
		}
		if (at == NW_HTTP_HIDE_VALUE)
			c = '*';
		w->line[to & (NW_HTTP_LINE_MAX - 1)] = c;
		to = (to + 1) & 511;
		if (at == NW_HTTP_HIDE_TARGET || at == NW_HTTP_HIDE_HOST)
			mark = to & 511;
	}
	w->hide.from = from;
	w->hide.to = to;
	w->hide.mark = mark;
	w->hide.at = at;
	return from < w->hide.end;
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
 * Hides what a request line may tell about people, in place: "?a=b&c=d"
 * becomes "?a=*&c=*", "//user:password@host" becomes "//host".
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

static __always_inline __u32 nw_http_known_method(__u64 word, __u32 *code)
{
	if ((__u32)word == (__u32)NW_HTTP_TEXT('G', 'E', 'T', ' ', 0, 0, 0, 0))
		return *code = NW_HTTP_GET, 3;
	if ((__u32)word == (__u32)NW_HTTP_TEXT('P', 'U', 'T', ' ', 0, 0, 0, 0))
		return *code = NW_HTTP_PUT, 3;
	switch (nw_http_low(word, 5)) {
	case NW_HTTP_TEXT('P', 'O', 'S', 'T', ' ', 0, 0, 0):
		return *code = NW_HTTP_POST, 4;
	case NW_HTTP_TEXT('H', 'E', 'A', 'D', ' ', 0, 0, 0):
		return *code = NW_HTTP_HEAD, 4;
	}
	switch (nw_http_low(word, 6)) {
	case NW_HTTP_TEXT('P', 'A', 'T', 'C', 'H', ' ', 0, 0):
		return *code = NW_HTTP_PATCH, 5;
	case NW_HTTP_TEXT('T', 'R', 'A', 'C', 'E', ' ', 0, 0):
		return *code = NW_HTTP_TRACE, 5;
	case NW_HTTP_TEXT('Q', 'U', 'E', 'R', 'Y', ' ', 0, 0):
		return *code = NW_HTTP_QUERY, 5;
	}
	if (nw_http_low(word, 7) ==
	    NW_HTTP_TEXT('D', 'E', 'L', 'E', 'T', 'E', ' ', 0))
		return *code = NW_HTTP_DELETE, 6;
	if (word == NW_HTTP_TEXT('O', 'P', 'T', 'I', 'O', 'N', 'S', ' '))
		return *code = NW_HTTP_OPTIONS, 7;
	if (word == NW_HTTP_TEXT('C', 'O', 'N', 'N', 'E', 'C', 'T', ' '))
		return *code = NW_HTTP_CONNECT, 7;
	return 0;
}

/*
 * The length of the method at the start of w->line; 0 if there is none, or
 * NW_HTTP_METHOD_MAX if it is not complete in the bytes there are.
 */
NW_HTTP_FN __u32 nw_http_method_bytes(__u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 have, code, known;

	if (!w)
		return 0;
	have = w->line_have;
	known = nw_http_known_method(nw_http_u64(w->line), &code);
	if (known && known < have) {
		w->first.method = code;
		return known;
	}
	w->first.method = NW_HTTP_OTHER;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_METHOD_MAX; i++) {
		__u64 bits;
		__u32 c;

		if (i >= have)
			return NW_HTTP_METHOD_MAX;
		c = w->line[i];
		if (c == ' ')
			return i;
		bits = c & 64 ? NW_HTTP_TOKEN_HIGH : NW_HTTP_TOKEN_LOW;
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
	if (request || (d->flags & NW_HTTP_F_PROBE)) {
		struct nw_http *h = nw_http_state(ctx);

		if (h && request)
			nw_http_push(h, d, w->way & 1);
		else if (h)
			nw_http_pop_to_newest(h);
	}
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

/* Judges the first line in w->line, w->line_bytes, w->tail. */
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
	w->d.method = w->first.method;
	w->d.version = w->first.version;
	w->d.status = w->first.status;
	return nw_http_found(ctx, slot);
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
	w->first.offset = w->skipped + w->next - (w->end - w->pos);
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
	if (w->d.phase == NW_HTTP_START && !nw_http_start(w))
		return 1;
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

/* The end of a message */

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
	w->d.phase = NW_HTTP_START;
	w->d.flags &= NW_HTTP_F_KEEP;
	w->d.body = 0;
	w->d.status = 0;
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

/* Headers: only Content-Length and Transfer-Encoding decide about a body. */

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
	__u32 pos, end, skip;

	if (!w)
		return 0;
	pos = w->pos & 1023;
	end = w->end;
	skip = w->d.phase == NW_HTTP_SKIP;
	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_HTTP_WINDOW / 8 + 32; i++) {
		__u64 word, found;

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

/* Bodies */

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
NW_HTTP_FN int nw_http_body(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);

	if (!w)
		return 0;
	if (!nw_http_consume(w))
		return 1;
	if (w->d.phase == NW_HTTP_BODY)
		return nw_http_complete(ctx, slot);
	w->d.phase = NW_HTTP_CHUNK;
	w->d.match = NW_HTTP_AFTER_DATA;
	return 1;
}

/* One step through a segment; 0 = nothing is left of it. */
NW_HTTP_FN int nw_http_step(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	__u32 phase;

	if (!w)
		return 0;
	phase = w->d.phase;
	if (phase == NW_HTTP_BODY || phase == NW_HTTP_DATA)
		if (w->pos < w->end || w->next < w->bytes || !w->d.left)
			return nw_http_body(ctx, slot);
	if (w->pos >= w->end && !nw_http_fill(ctx, slot))
		return 0;
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
	}
	nw_http_discard(w);
	return 0;
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

/*
 * Takes a free work of this CPU. Whoever interrupts this one gives its own
 * back before this one goes on, so plain loads and stores will do; only a task
 * switch between the two lines could mix up two segments.
 */
static __always_inline struct nw_http_work *nw_http_acquire(__u32 *slot)
{
	for (__u32 i = 0; i < NW_HTTP_SLOTS; i++) {
		struct nw_http_work *w = nw_http_work(i);

		if (!w || w->busy)
			continue;
		w->busy = 1;
		nw_http_barrier();
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

/* RESYNC: does the segment begin like a message that may come now? */
static __always_inline int nw_http_plausible(NW_HTTP_CTX *ctx,
					     const struct nw_http *h, __u32 way,
					     __u32 offset, __u32 bytes)
{
	__u32 request = h->request, code;
	__u64 word;

	if (bytes < NW_HTTP_PLAUSIBLE_MIN ||
	    nw_http_load(ctx, offset, &word, sizeof(word)))
		return 0;
	if (nw_http_is_version(word))
		return request == 2 - way && nw_http_outstanding(h);
	if (request == 2 - way)
		return 0;
	if (nw_http_known_method(word, &code))
		return 1;
	for (__u32 i = 0; i < 8; i++) {
		__u8 c = word >> (i * 8);

		if (c == ' ')
			return i > 0;
		if ((__u8)(c - 'A') >= 26 && c != '-')
			return 0;
	}
	return 1;
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

/*
 * One segment: where its payload is in the packet, how long it is, the
 * sequence number of its first byte. way must be a constant.
 */
static __always_inline void nw_http_segment(NW_HTTP_CTX *ctx, struct nw_http *h,
					    __u32 way, __u32 role, __u32 offset,
					    __u32 bytes, __u32 seq, __u64 now)
{
	struct nw_http_dir *d = &h->dir[way];
	__u32 skip = 0, slot = 0;
	struct nw_http_work *w;
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
	d->flags |= NW_HTTP_F_SEQ;
	d->next_seq = seq + bytes;
	if (gap > 0 && !nw_http_gap(d, gap))
		nw_http_lose(h, d, way);
	if (nw_http_skip(ctx, h, d, way, offset + skip, bytes - skip, skip))
		return;
	w = nw_http_acquire(&slot);
	if (!w) {
		nw_http_lose(h, d, way);
		return;
	}
	w->now = now;
	w->offset = offset + skip;
	w->bytes = bytes - skip;
	w->skipped = skip;
	w->seq = seq;
	w->way = way;
	nw_http_read(ctx, h, d, w, slot);
	nw_http_barrier();
	w->busy = 0;
}

/* The sender of this direction has ended it: a body may end with it. */
static __always_inline void nw_http_close(void *ctx, struct nw_http *h,
					  __u32 way, __u64 now)
{
	struct nw_http_dir *d = &h->dir[way];

	if (h->off || d->phase != NW_HTTP_CLOSE)
		return;
	nw_http_finish(ctx, h, d, now);
	d->phase = NW_HTTP_START;
	d->status = 0;
	d->body = 0;
}

/* For a connection that was there before its state: look for a start line. */
static __always_inline void nw_http_midstream(struct nw_http *h)
{
	h->dir[0].phase = NW_HTTP_RESYNC;
	h->dir[1].phase = NW_HTTP_RESYNC;
}

/* Where a fresh direction begins, so that a gap before it is noticed. */
static __always_inline void nw_http_expect(struct nw_http *h, __u32 way,
					   __u32 seq)
{
	h->dir[way].next_seq = seq;
	h->dir[way].flags |= NW_HTTP_F_SEQ;
}

#endif /* NW_HTTP_H */
