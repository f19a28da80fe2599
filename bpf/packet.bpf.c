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
 *         packets without a whole socket (TIME_WAIT), net:net_dev_queue for
 *         the answers to them.
 * Emits   nw_packet per packet, nw_http_head per HTTP message,
 *         nw_http_exchange per request and its response.
 * Cost    see `make bench`: ns per packet, without and with layer times.
 */
#include "answer.bpf.h"
#include "http_end.bpf.h"
#include "sight.bpf.h"
#include "nested.bpf.h"
#include "unowned.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

NW_RECORD(nw_packet);
NW_RECORD(nw_http_head);
NW_RECORD(nw_http_exchange);
NW_RECORD(nw_early);
NW_RECORD(nw_points);
NW_RECORD(nw_ended);
NW_ENUM(nw_ended_state);
NW_ENUM(nw_http_method);
NW_ENUM(nw_http_outcome);
NW_ENUM(nw_http_cause);
NW_ENUM(nw_http_taken);
NW_ENUM(nw_http_role);
NW_ENUM(nw_server_part);
NW_ENUM(nw_client_part);
NW_ENUM(nw_unexplained);
NW_ENUM(nw_mark);
NW_ENUM(nw_told);
NW_ENUM(nw_sent_state);

/*
 * The kernel's socket of a cgroup_skb context, as a pointer with a type; it is a
 * whole one. NULL if it is none of TCP.
 */
static __always_inline struct sock *nw_kernel_sock(struct __sk_buff *ctx,
						   struct bpf_sock *sk)
{
	struct sock *kernel_sk;

	if (!nw_has_kernel_context)
		return (struct sock *)bpf_skc_to_tcp_sock(sk);
	kernel_sk = ((struct sk_buff *)bpf_cast_to_kern_ctx(ctx))->sk;
	if (!kernel_sk || kernel_sk->sk_protocol != NW_IPPROTO_TCP)
		return NULL;
	return kernel_sk;
}

