// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * packet: every TCP packet, with its layer times and its HTTP heads if asked.
 *
 * Traces  cgroup_skb ingress and egress; for layer times also
 *         net:netif_rx_entry, net:napi_gro_receive_entry,
 *         net:napi_gro_frags_entry, net:netif_receive_skb_entry,
 *         net:netif_receive_skb_list_entry, net:netif_receive_skb,
 *         net:net_dev_queue, net:net_dev_start_xmit, tcp:tcp_sendmsg_locked,
 *         tcp:tcp_rcv_space_adjust, tcp:tcp_destroy_sock; skb:kfree_skb for
 *         packets without a whole socket (TIME_WAIT).
 * Emits   nw_packet per packet, nw_http_head per HTTP message.
 * Cost    see `make bench`: ns per packet, without and with layer times.
 */
#include "http_packet.bpf.h"
#include "layers.bpf.h"
#include "ring.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

NW_RECORD(nw_packet);
NW_RECORD(nw_http_head);
NW_ENUM(nw_http_method);
NW_ENUM(nw_http_role);

/* Set by the reader before loading. */
const volatile bool nw_time = false;
const volatile bool nw_http_on = false;
const volatile bool nw_has_kernel_context = false;
const volatile bool nw_has_drop_socket = false;
const volatile __u32 nw_no_socket_reason = 0;
const volatile bool nw_records = true; /* false: totals only */

static __always_inline void nw_emit_packet(const struct nw_packet *packet)
{
	struct nw_packet *record = nw_reserve(sizeof(*record));

	if (!record)
		return;
	*record = *packet;
	nw_submit(record);
}

static __always_inline void nw_finish_packet(const struct nw_packet *packet)
{
	if (nw_time)
		nw_count_layers(packet);
	if (nw_records)
		nw_emit_packet(packet);
}

/* The kernel's socket of a cgroup_skb context, as a pointer with a type. */
static __always_inline struct sock *nw_kernel_sock(struct __sk_buff *ctx,
						   struct bpf_sock *sk)
{
	if (nw_has_kernel_context)
		return ((struct sk_buff *)bpf_cast_to_kern_ctx(ctx))->sk;
	return (struct sock *)bpf_skc_to_tcp_sock(sk);
}

/* What a search through the writes of a socket looks for, and finds. */
struct nw_write_search {
	struct nw_flow *flow;
	__u32 seq;
	__u32 pad;
	__u64 ns; /* 0 = not found */
};

/* One step back from the newest write; 1 ends the search. */
static long nw_search_write(__u32 i, struct nw_write_search *search)
{
	struct nw_flow *flow = search->flow;
	__u32 index = flow->write_count - 1 - i;
	struct nw_write *w = &flow->writes[index & (NW_WRITES - 1)];

	if (i >= flow->write_count)
		return 1;
	if ((__s32)(search->seq - w->seq) < 0)
		return 0;
	search->ns = w->ns;
	return 1;
}

/* When the application wrote the byte with this sequence number; 0 = unknown. */
static __always_inline __u64 nw_written_ns(struct nw_flow *flow, __u32 seq)
{
	struct nw_write_search search = {.flow = flow, .seq = seq};

	/* nearly always the newest write */
	if (nw_search_write(0, &search) || search.ns)
		return search.ns;
	nw_loop(NW_WRITES, nw_search_write, &search);
	return search.ns;
}

static __noinline int nw_finish_slot(struct nw_tx_slot *slot)
{
	if (slot)
		nw_finish_packet(&slot->packet);
	return 0;
}

static __always_inline void nw_transmit(struct __sk_buff *ctx,
					struct bpf_sock *sk,
					const struct nw_headers *h,
					struct nw_packet *p)
{
	struct nw_tx_set *set;
	__u64 key, handed_ns = ctx->tstamp;

	if (p->payload_bytes) {
		struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);
		__u64 written = flow ? nw_written_ns(flow, p->seq) : 0;

