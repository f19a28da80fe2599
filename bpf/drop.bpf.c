// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * drop: TCP packets that the kernel gave up, with the way through the kernel
 * that led there.
 *
 * Traces  skb:kfree_skb; where it has no reason (before 5.17) also tcp_drop()
 *         and tcp:tcp_bad_csum. For the owners of sockets
 *         sock:inet_sock_set_state, the returns from accept() and listen(),
 *         and task/file once.
 * Emits   nw_tcp_drop per drop, with its kernel stack; with a filter by process
 *         nw_connection_owner where it shows whose a connection is.
 * Cost    none on packets that nobody drops; about 2 us per drop, most of it
 *         for the stack; 0.5 us per change of a socket's state.
 */
#include "keepalive.bpf.h"
#include "listener_of.bpf.h"
#include "ring.bpf.h"
#include "sequence.bpf.h"
#include "skb.bpf.h"
#include "owners.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NW_STACK_DEPTH 127 /* the kernel's own limit, unless it is changed */
#define NW_REASON_WORDS 4

/* What is wrong with a segment that came in, found in the segment itself. */
enum nw_segment_fault {
	NW_SEGMENT_FINE = 0,
	NW_SEGMENT_SEQUENCE = 1, /* out of the window */
	NW_SEGMENT_DATA_OFFSET = 2, /* a header of impossible length */
	NW_SEGMENT_CHECKSUM = 3,
	NW_SEGMENT_KEEPALIVE = 4, /* nothing: it asks with an old number */
};

struct nw_tcp_drop {
	struct nw_head head;
	struct nw_task task; /* the socket's owner; pid 0 = not known */
	struct nw_tuple tuple;
	nw_address_t location; /* in the function that gave the packet up */
	__u32 seq;
	__u32 ack;
	__u32 reason; /* enum skb_drop_reason of this kernel; 0 = has none */
	__u32 skb_bytes;
	__u32 stack_bytes;
	__u8 tcp_flags;
	__u8 rx;
	__u8 state; /* TCP_… of the socket; 0 = none */
	__u8 fault; /* enum nw_segment_fault */
	__u32 accepted_by; /* pid of another process than task; 0 = none */
	nw_comm_t accepted_by_comm;
	__u8 marks; /* enum nw_mark */
	__u8 pad[3];
	nw_address_t stack[NW_STACK_DEPTH];
};

NW_RECORD(nw_tcp_drop);
NW_ENUM(nw_segment_fault);
NW_RECORD(nw_connection_owner);
NW_ENUM(nw_mark);

/* What kfree_skb of this kernel passes on; set by the reader. */
const volatile bool nw_has_drop_reason = false;
const volatile bool nw_has_drop_socket = false;
/* Only segments that came in and were wrong, whatever the reason given. */
const volatile bool nw_only_faults = false;
/* Keepalive probes are wanted too. */
const volatile bool nw_with_keepalives = false;
/* Reasons that are wanted, by bit; those of subsystems are beyond. */
const volatile __u64 nw_reasons[NW_REASON_WORDS] = {};
/* See nw_purge_reason in fault.bpf.c. */
const volatile __u32 nw_purge_reason = 0;

/* What a hook knows of a drop. */
struct nw_drop_hint {
	struct sock *sk; /* NULL = not known */
	__u64 location;
	__u32 reason;
	__u8 fault;
};

static __always_inline bool nw_reason_wanted(__u32 reason)
{
	__u32 word = reason / 64;

	/* 6.1 forgets the limit if another register is looked at than is used */
	barrier_var(word);
	if (word >= NW_REASON_WORDS)
		return !nw_only_faults;
	return (nw_reasons[word] >> (reason % 64)) & 1;
}

/*
 * The data offset: less than a TCP header, or beyond the packet's end. A packet
 * of more than 64 KB has no length in its IP header.
 */
static __always_inline bool nw_wrong_offset(const struct nw_headers *h)
{
	__u32 least = h->tuple.family == AF_INET ? sizeof(struct iphdr) :
						   sizeof(struct ipv6hdr);

	return h->header_bytes < sizeof(struct tcphdr) ||
	       (h->skb_bytes > least && h->payload_offset > h->skb_bytes);
}

/* As tcp_sequence() judges. */
static __always_inline bool nw_wrong_sequence(struct sock *sk,
					      const struct nw_headers *h)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	__u32 end = h->seq + h->payload_bytes + !!(h->flags & NW_TCP_SYN) +
		    !!(h->flags & NW_TCP_FIN);
	__u32 asked = BPF_CORE_READ(tp, rcv_wup);
	__u32 next = BPF_CORE_READ(tp, rcv_nxt);
	__u32 limit = asked + BPF_CORE_READ(tp, rcv_wnd);

	if (nw_seq_before(limit, next))
		limit = next;
	return nw_seq_before(end, asked) || nw_seq_before(limit, h->seq);
}

