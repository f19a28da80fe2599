/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Data that arrives while the socket is still the listener's: with the last ACK
 * (TCP_DEFER_ACCEPT, or where the ACK before it was lost), with a SYN cookie's
 * ACK, with a fast open's SYN. TCP makes the connection's socket a moment later,
 * in the same soft interrupt. Until then the packet, its heads and their framing
 * wait here; the socket takes them over.
 *
 *   skb      means                        moved on by
 *   0        nothing waits                cgroup_skb/ingress, a listener's data
 *   a mark   this CPU's last packet to a  inet_sock_set_state LISTEN -> SYN_RECV:
 *            listener waits               it is the child's. The next packet to
 *                                         a listener, kfree_skb, the reader when
 *                                         it stops: it stays the listener's
 *
 * All of them run in the soft interrupt that receives, of which a CPU has one at
 * a time (the reader comes when the others are gone): plain loads and stores do.
 */
#ifndef NW_EARLY_BPF_H
#define NW_EARLY_BPF_H

#include "http_packet.bpf.h"
#include "receive.bpf.h"

static __always_inline void nw_early_emit_heads(struct nw_early *early,
						__u64 sock)
{
	struct nw_http_head *record;

	NW_HTTP_LOOP
	for (__u32 i = 0; i < NW_EARLY_HEADS; i++) {
		if (i >= early->heads)
			return;
		record = nw_reserve_http(sizeof(*record));
		if (!record)
			continue;
		*record = early->head[i];
		record->head.sock = sock;
		nw_submit(record);
	}
}

/* No connection has come of it. A frame of its own, as it is rare. */
static __noinline int nw_early_give_up(void)
{
	struct nw_http_connection *framing = nw_early_http();
	struct nw_early *early = nw_early();

	if (!early || !early->skb)
		return 0;
	early->skb = 0;
	/* its requests wait for nothing; they come again, with the packet */
	if (nw_http_on && framing)
		nw_http_on_waiting(&framing->http,
				   framing->http.out - framing->http.in);
	nw_early_emit_heads(early, early->packet.head.sock);
	nw_finish_packet(&early->packet);
	return 0;
}

/* TCP discards a packet that it gave to a listener. */
static __always_inline void nw_early_discard(const struct sk_buff *skb)
{
	struct nw_early *early = nw_early();

	if (early && early->skb == nw_number(skb))
		nw_early_give_up();
}

/* The packet has become this socket, whose ends are not set yet. */
static __always_inline void nw_early_adopt(struct sock *sk, bool timed)
{
	struct nw_early *early = nw_early();
	struct nw_http_connection *c, *framing = nw_early_http();

	if (!early || !early->skb || !bpf_skc_to_tcp_sock(sk))
		return;
	if (early->packet.head.netns != nw_sock_netns(sk)) {
		nw_early_give_up();
		return;
	}
	early->skb = 0;
	if (nw_http_on && nw_has_socket_storage()) {
		c = nw_storage_make(&http_connections, sk);
		if (c && framing) {
			*c = *framing;
			c->sock = (__u64)sk;
			if (c->http.deep)
				nw_http_deep_adopt(c);
			framing->points = 0;
			nw_points_adopt(c);
		}
	}
	nw_early_emit_heads(early, (__u64)sk);
	early->packet.head.sock = (__u64)sk;
	if (!timed || !nw_time || !nw_await_child(sk, &early->packet))
		nw_finish_packet(&early->packet);
}

#endif /* NW_EARLY_BPF_H */