		if (written && handed_ns >= written)
			p->tcp_ns = handed_ns - written;
	}
	key = nw_tx_key(h->ports, p->seq, p->ack, p->payload_bytes != 0);
	set = nw_tx_set(key);
	if (!set)
		return;
	for (int i = 0; i < NW_WAYS; i++) {
		struct nw_tx_slot *slot = &set->way[i];
		__u64 old = slot->key;

		if (old == NW_TX_BUSY ||
		    (old &&
		     p->head.ts_ns - slot->packet.head.ts_ns < NW_TX_STALE_NS))
			continue;
		if (__sync_val_compare_and_swap(&slot->key, old, NW_TX_BUSY) !=
		    old)
			continue;
		if (old)
			nw_finish_slot(slot);
		slot->queue_ns = 0;
		slot->packet = *p;
		slot->key = key;
		return;
	}
	nw_finish_packet(p);
}

static __always_inline void nw_push(struct nw_flow *flow,
				    const struct nw_packet *p)
{
	__u32 tail = flow->tail;
	struct nw_pending *slot = &flow->pending[tail & (NW_PENDING - 1)];

	if (tail - flow->head >= NW_PENDING || slot->state ||
	    __sync_val_compare_and_swap(&flow->tail, tail, tail + 1) != tail) {
		nw_finish_packet(p);
		return;
	}
	slot->ns = p->head.ts_ns;
	slot->mac_ns = p->mac_ns;
	slot->ip_ns = p->ip_ns;
	slot->seq = p->seq;
	slot->ack = p->ack;
	slot->payload_bytes = p->payload_bytes;
	slot->skb_bytes = p->skb_bytes;
	slot->tcp_flags = p->tcp_flags;
	slot->http_heads = p->http_heads;
	__sync_lock_test_and_set(&slot->state, NW_PENDING_READY);
}

/* True if the application will read this packet's data some day. */
static __always_inline bool nw_will_be_read(struct bpf_sock *sk,
					    const struct nw_packet *p)
{
	__u32 end = p->seq + p->payload_bytes;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!p->payload_bytes || !tp)
		return false;
	if (tp->inet_conn.icsk_inet.sk.__sk_common.skc_state == TCP_LISTEN)
		return false;
	return (__s32)(end - tp->copied_seq) > 0 &&
	       (__s32)(end - (tp->rcv_nxt + tp->rcv_wnd)) <= 0;
}

static __always_inline void nw_receive(struct __sk_buff *ctx,
				       struct bpf_sock *sk, struct nw_packet *p)
{
	struct nw_rx_slot *slot = NULL;
	struct nw_flow *flow;

	if (nw_has_kernel_context)
		slot = nw_rx_find(nw_number(bpf_cast_to_kern_ctx(ctx)));
	if (slot && slot->ip_ns) {
		p->mac_ns = slot->ip_ns - slot->mac_ns;
		p->ip_ns = p->head.ts_ns - slot->ip_ns;
		slot->skb = 0;
	}
	if (nw_will_be_read(sk, p)) {
		flow = bpf_sk_storage_get(&flows, sk, 0,
					  BPF_SK_STORAGE_GET_F_CREATE);
		if (flow) {
			nw_push(flow, p);
			return;
		}
	}
	nw_finish_packet(p);
}