/* The way to the namespace of a packet that has left its device. */
static __always_inline __u32 nw_drop_netns(const struct sk_buff *skb,
					   struct sock *sk)
{
	struct dst_entry *route;
	__u32 netns;

	if (sk)
		return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	netns = nw_skb_netns(skb);
	if (netns)
		return netns;
	/* its lowest bit says whether it is counted */
	route = (struct dst_entry *)(BPF_CORE_READ(skb, _skb_refdst) & ~1UL);
	return BPF_CORE_READ(route, dev, nd_net.net, ns.inum);
}

/*
 * The socket that a packet belongs to. One that came in may still carry the
 * sender's, which is another.
 */
static __always_inline struct sock *
nw_carried_socket(const struct sk_buff *skb, const struct nw_headers *h,
		  bool rx)
{
	struct sock *sk = skb->sk;

	if (!sk || !rx ||
	    BPF_CORE_READ(sk, __sk_common.skc_num) == h->tuple.local_port)
		return sk;
	return NULL;
}

/*
 * True of a copy that a raw socket got beside TCP: what becomes of that is no
 * drop of TCP's.
 */
static __always_inline bool nw_is_copy(struct sock *sk)
{
	__u8 state;

	if (!sk)
		return false;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	/* these two are too short to have a type */
	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV &&
	       BPF_CORE_READ(sk, sk_type) == SOCK_RAW;
}

/* Whose packet it was. */
struct nw_drop_owner {
	struct sock *sk; /* to be read field by field; NULL = not known */
	struct nw_owner owner;
	int marks; /* enum nw_mark, or NW_OUT */
};

static __always_inline void nw_judge_socket(struct nw_drop_owner *owner,
					    struct sock *sk,
					    const struct nw_tuple *tuple)
{
	struct nw_socket *s = nw_socket_find(sk);

	owner->sk = sk;
	if (!s) {
		owner->marks = nw_allowed(tuple, NULL, sk) ? 0 : NW_OUT;
		return;
	}
	nw_adopt_owner(s, sk);
	if (s->owner_source != NW_OWNER_NONE)
		owner->owner = s->owner;
	owner->marks = nw_judge(sk, s, tuple);
}

/* `reason`: of a packet that came in; else nobody was to get it. */
static __always_inline void nw_judge_ends(struct nw_drop_owner *owner,
					  const struct nw_tuple *tuple,
					  __u32 netns, __u32 reason)
{
	struct nw_owned *owned = nw_owner_by_ends(tuple, netns);
	struct nw_listener *listener = NULL;
	bool allowed;

	if (!owned)
		listener = nw_listener_of(tuple, netns, reason);
	if (owned) {
		owner->sk = (struct sock *)owned->sock;
		owner->owner = owned->owner;
	} else if (listener) {
		owner->sk = (struct sock *)listener->sock;
		owner->owner = listener->owner;
	}
	allowed = nw_allowed(tuple, &owner->owner, owner->sk);
	if (!owned || !owned->unaccepted || !nw_owner_filtered())
		owner->marks = allowed ? 0 : NW_OUT;
	else if (nw_tuple_allowed(tuple))
		owner->marks = NW_MARK_UNJUDGED |
			       (allowed ? NW_MARK_LISTENER_ALLOWED : 0);
	else
		owner->marks = NW_OUT;
}

/*
 * By the socket, or, where the packet did not get so far, by its ends, or by who
 * listens at the one that was to get it.
 */
static __always_inline void nw_find_owner(struct nw_drop_owner *owner,
					  const struct nw_drop_hint *hint,
					  const struct nw_headers *h,
					  __u32 netns, bool rx)
{
	if (hint->sk)
		nw_judge_socket(owner, hint->sk, &h->tuple);
	else
		nw_judge_ends(owner, &h->tuple, netns,
			      rx ? hint->reason : nw_no_socket_reason);
}

