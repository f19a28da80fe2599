// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * fault: what the kernel refused, with the kernel's own reason.
 *
 * Traces  skb:kfree_skb (drops: bad sequence numbers, bad checksums, no socket,
 *         firewall …), tcp:tcp_send_reset, tcp:tcp_receive_reset, and
 *         tcp:tcp_bad_csum where drops have no reason (before 5.17);
 *         cgroup_skb ingress for accept queues that overflow.
 * Emits   nw_fault per drop and per reset, but none for keepalive probes, which
 *         are only counted. Totals by reason in fault_totals, but
 *         for what waits to be accepted (NW_MARK_UNJUDGED): the reader counts it.
 *         Overflows by listening socket in shared_overflows.
 * Cost    a few ns per received packet, to know whether it came to a listening
 *         socket; see `make bench` for ns per drop.
 */
#include "keepalive.bpf.h"
#include "listener_of.bpf.h"
#include "overflow.bpf.h"
#include "overflows.bpf.h"
#include "ring.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

NW_RECORD(nw_fault);
NW_ENUM(nw_mark);

/* What the tracepoints of this kernel pass on; set by the reader. */
const volatile bool nw_has_drop_reason = false;
const volatile bool nw_has_drop_socket = false;
const volatile bool nw_has_reset_reason = false;
/*
 * SKB_DROP_REASON_QUEUE_PURGE: what lay in the queues of a socket that closes,
 * often just its FIN, or a raw socket's copy. Nobody lost a packet.
 */
const volatile __u32 nw_purge_reason = 0;
/*
 * What overflows of accept queues are called: the kernel's TCP_LISTEN_OVERFLOW,
 * which it gives the last ACK of a handshake since 6.14, or a number of our own.
 */
const volatile __u32 nw_overflow_reason = 0;

struct nw_fault_key {
	__u32 kind; /* NW_KIND_DROP, NW_KIND_RESET or NW_KIND_KEEPALIVE */
	__u32 reason;
	__u32 family;
	__u32 rx;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct nw_fault_key);
	__type(value, __u64);
} fault_totals SEC(".maps");