static __always_inline int nw_see(struct __sk_buff *ctx, bool rx)
{
	struct nw_headers headers = {};
	struct nw_packet packet;
	struct nw_socket *s = NULL;
	struct bpf_sock *sk = ctx->sk;
	struct sock *kernel_sk;
	__u32 netns;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != NW_IPPROTO_TCP)
		return 1;
	kernel_sk = nw_kernel_sock(ctx, sk);
	if (!kernel_sk)
		return 1;
	netns = nw_sock_netns(kernel_sk);
	if (!nw_netns_allowed(netns) || !nw_parse(ctx, rx, &headers))
		return 1;
	if (nw_socket_filtered()) {
		s = bpf_sk_storage_get(&shared_sockets, sk, 0, 0);
		if (s)
			nw_adopt_owner(s, (__u64)kernel_sk);
		if (!nw_socket_allowed(kernel_sk, s, &headers.tuple))
			return 1;
	}
	/* the kernel's own reset and TIME_WAIT socket is raw: no connection */
	nw_fill_packet(&packet, &headers,
		       sk->type == SOCK_STREAM ? (__u64)kernel_sk : 0, netns,
		       rx);
	/* a sent packet carries the time at which TCP handed it over */
	packet.head.ts_ns = nw_time && !rx ? ctx->tstamp : 0;
	if (!packet.head.ts_ns)
		packet.head.ts_ns = bpf_ktime_get_ns();
	if (nw_http_on)
		packet.http_heads =
			nw_http_packet(ctx, sk, &headers,
				       rx ? NW_HTTP_IN : NW_HTTP_OUT,
				       packet.head.ts_ns);
	if (!nw_time)
		nw_finish_packet(&packet);
	else if (rx)
		nw_receive(ctx, sk, &packet);
	else
		nw_transmit(ctx, sk, &headers, &packet);
	return 1;
}

SEC("cgroup_skb/ingress")
int packet_ingress(struct __sk_buff *ctx)
{
	return nw_see(ctx, true);
}

SEC("cgroup_skb/egress")
int packet_egress(struct __sk_buff *ctx)
{
	return nw_see(ctx, false);
}

/*
 * Packets that TCP answers or ignores without a whole socket: for a connection
 * in TIME_WAIT, or for none at all. cgroup_skb does not see them, but TCP
 * discards them all.
 */
SEC("?tp_btf/kfree_skb")
int packet_unowned(__u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct nw_headers headers = {};
	struct nw_packet packet;
	struct nw_rx_slot *slot;
	struct sock *sk;
	__u32 netns;

	if (!nw_has_drop_socket || !skb->skb_iif)
		return 0;
	sk = (struct sock *)ctx[3];
	if (sk ? sk->__sk_common.skc_state != TCP_TIME_WAIT :
		 (__u32)ctx[2] != nw_no_socket_reason)
		return 0;
	netns = sk ? nw_sock_netns(sk) : nw_skb_netns(skb);
	if (!nw_netns_allowed(netns) || nw_task_filtered() ||
	    nw_filter.cgroup || !nw_skb_headers(skb, true, &headers) ||
	    !nw_tuple_allowed(&headers.tuple))
		return 0;
	nw_fill_packet(&packet, &headers, 0, netns, true);
	packet.head.ts_ns = bpf_ktime_get_ns();
	slot = nw_time ? nw_rx_find(nw_number(skb)) : NULL;
	if (slot && slot->ip_ns) {
		packet.mac_ns = slot->ip_ns - slot->mac_ns;
		packet.ip_ns = packet.head.ts_ns - slot->ip_ns;
		slot->skb = 0;
	}
	nw_finish_packet(&packet);
	return 0;
}

/* ---- receive: from the driver to the protocol stack ---- */

static __always_inline int nw_arrive(const struct sk_buff *skb)
{
	if (nw_skb_watched(skb))
		nw_rx_arrive(nw_number(skb), bpf_ktime_get_ns());
	return 0;
}

SEC("?tp_btf/netif_rx_entry")
int BPF_PROG(netif_rx_entry, struct sk_buff *skb)
{
	return nw_arrive(skb);
}

SEC("?tp_btf/napi_gro_receive_entry")
int BPF_PROG(napi_gro_receive_entry, struct sk_buff *skb)
{
	return nw_arrive(skb);
}

SEC("?tp_btf/napi_gro_frags_entry")
int BPF_PROG(napi_gro_frags_entry, struct sk_buff *skb)
{
	return nw_arrive(skb);
}

SEC("?tp_btf/netif_receive_skb_entry")
int BPF_PROG(netif_receive_skb_entry, struct sk_buff *skb)
{
	return nw_arrive(skb);
}

