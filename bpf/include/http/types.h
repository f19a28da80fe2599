/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names, a connection's state, and what hooks are told. Part of http.h. */
#ifndef NW_HTTP_TYPES_H
#define NW_HTTP_TYPES_H

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
	NW_HTTP_OFF_TLS = 4, /* the first bytes of a TLS record */
	NW_HTTP_OFF_ENDED = 5, /* nw_http_end_all() */
};

/* How an exchange ends. */
enum nw_http_outcome {
	NW_HTTP_ANSWERED = 0,
	NW_HTTP_RESET = 1, /* by either end, before the response was whole */
	NW_HTTP_CLOSED = 2, /* before the response began */
	NW_HTTP_TIMEOUT = 3, /* the other end did not acknowledge */
	NW_HTTP_TRUNCATED = 4, /* closed in the middle of the response */
};

/* Why the start of a response's request is not known. */
enum nw_http_cause {
	NW_HTTP_MATCHED = 0,
	NW_HTTP_LOST = 1, /* out of step, or segments that passed unseen */
	NW_HTTP_MIDSTREAM = 2, /* the request is older than the state */
	NW_HTTP_TOO_DEEP = 3, /* more than NW_HTTP_DEPTH were outstanding */
	NW_HTTP_UNASKED = 4, /* there was none, as of a 408 */
	NW_HTTP_CAUSES = 5,
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
	NW_HTTP_PROXY = 13, /* in a PROXY protocol header, v2 */
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
	NW_HTTP_F_AHEAD = 512, /* ahead_seq is valid */
	NW_HTTP_F_OLD =
		1024, /* its beginning was not seen, nothing of it found yet */
};

#define NW_HTTP_F_KEEP (NW_HTTP_F_SEQ | NW_HTTP_F_LOST | NW_HTTP_F_AHEAD)

/* What comes behind a complete message. */
enum nw_http_behind {
	NW_HTTP_BEHIND_MESSAGE = 0, /* the next one */
	NW_HTTP_BEHIND_CONNECT = 1, /* nothing until it is answered */
	NW_HTTP_BEHIND_TUNNEL = 2, /* no HTTP any more */
};

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
	__u32 first_seq; /* of that byte */
	__u32 next_seq;
	__u32 ahead_seq; /* end of what has passed behind a gap */
	__u32 line_bytes; /* LONG: of the line so far */
	__u16 status; /* 0 until the first line is read, and in requests */
	__u16 flags; /* enum nw_http_flag */
	__u8 phase; /* enum nw_http_phase */
	__u8 method; /* enum nw_http_method */
	__u8 version; /* minor */
	__u8 header; /* phase of the value above, for folded lines */
	__u8 match; /* how much of a coding or chunk line was read */
	__u8 saved; /* bytes in save */
	__u8 refused; /* PENDING: nw_http.refused when it began */
	__u8 resyncs; /* begins again behind 255 */
	__u8 save[NW_HTTP_SAVE]; /* aligned to 8 bytes, as the other texts */
};

/* A request that waits for its response. */
struct nw_http_request {
	__u64 start; /* first_ns << 5 | minor version << 4 | method; 0 ns = unknown */
	__u64 body_bytes; /* NW_HTTP_NO_SIZE until it is complete */
};

#define NW_HTTP_NO_SIZE (~0ULL)

/* Requests that lie outside of the connection's state, by number. */
struct nw_http_deep {
	struct nw_http_request request[NW_HTTP_DEPTH];
};

/*
 * A connection; all zero = none of its payload has been seen. in, over_in, deep
 * and deep_from belong to the request direction, out, over_out and refused to
 * the other: each direction may be on its own CPU. See http/queue.h.
 */
struct nw_http {
	struct nw_http_dir dir[2];
	struct nw_http_request queue[NW_HTTP_QUEUE];
	__u32 in; /* requests so far */
	__u32 out; /* of these, those that do not wait any more */
	__u32 deep_from; /* the first that lies outside, if deep */
	__u32 over_in; /* requests that found no room */
	__u32 over_out;
	__u8 deep; /* some lie outside */
	__u8 request; /* 1 + way of the requests; 0 = not known */
	__u8 off; /* enum nw_http_off */
	__u8 seen; /* a first line was read */
	__u8 refused; /* CONNECTs answered with something else than 2xx */
	__u8 old; /* it is older than its state */
	__u8 turn; /* if old: 1 + way of the last payload */
	__u8 proxied; /* a PROXY protocol header was shown */
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

/* An exchange, or a response without a request, that has ended. */
struct nw_http_end {
	__u64 start_ns; /* of the request; 0 = not known */
	__u64 first_ns; /* of the response; 0 = there is none */
	__u64 end_ns;
	__u64 request_bytes; /* of the body; NW_HTTP_NO_SIZE = not known */
	__u64 body_bytes; /* of the response */
	__u32 first_seq; /* of the response */
	__u32 end_seq; /* behind its last byte */
	__u16 status; /* 0 = there is none */
	__u8 method; /* of the request; NONE = not known */
	__u8 version; /* minor, of the request; of the response if not known */
	__u8 outcome; /* enum nw_http_outcome */
	__u8 cause; /* enum nw_http_cause */
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
	__u32 busy; /* see http/work.h */
	__u32 behind; /* enum nw_http_behind */
	__u32 pad;
	__u8 request; /* as in struct nw_http */
	__u8 off;
	__u8 seen;
	__u8 hides; /* something in the line may have to be hidden */
	__u32 path; /* where an origin-form target begins; 0 = another form */
	struct nw_http_hide hide;
	struct nw_http_first first;
	__u8 line[NW_HTTP_LINE_MAX + 16] __attribute__((aligned(8)));
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

/* An exchange of the connection has ended. */
static __always_inline void nw_http_on_end(struct nw_http *h,
					   const struct nw_http_end *end);

/*
 * So many requests do not wait any more, whose responses have passed unseen, or
 * not to their end: nothing is known of how they ended.
 */
static __always_inline void nw_http_on_lost(struct nw_http *h, __u32 requests);

/* So many requests more, or fewer, wait for their response. */
static __always_inline void nw_http_on_waiting(struct nw_http *h, __s32 more);

/*
 * The connection's requests that lie outside; with `make` memory for them if
 * there is none. NULL: there is none.
 */
static __always_inline struct nw_http_deep *nw_http_deep(struct nw_http *h,
							 int make);

/* They are not needed any more. */
static __always_inline void nw_http_deep_free(struct nw_http *h);

/* A PROXY protocol header has come: w->line, w->first.bytes of it. */
static __always_inline void nw_http_on_proxy(NW_HTTP_CTX *ctx,
					     const struct nw_http_work *w);

/* Optional, with NW_HTTP_ON_WHOLE: the request that was pushed last is complete. */
#ifdef NW_HTTP_ON_WHOLE
static __always_inline void nw_http_on_whole(struct nw_http *h,
					     const struct nw_http_dir *d,
					     __u32 end_seq, __u64 now);
#endif

/* Optional, with NW_HTTP_ON_REQUEST_END: the same within a segment. */
#ifdef NW_HTTP_ON_REQUEST_END
static __always_inline void
nw_http_on_request_end(NW_HTTP_CTX *ctx, const struct nw_http_work *w);
#endif

#endif /* NW_HTTP_TYPES_H */