static __always_inline void nw_count_fault(const struct nw_fault *f)
{
	struct nw_fault_key key = {
		.kind = f->head.kind,
		.reason = f->reason,
		.family = f->tuple.family,
		.rx = f->rx,
	};
	__u64 none = 0, *count = nw_table_make(&fault_totals, &key, &none);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void nw_emit_fault(struct nw_fault *f)
{
	struct nw_fault *record;

	if (!(f->marks & NW_MARK_UNJUDGED))
		nw_count_fault(f);
	/* asked and answered: nobody lost a packet */
	if (f->head.kind == NW_KIND_KEEPALIVE)
		return;
	record = nw_reserve(sizeof(*record));
	if (!record)
		return;
	f->head.ts_ns = bpf_ktime_get_ns();
	*record = *f;
	nw_submit(record);
}

/* What a listener resets or has no room for nobody will accept. */
static __always_inline bool nw_is_listeners(const struct nw_fault *f)
{
	return f->state == TCP_LISTEN && (f->head.kind == NW_KIND_RESET ||
					  f->reason == nw_overflow_reason);
}

/*
 * What never got to a socket is of who listens where it was bound for, unless
 * the reader knows a connection with these ends. A filter by process may be
 * for another than that one's, so it lets only what opens one through.
 */
static __always_inline const struct nw_owner *
nw_own_by_place(struct nw_fault *f)
{
	__u8 flags = f->tcp_flags & (NW_TCP_SYN | NW_TCP_ACK);
	struct nw_listener *listener;

	if (f->head.kind != NW_KIND_DROP || !f->rx ||
	    (nw_owner_filtered() && flags != NW_TCP_SYN))
		return NULL;
	listener = nw_listener_of(&f->tuple, f->head.netns, f->reason);
	if (!listener)
		return NULL;
	f->task = listener->owner.task;
	return &listener->owner;
}

/* Hands it over if the filter lets it through, or may; false if not. */
static __always_inline bool nw_judge_fault(struct nw_fault *f, struct sock *sk)
{
	const struct nw_owner *owner;
	struct nw_socket *s = NULL;
	int marks = NW_MARK_NONE;

	if (sk)
		s = nw_socket_find(sk);
	if (s) {
		nw_adopt_owner(s, sk);
		if (s->owner_source != NW_OWNER_NONE)
			f->task = s->owner.task;
	}
	owner = sk ? nw_known_owner(s) : nw_own_by_place(f);
	if (s && !nw_is_listeners(f))
		marks = nw_judge(sk, s, &f->tuple);
	else if (!nw_allowed(&f->tuple, owner, sk))
		marks = NW_OUT;
	if (marks == NW_OUT)
		return false;
	f->marks = marks;
	nw_emit_fault(f);
	return true;
}

static __always_inline void nw_fill_headers(struct nw_fault *f,
					    const struct nw_headers *h)
{
	f->tuple = h->tuple;
	f->seq = h->seq;
	f->ack = h->ack;
	f->skb_bytes = h->skb_bytes;
	f->tcp_flags = h->flags;
}

static __always_inline int nw_drop(struct sk_buff *skb, __u32 reason,
				   struct sock *sk)
{
	struct nw_headers headers = {};
	struct nw_fault f = {};

	f.rx = skb->skb_iif != 0;
	/* what a firewall stops on its way out */
	if (!sk && !f.rx)
		sk = skb->sk;
	/* the socket first: TCP takes the device off a packet it queues */
	f.head.netns = sk ? nw_sock_netns(sk) : nw_skb_netns(skb);
	if (!nw_netns_allowed(f.head.netns))
		return 0;
	if (!nw_skb_headers(skb, f.rx, &headers))
		return 0;
	nw_fill_headers(&f, &headers);
	f.head.kind = nw_is_keepalive(sk, reason, &headers) ?
			      NW_KIND_KEEPALIVE :
			      NW_KIND_DROP;
	f.reason = reason;
	if (sk) {
		f.head.sock = (__u64)sk;
		f.state = sk->__sk_common.skc_state;
	}
	nw_judge_fault(&f, sk);
	return 0;
}

/* Up to this number: not dropped yet, consumed (since 6.4), not specified. */
static __always_inline __u32 nw_no_reason(void)
{
	return bpf_core_enum_value(enum skb_drop_reason,
				   SKB_DROP_REASON_NOT_SPECIFIED);
}

NW_NESTED("kfree_skb", kfree_skb)

SEC("?tp_btf/kfree_skb")
int kfree_skb(__u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct sock *sk = NULL;
	__u32 reason;

	NW_MAY_NEST(kfree_skb);
	if (!nw_has_drop_reason)
		return 0;
	reason = (__u32)ctx[2];
	/* listener_ingress has seen an overflow's, and its SYNs too */
	if (reason <= nw_no_reason() || reason == nw_purge_reason ||
	    reason == nw_overflow_reason)
		return 0;
	if (nw_has_drop_socket)
		sk = (struct sock *)ctx[3];
	return nw_drop(skb, reason, sk);
}

/* One more that found the accept queue full. A frame of its own, as it is rare. */
static __noinline int nw_overflow(struct __sk_buff *ctx)
{
	struct sock *listener = nw_full_listener(ctx);
	struct nw_headers headers = {};
	struct nw_fault f = {};

	if (!listener || !nw_netns_allowed(nw_sock_netns(listener)) ||
	    !nw_parse(ctx, true, &headers) ||
	    !nw_overflow_of(ctx, listener, &headers))
		return 0;
	nw_fill_headers(&f, &headers);
	f.head.kind = NW_KIND_DROP;
	f.head.netns = nw_sock_netns(listener);
	f.head.sock = (__u64)listener;
	f.reason = nw_overflow_reason;
	f.state = TCP_LISTEN;
	f.rx = 1;
	if (nw_judge_fault(&f, listener))
		nw_count_overflow(listener);
	return 0;
}

SEC("?cgroup_skb/ingress")
int listener_ingress(struct __sk_buff *ctx)
{
	if (nw_full_listener(ctx))
		nw_overflow(ctx);
	return 1;
}

/* Only where kfree_skb has no reason: a drop must not be counted twice. */
SEC("?tp_btf/tcp_bad_csum")
int BPF_PROG(tcp_bad_csum, struct sk_buff *skb)
{
	return nw_drop(skb, 0, NULL);
}

static __always_inline void nw_emit_reset(struct sock *sk, struct nw_fault *f)
{
	f->head.kind = NW_KIND_RESET;
	nw_judge_fault(f, sk);
}

NW_NESTED("tcp_send_reset", tcp_send_reset)

SEC("?tp_btf/tcp_send_reset")
int tcp_send_reset(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sk_buff *skb = (struct sk_buff *)ctx[1];
	struct nw_headers headers = {};
	struct tcp_sock *tp = NULL;
	struct nw_fault f = {};

	NW_MAY_NEST(tcp_send_reset);
	if (nw_has_reset_reason)
		f.reason = (__u32)ctx[2];
	if (sk) {
		f.head.netns = nw_sock_netns(sk);
		f.head.sock = (__u64)sk;
		f.state = sk->__sk_common.skc_state;
		tp = bpf_skc_to_tcp_sock(sk);
	} else if (skb) {
		f.head.netns = nw_skb_netns(skb);
	}
	if (!nw_netns_allowed(f.head.netns))
		return 0;
	/* an answer to a packet, or the socket's own decision */
	if (skb && skb->skb_iif && nw_skb_headers(skb, true, &headers)) {
		nw_fill_headers(&f, &headers);
		nw_emit_reset(sk, &f);
	} else if (tp) {
		nw_sock_tuple(tp, &f.tuple);
		f.seq = tp->snd_nxt;
		f.ack = tp->rcv_nxt;
		nw_emit_reset(sk, &f);
	}
	return 0;
}

NW_NESTED("tcp_receive_reset", tcp_receive_reset)

SEC("?tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	struct nw_fault f = {};
	struct tcp_sock *tp;

	NW_MAY_NEST(tcp_receive_reset);
	f.head.netns = nw_sock_netns(sk);
	if (!nw_netns_allowed(f.head.netns))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	f.head.sock = (__u64)sk;
	f.state = sk->__sk_common.skc_state;
	f.rx = 1;
	nw_sock_tuple(tp, &f.tuple);
	f.seq = tp->rcv_nxt;
	f.ack = tp->snd_una;
	nw_emit_reset(sk, &f);
	return 0;
}