static __always_inline void nw_emit_drop(void *ctx, const struct nw_headers *h,
					 const struct nw_drop_owner *owner,
					 const struct nw_drop_hint *hint,
					 __u32 netns, bool rx)
{
	struct nw_tcp_drop *d = nw_reserve(sizeof(*d));
	struct sock *sk = owner->sk;
	long bytes;

	if (!d)
		return;
	d->head.ts_ns = bpf_ktime_get_ns();
	d->head.sock = (__u64)sk;
	d->head.kind = NW_KIND_TCP_DROP;
	d->head.netns = netns;
	d->task = owner->owner.task;
	d->tuple = h->tuple;
	d->location = hint->location;
	d->seq = h->seq;
	d->ack = h->ack;
	d->reason = hint->reason;
	d->skb_bytes = h->skb_bytes;
	d->tcp_flags = h->flags;
	d->rx = rx;
	d->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	d->fault = hint->fault;
	nw_fill_acceptor(d, &owner->owner);
	d->marks = owner->marks;
	__builtin_memset(d->pad, 0, sizeof(d->pad));
	bytes = bpf_get_stack(ctx, d->stack, sizeof(d->stack), 0);
	d->stack_bytes = bytes > 0 ? bytes : 0;
	nw_submit(d);
}

static __always_inline int nw_dropped(void *ctx, const struct sk_buff *skb,
				      struct nw_drop_hint *hint)
{
	struct nw_drop_owner owner = {};
	struct nw_headers headers = {};
	bool rx = skb->skb_iif != 0;
	__u32 netns;

	if (!nw_skb_headers(skb, rx, &headers) ||
	    (rx && nw_is_copy(hint->sk ? hint->sk : skb->sk)))
		return 0;
	if (!hint->sk)
		hint->sk = nw_carried_socket(skb, &headers, rx);
	netns = nw_drop_netns(skb, hint->sk);
	if (!nw_netns_allowed(netns))
		return 0;
	if (rx && !nw_only_faults &&
	    nw_is_keepalive(hint->sk, hint->reason, &headers)) {
		if (!nw_with_keepalives)
			return 0;
		hint->fault = NW_SEGMENT_KEEPALIVE;
	}
	if (nw_only_faults) {
		if (nw_wrong_offset(&headers))
			hint->fault = NW_SEGMENT_DATA_OFFSET;
		if (!rx || (!hint->fault && (!nw_has_drop_reason ||
					     !nw_reason_wanted(hint->reason))))
			return 0;
	}
	nw_find_owner(&owner, hint, &headers, netns, rx);
	if (owner.marks != NW_OUT)
		nw_emit_drop(ctx, &headers, &owner, hint, netns, rx);
	return 0;
}

static __always_inline int nw_skb_freed(__u64 *ctx)
{
	const struct sk_buff *skb = (const struct sk_buff *)ctx[0];
	struct nw_drop_hint hint = {.location = ctx[1]};

	if (nw_has_drop_reason) {
		hint.reason = (__u32)ctx[2];
		if (hint.reason == nw_purge_reason ||
		    (!nw_only_faults && !nw_reason_wanted(hint.reason)))
			return 0;
	}
	if (nw_has_drop_socket)
		hint.sk = (struct sock *)ctx[3];
	return nw_dropped(ctx, skb, &hint);
}

NW_NESTED("kfree_skb", kfree_skb)

SEC("?tp_btf/kfree_skb")
int kfree_skb(__u64 *ctx)
{
	NW_MAY_NEST(kfree_skb);
	return nw_skb_freed(ctx);
}

/* Before 5.17: what TCP drops; its other packets end here too. */
SEC("?fentry/tcp_drop")
int BPF_PROG(tcp_drop, struct sock *sk, struct sk_buff *skb)
{
	struct nw_drop_hint hint = {.sk = sk};
	struct nw_headers headers = {};

	if (nw_only_faults && nw_skb_headers(skb, true, &headers) &&
	    nw_wrong_sequence(sk, &headers))
		hint.fault = NW_SEGMENT_SEQUENCE;
	return nw_dropped(ctx, skb, &hint);
}

/* Only where kfree_skb has no reason: a drop must not be told twice. */
SEC("?tp_btf/tcp_bad_csum")
int BPF_PROG(tcp_bad_csum, struct sk_buff *skb)
{
	struct nw_drop_hint hint = {.fault = NW_SEGMENT_CHECKSUM};

	return nw_dropped(ctx, skb, &hint);
}

NW_NESTED("inet_sock_set_state", inet_sock_set_state)

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int state)
{
	NW_MAY_NEST(inet_sock_set_state);
	return nw_note_state(sk, old_state, state);
}

NW_ACCEPT_PROGRAMS(nw_note_accept)
NW_USER_PROGRAMS(nw_note_user)
NW_LISTEN_PROGRAM
NW_FORGET_PROGRAM

SEC("?iter/task_file")
int task_file(struct bpf_iter__task_file *ctx)
{
	return nw_note_file(ctx);
}
