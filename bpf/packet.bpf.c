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
#include "receive.bpf.h"
#include "transmit.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

NW_RECORD(nw_packet);
NW_RECORD(nw_http_head);
NW_ENUM(nw_http_method);
NW_ENUM(nw_http_role);

/* Set by the reader before loading. */
const volatile bool nw_http_on = false;
const volatile bool nw_has_drop_socket = false;
const volatile __u32 nw_no_socket_reason = 0;

/* The kernel's socket of a cgroup_skb context, as a pointer with a type. */
static __always_inline struct sock *nw_kernel_sock(struct __sk_buff *ctx,
						   struct bpf_sock *sk)
{
	if (nw_has_kernel_context)
		return ((struct sk_buff *)bpf_cast_to_kern_ctx(ctx))->sk;
	return (struct sock *)bpf_skc_to_tcp_sock(sk);
}

/* What is known of a packet when its record is made. */
struct nw_sight {
	struct nw_headers headers;
	__u64 sock;
	__u64 ts_ns;
	__u32 netns;
	__u32 http_heads;
};

static __always_inline int nw_record(struct __sk_buff *ctx, struct bpf_sock *sk,
				     const struct nw_sight *seen, bool rx,
				     bool timed)
{
	struct nw_packet packet;

	nw_fill_packet(&packet, &seen->headers, seen->sock, seen->netns, rx);
	packet.head.ts_ns = seen->ts_ns;
	packet.http_heads = seen->http_heads;
	if (seen->headers.flags & NW_TCP_SYN)
		packet.pid = nw_owner_pid(sk);
	if (!rx)
		packet.retransmitted = nw_sent_before(sk, &seen->headers);
	if (!timed)
		nw_finish_packet(&packet);
	else if (rx)
		nw_receive(ctx, sk, &seen->headers, &packet);
	else
		nw_transmit(ctx, sk, &seen->headers, &packet);
	return 0;
}

/*
 * In frames of their own, so that the record does not lie below the calls of
 * the HTTP parser: older kernels count at least 32 bytes for each of a
 * chain of calls, and allow 512 in all.
 */
static __noinline int nw_record_plain(struct __sk_buff *ctx,
				      struct bpf_sock *sk,
				      const struct nw_sight *seen, bool rx)
{
	return nw_record(ctx, sk, seen, rx, false);
}

static __noinline int nw_record_received(struct __sk_buff *ctx,
					 struct bpf_sock *sk,
					 const struct nw_sight *seen)
{
	return nw_record(ctx, sk, seen, true, true);
}

static __noinline int nw_record_sent(struct __sk_buff *ctx, struct bpf_sock *sk,
				     const struct nw_sight *seen)
{
	return nw_record(ctx, sk, seen, false, true);
}

static __always_inline int nw_see(struct __sk_buff *ctx, bool rx, bool timed)
{
	struct nw_sight seen = {};
	struct nw_headers *headers = &seen.headers;
	struct nw_socket *s = NULL;
	struct bpf_sock *sk = ctx->sk;
	struct sock *kernel_sk;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != NW_IPPROTO_TCP)
		return 1;
	kernel_sk = nw_kernel_sock(ctx, sk);
	if (!kernel_sk)
		return 1;
	seen.netns = nw_sock_netns(kernel_sk);
	if (!nw_netns_allowed(seen.netns) || !nw_parse(ctx, rx, headers))
		return 1;
	if (nw_socket_filtered()) {
		s = nw_socket_find(sk);
		if (s)
			nw_adopt_owner(s, (__u64)kernel_sk);
		if (!nw_socket_allowed(kernel_sk, s, &headers->tuple))
			return 1;
	}
	/* the kernel's own reset and TIME_WAIT socket is raw: no connection */
	seen.sock = sk->type == SOCK_STREAM ? (__u64)kernel_sk : 0;
	/* a sent packet carries the time at which TCP handed it over */
	seen.ts_ns = timed && !rx ? ctx->tstamp : 0;
	if (!seen.ts_ns)
		seen.ts_ns = bpf_ktime_get_ns();
	if (nw_http_on)
		seen.http_heads = nw_http_packet(ctx, sk, headers,
						 rx ? NW_HTTP_IN : NW_HTTP_OUT,
						 seen.ts_ns);
	if (!timed)
		nw_record_plain(ctx, sk, &seen, rx);
	else if (rx)
		nw_record_received(ctx, sk, &seen);
	else
		nw_record_sent(ctx, sk, &seen);
	return 1;
}

