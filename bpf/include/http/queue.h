/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The requests that wait for a response, also after a loss. Part of http.h. */
#ifndef NW_HTTP_QUEUE_H
#define NW_HTTP_QUEUE_H

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

#endif /* NW_HTTP_QUEUE_H */
