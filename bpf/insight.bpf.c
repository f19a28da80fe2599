// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * insight: fifteen kinds of event in the life of a TCP connection.
 *
 * Traces  what stands in the table of probes below: tracepoints, the return
 *         from accept(), and, where sock_send_length is missing (before 6.3),
 *         the return from tcp_sendmsg(), tcp_sendpage() and tcp_recvmsg() by
 *         fexit or, where that is refused, by kprobes; iterates task/file once
 *         and, for statistics, tcp.
 * Emits   nw_insight per event. Totals in insight_totals.
 * Cost    what no wanted event needs is not loaded; see `make bench`.
 *
 * program              serves
 * inet_sock_set_state  CONNECT CLOSE, the last TIMEOUT, owners, and whatever has
 *                      changed
 * sys_exit_accept{,4}  ACCEPT, owners
 * user_{sends,receives} owners; user_reads before 6.3
 * sock_send_length     SEND       | tcp_sendmsg, tcp_sendpage
 *                                 | {sendmsg,sendpage}_{begin,end}
 * sock_recv_length     RECEIVE    | tcp_recvmsg{,_noblock}
 *                                 | recvmsg_begin{,_noblock}, recvmsg_end
 * sys_{enter,exit}_{splice,getsockopt} RECEIVE
 * tcp_retransmit_skb   RETRANSMIT, CONNECT       (FAST_RECOVERY TIMEOUT)
 * tcp_retransmit_synack RETRANSMIT
 * tcp_send_reset       RESET
 * tcp_receive_reset    RESET
 * tcp_probe            CWND_CHANGE RTT_UPDATE SLOW_START CONG_AVOID
 *                      WINDOW_UPDATE SACK        (FAST_RECOVERY)
 * tcp_rcv_space_adjust WINDOW_UPDATE
 * tcp_cong_state_set   FAST_RECOVERY TIMEOUT
 *
 * Which program serves what, the reader knows from src/insight/probes.ts.
 */
#include "insight/data.bpf.h"
#include "insight/loss.bpf.h"
#include "insight/reset.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

NW_RECORD(nw_insight);
NW_RECORD(nw_insight_totals);
NW_RECORD(nw_connection_owner);
NW_ENUM(nw_mark);
NW_ENUM(nw_event);
NW_ENUM(nw_retransmit_type);

NW_NESTED("inet_sock_set_state", inet_sock_set_state)

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int state)
{
	NW_MAY_NEST(inet_sock_set_state);
	return nw_insight_turn(sk, ctx + 1);
}

NW_ACCEPT_PROGRAMS(nw_insight_accepted)
NW_USER_PROGRAMS(nw_insight_used)