SEC("?cgroup_skb/ingress")
int packet_ingress(struct __sk_buff *ctx)
{
	return nw_see(ctx, true, false);
}

SEC("?cgroup_skb/egress")
int packet_egress(struct __sk_buff *ctx)
{
	return nw_see(ctx, false, false);
}

/* Instead of these with layer times: their atomics are of 5.12. */
SEC("?cgroup_skb/ingress")
int timed_ingress(struct __sk_buff *ctx)
{
	return nw_see(ctx, true, true);
}

SEC("?cgroup_skb/egress")
int timed_egress(struct __sk_buff *ctx)
{
	return nw_see(ctx, false, true);
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

/* ---- receive: exactly where IP and TCP begin, if fentry may be used ---- */

static __always_inline int nw_reach_ip(const struct sk_buff *skb)
{
	struct nw_rx_slot *slot;

	if (!nw_skb_watched(skb))
		return 0;
	slot = nw_rx_find(nw_number(skb));
	if (slot)
		slot->ip_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("?fentry/ip_rcv_core")
int BPF_PROG(ip_rcv_core, struct sk_buff *skb)
{
	return nw_reach_ip(skb);
}

SEC("?fentry/ip6_rcv_core")
int BPF_PROG(ip6_rcv_core, struct sk_buff *skb)
{
	return nw_reach_ip(skb);
}

SEC("?fentry/tcp_v4_rcv")
int BPF_PROG(tcp_v4_rcv, struct sk_buff *skb)
{
	return nw_reach_tcp(skb);
}

SEC("?fentry/tcp_v6_rcv")
int BPF_PROG(tcp_v6_rcv, struct sk_buff *skb)
{
	return nw_reach_tcp(skb);
}

/* ---- receive: the application reads ---- */

SEC("?tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	nw_flow_read(sk);
	return 0;
}

/* Data nobody will read any more: its packets get their records too. */
SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	nw_flow_close(sk, NW_SCRATCH_DESTROY);
	return 0;
}

/* Run once when the reader stops: what nobody has read by then. */
SEC("?iter/tcp")
int flush_unread(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct tcp_sock *tp;

	if (!common)
		return 0;
	tp = bpf_skc_to_tcp_sock(common);
	if (!tp)
		return 0;
	nw_flow_close(&tp->inet_conn.icsk_inet.sk, NW_SCRATCH_FLUSH);
	return 0;
}

/* ---- transmit: from the application to the driver ---- */

SEC("?tp_btf/tcp_sendmsg_locked")
int BPF_PROG(tcp_sendmsg_locked, struct sock *sk, struct msghdr *msg,
	     struct sk_buff *skb, int size_goal)
{
	/* goes to the end of a packet that has begun: that one's time counts */
	if (skb && (int)skb->len < size_goal)
		return 0;
	return nw_note_write(sk);
}

/* Instead of it, if fentry may be used: the entry of the function itself. */
SEC("?fentry/tcp_sendmsg_locked")
int BPF_PROG(sendmsg_entry, struct sock *sk)
{
	return nw_note_write(sk);
}

/* Until 6.4 sendfile and splice took another way. */
SEC("?fentry/tcp_sendpage_locked")
int BPF_PROG(sendpage_entry, struct sock *sk)
{
	return nw_note_write(sk);
}

SEC("?tp_btf/net_dev_queue")
int BPF_PROG(net_dev_queue, struct sk_buff *skb)
{
	struct nw_tx_slot *slot = nw_tx_find(skb);

	if (!slot || slot->queue_ns)
		return 0;
	slot->queue_ns = bpf_ktime_get_ns();
	/* a queueing discipline: it may be another CPU that sends it */
	if (slot == nw_tx_last() && skb->dev->_tx->qdisc->enqueue)
		nw_tx_put_away(slot);
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
