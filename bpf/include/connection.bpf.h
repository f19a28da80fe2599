/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fills struct nw_connection from a socket: what `ss -tinm` shows and more,
 * read where it lies, without a cost for the packets in between.
 */
#ifndef NW_CONNECTION_BPF_H
#define NW_CONNECTION_BPF_H

#include "chrono.bpf.h"
#include "overflows.bpf.h"
#include "volume.bpf.h"

/* <net/tcp.h>: how the ends do ECN, and that a packet has said so */
#define NW_TCP_ECN_OK 1
#define NW_TCP_ECN_SEEN 8
#define NW_TCP_ECN_ACCURATE 16

/* What tcp_get_info() tells of the time that something held sending up. */
static __always_inline void nw_fill_times(struct nw_connection *c,
					  struct tcp_sock *tp)
{
	__u32 type = BPF_CORE_READ_BITFIELD(tp, chrono_type);
	__u32 running = (__u32)bpf_jiffies64() - tp->chrono_start;
	__u64 busy = tp->chrono_stat[TCP_CHRONO_BUSY - 1];
	__u64 rwnd = tp->chrono_stat[TCP_CHRONO_RWND_LIMITED - 1];
	__u64 sndbuf = tp->chrono_stat[TCP_CHRONO_SNDBUF_LIMITED - 1];

	if (type == TCP_CHRONO_BUSY)
		busy += running;
	else if (type == TCP_CHRONO_RWND_LIMITED)
		rwnd += running;
	else if (type == TCP_CHRONO_SNDBUF_LIMITED)
		sndbuf += running;
	c->rto_ns = nw_jiffies_ns(tp->inet_conn.icsk_rto);
	c->busy_ns = nw_jiffies_ns(busy + rwnd + sndbuf);
	c->rwnd_limited_ns = nw_jiffies_ns(rwnd);
	c->sndbuf_limited_ns = nw_jiffies_ns(sndbuf);
}

static __always_inline __u8 nw_ecn_of(struct tcp_sock *tp)
{
	__u8 flags = tp->ecn_flags, ecn = NW_ECN_NONE;

	if (flags & (NW_TCP_ECN_OK | NW_TCP_ECN_ACCURATE))
		ecn |= NW_ECN_NEGOTIATED;
	if (flags & NW_TCP_ECN_SEEN)
		ecn |= NW_ECN_SEEN;
	return ecn;
}

static __always_inline void nw_fill_queues(struct nw_connection *c,
					   struct sock *sk, struct tcp_sock *tp)
{
	c->backlog = sk->sk_ack_backlog;
	c->max_backlog = sk->sk_max_ack_backlog;
	c->sndbuf = sk->sk_sndbuf;
	c->rcvbuf = sk->sk_rcvbuf;
	c->wmem_queued = sk->sk_wmem_queued;
	c->rmem_alloc = sk->sk_backlog.rmem_alloc.counter;
	c->pacing_rate = sk->sk_pacing_rate;
	c->unacked = nw_seq_distance(tp->snd_nxt, tp->snd_una);
	c->notsent = nw_seq_distance(tp->write_seq, tp->snd_nxt);
	c->unread = nw_seq_distance(tp->rcv_nxt, tp->copied_seq);
}

static __always_inline void nw_fill_tcp(struct nw_connection *c,
					struct tcp_sock *tp)
{
	c->bytes_acked = tp->bytes_acked;
	c->bytes_received = tp->bytes_received;
	c->bytes_sent = tp->bytes_sent;
	c->bytes_retrans = tp->bytes_retrans;
	c->srtt_us = tp->srtt_us;
	c->mdev_us = tp->mdev_us;
	c->rttvar_us = tp->rttvar_us;
	c->min_rtt_us = tp->rtt_min.s[0].v;
	c->rwnd = tp->rcv_wnd;
	c->snd_wnd = tp->snd_wnd;
	c->cwnd = tp->snd_cwnd;
	c->ssthresh = tp->snd_ssthresh;
	c->total_retrans = tp->total_retrans;
	c->packets_out = tp->packets_out;
	c->sacked_out = tp->sacked_out;
	c->lost_out = tp->lost_out;
	c->retrans_out = tp->retrans_out;
	c->reordering = tp->reordering;
	c->delivered = tp->delivered;
	c->delivered_ce = tp->delivered_ce;
	c->segs_in = tp->segs_in;
	c->segs_out = tp->segs_out;
	c->mss = tp->mss_cache;
	c->rcv_ooopack = tp->rcv_ooopack;
	c->ecn = nw_ecn_of(tp);
}

static __always_inline void
nw_fill_congestion(struct nw_connection *c, struct inet_connection_sock *icsk)
{
	const struct tcp_congestion_ops *ops = icsk->icsk_ca_ops;

	c->ca_state = BPF_CORE_READ_BITFIELD(icsk, icsk_ca_state);
	if (ops)
		__builtin_memcpy(c->ca_name, (const void *)ops->name,
				 sizeof(c->ca_name));
}

static __always_inline void nw_fill_remembered(struct nw_connection *c,
					       const struct nw_socket *s)
{
	__u64 cgroup;

	c->open_ns = NW_UNKNOWN;
	c->handshake_ns = NW_UNKNOWN;
	c->state_ns = NW_UNKNOWN;
	if (!s)
		return;
	if (s->state_ns)
		c->state_ns = s->state_ns;
	if (s->open_ns)
		c->open_ns = s->open_ns;
	if (s->handshake_ns)
		c->handshake_ns = s->handshake_ns;
	cgroup = c->task.cgroup;
	c->task = s->owner.task;
	/* not of a socket that systemd or another process has handed on */
	if (s->owner_source <= NW_OWNER_LISTENER || !c->task.cgroup)
		c->task.cgroup = cgroup;
	nw_fill_acceptor(c, &s->owner);
	c->owner_source = s->owner_source;
	__builtin_memcpy(c->retransmits, s->retransmits,
			 sizeof(c->retransmits));
}

/* Everything but head.kind, head.ts_ns, state, old_state and the tuple. */
static __always_inline void nw_fill_connection(struct nw_connection *c,
					       struct sock *sk,
					       struct tcp_sock *tp,
					       const struct nw_socket *s)
{
	/* a change of state is told before the socket has the new one */
	int state = sk->__sk_common.skc_state;

	c->head.sock = (__u64)sk;
	c->head.netns = nw_sock_netns(sk);
	c->cookie = sk->__sk_common.skc_cookie.counter;
	c->task.cgroup = nw_plain(sk)->sk_cgrp_data.cgroup->kn->id;
	c->error = sk->sk_err;
	c->role = nw_role_of(sk, tp, s, state);
	c->counted = nw_counted_beside_data(sk, tp, s, state);
	c->overflows = state == TCP_LISTEN ? nw_overflows_of(sk) : 0;
	nw_fill_queues(c, sk, tp);
	nw_fill_tcp(c, tp);
	nw_fill_times(c, tp);
	nw_fill_congestion(c, &tp->inet_conn);
	nw_fill_remembered(c, s);
}

#endif /* NW_CONNECTION_BPF_H */
