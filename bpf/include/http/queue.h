/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The requests that wait for a response, also after a loss. Part of http.h.
 *
 * Numbered as they pass: in is the next one's number, out the oldest that waits.
 * A few lie in the connection's state. When they are full, the next ones lie
 * outside, from deep_from on, until none waits any more; when those are full
 * too, or there is no memory, requests go over: counted, but not known, until
 * all of them are answered.
 *
 *   moved on by the request direction        moved on by the response direction
 *   in, after the entry is written           out, after the entry is read
 *   deep_from, then deep = 1, before in
 *   deep = 0, only while in == out: nobody
 *   reads an entry then
 *   over_in                                  over_out
 *
 * A response follows its request through the network, and so sees its entry.
 */
#ifndef NW_HTTP_QUEUE_H
#define NW_HTTP_QUEUE_H

static __always_inline __u32 nw_http_outstanding(const struct nw_http *h)
{
	return (h->in - h->out) + (h->over_in - h->over_out);
}

static __always_inline struct nw_http_request *
nw_http_deep_entry(struct nw_http_deep *deep, __u32 number)
{
	if (!deep)
		return 0;
	number &= NW_HTTP_DEPTH - 1;
	/* the verifier wants to see it compared before anything is added */
	asm volatile("" : "+r"(number));
	return &deep->request[number & (NW_HTTP_DEPTH - 1)];
}

/* Where a request's entry is; NULL only if what lies outside is gone. */
static __always_inline struct nw_http_request *nw_http_entry(struct nw_http *h,
							     __u32 number)
{
	if (!h->deep || (__s32)(number - h->deep_from) < 0)
		return &h->queue[number & (NW_HTTP_QUEUE - 1)];
	return nw_http_deep_entry(nw_http_deep(h, 0), number);
}

/* A place for the next request; NULL: it goes over. */
static __always_inline struct nw_http_request *nw_http_place(struct nw_http *h)
{
	__u32 waiting = h->in - h->out;
	struct nw_http_deep *deep;

	if (h->over_in != h->over_out)
		return 0;
	if (h->deep && !waiting) {
		h->deep = 0;
		nw_http_deep_free(h);
	}
	if (!h->deep && waiting < NW_HTTP_QUEUE)
		return &h->queue[h->in & (NW_HTTP_QUEUE - 1)];
	if (waiting >= NW_HTTP_DEPTH)
		return 0;
	deep = nw_http_deep(h, !h->deep);
	if (!deep)
		return 0;
	if (!h->deep) {
		h->deep_from = h->in;
		nw_http_barrier();
		h->deep = 1;
	}
	return nw_http_deep_entry(deep, h->in);
}

/* A frame of its own: the hooks that find what lies outside need room. */
NW_HTTP_FN int nw_http_push(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	struct nw_http *h = nw_http_state(ctx);
	struct nw_http_request *place;
	__u32 answering;
	__u64 start;

	if (!w || !h)
		return 0;
	start = (__u64)(w->d.version == 1) << 4 | (w->d.method & 15);
	/* not as an index: 6.1's verifier loses its bounds */
	answering = w->way ? h->dir[0].phase : h->dir[1].phase;
	/* in step again once nothing else can be on its way */
	if ((w->d.flags & NW_HTTP_F_LOST) && !nw_http_outstanding(h) &&
	    answering == NW_HTTP_START)
		w->d.flags &= ~NW_HTTP_F_LOST;
	if (!(w->d.flags & NW_HTTP_F_LOST))
		start |= w->d.first_ns << 5;
	/* the hooks ask for the side */
	h->request = w->way ? 2 : 1;
	place = nw_http_place(h);
	if (!place) {
		h->over_in++;
		return 0;
	}
	place->start = start;
	place->body_bytes = NW_HTTP_NO_SIZE;
	nw_http_barrier();
	h->in++;
	nw_http_on_waiting(h, 1);
	return 0;
}

/* The request pushed last is complete, unless it has been answered already. */
NW_HTTP_FN int nw_http_sized(NW_HTTP_CTX *ctx, __u32 slot)
{
	struct nw_http_work *w = nw_http_work(slot);
	struct nw_http *h = nw_http_state(ctx);
	struct nw_http_request *entry;

	if (!w || !h || h->in == h->out || h->over_in != h->over_out)
		return 0;
	entry = nw_http_entry(h, h->in - 1);
	if (entry)
		entry->body_bytes = w->d.body;
	return 0;
}

/* The oldest request's entry; NULL if there is none or it is not known. */
static __always_inline struct nw_http_request *nw_http_oldest(struct nw_http *h)
{
	return h->in != h->out ? nw_http_entry(h, h->out) : 0;
}

NW_HTTP_FN __u32 nw_http_oldest_method(NW_HTTP_CTX *ctx)
{
	struct nw_http *h = nw_http_state(ctx);
	struct nw_http_request *entry;

	if (!h)
		return NW_HTTP_NONE;
	entry = nw_http_oldest(h);
	return entry ? entry->start & 15 : NW_HTTP_NONE;
}

static __always_inline void nw_http_pop(struct nw_http *h)
{
	if (h->in != h->out) {
		h->out++;
		nw_http_on_waiting(h, -1);
	} else if (h->over_in != h->over_out) {
		h->over_out++;
	}
}

/* What waited behind the request that began a tunnel is data in it. */
static __always_inline void nw_http_forget(struct nw_http *h)
{
	nw_http_on_waiting(h, (__s32)(h->out - h->in));
	h->out = h->in;
	h->over_out = h->over_in;
	if (h->deep)
		nw_http_deep_free(h);
	h->deep = 0;
}

/* After a gap it is not known which request is answered: take the last. */
NW_HTTP_FN int nw_http_pop_to_newest(NW_HTTP_CTX *ctx)
{
	struct nw_http *h = nw_http_state(ctx);
	struct nw_http_request *entry;
	__u32 waiting;

	if (!h || nw_http_outstanding(h) < 2)
		return 0;
	nw_http_on_lost(h, nw_http_outstanding(h) - 1);
	waiting = h->in - h->out;
	if (h->over_in != h->over_out) {
		nw_http_on_waiting(h, -(__s32)waiting);
		h->out = h->in;
		h->over_out = h->over_in - 1;
		return 0;
	}
	nw_http_on_waiting(h, 1 - (__s32)waiting);
	h->out = h->in - 1;
	entry = nw_http_entry(h, h->out);
	if (entry)
		entry->start &= 31;
	return 0;
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
	    d->status >= 200 && nw_http_outstanding(h)) {
		nw_http_pop(h);
		nw_http_on_lost(h, 1);
	}
	d->flags = NW_HTTP_F_SEQ | NW_HTTP_F_LOST | (d->flags & NW_HTTP_F_OLD);
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
		w->d.flags &= NW_HTTP_F_KEEP | NW_HTTP_F_OLD;
		w->d.phase = NW_HTTP_RESYNC;
		w->d.saved = 0;
	} else if (w->seen) {
		nw_http_lose(nw_http_state(ctx), &w->d, w->way);
	} else {
		/* a handshake record of any version */
		w->off = w->line[0] == 22 && w->line[1] == 3 ?
				 NW_HTTP_OFF_TLS :
				 NW_HTTP_OFF_OTHER;
	}
	nw_http_discard(w);
	return 0;
}

#endif /* NW_HTTP_QUEUE_H */