static __always_inline int nw_see(struct __sk_buff *ctx, bool rx, bool timed)
{
	struct nw_sight seen = {};
	struct nw_headers *headers = &seen.headers;
	struct nw_socket *s = NULL;
	struct bpf_sock *sk = ctx->sk;
	struct sock *kernel_sk;
	bool listens;
	int marks;

	if (!sk)
		return 1;
	kernel_sk = nw_kernel_sock(ctx, sk);
	if (!kernel_sk)
		return 1;
	seen.netns = nw_sock_netns(kernel_sk);
	if (!nw_netns_allowed(seen.netns))
		return 1;
	listens = kernel_sk->__sk_common.skc_state == TCP_LISTEN;
	if (rx && listens)
		nw_early_give_up();
	if (nw_socket_filtered()) {
		s = nw_socket_find(sk);
		if (s)
			nw_adopt_owner(s, kernel_sk);
		/* what is out costs no look at the packet */
		if (s && s->verdict == NW_VERDICT_IGNORE && !listens)
			return 1;
	}
	if (!nw_parse(ctx, rx, headers))
		return 1;
	if (nw_socket_filtered()) {
		marks = nw_judge(kernel_sk, s, &headers->tuple);
		if (marks == NW_OUT)
			return 1;
		seen.marks = marks;
	}
	/* the kernel's own reset and TIME_WAIT socket is raw: no connection */
	seen.sock = kernel_sk->sk_type == SOCK_STREAM ? (__u64)kernel_sk : 0;
	seen.ts_ns =
		rx ? nw_received_ns(headers) : nw_handed_ns(ctx, sk, seen.sock);
	if (nw_http_on && seen.sock)
		seen.http_heads = nw_http_packet(ctx, sk, headers,
						 rx ? NW_HTTP_IN : NW_HTTP_OUT,
						 seen.ts_ns, timed);
	if (rx && listens && headers->payload_bytes)
		nw_record_early(ctx, sk, &seen);
	else if (!timed || !nw_time)
		nw_record_plain(sk, &seen, rx);
	else if (rx)
		nw_record_received(ctx, sk, &seen);
	else if (!nw_record_sent(ctx, sk, &seen))
		nw_record_at_once(ctx, sk, &seen);
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

NW_NESTED("kfree_skb", packet_unowned)

/* See unowned.bpf.h. */
SEC("?tp_btf/kfree_skb")
int packet_unowned(__u64 *ctx)
{
	NW_MAY_NEST(packet_unowned);
	return nw_discarded((struct sk_buff *)ctx[0], ctx);
}

/* See answer.bpf.h. */
SEC("?tp_btf/net_dev_queue")
int BPF_PROG(packet_answer, struct sk_buff *skb)
{
	return nw_queue_answer(skb);
}

/* A socket begins a connection: as a listener's child, or once more. */
static __always_inline int nw_begins(struct sock *sk, int old_state, int state,
				     bool timed)
{
	if (old_state == TCP_LISTEN && state == TCP_SYN_RECV)
		nw_early_adopt(sk, timed);
	if (state != TCP_SYN_SENT || !nw_watched(sk))
		return 0;
	if (timed && nw_http_explains)
		nw_http_forget_points(sk);
	if (nw_http_on && nw_has_socket_storage())
		bpf_sk_storage_delete(&http_connections, sk);
	if (timed)
		nw_flow_restart(sk);
	return 0;
}

NW_NESTED("inet_sock_set_state", socket_begins)

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(socket_begins, struct sock *sk, int old_state, int state)
{
	NW_MAY_NEST(socket_begins);
	return nw_begins(sk, old_state, state, false);
}

NW_NESTED("inet_sock_set_state", timed_socket_begins)

/* Instead of it with layer times: see timed_ingress. */
SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(timed_socket_begins, struct sock *sk, int old_state, int state)
{
	NW_MAY_NEST(timed_socket_begins);
	return nw_begins(sk, old_state, state, true);
}

/* Its request may have been seen before it was known whose it is. */
static __always_inline bool nw_end_allowed(struct sock *sk, struct tcp_sock *tp)
{
	struct nw_tuple tuple = {};

	if (!nw_socket_filtered())
		return true;
	nw_sock_tuple(tp, &tuple);
	return nw_flow_allowed(&tuple, sk);
}

NW_NESTED("inet_sock_set_state", http_ends)

/* A connection has ended: the requests that were not answered. */
SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(http_ends, struct sock *sk, int old_state, int state)
{
	struct tcp_sock *tp = state == TCP_CLOSE ? nw_watched(sk) : NULL;

	NW_MAY_NEST(http_ends);
	if (tp)
		nw_http_socket_closed(sk, old_state, nw_end_allowed(sk, tp));
	return 0;
}

/* ---- receive: from the driver to the protocol stack ---- */

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
	return nw_reach_ip(skb);
}

/* ---- receive: exactly where IP and TCP begin, if fentry may be used ---- */

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
	__u64 now = nw_time ? nw_flow_read(sk) : 0;

	if (nw_http_explains)
		nw_points_read(sk, now);
	return 0;
}

NW_NESTED("tcp_destroy_sock", tcp_destroy_sock)

/* Data nobody will read any more: its packets get their records too. */
SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	NW_MAY_NEST(tcp_destroy_sock);
	nw_flow_close(sk, NW_IS_NESTED(tcp_destroy_sock) ? NW_SCRATCH_NESTED :
							   NW_SCRATCH_DESTROY);
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
	/*
	 * goes to the end of a packet that has begun: that one's time counts, but
	 * for the end of an HTTP message
	 */
	if (!nw_http_explains && skb && (int)skb->len < size_goal)
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
	struct nw_sent_slot *last, *slot;

	if (nw_sent_by_other(skb))
		return 0;
	last = nw_last_sent();
	slot = last ? nw_sent_take_out(skb, last) : NULL;
	if (slot)
		nw_sent_enter_queue(slot, last, bpf_ktime_get_ns(),
				    skb->dev->_tx->qdisc->enqueue);
	return 0;
}

SEC("?tp_btf/net_dev_start_xmit")
int BPF_PROG(net_dev_start_xmit, struct sk_buff *skb)
{
	struct nw_sent_slot *last, *slot;

	if (nw_sent_by_other(skb))
		return 0;
	last = nw_last_sent();
	slot = last ? nw_sent_take_out(skb, last) : NULL;
	if (!slot)
		return 0;
	nw_sent_leave(slot, bpf_ktime_get_ns());
	nw_finish_packet(&slot->packet);
	nw_sent_free(slot, last);
	return 0;
}