SEC("?tp_btf/netif_receive_skb_list_entry")
int BPF_PROG(netif_receive_skb_list_entry, struct sk_buff *skb)
{
	return nw_arrive(skb);
}

SEC("?tp_btf/netif_receive_skb")
int BPF_PROG(netif_receive_skb, struct sk_buff *skb)
{
	struct nw_rx_slot *slot;

	if (!nw_skb_watched(skb))
		return 0;
	slot = nw_rx_find(nw_number(skb));
	if (slot)
		slot->ip_ns = bpf_ktime_get_ns();
	return 0;
}

/* ---- receive: the application reads ---- */

/*
 * Where records are put together that several packets leave in one run. A soft
 * interrupt may destroy a socket while a task reads from another one on the
 * same CPU: each has its own.
 */
enum nw_scratch {
	NW_SCRATCH_READ = 0,
	NW_SCRATCH_DESTROY = 1,
	NW_SCRATCHES = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NW_SCRATCHES);
	__type(key, __u32);
	__type(value, struct nw_packet);
} scratch SEC(".maps");

/* Global, so that the verifier looks at it once and not once per packet. */
__noinline int nw_finish_scratch(__u32 which)
{
	struct nw_packet *p = bpf_map_lookup_elem(&scratch, &which);

	if (p)
		nw_finish_packet(p);
	return 0;
}

static __always_inline void nw_pop(struct nw_packet *p, __u32 which,
				   struct nw_pending *slot, bool read)
{
	p->mac_ns = slot->mac_ns;
	p->ip_ns = slot->ip_ns;
	p->tcp_ns = read ? p->head.ts_ns - slot->ns : NW_UNKNOWN;
	p->seq = slot->seq;
	p->ack = slot->ack;
	p->payload_bytes = slot->payload_bytes;
	p->skb_bytes = slot->skb_bytes;
	p->tcp_flags = slot->tcp_flags;
	p->http_heads = slot->http_heads;
	slot->state = NW_PENDING_FREE;
	nw_finish_scratch(which);
}

/* Segments that arrived out of order wait at most this far from the head. */
#define NW_UNREAD_LOOKAHEAD 3

/* A walk through the packets of a socket that wait to be read. */
struct nw_read_walk {
	struct nw_flow *flow;
	struct nw_packet *packet;
	__u32 which; /* enum nw_scratch */
	__u32 head;
	__u32 tail;
	__u32 copied_seq;
	__u32 unread;
	__u32 pad;
};

/* One packet of the walk; 1 ends it. */
static long nw_walk_pending(__u32 i, struct nw_read_walk *walk)
{
	struct nw_flow *flow = walk->flow;
	__u32 place = walk->head + i;
	struct nw_pending *slot = &flow->pending[place & (NW_PENDING - 1)];
	bool read;

	if (place == walk->tail)
		return 1;
	if (slot->state == NW_PENDING_READY) {
		read = (__s32)(walk->copied_seq - slot->seq -
			       slot->payload_bytes) >= 0;
		if (read || walk->which == NW_SCRATCH_DESTROY)
			nw_pop(walk->packet, walk->which, slot, read);
		else if (++walk->unread > NW_UNREAD_LOOKAHEAD)
			return 1;
	}
	if (!walk->unread)
		flow->head = place + 1;
	return 0;
}

static __always_inline void nw_pop_read(struct sock *sk, struct nw_flow *flow,
					__u32 which)
{
	struct nw_packet *p = bpf_map_lookup_elem(&scratch, &which);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct nw_read_walk walk = {
		.flow = flow,
		.packet = p,
		.which = which,
		.head = flow->head,
		.tail = flow->tail,
	};

	if (!p || !tp)
		return;
	walk.copied_seq = tp->copied_seq;
	p->head.ts_ns = bpf_ktime_get_ns();
	p->head.sock = (__u64)sk;
	p->head.kind = NW_KIND_PACKET;
	p->head.netns = nw_sock_netns(sk);
	p->rx = 1;
	nw_sock_tuple(tp, &p->tuple);
	/* nearly always there is just one */
	if (nw_walk_pending(0, &walk) || walk.head + 1 == walk.tail)
		return;
	walk.head++;
	nw_loop(NW_PENDING - 1, nw_walk_pending, &walk);
}

