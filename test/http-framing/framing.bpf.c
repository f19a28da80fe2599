// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/http.h in the smallest program that can use it, to see that the
 * kernel takes it and what it costs; also the example of how to include it.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* What one packet knows and its hooks need. */
struct framing_user {
	__u32 heads;
};

#define NW_HTTP_CTX struct __sk_buff
#define NW_HTTP_USER struct framing_user
#include "http.h"

#define LISTEN_PORT_LIMIT 32768 /* below it is the server, in this test */

struct framing_record {
	__u64 ns;
	struct nw_http_first first;
	__u8 line[NW_HTTP_LINE_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_http);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NW_HTTP_SLOTS);
	__type(key, __u32);
	__type(value, struct nw_http_work);
} works SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} heads SEC(".maps");

/* Counted by status / 100 for ends, by method for requests. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

/* The segment is fed as if it were the next, whatever its number says. */
const volatile __u8 benchmark = 0;

static __always_inline void count(__u32 key)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &key);

	if (value)
		*value += 1;
}

static __always_inline struct nw_http_work *nw_http_work(__u32 slot)
{
	return bpf_map_lookup_elem(&works, &slot);
}

static __always_inline struct nw_http *nw_http_state(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? bpf_sk_storage_get(&connections, sk, 0, 0) : 0;
}

static __always_inline long nw_http_load(struct __sk_buff *ctx, __u32 offset,
					 void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(ctx, offset, to, bytes);
}

static __always_inline void nw_http_on_head(struct __sk_buff *ctx,
					    const struct nw_http_work *w)
{
	struct framing_record *r;

	count(w->first.method);
	if (benchmark)
		return;
	r = bpf_ringbuf_reserve(&heads, sizeof(*r), 0);
	if (!r)
		return;
	r->ns = w->now;
	r->first = w->first;
	__builtin_memcpy(r->line, w->line, sizeof(r->line));
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
}

static __always_inline void nw_http_on_end(struct nw_http *h,
					   const struct nw_http_end *end)
{
	count(16 + (end->status / 100 & 7) + (end->start_ns ? 8 : 0));
}

static __always_inline void nw_http_on_lost(struct nw_http *h, __u32 requests)
{
}

static __always_inline void nw_http_on_waiting(struct nw_http *h, __s32 more)
{
}

/* Nothing lies outside. */
static __always_inline struct nw_http_deep *nw_http_deep(struct nw_http *h,
							 int make)
{
	return 0;
}

static __always_inline void nw_http_deep_free(struct nw_http *h)
{
}

static __always_inline void nw_http_on_proxy(struct __sk_buff *ctx,
					     const struct nw_http_work *w)
{
}

static __always_inline struct nw_http *state_of(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct bpf_tcp_sock *tp;
	struct nw_http *h;

	if (!sk)
		return 0;
	h = bpf_sk_storage_get(&connections, sk, 0, 0);
	if (h)
		return h;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	h = bpf_sk_storage_get(&connections, sk, 0,
			       BPF_SK_STORAGE_GET_F_CREATE);
	if (!h)
		return 0;
	tp = bpf_tcp_sock(sk);
	if (tp && (tp->bytes_received || tp->bytes_acked > 1))
		nw_http_midstream(h, 0);
	if (tp)
		nw_http_expect(h, NW_HTTP_IN, tp->rcv_nxt);
	return h;
}

static __always_inline __u32 tcp_offset(struct __sk_buff *ctx)
{
	struct iphdr ip;

	if (ctx->protocol == bpf_htons(0x86dd))
		return sizeof(struct ipv6hdr);
	if (bpf_skb_load_bytes(ctx, 0, &ip, sizeof(ip)) ||
	    ip.protocol != IPPROTO_TCP)
		return 0;
	return ip.ihl * 4;
}

static __always_inline int watch(struct __sk_buff *ctx, __u32 way)
{
	__u32 at = tcp_offset(ctx), payload, role;
	struct tcphdr tcp;
	struct nw_http *h;
	__u32 seq;
	__u16 local;

	if (!at || bpf_skb_load_bytes(ctx, at, &tcp, sizeof(tcp)))
		return 1;
	payload = at + tcp.doff * 4;
	if (ctx->len <= payload && !tcp.fin)
		return 1;
	h = state_of(ctx);
	if (!h || h->off)
		return 1;
	local = bpf_ntohs(way == NW_HTTP_IN ? tcp.dest : tcp.source);
	role = local < LISTEN_PORT_LIMIT ? NW_HTTP_ROLE_SERVER :
					   NW_HTTP_ROLE_CLIENT;
	seq = benchmark ? h->dir[way].next_seq : bpf_ntohl(tcp.seq) + tcp.syn;
	if (ctx->len > payload)
		nw_http_segment(ctx, h, way, role, payload, ctx->len - payload,
				seq, seq, bpf_ktime_get_ns());
	if (tcp.fin)
		nw_http_close(h, way, bpf_ktime_get_ns());
	return 1;
}

SEC("cgroup_skb/ingress")
int framing_in(struct __sk_buff *ctx)
{
	return watch(ctx, NW_HTTP_IN);
}

SEC("cgroup_skb/egress")
int framing_out(struct __sk_buff *ctx)
{
	return watch(ctx, NW_HTTP_OUT);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