SEC("?tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int bytes, int flags)
{
	return nw_insight_moved(sk, bytes, NW_EVENT_SEND);
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int bytes, int flags)
{
	return nw_insight_received(sk, bytes, flags);
}

NW_TAKEN_PROGRAMS(nw_insight_taken, nw_lose_record)

SEC("?fexit/tcp_sendmsg")
int BPF_PROG(tcp_sendmsg, struct sock *sk, struct msghdr *msg, size_t size,
	     int bytes)
{
	return nw_insight_moved(sk, bytes, NW_EVENT_SEND);
}

/* sendfile(), until 6.5 made it use tcp_sendmsg() too. */
SEC("?fexit/tcp_sendpage")
int BPF_PROG(tcp_sendpage, struct sock *sk, struct page *page, int offset,
	     size_t size, int flags, int bytes)
{
	return nw_insight_moved(sk, bytes, NW_EVENT_SEND);
}

SEC("?fexit/tcp_recvmsg")
int BPF_PROG(tcp_recvmsg, struct sock *sk, struct msghdr *msg, size_t size,
	     int flags, int *address_bytes, int bytes)
{
	return nw_insight_received(sk, bytes, flags);
}

/* Before 5.19 it had one more parameter. */
SEC("?fexit/tcp_recvmsg")
int BPF_PROG(tcp_recvmsg_noblock, struct sock *sk, struct msghdr *msg,
	     size_t size, int noblock, int flags, int *address_bytes, int bytes)
{
	return nw_insight_received(sk, bytes, flags);
}

/* kprobes, where fexit is refused. */

SEC("?kprobe/tcp_sendmsg")
int BPF_KPROBE(sendmsg_begin, struct sock *sk)
{
	return nw_insight_begin(sk, true);
}

SEC("?kretprobe/tcp_sendmsg")
int BPF_KRETPROBE(sendmsg_end, int bytes)
{
	return nw_probe_moved(nw_call_ended(), bytes, NW_EVENT_SEND);
}

SEC("?kprobe/tcp_sendpage")
int BPF_KPROBE(sendpage_begin, struct sock *sk)
{
	return nw_insight_begin(sk, true);
}

SEC("?kretprobe/tcp_sendpage")
int BPF_KRETPROBE(sendpage_end, int bytes)
{
	return nw_probe_moved(nw_call_ended(), bytes, NW_EVENT_SEND);
}

SEC("?kprobe/tcp_recvmsg")
int BPF_KPROBE(recvmsg_begin, struct sock *sk, struct msghdr *msg, size_t size,
	       int flags)
{
	return nw_insight_begin(sk, !(flags & NW_MSG_PEEK));
}

SEC("?kprobe/tcp_recvmsg")
int BPF_KPROBE(recvmsg_begin_noblock, struct sock *sk, struct msghdr *msg,
	       size_t size, int noblock, int flags)
{
	return nw_insight_begin(sk, !(flags & NW_MSG_PEEK));
}

SEC("?kretprobe/tcp_recvmsg")
int BPF_KRETPROBE(recvmsg_end, int bytes)
{
	return nw_probe_moved(nw_call_ended(), bytes, NW_EVENT_RECEIVE);
}

NW_NESTED("tcp_retransmit_skb", tcp_retransmit_skb)

SEC("?tp_btf/tcp_retransmit_skb")
int tcp_retransmit_skb(__u64 *ctx)
{
	NW_MAY_NEST(tcp_retransmit_skb);
	if (nw_has_retransmit_error && (int)ctx[2])
		return 0;
	return nw_retransmitted((struct sock *)ctx[0],
				(struct sk_buff *)ctx[1]);
}

NW_NESTED("tcp_retransmit_synack", tcp_retransmit_synack)

SEC("?tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcp_retransmit_synack, struct sock *sk, struct request_sock *req)
{
	NW_MAY_NEST(tcp_retransmit_synack);
	return nw_synack_retransmitted(sk, req);
}

NW_NESTED("tcp_send_reset", tcp_send_reset)

SEC("?tp_btf/tcp_send_reset")
int tcp_send_reset(__u64 *ctx)
{
	__u32 reason = nw_has_reset_reason ? (__u32)ctx[2] : 0;

	NW_MAY_NEST(tcp_send_reset);
	return nw_reset_sent((struct sock *)ctx[0], (struct sk_buff *)ctx[1],
			     reason);
}

NW_NESTED("tcp_receive_reset", tcp_receive_reset)

SEC("?tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	NW_MAY_NEST(tcp_receive_reset);
	return nw_reset_received(sk);
}

NW_NESTED("tcp_probe", tcp_probe)

SEC("?tp_btf/tcp_probe")
int BPF_PROG(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	NW_MAY_NEST(tcp_probe);
	return nw_segment_arrived(sk, skb);
}

SEC("?tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	return nw_was_read(sk);
}

NW_NESTED("tcp_cong_state_set", tcp_cong_state_set)

SEC("?tp_btf/tcp_cong_state_set")
int BPF_PROG(tcp_cong_state_set, struct sock *sk, __u8 ca_state)
{
	NW_MAY_NEST(tcp_cong_state_set);
	return nw_cong_state_set(sk, ca_state);
}

SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(forget_socket, struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&insight_seen_table, &key);
	return nw_socket_forget(sk);
}

NW_HOLDER_PROGRAM

/* A word for each connection that is open now and that the filter lets through. */
SEC("?iter/tcp")
int open_connections(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct nw_insight e = {};
	struct tcp_sock *tp;
	struct sock *sk;
	__u64 one = 1;

	if (!common)
		return 0;
	tp = bpf_skc_to_tcp_sock(common);
	if (!tp)
		return 0;
	sk = &tp->inet_conn.icsk_inet.sk;
	if (!nw_netns_allowed(nw_sock_netns(sk)))
		return 0;
	if (sk->__sk_common.skc_state == TCP_LISTEN ||
	    sk->__sk_common.skc_state == TCP_CLOSE ||
	    sk->__sk_common.skc_state == TCP_SYN_SENT)
		return 0;
	if (nw_fill_owned(&e, sk, tp) && nw_counts(e.marks))
		bpf_seq_write(ctx->meta->seq, &one, sizeof(one));
	return 0;
}