SEC("?tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);

	if (flow && flow->head != flow->tail)
		nw_pop_read(sk, flow, NW_SCRATCH_READ);
	return 0;
}

/* Data nobody will read any more: its packets get their records too. */
SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	struct nw_flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);

	if (flow && flow->head != flow->tail)
		nw_pop_read(sk, flow, NW_SCRATCH_DESTROY);
	return 0;
}

/* ---- transmit: from the application to the driver ---- */

SEC("?tp_btf/tcp_sendmsg_locked")
int BPF_PROG(tcp_sendmsg_locked, struct sock *sk)
{
	struct nw_flow *flow;
	struct nw_write *w;
	struct tcp_sock *tp;
	__u32 last;

	if (!nw_netns_allowed(nw_sock_netns(sk)))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow)
		return 0;
	last = flow->write_count - 1;
	w = &flow->writes[last & (NW_WRITES - 1)];
	if (flow->write_count && w->seq == tp->write_seq)
		return 0;
	w = &flow->writes[flow->write_count & (NW_WRITES - 1)];
	w->seq = tp->write_seq;
	w->ns = bpf_ktime_get_ns();
	flow->write_count++;
	return 0;
}

/* The slot of a packet on its way out; NULL if it is not one of ours. */
static __always_inline struct nw_tx_slot *nw_tx_find(const struct sk_buff *skb)
{
	struct {
		__u32 ports;
		__be32 seq;
		__be32 ack;
		__u8 header;
		__u8 flags;
	} tcp;
	struct nw_tx_set *set;
	__u32 payload, seq, ack;
	__u64 key;

	if (!skb->sk || !nw_skb_watched(skb))
		return NULL;
	if (bpf_probe_read_kernel(&tcp, sizeof(tcp),
				  skb->head + skb->transport_header))
		return NULL;
	payload = skb->len -
		  (skb->transport_header - (__u32)(skb->data - skb->head)) -
		  (tcp.header >> 4) * 4;
	seq = bpf_ntohl(tcp.seq);
	ack = bpf_ntohl(tcp.ack);
	key = nw_tx_key(tcp.ports, seq, ack, payload != 0);
	set = nw_tx_set(key);
	if (!set)
		return NULL;
	for (int i = 0; i < NW_WAYS; i++) {
		struct nw_tx_slot *slot = &set->way[i];

		if (slot->key == key && slot->packet.seq == seq &&
		    slot->packet.ack == ack)
			return slot;
	}
	return NULL;
}

SEC("?tp_btf/net_dev_queue")
int BPF_PROG(net_dev_queue, struct sk_buff *skb)
{
	struct nw_tx_slot *slot = nw_tx_find(skb);

	if (slot && !slot->queue_ns)
		slot->queue_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("?tp_btf/net_dev_start_xmit")
int BPF_PROG(net_dev_start_xmit, struct sk_buff *skb)
{
	struct nw_tx_slot *slot = nw_tx_find(skb);
	__u64 now, handed_ns, key;

	if (!slot || !slot->queue_ns)
		return 0;
	key = slot->key;
	if (__sync_val_compare_and_swap(&slot->key, key, NW_TX_BUSY) != key)
		return 0;
	now = bpf_ktime_get_ns();
	handed_ns = slot->packet.head.ts_ns;
	if (slot->queue_ns >= handed_ns)
		slot->packet.ip_ns = slot->queue_ns - handed_ns;
	slot->packet.mac_ns = now - slot->queue_ns;
	slot->packet.head.ts_ns = now;
	nw_finish_packet(&slot->packet);
	slot->key = 0;
	return 0;
}
