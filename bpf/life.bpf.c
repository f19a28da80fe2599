// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * life: how TCP connections come to be, and how they end.
 *
 * Traces  inet_sock_set_state, tcp_retransmit_skb (for connect() alone), the
 *         return from accept() and connect(), and for names UDP that sockets
 *         receive; iterates task/file once.
 * Emits   nw_life per event, nw_dns per answer of a name server.
 * Cost    a few hundred ns for each change of state; nothing for a packet, but
 *         with names a look at its protocol.
 *
 * program              serves
 * inet_sock_set_state  STATE CONNECT ESTABLISHED REFUSED END CLOSE
 * sys_exit_accept{,4}  ACCEPT, and the owners of what was accepted
 * sys_exit_connect     CONNECT and its STATE, before the answer
 * tcp_retransmit_skb   the same, where connect() waits for an answer
 * dns_ingress          the names that were asked for before connect()
 * user_{sends,receives} owners of what is used; user_reads before 6.3
 * task_file            owners of connections older than this program
 *
 * Which program serves what, the reader knows from src/sources/life.ts.
 */
#include "dns.bpf.h"
#include "life_owner.bpf.h"
#include "nested.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

NW_RECORD(nw_life);
NW_RECORD(nw_connection_owner);
NW_ENUM(nw_mark);
NW_RECORD(nw_dns);
NW_ENUM(nw_life_event);

NW_NESTED("inet_sock_set_state", inet_sock_set_state)

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int state)
{
	NW_MAY_NEST(inet_sock_set_state);
	return nw_life_turn(sk, old_state, state);
}

NW_ACCEPT_PROGRAMS(nw_life_accepted)
NW_USER_PROGRAMS(nw_life_used)

SEC("?tracepoint/syscalls/sys_exit_connect")
int sys_exit_connect(struct trace_event_raw_sys_exit *ctx)
{
	return nw_connect_returned();
}

NW_NESTED("tcp_retransmit_skb", tcp_retransmit_skb)

SEC("?tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, struct sock *sk, struct sk_buff *skb)
{
	NW_MAY_NEST(tcp_retransmit_skb);
	return nw_retransmitted(sk);
}

SEC("?cgroup_skb/ingress")
int dns_ingress(struct __sk_buff *ctx)
{
	return nw_dns_received(ctx);
}

NW_HOLDER_PROGRAM
NW_FORGET_PROGRAM
