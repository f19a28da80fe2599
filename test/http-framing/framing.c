// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/http.h as a program of its own: reads segments from standard
 * input, writes what the hooks were told to standard output, one line each.
 * test/http-framing.ts speaks the other side; the test compares with llhttp.
 *
 * Build: cc -O2 -I bpf/include -o framing framing.c
 */
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct packet {
	const unsigned char *payload;
	__u32 bytes;
	struct nw_http *connection;
};

#define NW_HTTP_CTX struct packet
#define NW_HTTP_ON_REQUEST_END
#include "http.h"

#define HEADERS 40 /* in front of the payload, as in a real packet */

/* What comes in: an order, its payload behind it. */
struct order {
	__u8 what;
	__u8 way;
	__u8 role;
	__u8 pad;
	__u32 seq;
	__u32 bytes;
	__u32 times;
	__u64 now;
};

static struct nw_http_work works[NW_HTTP_SLOTS];
static struct nw_http connection;
static struct nw_http_deep deep;
static int has_deep, deep_allowed;
static int waiting; /* requests, as the hooks are told */
static int quiet;

static __always_inline struct nw_http_work *nw_http_work(__u32 slot)
{
	return &works[slot];
}

static __always_inline struct nw_http *nw_http_state(struct packet *ctx)
{
	return ctx->connection;
}

static __always_inline long nw_http_load(struct packet *ctx, __u32 offset,
					 void *to, __u32 bytes)
{
	if (offset < HEADERS || offset - HEADERS > ctx->bytes ||
	    bytes > ctx->bytes - (offset - HEADERS))
		abort();
	memcpy(to, ctx->payload + offset - HEADERS, bytes);
	return 0;
}

static __always_inline void nw_http_on_head(struct packet *ctx,
					    const struct nw_http_work *w)
{
	const struct nw_http_first *f = &w->first;

	(void)ctx;
	if (quiet)
		return;
	printf("head %u %u %u %u %u %u %u ", w->way, f->kind, f->method,
	       f->status, f->version, f->offset, f->truncated);
	for (int i = 0; i < f->bytes; i++)
		printf("%02x", w->line[i]);
	putchar('\n');
}

static __always_inline void nw_http_on_end(struct nw_http *h,
					   const struct nw_http_end *end)
{
	(void)h;
	if (!quiet)
		printf("end %u %u %u %llu %llu %llu %llu %lld %u %u\n",
		       end->method, end->status, end->version, end->start_ns,
		       end->end_ns, end->body_bytes, end->first_ns,
		       (long long)end->request_bytes, end->outcome, end->cause);
}

static __always_inline void nw_http_on_lost(struct nw_http *h, __u32 requests)
{
	(void)h;
	if (!quiet && requests)
		printf("lost %u\n", requests);
}

static __always_inline void nw_http_on_waiting(struct nw_http *h, __s32 more)
{
	(void)h;
	waiting += more;
}

static __always_inline struct nw_http_deep *nw_http_deep(struct nw_http *h,
							 int make)
{
	(void)h;
	if (make && !has_deep && deep_allowed) {
		memset(&deep, 0xa5, sizeof(deep));
		has_deep = 1;
	}
	return has_deep ? &deep : NULL;
}

static __always_inline void nw_http_deep_free(struct nw_http *h)
{
	(void)h;
	has_deep = 0;
}

static __always_inline void nw_http_on_proxy(struct packet *ctx,
					     const struct nw_http_work *w)
{
	(void)ctx;
	printf("proxy ");
	for (int i = 0; i < w->first.bytes; i++)
		printf("%02x", w->line[i]);
	putchar('\n');
}

static __always_inline void nw_http_on_request_end(struct packet *ctx,
						   const struct nw_http_work *w)
{
	(void)ctx;
	if (!quiet)
		printf("sent %llu\n", w->d.body);
}

/* Nothing of the scratch may be needed by the next segment. */
static void forget(void)
{
	memset(works, 0xa5, sizeof(works));
	for (int i = 0; i < NW_HTTP_SLOTS; i++)
		works[i].busy = 0;
}

static void segment(const struct order *o, const unsigned char *payload)
{
	struct packet packet = {payload, o->bytes, &connection};
	/* with the flag TCP has not got either what is missing before it */
	__u32 known_seq = o->pad ? connection.dir[o->way].next_seq : o->seq;

	if (o->way == NW_HTTP_IN)
		nw_http_segment(&packet, &connection, NW_HTTP_IN, o->role,
				HEADERS, o->bytes, o->seq, known_seq, o->now);
	else
		nw_http_segment(&packet, &connection, NW_HTTP_OUT, o->role,
				HEADERS, o->bytes, o->seq, known_seq, o->now);
	for (int i = 0; i < NW_HTTP_SLOTS; i++)
		if (works[i].busy)
			abort();
	if (!quiet)
		forget();
}

static void print_state(void)
{
	printf("state %u %u %u %u %u %u %u %d %d\n", connection.off,
	       connection.request, connection.dir[0].phase,
	       connection.dir[1].phase, nw_http_outstanding(&connection),
	       nw_http_resyncs(&connection), connection.over_in, waiting,
	       has_deep);
}

/* The same segment over and over, as if it were always the next one. */
static void benchmark(struct order *o, const unsigned char *payload)
{
	struct timespec from, to;
	double ns;

	quiet = 1;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (__u32 i = 0; i < o->times; i++) {
		o->seq = connection.dir[o->way].next_seq;
		segment(o, payload);
		if (o->pad) /* keep the queue empty */
			while (connection.out != connection.in)
				nw_http_pop(&connection);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	quiet = 0;
	ns = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
	printf("bench %.1f\n", ns / o->times);
}

static void obey(struct order *o, const unsigned char *payload)
{
	switch (o->what) {
	case 'N':
		memset(&connection, 0, sizeof(connection));
		has_deep = 0;
		deep_allowed = !o->pad; /* with the flag there is no memory */
		waiting = 0;
		forget();
		puts("new");
		break;
	case 'S':
		segment(o, payload);
		break;
	case 'C':
		nw_http_close(&connection, o->way, o->now);
		break;
	case 'X': /* ended; the way is the outcome */
		while (nw_http_end_next(&connection, o->now, o->way, !o->pad))
			;
		break;
	case 'M':
		nw_http_midstream(&connection, o->way);
		break;
	case 'E':
		nw_http_expect(&connection, o->way, o->seq);
		break;
	case 'B':
		benchmark(o, payload);
		break;
	case '=':
		print_state();
		break;
	default:
		exit(2);
	}
}

int main(void)
{
	struct order o;

	while (fread(&o, sizeof(o), 1, stdin) == 1) {
		/* exactly as large as it is, so that a sanitizer can tell */
		unsigned char *payload = malloc(o.bytes ? o.bytes : 1);

		if (!payload || fread(payload, 1, o.bytes, stdin) != o.bytes)
			return 2;
		obey(&o, payload);
		free(payload);
	}
	return 0;
}
